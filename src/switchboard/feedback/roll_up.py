"""Counting ratings, flags, hand-overs and corrections into the days of the messages they are about."""

from datetime import timedelta

from switchboard import clock
from switchboard.database import Database

BATCH = 2000
"""Changes in one statement, a few hundred milliseconds of it."""


async def roll_up_feedback(database: Database) -> int:
    """Counts what has changed; returns how many changes. Again, or by several at once, does no harm."""
    total = 0
    while True:
        done = await database.call("roll_up_feedback", max_rows=BATCH)
        total += done["messages"]
        if not done["more"]:
            return total


async def count_yesterdays_feedback_again(database: Database) -> int:
    """Counts the day before from the ratings and flags themselves, so that a count gone wrong does not stay."""
    day = (clock.now() - timedelta(days=1)).date().isoformat()
    await database.call("rebuild_feedback", from_day=day, to_day=day)
    return await roll_up_feedback(database)
