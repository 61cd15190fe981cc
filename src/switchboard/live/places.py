"""How many streams may be open."""

from collections import Counter
from typing import Self

from switchboard.errors import RateLimited, Unavailable

AGAIN_SECONDS = 10.0


class Places:
    """Counts the streams of one process: at most ``most`` in all and ``per_caller`` for one caller (0: no limit)."""

    def __init__(self, most: int, per_caller: int) -> None:
        self.most = most
        self.per_caller = per_caller
        self.taken: Counter[str] = Counter()
        self.all = 0

    def take(self, subject: str) -> "Place":
        """A place, until it is left. Raises `RateLimited` or `Unavailable` when there is none."""
        if self.per_caller and self.taken[subject] >= self.per_caller:
            raise RateLimited(
                f"You have {self.per_caller} streams open already: close one first.", retry_after=AGAIN_SECONDS
            )
        if self.all >= self.most:
            raise Unavailable("This process has no room for another stream.", retry_after=AGAIN_SECONDS)
        self.taken[subject] += 1
        self.all += 1
        return Place(self, subject)


class Place:
    """One stream's place; taken once, left once."""

    __slots__ = ("_places", "_subject")

    def __init__(self, places: Places, subject: str) -> None:
        self._places: Places | None = places
        self._subject = subject

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    def leave(self) -> None:
        """Makes room; again does no harm."""
        places, self._places = self._places, None
        if places is not None:
            places.all -= 1
            places.taken[self._subject] -= 1
            if not places.taken[self._subject]:
                del places.taken[self._subject]
