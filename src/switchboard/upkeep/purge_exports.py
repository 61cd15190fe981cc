"""Exports that were removed, or whose thirty days are over: their files first, then what is known of them."""

from switchboard.database import Database
from switchboard.storage import Storage
from switchboard.upkeep.task import Result

BATCH = 100


async def purge_exports(database: Database, storage: Storage) -> Result:
    """Deletes what is over; returns how many. Raises `Unavailable` while storage is away."""
    gone = 0
    while ended := await database.call("ended_export_jobs", max_rows=BATCH):
        for job in ended:
            for key in job["files"]:
                await storage.delete(key)
            await database.call("forget_export_job", workspace_id=job["workspace_id"], job_id=job["job_id"])
        gone += len(ended)
    return {"exports": gone}
