"""Storing a document and indexing it at once: for what is there from the start, and for the command line."""

import base64
import hashlib
from typing import Any

from switchboard.database import Database
from switchboard.knowledge.index import Indexing
from switchboard.knowledge.readers import Kind

ITSELF: dict[str, Any] = {"subject": "switchboard", "admin": True, "roles": {}}
"""The installation as its own caller."""


def wrap(body: bytes) -> dict[str, str]:
    """The bytes of a document as SQL functions take them."""
    return {"body": base64.b64encode(body).decode(), "content_hash": hashlib.sha256(body).hexdigest()}


async def put_document(
    database: Database, workspace_id: int, title: str, text: str, kind: Kind = "text", *, index: bool = True
) -> int:
    """Stores a document so that it is found at once; the same title again replaces it. Returns its id.

    Raises `NotFound` without the workspace.
    """
    stored = await database.call(
        "put_document",
        caller=ITSELF,
        workspace_id=workspace_id,
        title=title,
        kind=kind,
        replace=True,
        **wrap(text.encode()),
    )
    if index:
        await Indexing(database).work()
    return int(stored["id"])
