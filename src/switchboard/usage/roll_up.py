"""Counting the ledger and the events into days, from which statistics are read."""

from datetime import timedelta

from switchboard import clock
from switchboard.database import Database

BATCH = 5000
"""Rows in one statement, a few hundred milliseconds of it."""


async def roll_up(database: Database) -> int:
    """Counts what is not counted yet; returns how many calls and events. Again, or by several at once, does no harm."""
    return await _calls(database) + await _events(database)


async def count_yesterday_again(database: Database) -> dict[str, int]:
    """Counts the calls of the day before from the ledger, so that whatever went wrong with a count does not stay.

    Whoever reads meanwhile gets the right figures: what is not counted is added up from the ledger.
    """
    day = (clock.now() - timedelta(days=1)).date().isoformat()
    due = await database.call("rebuild_usage", from_day=day, to_day=day)
    return {"calls": int(due["calls"]), "counted": await roll_up(database)}


async def _calls(database: Database) -> int:
    total = 0
    while True:
        done = await database.call("roll_up_usage", max_rows=BATCH)
        total += done["calls"]
        if not done["more"]:
            return total


async def _events(database: Database) -> int:
    total = 0
    while True:
        done = await database.call("roll_up_activity", max_rows=BATCH)
        total += done["events"]
        if not done["more"]:
            return total
