"""One reader of the feed."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from switchboard.auth import Caller
from switchboard.errors import NotFound
from switchboard.live.ring import Event, Ring

BATCH = 128
"""Events that are handed out at once, about 45 KB: what a reader that stops reading can hold up."""
GUESTS_SEE = frozenset(
    {
        "conversation.opened",
        "conversation.closed",
        "conversation.reopened",
        "message.received",
        "message.sent_by_human",
        "message.edited",
        "message.unsent",
        "reply.answered",
        "reply.handed_over",
        "reply.out_of_hours",
    }
)
"""Types of events that a visitor may know of; who took over, why, and what people note is the desk's own."""


class FellBehind(Exception):
    """What the reader has not read yet is no longer in the ring."""


@dataclass(frozen=True, slots=True)
class View:
    """What a reader may see: the events of ``workspaces`` (None: of all), of one conversation if that is named.

    ``guest``: only what a visitor of a page may know of theirs, and of that only that it happened.
    """

    workspaces: frozenset[int] | None
    conversation_id: int | None = None
    guest: bool = False

    @classmethod
    def of(cls, caller: Caller, conversation_id: int | None = None) -> "View":
        """Every role may see what happens in its workspace; an admin sees all, a guest their conversation.

        Raises `NotFound` for a guest who asks for another one.
        """
        if guest := caller.guest:
            if conversation_id not in (None, guest.conversation_id):
                raise NotFound("There is no such conversation.")
            return cls(frozenset([guest.workspace_id]), guest.conversation_id, guest=True)
        return cls(None if caller.admin else frozenset(caller.roles), conversation_id)

    def shows(self, event: Event) -> bool:
        """Whether the reader may see it, and wants to."""
        return (
            (self.workspaces is None or event.workspace_id in self.workspaces)
            and (self.conversation_id is None or event.conversation_id == self.conversation_id)
            and (not self.guest or event.type in GUESTS_SEE)
        )

    def select(self, events: Iterable[Event]) -> Iterator[Event]:
        """Those that it shows, as it shows them."""
        for event in events:
            if self.shows(event):
                yield event.bare() if self.guest else event


class Reader:
    """How far somebody has read. `Feed` tells it what is new; whoever reads waits, then takes."""

    __slots__ = ("_rung", "_unread_after", "_waiting", "cursor", "due", "gone", "on_wake", "view")

    def __init__(self, view: View, cursor: int, due: float) -> None:
        """``cursor``: the place up to which everything was read. ``due``: when to wake it in any case."""
        self.view = view
        self.cursor = cursor
        self.due = due
        self.gone = False
        self.on_wake: Callable[[], None] | None = None
        # Where what it has not read begins. Events that it may not see do not count: a reader with a quiet workspace
        # must not fall behind because others are busy.
        self._unread_after: int | None = None
        self._rung = False
        self._waiting: asyncio.Future[None] | None = None

    def tell(self, before: int) -> None:
        """There is something for it after the place ``before``. It is not woken yet: see `wake`."""
        if self._unread_after is None:
            self._unread_after = before

    def place(self, ring: Ring) -> int:
        """The place from which it can go on without missing anything."""
        return max(self.cursor, ring.head) if self._unread_after is None else self.cursor

    def take(self, ring: Ring) -> list[Event]:
        """The next events it has not read, at most `BATCH`. Raises `FellBehind`."""
        if self._unread_after is None:
            return []
        start = max(self._unread_after, self.cursor)
        if start < ring.floor:
            raise FellBehind
        taken: list[Event] = []
        for event in self.view.select(ring.after(start)):
            taken.append(event)
            if len(taken) == BATCH:
                self.cursor = self._unread_after = event.position
                return taken
        self.cursor, self._unread_after = max(start, ring.head), None
        return taken

    def wake(self) -> None:
        """Wakes the one who waits, or the next who will; or calls ``on_wake``, if that is set."""
        self._rung = True
        if self.on_wake is not None:
            self.on_wake()
        elif self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def leave(self) -> None:
        """Nobody is at the other end any more."""
        self.gone = True
        self.wake()

    async def wait(self) -> None:
        """Returns when woken; waking that came since the last wait counts."""
        if not self._rung:
            self._waiting = asyncio.get_running_loop().create_future()
            try:
                await self._waiting
            finally:
                self._waiting = None
        self._rung = False
