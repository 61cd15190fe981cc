"""Conversations in which nothing has happened for days are resolved; whoever writes again finds theirs as it was."""

from switchboard.database import Database
from switchboard.upkeep.by_age import walk
from switchboard.upkeep.task import Result


async def close_idle(database: Database, *, idle_days: int) -> Result:
    """Resolves what has been idle for ``idle_days`` (0: nothing) and waits for nobody; returns how many."""
    looked = closed = 0
    async for page in walk(database, "close_idle", idle_days=idle_days):
        looked, closed = looked + page["looked"], closed + page["closed"]
    return {"looked": looked, "closed": closed}
