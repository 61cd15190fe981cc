"""Small documents of every kind, made here byte by byte, and some that were made to hurt."""

import io
import zipfile
import zlib

_DOCUMENT = (
    '<?xml version="1.0" encoding="UTF-8"?><w:document xmlns:w='
    '"http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body>{body}</w:body></w:document>'
)
_STYLES = (
    '<?xml version="1.0" encoding="UTF-8"?><w:styles xmlns:w='
    '"http://schemas.openxmlformats.org/wordprocessingml/2006/main">'
    '<w:style w:type="paragraph" w:styleId="berschrift1"><w:name w:val="heading 1"/></w:style></w:styles>'
)
_TYPES = (
    '<?xml version="1.0" encoding="UTF-8"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Override PartName="/word/document.xml" ContentType='
    '"application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>'
)
_RELATIONS = (
    '<?xml version="1.0" encoding="UTF-8"?><Relationships xmlns='
    '"http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Target="word/document.xml"'
    ' Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument"/></Relationships>'
)
_STYLES_OF = (
    '<?xml version="1.0" encoding="UTF-8"?><Relationships xmlns='
    '"http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Target="styles.xml"'
    ' Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/styles"/></Relationships>'
)


def pdf(*pages: str, content: bytes | None = None) -> bytes:
    """A PDF with a line of Latin text on each page; ``content`` is drawn on every page instead, deflated."""
    objects: list[bytes] = [b"<< /Type /Catalog /Pages 2 0 R >>"]
    kids = " ".join(f"{4 + 2 * place} 0 R" for place in range(len(pages)))
    objects.append(f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>".encode())
    objects.append(b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>")
    for place, text in enumerate(pages):
        drawn = content or b"BT /F1 12 Tf 72 720 Td (%s) Tj ET" % text.encode("cp1252")
        packed = zlib.compress(drawn)
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents %d 0 R"
            b" /Resources << /Font << /F1 3 0 R >> >> >>" % (5 + 2 * place)
        )
        objects.append(b"<< /Length %d /Filter /FlateDecode >>\nstream\n%s\nendstream" % (len(packed), packed))
    out = bytearray(b"%PDF-1.4\n")
    places: list[int] = []
    for number, body in enumerate(objects, start=1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    return bytes(out + b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start))


def docx(*paragraphs: tuple[str, str], document: str | None = None, extra: dict[str, bytes] | None = None) -> bytes:
    """A DOCX of (style, text) paragraphs; the style ``h1`` is a heading as a German Word names it, or empty."""
    body = "".join(
        f"<w:p><w:pPr><w:pStyle w:val='{'berschrift1' if style else 'Standard'}'/></w:pPr>"
        f"<w:r><w:t>{text}</w:t></w:r></w:p>"
        for style, text in paragraphs
    )
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", _TYPES)
        archive.writestr("_rels/.rels", _RELATIONS)
        archive.writestr("word/_rels/document.xml.rels", _STYLES_OF)
        archive.writestr("word/styles.xml", _STYLES)
        archive.writestr("word/document.xml", document or _DOCUMENT.format(body=body))
        for name, data in (extra or {}).items():
            archive.writestr(name, data)
    return packed.getvalue()


def docx_bomb() -> bytes:
    """A few hundred kilobytes that unpack to 300 MB."""
    return docx(("", "small"), extra={f"word/media/{number}.bin": bytes(10_000_000) for number in range(30)})


def docx_of_laughs() -> bytes:
    """An XML document whose entities unfold to billions of letters."""
    entities = '<!ENTITY a "lol">' + "".join(
        f'<!ENTITY {name} "{("&" + before + ";") * 10}">' for before, name in zip("abcdefghi", "bcdefghij", strict=True)
    )
    document = (
        f'<?xml version="1.0"?><!DOCTYPE w [{entities}]><w:document xmlns:w='
        '"http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body><w:p><w:r><w:t>&j;</w:t></w:r></w:p>'
        "</w:body></w:document>"
    )
    return docx(document=document)
