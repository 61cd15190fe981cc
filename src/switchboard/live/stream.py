"""What a reader is told, from the last event it has seen on, until it ends."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson
import structlog

from switchboard.errors import SwitchboardError
from switchboard.live.access import Access
from switchboard.live.feed import Feed
from switchboard.live.reader import FellBehind, Reader, View
from switchboard.live.ring import Event

RETRY_SECONDS = (1.0, 8.0)
"""When to come back after a stream has ended, drawn for each: all at once would be a storm."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Pace:
    """How often things are done for one stream, in seconds."""

    life: float = 900.0
    """How long it lasts, give or take a fifth: those that came together need not come back together."""
    check: float = 10.0
    """How often it is asked whether the reader may still read. What that is found out from is up to 20 s old."""
    beat: float = 20.0
    """After how long without an event a reader is told that the line is alive, and how far it has read."""


@dataclass(frozen=True, slots=True)
class Opened:
    """The first frame: the reader has read up to ``position``."""

    position: int

    def sse(self) -> bytes:
        """Also tells how long to wait before coming back, whatever ends the stream."""
        return b"retry: %d\nid: %d\n\n" % (_retry(), self.position)

    def texts(self) -> list[str]:
        """The same for a WebSocket."""
        return [_text({"type": "open", "id": self.position, "retry": _retry()})]


@dataclass(frozen=True, slots=True)
class Batch:
    """Events, in their order."""

    events: list[Event]

    def sse(self) -> bytes:
        """As they are kept."""
        return self.events[0].sse if len(self.events) == 1 else b"".join(event.sse for event in self.events)

    def texts(self) -> list[str]:
        """One message for each."""
        return [event.json.decode() for event in self.events]


@dataclass(frozen=True, slots=True)
class Beat:
    """Nothing has happened, up to ``position``."""

    position: int

    def sse(self) -> bytes:
        """Moves the client's last event id without an event."""
        return b"id: %d\n\n" % self.position

    def texts(self) -> list[str]:
        """The same for a WebSocket."""
        return [_text({"type": "heartbeat", "id": self.position})]


@dataclass(frozen=True, slots=True)
class Resync:
    """What the client has missed cannot be told any more: it has to load its lists anew. The feed goes on from here."""

    position: int
    reason: str

    def sse(self) -> bytes:
        """An event of its own."""
        body = _text({"type": "resync", "id": self.position, "reason": self.reason}).encode()
        return b"id: %d\nevent: resync\ndata: %s\n\n" % (self.position, body)

    def texts(self) -> list[str]:
        """The same for a WebSocket."""
        return [_text({"type": "resync", "id": self.position, "reason": self.reason})]


@dataclass(frozen=True, slots=True)
class End:
    """The stream is over; the client can go on after the last event it got."""

    reason: str

    def sse(self) -> bytes:
        """Without an id, so that the client keeps the one it has."""
        body = _text({"type": "end", "reason": self.reason}).encode()
        return b"retry: %d\nevent: end\ndata: %s\n\n" % (_retry(), body)

    def texts(self) -> list[str]:
        """The same for a WebSocket."""
        return [_text({"type": "end", "reason": self.reason, "retry": _retry()})]


Frame = Opened | Batch | Beat | Resync | End


class Quiet:
    """Nothing is to be sent now."""


QUIET = Quiet()


