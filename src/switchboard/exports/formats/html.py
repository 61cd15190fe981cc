"""One page that needs nothing else: figures, contents and threads, to be searched and printed; or a zip of such pages.

`manifest.about` must hold ``assistant``, ``days``, ``time_zone`` and ``left_out`` besides. A page that is whole by
itself has its manifest in its last line, a zip in `manifest.json`.
"""

import asyncio
import zipfile
import zlib
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO, Final, cast

from switchboard.exports.asked import Options
from switchboard.exports.conversation import Part
from switchboard.exports.formats.book import MANIFEST, PIECE, Book
from switchboard.exports.formats.text import lines
from switchboard.exports.manifest import Manifest

PAGE_BYTES: Final = 20_000_000
BEGINS: Final = b'<pre id="manifest" tabindex="0">'
ENDS: Final = b"</pre></footer></body></html>\n"
"""Around the manifest."""
_MESSAGE: Final = b'<li class="'
_CONVERSATION: Final = b"<h3 id="
"""How lines begin; none does by what somebody has said, whose `<` is escaped."""
_MOST_UNPACKED: Final = 200
"""How many times its size a zip of ours unpacks to at most."""
_UNREADABLE: Final = (
    *(zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error),
    *(EOFError, NotImplementedError, OSError, RuntimeError),
)


async def render(
    parts: AsyncIterable[Part],
    manifest: Manifest,
    options: Options,
    *,
    page_bytes: int = PAGE_BYTES,
    folder: Path | None = None,
) -> AsyncGenerator[bytes]:
    """See `formats.Format`. What waits for its place is in unnamed files in ``folder``, which go with the process."""
    with ExitStack() as files:

        def unnamed() -> BinaryIO:
            return cast(BinaryIO, files.enter_context(TemporaryFile(dir=folder)))

        book = Book(manifest, options, page_bytes, unnamed)
        async for part in parts:
            if book.is_full:
                await asyncio.to_thread(book.turn)
            book.add(part)
        if not book.is_one:
            file = await asyncio.to_thread(book.bound)
            while piece := await asyncio.to_thread(file.read, PIECE):
                yield piece
            return
        for piece in _joined(book.alone()):
            yield piece
            await asyncio.sleep(0)
        yield BEGINS + _harmless(manifest.close()) + ENDS


def recount(file: BinaryIO, size: int) -> dict[str, int]:
    """Conversations, messages, and messages by sender, in a page or in a zip of them."""
    counts = Counter[str](dict.fromkeys(("conversations", "messages", "guest", "ai", "human", "system"), 0))
    file.seek(0)
    if file.read(2) != b"PK":
        _count(counts, file, size)
        return dict(counts)
    try:
        with zipfile.ZipFile(file) as archive:
            for name in _pages_of(archive, size):
                with archive.open(name) as page:
                    _count(counts, cast(BinaryIO, page), archive.getinfo(name).file_size)
    except _UNREADABLE as error:
        raise ValueError(f"the zip cannot be read: {error}") from None
    return dict(counts)


def manifest_of(file: BinaryIO) -> bytes | None:
    """The manifest of a zip of pages, or None."""
    try:
        with zipfile.ZipFile(file) as archive, archive.open(MANIFEST) as told:
            return told.read(1_000_000)
    except (KeyError, *_UNREADABLE):
        return None


def content_of(file: BinaryIO) -> Iterator[bytes]:
    """What the manifest of a zip of pages is about. Raises `ValueError` for one that cannot be read."""
    try:
        with zipfile.ZipFile(file) as archive:
            for name in _pages_of(archive, file.seek(0, 2)):
                with archive.open(name) as page:
                    while piece := page.read(PIECE):
                        yield piece
    except _UNREADABLE as error:
        raise ValueError(f"the zip cannot be read: {error}") from None


def _pages_of(archive: zipfile.ZipFile, size: int) -> list[str]:
    pages = [page for page in archive.infolist() if page.filename != MANIFEST]
    if sum(page.file_size for page in pages) > max(size, 1_000_000) * _MOST_UNPACKED:
        raise ValueError("the zip unpacks to more than any of ours")
    return [page.filename for page in pages]


def _count(counts: Counter[str], file: BinaryIO, size: int) -> None:
    for line in lines(file, size):
        if line.startswith(_MESSAGE):
            sender = line[len(_MESSAGE) :].partition(b'"')[0].decode(errors="replace")
            counts["messages"] += 1
            counts[sender] += 1
        elif line.startswith(_CONVERSATION):
            counts["conversations"] += 1


def _joined(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The same in fewer pieces."""
    held, size = list[bytes](), 0
    for piece in pieces:
        held.append(piece)
        size += len(piece)
        if size >= PIECE:
            yield b"".join(held)
            held, size = [], 0
    yield b"".join(held)


def _harmless(told: bytes) -> bytes:
    """JSON that ends no element, whatever it holds; read as JSON it is the same."""
    return told.replace(b"&", b"\\u0026").replace(b"<", b"\\u003c").replace(b">", b"\\u003e")
