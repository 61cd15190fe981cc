"""PDF, by pypdf: the text of each page. What is only a picture of text is not read."""

import io
import logging

from switchboard.knowledge.readers import MOST_CHARACTERS, Section, Unreadable

MOST_PAGES = 2_000


def read_pdf(body: bytes) -> list[Section]:
    """A section for each page that has text. Raises `Unreadable` for a protected, endless, empty or broken file."""
    import pypdf
    from pypdf.errors import PyPdfError

    # It would tell the log what is wrong in a file, with pieces of it.
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    try:
        reader = pypdf.PdfReader(io.BytesIO(body))
        if reader.is_encrypted and not reader.decrypt(""):
            raise Unreadable("The PDF is protected by a password: save it without one.")
        pages = len(reader.pages)
        if pages > MOST_PAGES:
            raise Unreadable(f"The PDF has {pages:,} pages, and {MOST_PAGES:,} are the most: split it.")
        sections: list[Section] = []
        length = 0
        for number, page in enumerate(reader.pages, start=1):
            text = page.extract_text()
            length += len(text)
            if length > MOST_CHARACTERS:
                raise Unreadable(f"The PDF has more than {MOST_CHARACTERS:,} characters of text: split it.")
            sections.append(Section((f"page {number}",), text))
    except (Unreadable, MemoryError):
        raise
    except PyPdfError:
        raise Unreadable("The PDF is broken: it cannot be read. Open it and save it anew.") from None
    if not length:
        raise Unreadable("There is no text in this PDF: its pages are pictures. Run it through text recognition first.")
    return sections
