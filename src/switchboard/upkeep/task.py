"""What a periodic task is: its name, when it is due, and what is done."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

Result = dict[str, Any]
"""What came of a run, for people to read: mostly counts. The next run gets it back."""


@dataclass(frozen=True, slots=True)
class Task:
    """``every``: seconds from the beginning of one run to that of the next; or ``daily_at``: such as 02:00.

    ``at_once``: due at once where the database has never seen it, else after its time.
    ``work`` gets the result of the last run that was done, which is empty before the first.
    """

    name: str
    about: str
    work: Callable[[Result], Awaitable[Result]]
    every: float | None = None
    daily_at: str | None = None
    zone: str = "UTC"
    at_once: bool = False

    def as_json(self) -> dict[str, Any]:
        """As the SQL functions take it."""
        if self.daily_at is None:
            return {"name": self.name, "every": self.every, "at_once": self.at_once}
        return {"name": self.name, "daily_at": self.daily_at, "zone": self.zone}

    @property
    def schedule(self) -> str:
        """When, for people."""
        if self.daily_at is not None:
            return f"daily at {self.daily_at} {self.zone}"
        seconds = self.every or 0.0
        for unit, length in (("h", 3600), ("min", 60)):
            if seconds >= length and seconds % length == 0:
                return f"every {seconds / length:.0f} {unit}"
        return f"every {seconds:.0f} s"
