"""Walking through the old conversations of all workspaces, a batch at a time."""

from collections.abc import AsyncGenerator
from typing import Any

from switchboard.database import Database
from switchboard.database.paging import pages

BATCH = 200
"""Conversations looked at in one statement: their locks are held for some 10 ms."""


async def walk(database: Database, function: str, *, idle_days: int) -> AsyncGenerator[dict[str, Any]]:
    """Calls a function like `close_idle` until nothing is left, and gives what it answered each time."""
    if not idle_days:
        return
    async for some in pages(database, "workspaces", columns=["id"]):
        for workspace in some:
            place: dict[str, Any] = {"before_at": None, "before_id": None}
            while True:
                page = await database.call(
                    function,
                    workspace_id=workspace["id"],
                    idle_days=idle_days,
                    max_rows=BATCH,
                    before_at=place["before_at"],
                    before_id=place["before_id"],
                )
                yield page
                place = page
                if place["before_id"] is None:
                    break
