"""Where files are kept: a folder of this machine, or Supabase Storage.

    folder.py     a folder, for one machine or a shared disk
    supabase.py   a private bucket
    keep.py       a file from outside becomes a kept one
    kinds.py      what a file is, by its bytes
    links.py      addresses that show a file for some minutes

Promises: a file is there whole or not at all; a key is made of ids by whoever stores, never of names that came from
outside. Does not know: messages, channels, the database.
"""

from collections.abc import AsyncIterator
from typing import BinaryIO, Protocol

import aiohttp

from switchboard.settings import Settings


class Storage(Protocol):
    """Keeps files by key: small letters, digits, `-`, `_` and `/`."""

    async def put(self, key: str, content: bytes, content_type: str) -> None:
        """Keeps a file, in place of one with the same key. Raises `Unavailable`."""
        ...

    async def put_file(self, key: str, file: BinaryIO, content_type: str) -> None:
        """Keeps what is in an open file, from its beginning, piece by piece. Raises `Unavailable`, `NoSpace`."""
        ...

    async def link(self, key: str, name: str, seconds: int) -> str | None:
        """An address from which whoever has it saves the file as ``name``, for so long; None: only through `read`.

        Raises `NotFound` if there is no such file, `Unavailable` while storage is away.
        """
        ...

    def read(self, key: str) -> AsyncIterator[bytes]:
        """The file in pieces. Raises `NotFound` if there is none, `Unavailable` while storage is away."""
        ...

    async def delete(self, key: str) -> None:
        """Removes a file; one that is not there is no error. Raises `Unavailable`."""
        ...


def open_storage(settings: Settings, http: aiohttp.ClientSession) -> Storage:
    """The storage as set; ``http`` stays the caller's."""
    from switchboard.storage.folder import Folder
    from switchboard.storage.supabase import SupabaseStorage

    url, key = settings.supabase_url, settings.supabase_service_role_key
    if settings.file_storage == "folder" or url is None or key is None:
        return Folder(settings.data_dir / "files")
    return SupabaseStorage(http, url, key.get_secret_value(), settings.file_bucket)


async def whole(storage: Storage, key: str) -> bytes:
    """A file in one piece. Raises as `Storage.read`."""
    return b"".join([piece async for piece in storage.read(key)])
