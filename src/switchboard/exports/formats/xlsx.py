"""Sheets of conversations, messages, metrics and the manifest, as Excel, LibreOffice and openpyxl open them.

Written as SpreadsheetML without a library: a stream, where libraries write a file or hold what they write. Every text
is typed as text; one that looks like a formula also carries the mark with which Excel shows an apostrophe. Hashed is
the XML of the sheets before the manifest's, in the order in which they stand in the archive.
"""

import gzip
import re
import tempfile
import zipfile
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Iterator
from html import unescape
from typing import IO, Any, BinaryIO, Final, Self

from switchboard.exports.asked import Options
from switchboard.exports.conversation import Part
from switchboard.exports.formats.cells import (
    FORMULA,
    TEXT,
    Cell,
    about_cells,
    conversation_cells,
    conversation_columns,
    message_cells,
    message_columns,
)
from switchboard.exports.manifest import Manifest

MEDIA_TYPE: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
MOST_ROWS: Final = 1_048_576
"""Rows of a sheet, its head included. https://support.microsoft.com/office/1672b34d-7043-467e-8e27-269d656771c3"""
LONGEST: Final = 32_767
"""UTF-16 units in a cell."""
_LEVEL: Final = 1
_CHUNK: Final = 65_536
_TOGETHER: Final = 64
"""Rows that are packed at once: one by one they would cost more than they are."""
_MOST_UNPACKED: Final = 100
"""How many times its size an archive may unpack to before it is none of ours."""
_MANIFEST_PART: Final = "xl/worksheets/manifest.xml"
_SHEET = re.compile(r"xl/worksheets/(messages|conversations|metrics)\d+\.xml")
_CLOSED = re.compile(rb"<t[^>]*>manifest</t></is></c><c[^>]*><is><t[^>]*>(\{[^<]*\})</t>")
# What XML cannot hold at all, or only as something else.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")
# Excel would read these seven letters as one: `_x0041_` is how it writes an A.
_ESCAPE = re.compile("_(?=x[0-9A-Fa-f]{4}_)")
_XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
# One font, the two fills that there have to be, and two kinds of cells: plain, and text that looks like a formula.
_PLAIN = 'numFmtId="0" fontId="0" fillId="0" borderId="0"'
_STYLES = (
    f'{_XML}<styleSheet xmlns="{_MAIN}"><fonts count="1"><font><sz val="11"/><name val="Calibri"/></font></fonts>'
    '<fills count="2"><fill><patternFill patternType="none"/></fill><fill><patternFill patternType="gray125"/></fill>'
    '</fills><borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders>'
    f'<cellStyleXfs count="1"><xf {_PLAIN}/></cellStyleXfs><cellXfs count="2"><xf {_PLAIN} xfId="0"/>'
    f'<xf {_PLAIN} xfId="0" quotePrefix="1"/></cellXfs>'
    '<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles></styleSheet>'
)
_OPEN = f'{_XML}<worksheet xmlns="{_MAIN}"><sheetData>'.encode()
_CLOSE = b"</sheetData></worksheet>"


async def render(
    parts: AsyncIterable[Part], manifest: Manifest, options: Options, most_rows: int = MOST_ROWS
) -> AsyncGenerator[bytes]:
    """See `formats.Format`. ``most_rows`` is how many go into a sheet before another one is begun."""
    names: list[tuple[str, str]] = []
    # The archive takes one sheet after the other, so the shorter one waits on the disk, packed, without a name.
    with _Archive() as archive, tempfile.TemporaryFile() as kept:
        columns = ["part", *message_columns(options)]
        with gzip.GzipFile(fileobj=kept, mode="wb", compresslevel=_LEVEL) as waiting:
            sheets = _Sheets(archive, manifest, "Messages", "messages", columns, most_rows)
            totals = _Totals()
            async for part in parts:
                for row in _message_rows(part, options):
                    sheets.add_written(row)
                if part.last:
                    totals.add(part)
                    row = _row(conversation_cells(part.conversation, options))
                    waiting.write(row.replace(b"\n", b"&#10;") + b"\n")
                if chunk := archive.take():
                    yield chunk
            names += sheets.end()
        sheets = _Sheets(archive, manifest, "Conversations", "conversations", conversation_columns(options), most_rows)
        kept.seek(0)
        with gzip.GzipFile(fileobj=kept, mode="rb") as read:
            for line in read:
                sheets.add_written(line[:-1])
                if chunk := archive.take():
                    yield chunk
        names = [*sheets.end(), *names]
        sheets = _Sheets(archive, manifest, "Metrics", "metrics", ["metric", "value"], most_rows)
        for row in totals.rows():
            sheets.add(row)
        names += sheets.end()
        archive.write(_MANIFEST_PART, _manifest_sheet(manifest))
        archive.finish([*names, ("Manifest", _MANIFEST_PART)])
        yield archive.take(everything=True)


