"""Making summaries: claimed under a lease → written → kept; what is to be made is in the rows.

Whoever dies over one loses its lease and another goes on. A model that is away is asked again three times; then the
conversation's own sentences have to do, so that nobody is left without.
"""

import asyncio

import structlog

from switchboard.database import Database
from switchboard.errors import ProviderError
from switchboard.providers import storable
from switchboard.providers.registry import Providers
from switchboard.summaries.claimed import Claimed
from switchboard.summaries.extract import extract
from switchboard.summaries.write import write

LEASE_SECONDS = 120.0
"""Longer than any model may take (PROVIDER_TOTAL_SECONDS is 60): then somebody else may try."""
ATTEMPTS = 3
RETRY_SECONDS = 60.0

log = structlog.get_logger()


class Summarising:
    """Makes the summaries that are due, one after the other."""

    def __init__(
        self,
        database: Database,
        providers: Providers,
        model_ref: str | None,
        *,
        idle_hours: int = 24,
        lease_seconds: float = LEASE_SECONDS,
    ) -> None:
        """``model_ref``: provider:model, or None to quote; ``idle_hours``: 0 is never."""
        self._database = database
        self._providers = providers
        self._model = model_ref if model_ref and not model_ref.startswith("extractive:") else None
        self._idle_hours = idle_hours
        self._lease_seconds = lease_seconds
        self._busy = asyncio.Lock()

    async def work(self) -> None:
        """Makes summaries until none is due. Returns at once while it is at it: that run sees to the new one too."""
        if self._busy.locked():
            return
        async with self._busy:
            while claimed := await self._claim():
                await self._make(claimed)

    async def sweep(self) -> None:
        """Has those conversations summarised in which nothing has been said for a while."""
        if self._idle_hours:
            await self._database.call("summarise_idle", idle_hours=self._idle_hours)

    async def _claim(self) -> Claimed | None:
        rows = await self._database.call("claim_summaries", max_summaries=1, lease_seconds=self._lease_seconds)
        return Claimed.model_validate(rows[0]) if rows else None

    async def _make(self, claimed: Claimed) -> None:
        model = self._model if claimed.attempts <= ATTEMPTS and claimed.messages else None
        if model is None:
            provider, name, text = "extractive", "quote", extract(claimed.previous, claimed.messages)
        else:
            provider, _, name = model.partition(":")
            try:
                text = await write(self._database, self._providers, model, claimed)
            except ProviderError as error:
                log.warning("summary not written", conversation=claimed.conversation_id, code=error.code)
                wait = error.retry_after or RETRY_SECONDS
                await self._database.call("release_summary", **claimed.lease, retry_seconds=wait)
                return
        kept = await self._database.call(
            "finish_summary",
            **claimed.lease,
            content=storable(text),
            covers_seq=claimed.messages[-1].seq if claimed.messages else claimed.last_seq,
            provider=provider,
            model=name,
        )
        if not kept["held"]:
            log.info("summary not kept: its conversation has changed", conversation=claimed.conversation_id)
