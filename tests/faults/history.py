"""What the driver did and heard, as lines of JSON: {t, process, op, type: invoke|ok|fail|info, key, …}."""

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Kind = Literal["invoke", "ok", "fail", "info"]
"""``fail`` did not happen, ``info`` may have happened."""


@dataclass(frozen=True, slots=True)
class Event:
    """One line. ``t`` is the machine's monotonic clock in seconds, which all processes share."""

    t: float
    process: str
    op: str
    type: Kind
    key: str
    data: dict[str, Any]


@dataclass(slots=True)
class History:
    """The events of one trial, kept here and in ``file``."""

    file: Path
    events: list[Event] = field(default_factory=list[Event])

    def note(self, process: str, op: str, kind: Kind, key: str, **data: Any) -> Event:
        """Writes down what was begun or has become of it."""
        event = Event(time.monotonic(), process, op, kind, key, data)
        self.events.append(event)
        with self.file.open("a") as file:
            file.write(
                json.dumps({"t": event.t, "process": process, "op": op, "type": kind, "key": key, **data}) + "\n"
            )
        return event

    def keys(self, op: str, kind: Kind) -> set[str]:
        """The keys of all events of a sort."""
        return {event.key for event in self.events if event.op == op and event.type == kind}
