"""The loops behind the door: what is durable becomes conversations; what was spooled goes to the database."""

import asyncio
import time
from typing import Any

import orjson
import structlog

from switchboard.bell import Bell
from switchboard.database import Database, Row
from switchboard.errors import DatabaseTooSlow, DatabaseUnreachable, Invalid, SwitchboardError, Unavailable
from switchboard.failpoints import reach
from switchboard.inbox.read import Reader
from switchboard.inbox.spool import Call, Spool
from switchboard.metrics import Metrics

REPLAY_AT_ONCE = 100
REPLAY_SECONDS = 0.5
AGAIN_SECONDS = 1.0
LOOK_SECONDS = 2.0
"""How often a process looks for what another one has left in the spool."""
MOST_BYTES = 300_000
"""How much is sorted in one transaction, about a thousand messages, where the database is fast enough for so many."""
LOCKED = 0.4
"""The share of its time in which a statement waits for a lock: what takes longer than that is itself too slow."""
TRIES = 5
"""How often a webhook that fails by itself is tried in a row, before those behind it go first."""
GATHER_SECONDS = 0.01
"""From one sorting to the next: the first webhook is sorted at once, and under load those after it together."""

log = structlog.get_logger()


class Sorting:
    """Sorts the inbox, whoever filled it."""

    def __init__(
        self,
        database: Database,
        reader: Reader,
        metrics: Metrics,
        *,
        bell: Bell,
        turns_bell: Bell,
        events_bell: Bell,
        poll_seconds: float,
        timeout: float = 3.0,
    ) -> None:
        """``bell`` is rung when a webhook was accepted; by us ``turns_bell`` when an answer is due, and ``events_bell``
        when something was sorted. ``timeout``: seconds that ``database`` has for one call."""
        self._database = database
        self._reader = reader
        self._metrics = metrics
        self._bell = bell
        self._turns_bell = turns_bell
        self._events_bell = events_bell
        self._poll_seconds = poll_seconds
        self._timeout = timeout
        self._most = MOST_BYTES
        self._failed: tuple[int, int] = (0, 0)

    async def run(self) -> None:
        """Sorts until cancelled; a database that is away is waited for."""
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            if not await self._sort():
                await self._bell.wait(self._poll_seconds)
            await asyncio.sleep(max(0.0, began + GATHER_SECONDS - loop.time()))

    async def _sort(self) -> bool:
        """Sorts some webhooks; whether there were any."""
        await reach("before_sort")
        found: list[Row] = []
        began = time.monotonic()
        try:
            found = await self._database.call("unsorted_webhooks", most_bytes=self._most)
            if not found:
                return False
            began = time.monotonic()
            # Another process may read the same ones; who sorts first sorts them, in their order, and once.
            outcome = await self._database.call(
                "sort_inbox",
                read=[self._reader.read(webhook) for webhook in found],
                lock_seconds=self._timeout * LOCKED,
            )
        except SwitchboardError as error:
            # It may have been too much for the time a statement has: fewer, until it is done, then more again.
            self._most = max(1, self._most // 4)
            log.warning("inbox not sorted", code=error.code, next=self._most)
            if len(found) == 1 and self._is_its_own_fault(error, time.monotonic() - began):
                await self._hold(found[0], error)
            await asyncio.sleep(AGAIN_SECONDS)
            return False
        self._most = min(MOST_BYTES, self._most * 2)
        if outcome["received"]:
            self._metrics.messages.inc(outcome["received"])
        if outcome["due_in"] is not None:
            self._turns_bell.ring_in(outcome["due_in"])
        self._events_bell.ring()
        return True

    def _is_its_own_fault(self, error: SwitchboardError, seconds: float) -> bool:
        """Whether this webhook would fail again: not when the database was away, or something else was in the way."""
        if isinstance(error, DatabaseTooSlow) or not isinstance(error, Unavailable):
            return True
        # Behind a pooler no statement has a limit of its own: our deadline ends it; a lock would have ended it before.
        return not isinstance(error, DatabaseUnreachable) and seconds >= self._timeout * 0.9

    async def _hold(self, webhook: Row, error: SwitchboardError) -> None:
        """After so many tries the webhooks behind this one go first; it is tried again later, ever more seldom."""
        number = webhook["id"]
        self._failed = (number, self._failed[1] + 1 if self._failed[0] == number else 1)
        if self._failed[1] < TRIES and not webhook["tries"]:
            return
        try:
            state = await self._database.call("hold_webhook", webhook_id=number, reason=error.message)
        except SwitchboardError as fault:
            log.warning("webhook not held", id=number, code=fault.code)
        else:
            log.error("a webhook cannot be sorted and waits", id=number, code=error.code, state=state)


class Replay:
    """Brings what was spooled into the database, in its order, as soon as it is back."""

    def __init__(self, database: Database, spool: Spool, *, bell: Bell, sort_bell: Bell) -> None:
        self._database = database
        self._spool = spool
        self._bell = bell
        self._sort_bell = sort_bell

    async def run(self) -> None:
        """Replays until cancelled."""
        while True:
            try:
                progress = await self._spool.occupied() and await self._some()
            except SwitchboardError as error:
                log.warning("spool not replayed", code=error.code)
                progress = False
            if self._spool.waiting and not progress:
                await asyncio.sleep(REPLAY_SECONDS)
            elif not progress:
                await self._bell.wait(LOOK_SECONDS)

    async def _some(self) -> bool:
        """Replays the oldest; whether any got through. Doing it twice is harmless: messages are stored once."""
        done: list[int] = []
        try:
            for call in await self._spool.first(REPLAY_AT_ONCE):
                if await self._one(call):
                    done.append(call.id)
        finally:
            if done:
                await self._spool.remove(done)
                self._sort_bell.ring()
                log.info("spool replayed", calls=len(done), left=self._spool.waiting)
        return bool(done)

    async def _one(self, call: Call) -> bool:
        try:
            await self._do(call.function, orjson.loads(call.arguments))
        except Unavailable:
            raise
        except SwitchboardError as error:
            log.error("a spooled call is refused by the database and set aside", code=error.code, id=call.id)
            await self._spool.refuse(call, error.message)
            return False
        return True

    async def _do(self, function: str, arguments: dict[str, Any]) -> None:
        if function == "accept_webhook":
            await self._database.call("accept_webhook", **arguments)
        elif function == "store_exchange":
            await self._database.call("store_exchange", **arguments)
        else:
            raise Invalid(f"No spooled call is called {function}.")
