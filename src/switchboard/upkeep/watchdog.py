"""The watchdog: nobody waits unseen. It trusts no bookkeeping of the rest: it looks at who said what last."""

import structlog

from switchboard.database import Database

BATCH = 100
log = structlog.get_logger()


async def watch(database: Database) -> int:
    """Flags for people every conversation whose customer waits longer than its workspace allows; returns how many."""
    raised = 0
    while True:
        found = await database.call("raise_waiting", max_conversations=BATCH)
        raised += found["raised"]
        if found["looked"] < BATCH:
            if raised:
                log.warning("customers wait", conversations=raised)
            return raised
