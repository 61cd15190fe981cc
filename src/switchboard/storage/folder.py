"""Files in a folder: written beside their place, synced, and put there by name in one step."""

import asyncio
import errno
import os
import re
import secrets
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from switchboard.errors import NoSpace, NotFound, Unavailable

PIECE = 256 * 1024
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""What a disk says that has no room: for anybody, for us, or for a file as large as this."""
_KEY = re.compile(r"[a-z0-9][a-z0-9_-]*(?:/[a-z0-9][a-z0-9_-]*)*")


class Folder:
    """A `Storage`; the folder is made when the first file is."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def put(self, key: str, content: bytes, content_type: str) -> None:
        """Keeps a file; what it is, its bytes tell."""
        await self._put(key, (content,))

    async def put_file(self, key: str, file: BinaryIO, content_type: str) -> None:
        """Keeps what is in an open file."""
        await self._put(key, _pieces(file))

    async def link(self, key: str, name: str, seconds: int) -> str | None:
        """Nobody reaches the folder but through us."""
        return None

    async def read(self, key: str) -> AsyncIterator[bytes]:
        """The file in pieces."""
        try:
            file = await asyncio.to_thread(self._place(key).open, "rb")
        except (FileNotFoundError, NotADirectoryError):
            raise NotFound("The file is not there any more.") from None
        except OSError as error:
            raise Unavailable(f"The folder for files cannot be read ({error.strerror}).") from error
        with file:
            while piece := await asyncio.to_thread(file.read, PIECE):
                yield piece

    async def delete(self, key: str) -> None:
        """Removes a file."""
        try:
            await asyncio.to_thread(self._place(key).unlink, missing_ok=True)
        except OSError as error:
            raise Unavailable(f"The folder for files cannot be written ({error.strerror}).") from error

    async def _put(self, key: str, pieces: Iterable[bytes]) -> None:
        try:
            await asyncio.to_thread(_write, self._place(key), pieces)
        except OSError as error:
            if error.errno in FULL:
                raise NoSpace from error
            raise Unavailable(f"The folder for files cannot be written ({error.strerror}).") from error

    def _place(self, key: str) -> Path:
        if not _KEY.fullmatch(key):
            raise ValueError("a key is made of small letters, digits, - and _, with / between")
        return self._folder / key


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    file.seek(0)
    while piece := file.read(PIECE):
        yield piece


def _write(place: Path, pieces: Iterable[bytes]) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    draft = place.with_name(f".{place.name}.{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            for piece in pieces:
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(place)
        descriptor = os.open(place.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    finally:
        with suppress(FileNotFoundError):
            draft.unlink()
