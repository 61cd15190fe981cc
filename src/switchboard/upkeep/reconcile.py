"""What is written down twice is compared and mended: counters, flags, and turns that nobody would take."""

import time
from collections import Counter

import structlog

from switchboard.database import Database
from switchboard.database.paging import pages
from switchboard.metrics import Metrics
from switchboard.upkeep.task import Result

BATCH = 200
"""Conversations looked at in one statement, some 50 ms."""
SECONDS = 300.0
"""How long one run takes at most; the next one goes on where it stopped."""

log = structlog.get_logger()


async def reconcile(
    database: Database, metrics: Metrics, before: Result, *, only: int | None = None, seconds: float = SECONDS
) -> Result:
    """Looks at all conversations, or at those of the workspace ``only``, and mends what is wrong.

    Returns ``looked``, ``mended`` (what: how often) and, where ``seconds`` were not enough, ``next``: where to go on.
    """
    ends = time.monotonic() + seconds
    looked, mended = 0, Counter[str]()
    begins: dict[str, int] = before.get("next") or {"workspace_id": 0, "after": 0}
    for workspace_id in [only] if only is not None else await _workspaces(database, begins["workspace_id"]):
        after = begins["after"] if workspace_id == begins["workspace_id"] else 0
        while True:
            page = await database.call(
                "reconcile_conversations", workspace_id=workspace_id, after=after, max_rows=BATCH
            )
            looked += page["looked"]
            _tell(metrics, workspace_id, page["mended"])
            mended.update(page["mended"])
            if page["after"] is None:
                break
            after = page["after"]
            if time.monotonic() > ends:
                return {
                    "looked": looked,
                    "mended": dict(mended),
                    "next": {"workspace_id": workspace_id, "after": after},
                }
    return {"looked": looked, "mended": dict(mended)}


async def _workspaces(database: Database, first: int) -> list[int]:
    found = [row["id"] async for some in pages(database, "workspaces", columns=["id"]) for row in some]
    return [workspace for workspace in found if workspace >= first]


def _tell(metrics: Metrics, workspace_id: int, mended: dict[str, int]) -> None:
    for what, times in mended.items():
        metrics.mended.labels(what).inc(times)
    if mended:
        log.warning("conversations mended", workspace=workspace_id, **{f"of_{what}": n for what, n in mended.items()})
