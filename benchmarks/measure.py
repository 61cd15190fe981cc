"""Rounds, medians and targets: how a figure comes about, the same for all benchmarks."""

import statistics
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

Figures = dict[str, float]
"""What one round of one side measured, by name."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is done. ``smoke``: as little as shows that it still works; its figures mean nothing."""

    rounds: int = 5
    seconds: float = 3.0
    messages: int = 10_000_000
    smoke: bool = False

    @property
    def warm_up(self) -> float:
        """Seconds of load before anything counts."""
        return 0.05 if self.smoke else 0.5

    def some(self, many: int, few: int = 2) -> int:
        """``many``, or ``few`` when smoking."""
        return few if self.smoke else many


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of the rounds, and the least and the most of them."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """Over at least one value."""
        return cls(statistics.median(values), min(values), max(values))

    def __str__(self) -> str:
        return f"{short(self.median)} ({short(self.low)} – {short(self.high)})"


@dataclass(frozen=True, slots=True)
class Target:
    """What was promised: ``spread`` of a ratio or a figure, with its bound."""

    what: str
    spread: Spread
    bound: float
    unit: str = "×"
    at_least: bool = False

    @property
    def met(self) -> bool:
        """Whether the median keeps the bound."""
        return self.spread.median >= self.bound if self.at_least else self.spread.median <= self.bound

    def cells(self) -> list[str]:
        """A row of the table of targets."""
        sign = "≥" if self.at_least else "≤"
        bound = f"{sign} {short(self.bound)} {self.unit}".strip()
        return [self.what, bound, f"{self.spread} {self.unit}".strip(), "met" if self.met else "**missed**"]


@dataclass(slots=True)
class Table:
    """Rows of cells under a head."""

    head: list[str]
    rows: list[list[str]] = field(default_factory=list[list[str]])


@dataclass(slots=True)
class Report:
    """What a benchmark has found. ``compared`` says what with what, exactly."""

    id: str
    title: str
    compared: str
    tables: list[Table] = field(default_factory=list[Table])
    targets: list[Target] = field(default_factory=list[Target])
    notes: list[str] = field(default_factory=list[str])
    plot: dict[str, list[list[float]]] = field(default_factory=dict[str, list[list[float]]])
    raw: dict[str, Any] = field(default_factory=dict[str, Any])
    """Every round of every side, as measured."""

    def target(self, what: str, spread: Spread, bound: float, unit: str = "×", *, at_least: bool = False) -> None:
        """One more promise, and what came of it."""
        self.targets.append(Target(what, spread, bound, unit, at_least))


@dataclass(slots=True)
class Rounds:
    """What several sides measured, round by round."""

    sides: dict[str, list[Figures]]

    def values(self, side: str, figure: str) -> list[float]:
        """One figure over the rounds."""
        return [each[figure] for each in self.sides[side]]

    def spread(self, side: str, figure: str) -> Spread:
        """One figure of one side."""
        return Spread.of(self.values(side, figure))

    def ratio(self, side: str, base: str, figure: str) -> Spread:
        """Round by round, so that what slows a whole round down is in both."""
        pairs = zip(self.values(side, figure), self.values(base, figure), strict=True)
        return Spread.of([ours / theirs for ours, theirs in pairs])

    def added(self, side: str, base: str, figure: str) -> Spread:
        """The difference, round by round."""
        pairs = zip(self.values(side, figure), self.values(base, figure), strict=True)
        return Spread.of([ours - theirs for ours, theirs in pairs])

    def table(self, figures: Mapping[str, str]) -> Table:
        """A row for each side; ``figures``: name of the figure -> its column."""
        rows = [[side, *(str(self.spread(side, figure)) for figure in figures)] for side in self.sides]
        return Table(["", *figures.values()], rows)


async def interleave(sides: Mapping[str, Callable[[], Awaitable[Figures]]], rounds: int) -> Rounds:
    """Measures the sides in turn, ``rounds`` times; every other round the other way round, so that none is favoured."""
    found: dict[str, list[Figures]] = {name: [] for name in sides}
    for number in range(rounds):
        order = list(sides.items())
        for name, measure in order if number % 2 == 0 else reversed(order):
            found[name].append(await measure())
    return Rounds(found)


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest rank, ``share`` from 0 to 1. Raises `ValueError` for no values."""
    if not values:
        raise ValueError("nothing was measured")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def short(number: float) -> str:
    """Three digits that matter."""
    if abs(number) >= 100:
        return f"{number:,.0f}"
    return f"{number:.1f}" if abs(number) >= 10 else f"{number:.2f}"
