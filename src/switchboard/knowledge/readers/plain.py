"""Plain text, in whatever encoding it came."""

import codecs

from switchboard.knowledge.readers import Section, Unreadable

_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))


def read_plain(body: bytes) -> list[Section]:
    """The whole text as one section."""
    return [Section((), decode(body))]


def decode(body: bytes) -> str:
    """The text of some bytes: by their byte order mark, else UTF-8, else the Windows encoding of Western Europe.

    Raises `Unreadable` for bytes that are no text.
    """
    for mark, encoding in _MARKS:
        if body.startswith(mark):
            return body[len(mark) :].decode(encoding, errors="replace")
    if b"\x00" in body[:10_000]:
        raise Unreadable("This is no text: say what kind of file it is, or save it as UTF-8.")
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        return body.decode("cp1252", errors="replace")
