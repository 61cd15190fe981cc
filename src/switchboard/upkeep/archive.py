"""Conversations that were resolved long ago are put away; whoever writes again begins a new one."""

from switchboard.database import Database
from switchboard.upkeep.by_age import walk
from switchboard.upkeep.task import Result


async def archive(database: Database, *, archive_days: int) -> Result:
    """Archives what is resolved and has been quiet for ``archive_days`` (0: nothing); returns how many."""
    looked = archived = 0
    async for page in walk(database, "archive_resolved", idle_days=archive_days):
        looked, archived = looked + page["looked"], archived + page["archived"]
    return {"looked": looked, "archived": archived}
