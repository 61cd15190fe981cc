"""Making exports: claimed under a lease → written → kept; what is to be made is in the rows.

Whoever dies over one loses its lease, and another begins it anew: with the same watermark and the same pseudonyms, so
that it becomes the same file. What is half written has no name on the disk and goes with the process.
"""

import asyncio
import secrets
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile

import structlog

from switchboard.archives.claimed import Claimed, Started
from switchboard.archives.write import Written, write
from switchboard.database import Database
from switchboard.errors import Conflict, NoSpace, SwitchboardError, Unavailable
from switchboard.storage import Storage

LEASE_SECONDS = 60.0
KEEP_SECONDS = 2.0
"""How often the lease is renewed, and how far it is is told."""
ATTEMPTS = 5
RETRY_SECONDS = 30.0

log = structlog.get_logger()


class Making:
    """Makes the exports that are asked for, one after the other."""

    def __init__(
        self,
        database: Database,
        storage: Storage,
        folder: Path,
        *,
        page_bytes: int,
        lease_seconds: float = LEASE_SECONDS,
        keep_seconds: float = KEEP_SECONDS,
    ) -> None:
        """``folder``: where files are while they are made; ``page_bytes``: how large a page of HTML may become."""
        self._database = database
        self._storage = storage
        self._folder = folder
        self._page_bytes = page_bytes
        self._lease_seconds = lease_seconds
        self._keep_seconds = keep_seconds
        self._busy = asyncio.Lock()

    async def work(self) -> None:
        """Makes exports until none is due. Returns at once while it is at it: that run sees to the new one too."""
        if self._busy.locked():
            return
        async with self._busy:
            while claimed := await self._claim():
                await self._make(claimed)

    async def _claim(self) -> Claimed | None:
        row = await self._database.call("claim_export_job", lease_seconds=self._lease_seconds, max_attempts=ATTEMPTS)
        return Claimed.model_validate(row) if row else None

    async def _make(self, claimed: Claimed) -> None:
        progress = _Progress()
        work = asyncio.ensure_future(self._write(claimed, progress))
        keeping = asyncio.create_task(self._keep(claimed, progress, work))
        try:
            await asyncio.wait([work])
        except asyncio.CancelledError:
            await self._give_back(claimed, work)
            raise
        finally:
            keeping.cancel()
        if work.cancelled():
            log.info("export lost: it was removed, or another process has it", export=claimed.job_id)
        elif error := work.exception():
            await self._fail(claimed, error)

    async def _write(self, claimed: Claimed, progress: "_Progress") -> None:
        row = await self._database.call("start_export_job", **claimed.lease, pseudonym_key=secrets.token_hex(32))
        if row is None:
            raise Conflict
        self._folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=self._folder) as file:
            written = await write(
                self._database,
                claimed,
                Started.model_validate(row),
                file,
                folder=self._folder,
                page_bytes=self._page_bytes,
                note=progress.note,
            )
            await self._storage.put_file(claimed.key, file, written.file["content_type"])
        progress.finishing = True
        await self._finish(claimed, written)

    async def _finish(self, claimed: Claimed, written: Written) -> None:
        kept = await self._database.call(
            "finish_export_job", **claimed.lease, file={**written.file, "key": claimed.key}, counts=written.counts
        )
        if not kept["held"]:
            await self._storage.delete(claimed.key)
            raise Conflict
        log.info("export made", export=claimed.job_id, format=claimed.format, bytes=written.file["bytes"])

    async def _fail(self, claimed: Claimed, error: BaseException) -> None:
        if isinstance(error, Conflict):
            log.info("export lost: it was removed, or another process has it", export=claimed.job_id)
            return
        again = isinstance(error, Unavailable) and not isinstance(error, NoSpace) and claimed.attempts < ATTEMPTS
        if isinstance(error, NoSpace):
            reason = f"no space: {error.message}"
        elif isinstance(error, SwitchboardError):
            reason = error.message
        else:
            # Its own words may hold anything, and are in the log.
            reason = f"internal error ({type(error).__name__})"
        foreseen = isinstance(error, SwitchboardError)
        log.error("export not made", export=claimed.job_id, again=again, exc_info=None if foreseen else error)
        with suppress(SwitchboardError):  # the lease ends, and whoever claims it next finds the same
            await self._database.call(
                "fail_export_job",
                **claimed.lease,
                reason=reason[:500],
                retry_seconds=RETRY_SECONDS if again else None,
            )

    async def _keep(self, claimed: Claimed, progress: "_Progress", work: "asyncio.Future[None]") -> None:
        """Renews the lease; ends the work when the export is not ours any more."""
        while True:
            await asyncio.sleep(self._keep_seconds)
            try:
                kept = await self._database.call(
                    "renew_export_job", **claimed.lease, done=progress.done, lease_seconds=self._lease_seconds
                )
            except SwitchboardError as error:
                log.warning("export lease not renewed", export=claimed.job_id, code=error.code)
                continue
            # One that is finished is not held either, and has come to its end already or is about to.
            if not kept["held"] and not progress.finishing:
                work.cancel()
                return

    async def _give_back(self, claimed: Claimed, work: "asyncio.Future[None]") -> None:
        """The process stops: whoever looks next begins it anew. If even that fails, the lease ends by itself."""
        work.cancel()
        await asyncio.wait([work], timeout=1)
        with suppress(SwitchboardError):
            await self._database.call(
                "fail_export_job", **claimed.lease, reason="The process that made it has stopped.", retry_seconds=0
            )


class _Progress:
    """How far an export is."""

    def __init__(self) -> None:
        self.done = 0
        self.finishing = False

    def note(self, conversations: int) -> None:
        """So many are written."""
        self.done = conversations