def show(parts: Iterable[Part], options: Options) -> dict[str, Any]:
    """The sheets, with the columns and cells of each."""
    messages: list[list[Cell]] = []
    conversations: list[list[Cell]] = []
    totals = _Totals()
    for part in parts:
        for message in part.messages:
            messages += _continued(about_cells(part.conversation, options), message_cells(message, options))
        if part.last:
            totals.add(part)
            conversations.append(conversation_cells(part.conversation, options))
    return {
        "Conversations": {"columns": conversation_columns(options), "rows": conversations},
        "Messages": {"columns": ["part", *message_columns(options)], "rows": messages},
        "Metrics": {"columns": ["metric", "value"], "rows": totals.rows()},
    }


def recount(file: BinaryIO, size: int) -> dict[str, int]:
    """Conversations and messages."""
    counts = {"conversations": 0, "messages": 0}
    with zipfile.ZipFile(file) as archive:
        for name in _sheets_of(archive):
            kind = _kind(name)
            for chunk in _rows_of(archive, name, size):
                if kind == "messages":
                    # Rows in which a long text goes on are no messages of their own.
                    counts[kind] += chunk.count(b"<row><c><v>1</v></c>")
                elif kind == "conversations":
                    counts[kind] += chunk.count(b"<row><c><v>")
    return counts


def content_of(file: BinaryIO) -> Iterator[bytes]:
    """What is hashed: the XML of the sheets before the manifest's. Raises `ValueError` for no archive of ours."""
    try:
        with zipfile.ZipFile(file) as archive:
            size = file.seek(0, 2)
            for name in _sheets_of(archive):
                yield from _unpacked(archive, name, size)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, NotImplementedError, OSError) as error:
        raise ValueError(f"the archive cannot be read: {error}") from None


def manifest_of(file: BinaryIO) -> bytes | None:
    """The manifest as it was closed, or None where there is none."""
    try:
        with zipfile.ZipFile(file) as archive, archive.open(_MANIFEST_PART) as sheet:
            found = _CLOSED.search(sheet.read(1_000_000))
    except (zipfile.BadZipFile, KeyError, OSError, EOFError, NotImplementedError):
        return None
    return unescape(found[1].decode("utf-8", "replace")).replace("_x005F_", "_").encode() if found else None


