"""What was found where, and which of two findings at one place counts."""

from collections.abc import Iterable
from typing import NamedTuple


class Span(NamedTuple):
    """Characters from ``start`` to before ``end`` that say ``value``, in the form in which its kind is compared."""

    start: int
    end: int
    kind: str
    value: str


def settle(spans: Iterable[Span]) -> list[Span]:
    """Those that do not overlap, by their places; of two that do, the one that comes first in ``spans``."""
    kept: list[tuple[int, Span]] = []
    for rank, span in sorted(enumerate(spans), key=lambda each: (each[1].start, each[0])):
        if not kept or span.start >= kept[-1][1].end:
            kept.append((rank, span))
        elif rank < kept[-1][0]:
            kept[-1] = rank, span
    return [span for _, span in kept]
