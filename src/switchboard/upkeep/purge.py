"""Deleting what has been kept long enough, in batches that hold no lock for long."""

import structlog

from switchboard.database import Database

BATCH = 5000
log = structlog.get_logger()


async def purge(database: Database, inbox_days: int) -> int:
    """Deletes raw webhook bodies older than ``inbox_days`` and kept answers older than 24 hours; returns how many."""
    total = 0
    while True:
        gone = await database.call("purge_expired", inbox_days=inbox_days, max_rows=BATCH)
        total += sum(gone.values())
        if max(gone.values()) < BATCH:
            log.info("purged", rows=total)
            return total