class _Archive:
    """A zip that is taken away while it is being written."""

    def __init__(self) -> None:
        self._out = _Out()
        self._zip = zipfile.ZipFile(self._out, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL)
        self._begun: IO[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """What was begun and is given up would otherwise complain when it is forgotten."""
        if self._begun is not None:
            self._begun.close()
        self._zip.close()

    def begin(self, name: str) -> IO[bytes]:
        """Another file in it; one at a time."""
        # By its name, so that its time is always the same: the bytes do not depend on when they were written.
        self._begun = self._zip.open(name, "w", force_zip64=True)
        return self._begun

    def write(self, name: str, content: bytes) -> None:
        """A whole file."""
        with self.begin(name) as file:
            file.write(content)

    def finish(self, sheets: list[tuple[str, str]]) -> None:
        """What ties the sheets together: names and files of them, in the order in which they are shown."""
        for name, content in _package(sheets).items():
            self.write(name, content.encode())
        self._zip.close()

    def take(self, *, everything: bool = False) -> bytes:
        """What has been written since, once it is worth sending."""
        return self._out.take() if everything or self._out.waiting >= _CHUNK else b""


class _Out:
    """A file that cannot be gone back in."""

    def __init__(self) -> None:
        self._chunks: list[bytes] = []
        self.waiting = 0

    def write(self, chunk: bytes) -> int:
        """As files have it."""
        self._chunks.append(bytes(chunk))
        self.waiting += len(chunk)
        return len(chunk)

    def flush(self) -> None:
        """As files have it."""

    def close(self) -> None:
        """As files have it."""

    def take(self) -> bytes:
        """Everything written since."""
        taken = b"".join(self._chunks)
        self._chunks.clear()
        self.waiting = 0
        return taken


class _Sheets:
    """Rows under a head, on as many sheets as they need."""

    def __init__(
        self, archive: _Archive, manifest: Manifest, title: str, kind: str, columns: list[str], most_rows: int
    ) -> None:
        self._archive = archive
        self._manifest = manifest
        self._title = title
        self._kind = kind
        self._head = _row(list(columns))
        self._most_rows = most_rows
        self._names: list[tuple[str, str]] = []
        self._waiting: list[bytes] = []
        self._begin()

    def add(self, cells: list[Cell]) -> None:
        """A row."""
        self.add_written(_row(cells))

    def add_written(self, row: bytes) -> None:
        """The same as XML."""
        if self._rows >= self._most_rows:
            self._end()
            self._begin()
        self._waiting.append(row)
        self._rows += 1
        if len(self._waiting) >= _TOGETHER:
            self._write()

    def end(self) -> list[tuple[str, str]]:
        """Titles and files of the sheets."""
        self._end()
        return self._names

    def _begin(self) -> None:
        number = len(self._names) + 1
        name = f"xl/worksheets/{self._kind}{number}.xml"
        self._names.append((self._title if number == 1 else f"{self._title} ({number})", name))
        self._file = self._archive.begin(name)
        self._waiting.append(_OPEN + self._head)
        self._rows = 1

    def _end(self) -> None:
        self._waiting.append(_CLOSE)
        self._write()
        self._file.close()

    def _write(self) -> None:
        self._file.write(self._manifest.content(b"".join(self._waiting)))
        self._waiting.clear()


class _Totals:
    """The sheet of metrics: figures over everything in the file."""

    def __init__(self) -> None:
        self._conversations = 0
        self._minutes = 0
        self._by_sender: dict[str, int] = {}
        self._by_status: dict[str, int] = {}
        self._by_service: dict[str, int] = {}

    def add(self, part: Part) -> None:
        """The last part of a conversation."""
        conversation = part.conversation
        self._conversations += 1
        self._minutes += conversation.minutes
        for sender, many in conversation.counts.items():
            self._by_sender[sender] = self._by_sender.get(sender, 0) + many
        self._by_status[conversation.status] = self._by_status.get(conversation.status, 0) + 1
        for service in conversation.services:
            self._by_service[service] = self._by_service.get(service, 0) + 1

    def rows(self) -> list[list[Cell]]:
        """Names and figures; averages to a hundredth."""
        total = sum(self._by_sender.values())
        each = self._conversations or 1
        return [
            ["total_conversations", self._conversations],
            ["total_messages", total],
            *([f"{sender}_messages", many] for sender, many in sorted(self._by_sender.items())),
            ["average_conversation_length", f"{total / each:.2f}"],
            ["average_duration_minutes", f"{self._minutes / each:.2f}"],
            *([f"status: {status}", many] for status, many in sorted(self._by_status.items())),
            *([f"ai_service: {service}", many] for service, many in sorted(self._by_service.items())),
        ]


def _continued(about: list[Cell], cells: list[Cell]) -> Iterator[list[Cell]]:
    """The row of a message, and further ones with its ids and the rest of a text that is too long for a cell."""
    text = cells[TEXT]
    if not isinstance(text, str) or len(text) <= LONGEST // 2:
        yield [1, *about, *cells]
        return
    for number, piece in enumerate(pieces(clean(text)), 1):
        if number == 1:
            yield [1, *about, *cells[:TEXT], piece, *cells[TEXT + 1 :]]
        else:
            blank: list[Cell] = [None] * (len(about) - 1)
            yield [number, about[0], *blank, *cells[:TEXT], piece, *[None] * (len(cells) - TEXT - 1)]


def _message_rows(part: Part, options: Options) -> Iterator[bytes]:
    """The rows of all messages as XML; what is the same in each is written once."""
    about = about_cells(part.conversation, options)
    same = "".join(map(_cell, [1, *about]))
    for message in part.messages:
        cells = message_cells(message, options)
        if len(message.text) <= LONGEST // 2:
            yield f"<row>{same}{''.join(map(_cell, cells))}</row>".encode()
        else:
            yield from map(_row, _continued(about, cells))


def pieces(text: str, longest: int = LONGEST) -> list[str]:
    """The text in pieces of at most ``longest`` UTF-16 units as Excel stores them; no letter is cut in two."""
    found: list[str] = []
    began = units = 0
    for place, letter in enumerate(text):
        width = 2 if letter > "\uffff" else 1
        if units + width > longest:
            found.append(text[began:place])
            began, units = place, 0
        units += width
    return [*found, text[began:]]


def clean(text: str) -> str:
    """The text without what XML cannot hold; ends of lines as XML reads them back."""
    text = text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text
    return _CONTROL.sub("", text)


def _row(cells: list[Cell]) -> bytes:
    return f"<row>{''.join(map(_cell, cells))}</row>".encode()


def _cell(cell: Cell) -> str:
    if cell is None:
        return "<c/>"
    return f"<c><v>{cell}</v></c>" if isinstance(cell, int) else _text(cell)


def _text(cell: str) -> str:
    # The mark is for those who save the sheet as CSV, where nothing else would say that this is text.
    style = ' s="1"' if cell[:1] in FORMULA else ""
    # What can be printed has nothing in it that XML could not hold; nearly every text can.
    text = cell if cell.isprintable() else clean(cell)
    if "_x" in text:
        text = _ESCAPE.sub("_x005F_", text)
    if "&" in text or "<" in text or ">" in text:
        text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    keep = ' xml:space="preserve"' if text[:1].isspace() or text[-1:].isspace() or "\n" in text else ""
    return f'<c t="inlineStr"{style}><is><t{keep}>{text}</t></is></c>'


def _manifest_sheet(manifest: Manifest) -> bytes:
    closed = manifest.close().decode()
    rows: list[list[Cell]] = [["manifest", closed]]
    for name, value in (manifest.closed or {}).items():
        told: Cell = value if isinstance(value, int) and not isinstance(value, bool) else str(value)
        rows.append([name, told])
    return _OPEN + b"".join(_row(row) for row in rows) + _CLOSE


def _package(sheets: list[tuple[str, str]]) -> dict[str, str]:
    """The other files of a workbook. Source: ECMA-376 part 2 and part 1, 18.2."""
    kinds = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    relations = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    packages = "http://schemas.openxmlformats.org/package/2006"
    listed = "".join(
        f'<sheet name="{title}" sheetId="{number}" r:id="rId{number}"/>' for number, (title, _) in enumerate(sheets, 1)
    )
    related = "".join(
        f'<Relationship Id="rId{number}" Type="{relations}/worksheet" Target="{name.removeprefix("xl/")}"/>'
        for number, (_, name) in enumerate(sheets, 1)
    )
    typed = "".join(f'<Override PartName="/{name}" ContentType="{kinds}.worksheet+xml"/>' for _, name in sheets)
    return {
        "xl/workbook.xml": f'{_XML}<workbook xmlns="{_MAIN}" xmlns:r="{relations}">'
        f"<sheets>{listed}</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": f'{_XML}<Relationships xmlns="{packages}/relationships">{related}'
        f'<Relationship Id="styles" Type="{relations}/styles" Target="styles.xml"/></Relationships>',
        "xl/styles.xml": _STYLES,
        "_rels/.rels": f'{_XML}<Relationships xmlns="{packages}/relationships"><Relationship Id="rId1"'
        f' Type="{relations}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "[Content_Types].xml": f'{_XML}<Types xmlns="{packages}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Default Extension="xml" ContentType="application/xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{kinds}.sheet.main+xml"/>'
        f'<Override PartName="/xl/styles.xml" ContentType="{kinds}.styles+xml"/>{typed}</Types>',
    }


def _sheets_of(archive: zipfile.ZipFile) -> list[str]:
    """The sheets that count, in the order in which they were written."""
    found = [about for about in archive.infolist() if _SHEET.fullmatch(about.filename)]
    return [about.filename for about in sorted(found, key=lambda about: about.header_offset)]


def _kind(name: str) -> str:
    found = _SHEET.fullmatch(name)
    return found[1] if found else ""


def _unpacked(archive: zipfile.ZipFile, name: str, size: int) -> Iterator[bytes]:
    room = max(size, 1_000_000) * _MOST_UNPACKED
    with archive.open(name) as file:
        while chunk := file.read(1_000_000):
            room -= len(chunk)
            if room < 0:
                raise ValueError("the archive unpacks to more than any of ours")
            yield chunk


def _rows_of(archive: zipfile.ZipFile, name: str, size: int) -> Iterator[bytes]:
    """The XML of a sheet in pieces that end where a row does."""
    rest = b""
    for chunk in _unpacked(archive, name, size):
        whole, ended, rest = (rest + chunk).rpartition(b"</row>")
        yield whole + ended
    yield rest
