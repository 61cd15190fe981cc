"""Deleting what has been kept long enough, in batches that hold no lock for long."""

from collections import Counter

from switchboard.database import Database
from switchboard.upkeep.task import Result

BATCH = 5000


async def purge(database: Database, *, inbox_days: int, event_days: int) -> Result:
    """Deletes raw webhook bodies older than ``inbox_days``, events older than ``event_days``, kept answers older than
    24 hours, questions that found nothing, and tasks no process knows any more; returns how many of each."""
    total: Counter[str] = Counter()
    while True:
        gone = await database.call("purge_expired", inbox_days=inbox_days, max_rows=BATCH)
        gone |= await database.call("purge_events", days=event_days, max_rows=BATCH)
        gone |= await database.call("purge_upkeep")
        total.update(gone)
        if max(gone.values()) < BATCH:
            return dict(total)
