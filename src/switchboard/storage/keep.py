"""Putting a file into storage, and what is to be known of it."""

import hashlib
from typing import Any

from switchboard.storage import Storage
from switchboard.storage.kinds import kind_of, name_of


async def keep(storage: Storage, key: str, content: bytes, name: str | None, told: str | None) -> dict[str, Any]:
    """Puts a file into storage and returns what the database has to know of it.

    Raises `FetchRefused` for what is not kept and `Unavailable` while storage is away.
    """
    kind = kind_of(content, told)
    await storage.put(key, content, kind.content_type)
    return {
        "name": name_of(name, kind.content_type),
        "kind": kind.kind,
        "content_type": kind.content_type,
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "storage_key": key,
    }
