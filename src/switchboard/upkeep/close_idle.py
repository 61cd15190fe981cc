"""Conversations in which nothing has happened for days are resolved; whoever writes again finds theirs as it was."""

from switchboard.database import Database
from switchboard.database.paging import pages
from switchboard.upkeep.task import Result

BATCH = 200
"""Conversations looked at in one statement: their locks are held for some 10 ms."""


async def close_idle(database: Database, *, idle_days: int) -> Result:
    """Resolves what has been idle for ``idle_days`` (0: nothing) and waits for nobody; returns how many."""
    looked = closed = 0
    if idle_days:
        async for some in pages(database, "workspaces", columns=["id"]):
            for workspace in some:
                seen, done = await _close_in(database, workspace["id"], idle_days)
                looked, closed = looked + seen, closed + done
    return {"looked": looked, "closed": closed}


async def _close_in(database: Database, workspace_id: int, idle_days: int) -> tuple[int, int]:
    looked = closed = 0
    before_at: str | None = None
    before_id: int | None = None
    while True:
        page = await database.call(
            "close_idle",
            workspace_id=workspace_id,
            idle_days=idle_days,
            max_rows=BATCH,
            before_at=before_at,
            before_id=before_id,
        )
        looked, closed = looked + page["looked"], closed + page["closed"]
        before_at, before_id = page["before_at"], page["before_id"]
        if before_id is None:
            return looked, closed
