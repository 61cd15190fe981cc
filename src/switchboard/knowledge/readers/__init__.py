"""What is in a file: bytes in, sections of text out, one file for each format.

Promises: no reader opens a file, a connection or a program, whatever the bytes ask for. PDF, DOCX and HTML are read in
a process of their own with a limit on its time and memory (`switchboard.knowledge.apart`): some of the worst files in
the world are of these kinds. Raises `Unreadable` with a reason that the person who uploaded the file can act on.
"""

import re
from dataclasses import dataclass
from typing import Final, Literal, get_args

Kind = Literal["text", "markdown", "html", "pdf", "docx", "csv"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

MOST_CHARACTERS: Final = 3_000_000
"""Of text in one document: some 1,000 pages."""

_SUFFIXES: Final[dict[str, Kind]] = {
    "txt": "text",
    "text": "text",
    "md": "markdown",
    "markdown": "markdown",
    "html": "html",
    "htm": "html",
    "xhtml": "html",
    "pdf": "pdf",
    "docx": "docx",
    "csv": "csv",
    "tsv": "csv",
}
# What no database stores and no person sees: NUL, other control characters but tab and line break, lone surrogates.
_UNSTORABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


class Unreadable(Exception):
    """A document that cannot be read; the message says why, in words for whoever uploaded it."""


@dataclass(frozen=True, slots=True)
class Section:
    """Text that stands together, and the headings that lead to it, outermost first.

    ``whole``: one thought that is not to be joined with its neighbours, such as a question with its answer.
    """

    path: tuple[str, ...]
    text: str
    whole: bool = False


def kind_of(file_name: str | None, body: bytes) -> Kind:
    """The kind of a file by its first bytes, else by the end of its name. Raises `Unreadable` for another kind."""
    if b"%PDF-" in body[:1024]:
        return "pdf"
    suffix = (file_name or "").rpartition(".")[2].lower() if "." in (file_name or "") else ""
    if body.startswith(b"PK\x03\x04") and suffix != "docx":
        raise Unreadable("This is a ZIP archive or an Office file other than DOCX: upload the documents in it.")
    if not suffix:
        return "text"
    if suffix not in _SUFFIXES:
        raise Unreadable(f"Files that end in .{suffix[:10]} are not read: use {', '.join(sorted(_SUFFIXES))}.")
    return _SUFFIXES[suffix]


def read(kind: Kind, body: bytes) -> list[Section]:
    """The sections of a document. Raises `Unreadable`; the readers of PDF and DOCX may raise anything besides."""
    match kind:
        case "text":
            from switchboard.knowledge.readers.plain import read_plain as read_kind
        case "markdown":
            from switchboard.knowledge.readers.markdown import read_markdown as read_kind
        case "html":
            from switchboard.knowledge.readers.web_page import read_html as read_kind
        case "pdf":
            from switchboard.knowledge.readers.pdf import read_pdf as read_kind
        case "docx":
            from switchboard.knowledge.readers.docx import read_docx as read_kind
        case "csv":
            from switchboard.knowledge.readers.questions import read_csv as read_kind
    sections = [
        Section(tuple(filter(None, (_line(part) for part in section.path))), text, section.whole)
        for section in read_kind(body)
        if (text := tidy(section.text).strip())
    ]
    length = sum(len(section.text) for section in sections)
    if length > MOST_CHARACTERS:
        raise Unreadable(
            f"The document has {length:,} characters of text, and {MOST_CHARACTERS:,} are the most: cut it."
        )
    if not sections:
        raise Unreadable("There is no text in this document.")
    return sections


def tidy(text: str) -> str:
    """The text without what cannot be stored, its line ends made alike."""
    return _UNSTORABLE.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def _line(text: str) -> str:
    return " ".join(tidy(text).split())[:200]
