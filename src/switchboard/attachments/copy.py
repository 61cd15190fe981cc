"""The loop that copies the files of messages into storage."""

import asyncio
from collections.abc import Mapping
from typing import Any

import structlog
from pydantic import BaseModel, ConfigDict

from switchboard.channels import Channel
from switchboard.database import Database
from switchboard.egress import SECONDS, Egress
from switchboard.errors import DeliveryBusy, DeliveryUnknown, SwitchboardError, Unavailable
from switchboard.storage import Storage
from switchboard.storage.keep import keep

LEASE_SECONDS = SECONDS + 90
"""Longer than fetching and storing take: a copy that is not settled by then is begun anew."""
MAX_ATTEMPTS = 8
AT_ONCE = 2
"""Copies at the same time; each holds its file in memory."""
AGAIN_SECONDS = 5.0
LONGEST_PAUSE = 3600.0

log = structlog.get_logger()


class Claimed(BaseModel):
    """What `claim_attachments` returns: one file, ours to copy."""

    model_config = ConfigDict(frozen=True)

    workspace_id: int
    id: int
    attempt: int
    source: dict[str, Any]
    name: str | None
    platform: str
    account: str


class Copying:
    """Copies files, whoever noted them."""

    def __init__(
        self,
        database: Database,
        channels: Mapping[str, Channel],
        egress: Egress,
        storage: Storage,
        *,
        max_bytes: int,
        poll_seconds: float,
    ) -> None:
        self._database = database
        self._channels = channels
        self._egress = egress
        self._storage = storage
        self._max_bytes = max_bytes
        self._poll_seconds = poll_seconds

    async def run(self) -> None:
        """Copies until cancelled; what is cut off is copied anew when its lease ends."""
        while True:
            claimed = await self._claim()
            await asyncio.gather(*(self._copy(one) for one in claimed))
            if len(claimed) < AT_ONCE:
                await asyncio.sleep(self._poll_seconds)

    async def _claim(self) -> list[Claimed]:
        try:
            rows = await self._database.call(
                "claim_attachments", max_rows=AT_ONCE, lease_seconds=LEASE_SECONDS, max_attempts=MAX_ATTEMPTS
            )
        except SwitchboardError as error:
            log.warning("no attachments claimed", code=error.code)
            await asyncio.sleep(1)
            return []
        return [Claimed.model_validate(row) for row in rows]

    async def _copy(self, one: Claimed) -> None:
        try:
            kept = await self._fetch(one)
            await self._write_outcome("keep_attachment", one, kept=kept)
            log.info("attachment copied", workspace=one.workspace_id, attachment=one.id, bytes=kept["bytes"])
        except (Unavailable, DeliveryBusy, DeliveryUnknown) as error:
            await self._fail(one, error, again=one.attempt < MAX_ATTEMPTS)
        except SwitchboardError as error:
            await self._fail(one, error, again=False)
        except Exception:
            log.exception("attachment not copied in a way nobody foresaw", attachment=one.id)
            await self._fail(one, SwitchboardError("The file could not be copied: see the log."), again=False)

    async def _fetch(self, one: Claimed) -> dict[str, Any]:
        channel = self._channels.get(one.platform)
        if channel is None:
            raise SwitchboardError(f"This installation cannot fetch files from {one.platform}.")
        place = await channel.locate(one.account, one.source)
        content = await self._egress.fetch(place.url, max_bytes=self._max_bytes, trusted=place.trusted)
        told = one.source.get("content_type")
        return await keep(self._storage, f"attachments/{one.workspace_id}/{one.id}", content, one.name, told)

    async def _fail(self, one: Claimed, error: SwitchboardError, *, again: bool) -> None:
        wait = min(max(AGAIN_SECONDS * 2.0**one.attempt, error.retry_after or 0), LONGEST_PAUSE)
        log.warning("attachment not copied", attachment=one.id, code=error.code, again=again, attempt=one.attempt)
        try:
            await self._write_outcome(
                "fail_attachment", one, reason=error.message[:500], retry_seconds=wait if again else None
            )
        except SwitchboardError as away:
            # The lease ends, and whoever claims it next finds the same.
            log.warning("outcome of a copy not written", attachment=one.id, code=away.code)

    async def _write_outcome(self, function: str, one: Claimed, **arguments: object) -> None:
        await self._database.call(
            function, workspace_id=one.workspace_id, attachment_id=one.id, attempt=one.attempt, **arguments
        )
