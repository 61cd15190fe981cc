"""The loops behind the door: what is durable becomes conversations; what was spooled goes to the database."""

import asyncio

import orjson
import structlog

from switchboard.bell import Bell
from switchboard.database import Database
from switchboard.errors import SwitchboardError, Unavailable
from switchboard.failpoints import reach
from switchboard.inbox.spool import Spool, Spooled
from switchboard.metrics import Metrics

REPLAY_AT_ONCE = 100
REPLAY_SECONDS = 0.5
LOOK_SECONDS = 30.0
"""How often a process looks for what another one, now dead, has left in the spool."""

log = structlog.get_logger()


class Sorting:
    """Sorts the inbox, whoever filled it."""

    def __init__(
        self, database: Database, metrics: Metrics, *, bell: Bell, turns_bell: Bell, poll_seconds: float
    ) -> None:
        """``bell`` is rung when a webhook was accepted, ``turns_bell`` is rung by us when an answer is due."""
        self._database = database
        self._metrics = metrics
        self._bell = bell
        self._turns_bell = turns_bell
        self._poll_seconds = poll_seconds

    async def run(self) -> None:
        """Sorts until cancelled; a database that is away is waited for."""
        while True:
            if not await self._sort():
                await self._bell.wait(self._poll_seconds)

    async def _sort(self) -> bool:
        """Sorts some webhooks; whether there were any."""
        await reach("before_sort")
        try:
            outcome = await self._database.call("sort_inbox")
        except SwitchboardError as error:
            log.warning("inbox not sorted", code=error.code)
            await asyncio.sleep(1)
            return False
        if outcome["received"]:
            self._metrics.messages.inc(outcome["received"])
        if outcome["due_in"] is not None:
            self._turns_bell.ring_in(outcome["due_in"])
        return bool(outcome["webhooks"])


class Replay:
    """Brings what was spooled into the database, in its order, as soon as it is back."""

    def __init__(self, database: Database, spool: Spool, *, bell: Bell, sort_bell: Bell) -> None:
        self._database = database
        self._spool = spool
        self._bell = bell
        self._sort_bell = sort_bell

    async def run(self) -> None:
        """Replays until cancelled."""
        await self._spool.open()
        while True:
            try:
                progress = bool(self._spool.waiting) and await self._some()
            except SwitchboardError as error:
                log.warning("spool not replayed", code=error.code)
                progress = False
            if self._spool.waiting and not progress:
                await asyncio.sleep(REPLAY_SECONDS)
            elif not progress:
                await self._bell.wait(LOOK_SECONDS)
                await self._spool.open()

    async def _some(self) -> bool:
        """Replays the oldest; whether any got through. Doing it twice is harmless: messages are stored once."""
        done: list[int] = []
        try:
            for spooled in await self._spool.first(REPLAY_AT_ONCE):
                if await self._one(spooled):
                    done.append(spooled.id)
        finally:
            if done:
                await self._spool.remove(done)
                self._sort_bell.ring()
                log.info("spool replayed", webhooks=len(done), left=self._spool.waiting)
        return bool(done)

    async def _one(self, spooled: Spooled) -> bool:
        try:
            await self._database.call(
                "accept_webhook", platform=spooled.platform, entries=orjson.loads(spooled.entries)
            )
        except Unavailable:
            raise
        except SwitchboardError as error:
            log.error("a spooled webhook is refused by the database and set aside", code=error.code, id=spooled.id)
            await self._spool.refuse(spooled, error.message)
            return False
        return True
