"""Deleted conversations whose thirty days are over: their files first, then their messages, then themselves.

In this order nothing is left behind by a process that dies: what it has not finished is found again.
"""

from switchboard.database import Database
from switchboard.storage import Storage
from switchboard.upkeep.task import Result

BATCH = 2000
"""Messages deleted in one statement."""


async def purge_deleted(database: Database, storage: Storage) -> Result:
    """Purges what can be restored no more; returns how many of each. Raises `Unavailable` while storage is away."""
    gone = {"conversations": 0, "messages": 0, "files": 0}
    while expired := await database.call("expired_conversations"):
        for conversation in expired:
            for key in conversation["files"]:
                await storage.delete(key)
            gone["files"] += len(conversation["files"])
            gone["messages"] += await _purge(database, conversation["workspace_id"], conversation["conversation_id"])
            gone["conversations"] += 1
    return gone


async def _purge(database: Database, workspace_id: int, conversation_id: int) -> int:
    messages = 0
    while True:
        some = await database.call(
            "purge_conversation", workspace_id=workspace_id, conversation_id=conversation_id, max_rows=BATCH
        )
        messages += some["messages"]
        if some["done"]:
            return messages
