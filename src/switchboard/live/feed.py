"""Follows the table of events, once for all readers of this process."""

import asyncio
import time
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import structlog

from switchboard.bell import Bell
from switchboard.database import Database
from switchboard.errors import SwitchboardError, Unavailable
from switchboard.live.places import Places
from switchboard.live.reader import Reader, View
from switchboard.live.ring import MOST, Event, Ring
from switchboard.metrics import Metrics

PAGE = 1000
LEAST_PAUSE = 0.02
"""Between two looks, in seconds, however often the bell rings: what happens at once is read at once."""
IDLE_FACTOR = 25
"""How many times more seldom the table is looked at while nobody reads."""
AGAIN_SECONDS = 1.0
TICK_SECONDS = 1.0
"""How often it is looked for readers that are due to be woken without an event."""
SLICE = 100
"""Readers that are woken before the loop turns to other things, so that a webhook does not wait for all of them."""
START_SECONDS = 1.0
STRANGERS = 200
"""Sockets that may be open at the same time without having said whose they are."""
PAGES_AT_ONCE = 4
"""Readers that read from the table at the same time: after a restart all of them come at once."""

log = structlog.get_logger()


class Feed:
    """The ring, and who is to be told of what is in it."""

    def __init__(
        self,
        database: Database,
        metrics: Metrics,
        *,
        bell: Bell,
        poll_seconds: float,
        places: Places,
        ring_events: int = MOST,
        tick_seconds: float = TICK_SECONDS,
    ) -> None:
        """``bell`` is rung when this process wrote; what others wrote is found every ``poll_seconds``."""
        self.metrics = metrics
        self.places = places
        self.strangers = Places(STRANGERS, 0)
        self.ending = False
        self._database = database
        self._bell = bell
        self._poll_seconds = poll_seconds
        self._ring_events = ring_events
        self._tick_seconds = tick_seconds
        self._ring: Ring | None = None
        self._started = asyncio.Event()
        self._joined = Bell()
        self._looked = asyncio.Event()
        self._readers: set[Reader] = set()
        self._by_conversation: dict[int, set[Reader]] = {}
        self._by_workspace: dict[int, set[Reader]] = {}
        self._of_all: set[Reader] = set()
        self._pages = asyncio.Semaphore(PAGES_AT_ONCE)

    @property
    def ring(self) -> Ring:
        """The newest events. Raises `Unavailable` before the table was first looked at."""
        if self._ring is None:
            raise Unavailable
        return self._ring

    async def run(self) -> None:
        """Follows until cancelled; a database that is away is waited for."""
        ticking = asyncio.create_task(self._tick())
        try:
            while True:
                if not await self._look():
                    # While nobody reads, nobody's writing makes it look.
                    bell, idle = (self._bell, 1) if self._readers else (self._joined, IDLE_FACTOR)
                    await bell.wait(self._poll_seconds * idle)
                await asyncio.sleep(LEAST_PAUSE)
        finally:
            ticking.cancel()
            await asyncio.wait([ticking])

    async def begun(self) -> Ring:
        """The ring, as it is now for the first reader after a while. Raises `Unavailable` when it has to wait too long
        for it."""
        try:
            async with asyncio.timeout(START_SECONDS):
                await self._started.wait()
                if not self._readers:
                    looked = self._looked
                    self._joined.ring()
                    await looked.wait()
        except TimeoutError:
            pass
        if not self._started.is_set():
            raise Unavailable("The feed has not begun: the database has not answered yet.")
        return self.ring

    def join(self, view: View, cursor: int, due: float) -> Reader:
        """A reader that has read up to ``cursor``, which the ring holds or has yet to come to."""
        reader = Reader(view, cursor, due)
        if cursor < self.ring.head:
            reader.tell(cursor)
        self._readers.add(reader)
        self._joined.ring()
        for index, key in self._indexes(view):
            index.setdefault(key, set()).add(reader)
        if view.workspaces is None and view.conversation_id is None:
            self._of_all.add(reader)
        return reader

    def leave(self, reader: Reader) -> None:
        """Tells it nothing more."""
        self._readers.discard(reader)
        self._of_all.discard(reader)
        for index, key in self._indexes(reader.view):
            index[key].discard(reader)
            if not index[key]:
                del index[key]

    async def page(self, caller: dict[str, Any], after: int, conversation_id: int | None) -> dict[str, Any]:
        """`events_after`, for a few at a time; with `through`, the place up to which the page goes."""
        async with self._pages:
            page: dict[str, Any] = await self._database.call(
                "events_after", caller=caller, after=after, conversation_id=conversation_id, max_rows=PAGE
            )
        full = len(page["events"]) == PAGE
        return page | {"through": page["events"][-1]["id"] if full else page["last"]}

    async def end(self) -> None:
        """Ends all streams: the process stops."""
        self.ending = True
        await self._wake(list(self._readers))

    async def _look(self) -> bool:
        """Reads what is new; whether there is more."""
        try:
            if self._ring is None:
                # After a restart everybody comes back at once: what they lack is read into the ring once for all.
                ends = await self._database.call("feed_ends")
                self._ring = Ring(max(ends["first"] - 1, ends["last"] - self._ring_events), self._ring_events)
            before = self._ring.head
            found = await self._database.call("follow_events", after=before, max_rows=PAGE)
        except SwitchboardError as error:
            log.warning("events not read", code=error.code)
            await asyncio.sleep(AGAIN_SECONDS)
            return False
        events = [Event.read(row) for row in found["events"]]
        more = len(events) == PAGE
        self._ring.add(events, events[-1].position if more else found["last"])
        if self._started.is_set():
            self.metrics.events.inc(len(events))
            await self._tell(events, before)
        elif not more:
            self._started.set()
        if not more:
            self._looked.set()
            self._looked = asyncio.Event()
        return more

    async def _tell(self, events: Sequence[Event], before: int) -> None:
        told: set[Reader] = set(self._of_all)
        for conversation_id in {event.conversation_id for event in events if event.conversation_id is not None}:
            told |= self._by_conversation.get(conversation_id, set())
        for workspace_id in {event.workspace_id for event in events}:
            told |= self._by_workspace.get(workspace_id, set())
        # All are told before any is woken: none of them may think that it has read everything.
        for reader in told:
            reader.tell(before)
        await self._wake(told)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(self._tick_seconds)
            now = time.monotonic()
            await self._wake([reader for reader in self._readers if reader.due <= now])

    async def _wake(self, readers: Collection[Reader]) -> None:
        for number, reader in enumerate(readers, 1):
            reader.wake()
            if number % SLICE == 0:
                await asyncio.sleep(0)

    def _indexes(self, view: View) -> Iterable[tuple[dict[int, set[Reader]], int]]:
        """Where a reader with this view is looked up; one who sees all is in neither."""
        if view.conversation_id is not None:
            yield self._by_conversation, view.conversation_id
        else:
            for workspace_id in view.workspaces or ():
                yield self._by_workspace, workspace_id
