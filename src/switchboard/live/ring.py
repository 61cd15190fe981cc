"""The newest events, kept once for all readers."""

import sys
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

MOST = 4096
"""Events that are kept, about 3 MB. A reader that is further behind reads from the table."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event; ``position`` is its place in the feed, ``json`` its body on either wire, ``sse`` all of it there."""

    position: int
    workspace_id: int
    conversation_id: int | None
    type: str
    json: bytes
    sse: bytes

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> "Event":
        """An event from what `show_event` made of it."""
        return cls._of(row, row["workspace_id"])

    def bare(self) -> "Event":
        """The same for a visitor: what happened to which message of theirs, and nothing that is the desk's."""
        row = orjson.loads(self.json)
        seq = row["data"].get("seq")
        del row["workspace_id"]
        return self._of(row | {"data": {} if seq is None else {"seq": seq}}, self.workspace_id)

    @classmethod
    def _of(cls, row: Mapping[str, Any], workspace_id: int) -> "Event":
        body = orjson.dumps(row)
        # The type is a word of ours (`message.received`); JSON in one line needs no `data:` but the first.
        sse = b"id: %d\nevent: %s\ndata: %s\n\n" % (row["id"], row["type"].encode(), body)
        return cls(row["id"], workspace_id, row["conversation_id"], sys.intern(row["type"]), body, sse)


class Ring:
    """Events in the order of their places: all from after ``floor`` up to ``head``, which may be ahead of the last."""

    def __init__(self, floor: int, most: int = MOST) -> None:
        self.floor = self.head = floor
        self._most = most
        self._events: list[Event] = []
        self._positions: list[int] = []

    def add(self, events: Sequence[Event], head: int) -> None:
        """Takes what came after `head`; ``head`` is the place up to which nothing is missing now."""
        self._events += events
        self._positions += [event.position for event in events]
        self.head = max(self.head, head)
        # Not one by one: taking from the front of a list moves all that is behind it.
        if len(self._events) > self._most * 2:
            gone = len(self._events) - self._most
            self.floor = self._positions[gone - 1]
            del self._events[:gone], self._positions[:gone]

    def holds(self, position: int) -> bool:
        """Whether all events after ``position`` are here."""
        return self.floor <= position <= self.head

    def after(self, position: int) -> Iterator[Event]:
        """The events after ``position``, which the ring `holds`."""
        for index in range(bisect_right(self._positions, position), len(self._events)):
            yield self._events[index]