class Stream:
    """One reader's stream: `next` until there is nothing more, then `close`. `leave` and `end` end it from outside."""

    __slots__ = (
        "_access",
        "_beat_at",
        "_caught_up",
        "_cursor",
        "_due",
        "_ended",
        "_ends_at",
        "_feed",
        "_follow",
        "_gone",
        "_last_event_id",
        "_lost",
        "_pace",
        "_reader",
        "_view",
        "on_wake",
    )

    def __init__(
        self,
        feed: Feed,
        access: Access,
        *,
        last_event_id: str | None,
        conversation_id: int | None = None,
        follow: bool = True,
        pace: Pace,
    ) -> None:
        """``last_event_id`` as the client sent it; without ``follow`` the stream ends when everything is told."""
        self._feed = feed
        self._access = access
        self._last_event_id = last_event_id
        self._view = View.of(access.caller, conversation_id)
        self._follow = follow
        self._pace = pace
        self._ends_at = time.monotonic() + pace.life * random.uniform(0.8, 1.2)  # noqa: S311 - no secret
        self._due = time.monotonic() + pace.check * random.uniform(0.5, 1)  # noqa: S311 - no secret
        self._reader: Reader | None = None
        self._beat_at = time.monotonic() + pace.beat
        self._gone = False
        self._ended: str | None = None
        self._cursor: int | None = None
        self._caught_up = False
        self._lost: str | None = None
        self.on_wake: Callable[[], None] | None = None

    def leave(self) -> None:
        """Nobody is at the other end any more."""
        self._gone = True
        if self._reader is not None:
            self._reader.leave()

    def end(self, reason: str) -> None:
        """Ends the stream, and tells why."""
        self._ended = reason
        if self._reader is not None:
            self._reader.wake()

    def close(self) -> None:
        """The feed forgets it. Whoever asks for frames calls this when they are done, or have had enough."""
        if self._reader is not None:
            self._feed.leave(self._reader)
            self._reader = None
        self._gone = True

    async def next(self) -> Frame | None:
        """The next thing to be sent, waited for; or None after an `End` or when the client has left.

        Raises `Unavailable` the first time when the feed has not begun.
        """
        while isinstance(frame := await self.now(), Quiet):
            if self._reader is not None:
                await self._reader.wait()
        return frame

    async def now(self) -> Frame | Quiet | None:
        """The same without waiting: `QUIET` when there is nothing. ``on_wake`` is called when it is worth asking."""
        if self._gone:
            return None
        if self._reader is not None:
            return await self._from_ring(self._reader)
        if self._cursor is None:
            return await self._open()
        if self._lost is not None:
            # Told once. What is missing is missing, and everything from here on is not.
            reason, self._lost = self._lost, None
            self._cursor = self._feed.ring.head
            return Resync(self._cursor, reason)
        if not self._caught_up and not self._feed.ring.holds(self._cursor):
            return await self._from_table(self._cursor)
        self._reader = self._feed.join(self._view, self._cursor, self._due)
        self._reader.on_wake = self.on_wake
        return await self._from_ring(self._reader)

    async def _open(self) -> Opened:
        ring = await self._feed.begun()
        self._cursor = ring.head if self._last_event_id is None else _read(self._last_event_id)
        if self._cursor is None:
            self._cursor, self._lost = ring.head, "unknown_id"
        return Opened(self._cursor)

    async def _from_table(self, cursor: int) -> Frame | Quiet | None:
        """The next page of what the ring no longer holds."""
        if reason := await self._over():
            return self._end(reason)
        try:
            page = await self._feed.page(self._access.caller.as_json(), cursor, self._view.conversation_id)
        except SwitchboardError as error:
            log.warning("stream not read from the table", code=error.code)
            return self._end("unavailable")
        if cursor > page["last"] or cursor + 1 < page["first"]:
            self._lost = "unknown_id" if cursor > page["last"] else "no_longer_kept"
            return await self.now()
        through: int = page["through"]
        self._cursor = through
        # The table may be ahead of the ring, which will come to this place.
        self._caught_up = through >= self._feed.ring.head
        events = list(self._view.select(Event.read(row) for row in page["events"]))
        return Batch(events) if events else await self.now()

    async def _from_ring(self, reader: Reader) -> Frame | Quiet | None:
        if reader.gone:
            return None
        if reason := await self._over():
            return self._end(reason)
        reader.due = self._due
        try:
            events = reader.take(self._feed.ring)
        except FellBehind:
            return self._end("slow")
        now = time.monotonic()
        if events:
            self._beat_at = now + self._pace.beat
            return Batch(events)
        if not self._follow:
            return None
        if now >= self._beat_at:
            self._beat_at = now + self._pace.beat
            return Beat(reader.place(self._feed.ring))
        return QUIET

    async def _over(self) -> str | None:
        """Why the stream has to end now, or None. Asks seldom whether the reader may still read."""
        now = time.monotonic()
        if self._ended or self._feed.ending:
            return self._ended or "shutdown"
        if now >= self._ends_at:
            return "life"
        if now < self._due:
            return None
        self._due = now + self._pace.check
        return await self._access.lost()

    def _end(self, reason: str) -> End:
        self.close()
        self._feed.metrics.streams_ended.labels(reason).inc()
        return End(reason)


def _read(last_event_id: str) -> int | None:
    """A place in the feed, or None for what is none of ours."""
    text = last_event_id.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None


def _retry() -> int:
    """Milliseconds."""
    return round(random.uniform(*RETRY_SECONDS) * 1000)  # noqa: S311 - no secret


def _text(body: dict[str, Any]) -> str:
    return orjson.dumps(body).decode()
