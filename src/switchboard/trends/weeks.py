"""Each week that is over is compared with the four before it, and kept: once, in statements that each have a bound."""

from datetime import date, timedelta
from typing import Any

from switchboard.database import Database

BEFORE = 4
"""Weeks that a week is compared with."""


async def keep_weeks(database: Database) -> int:
    """Looks at every week of the last twelve that is over and was not looked at; returns how many.

    Again, or by several at once, does no harm: a week is kept by whoever is first.
    """
    kept = 0
    for due in await database.call("due_weeks"):
        kept += await _keep_week(database, due["workspace_id"], date.fromisoformat(due["week"]))
    return kept


async def _keep_week(database: Database, workspace_id: int, week: date) -> bool:
    ours = await database.call("count_topics", workspace_id=workspace_id, week=week.isoformat())
    # What was said before is counted only of what three customers have said now: nothing else is worth knowing.
    terms = [topic["term"] for topic in ours["topics"]]
    counts: list[dict[str, Any]] = [ours]
    for number in range(1, BEFORE + 1):
        earlier = week - timedelta(weeks=number)
        counts.append(
            await database.call("count_topics", workspace_id=workspace_id, week=earlier.isoformat(), terms=terms)
        )
    done = await database.call("keep_week", workspace_id=workspace_id, week=week.isoformat(), counts=counts)
    return bool(done["kept"])
