"""What a file is, by its bytes: names and headers from outside decide nothing that a browser would act on."""

import re
from dataclasses import dataclass

from switchboard.errors import FetchRefused

_MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (8, b"WEBP", "image/webp"),
    (8, b"WAVE", "audio/wav"),
    (4, b"ftypM4A", "audio/mp4"),
    (4, b"ftypqt", "video/quicktime"),
    (4, b"ftyphei", "image/heic"),
    (4, b"ftyp", "video/mp4"),
    (0, b"\x1a\x45\xdf\xa3", "video/webm"),
    (0, b"OggS", "audio/ogg"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"\xff\xfb", "audio/mpeg"),
    (0, b"\xff\xf3", "audio/mpeg"),
    (0, b"\xff\xf1", "audio/aac"),
    (0, b"\xff\xf9", "audio/aac"),
    (0, b"#!AMR", "audio/amr"),
    (0, b"%PDF-", "application/pdf"),
    (0, b"PK\x03\x04", "application/zip"),
)
_PROGRAMS = (b"MZ", b"\x7fELF", b"\xfe\xed\xfa", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe", b"#!/")
_OFFICE = re.compile(r"application/vnd\.(?:openxmlformats-officedocument|oasis\.opendocument)\.[a-z.-]{1,80}")
_INLINE = frozenset(
    {
        *("image/png", "image/jpeg", "image/gif", "image/webp"),
        *("audio/mpeg", "audio/mp4", "audio/ogg", "audio/aac", "audio/wav"),
        *("video/mp4", "video/webm"),
    }
)
_ENDINGS = {
    "audio/mpeg": "mp3",
    "audio/mp4": "m4a",
    "image/jpeg": "jpg",
    "video/quicktime": "mov",
    "text/plain": "txt",
    "application/octet-stream": "bin",
}
OTHER = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Kind:
    """``kind``: image, audio, video or file, as messages know them."""

    content_type: str
    kind: str


def kind_of(content: bytes, told: str | None = None) -> Kind:
    """What the bytes are; ``told`` is believed only where it makes no difference to a browser.

    Raises `FetchRefused` for programs and for nothing at all.
    """
    if not content:
        raise FetchRefused("The file is empty.")
    if content.startswith(_PROGRAMS):
        raise FetchRefused("The file is a program, and those are not kept.")
    found = next((name for at, magic, name in _MAGIC if content.startswith(magic, at)), None)
    if found == "application/zip" and told and _OFFICE.fullmatch(told):
        found = told
    if found is None:
        found = "text/plain" if _is_text(content) else OTHER
    family = found.partition("/")[0]
    return Kind(found, family if family in {"image", "audio", "video"} else "file")


def is_inline(content_type: str) -> bool:
    """Whether a browser may show it in place: only what can carry no script."""
    return content_type in _INLINE


def name_of(told: str | None, content_type: str) -> str:
    """A name to show and to save under: one line, at most 100 characters, no path."""
    cleaned = "".join(character for character in (told or "") if character.isprintable())
    cleaned = re.split(r"[/\\]", cleaned)[-1].strip(" .")[-100:]
    ending = _ENDINGS.get(content_type) or content_type.rpartition("/")[2].partition("+")[0][:10]
    return cleaned or f"file.{ending}"


def header_name(name: str) -> str:
    """The name for a header: letters, digits and little else."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip("._") or "file"


def _is_text(content: bytes) -> bool:
    """Plain text; whatever begins as a mark-up language does is not: a browser might read it as such."""
    if b"\0" in content or content.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        return False
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True
