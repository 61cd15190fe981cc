"""What a campaign has shown so far: one file for each point and signal, and a table over all of them."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from faults.outcome import Outcome, share
from faults.points import KILL_POINTS, Action

HEAD = (
    "| point | place | signal | storms | falls | messages | lost | doubles | violations | unknown | settled"
    " | ack p50, s | ack gap, s | answer p50, s | answer max, s |\n" + "|---" * 15 + "|"
)


@dataclass
class Series:
    """All storms at one point with one signal. Times in seconds."""

    point: str
    signal: Action
    storms: int = 0
    falls: int = 0
    messages: int = 0
    lost: int = 0
    doubles: int = 0
    unknown: int = 0
    settled: int = 0
    not_hit: int = 0
    """Storms in which the process did not fall; their messages count nowhere else."""
    violations: list[str] = field(default_factory=list[str])
    seeds: list[int] = field(default_factory=list[int])
    sizes: list[int] = field(default_factory=list[int])
    """The messages of each storm, which repeating it by its seed needs as well."""
    ack_medians: list[float] = field(default_factory=list[float])
    ack_gaps: list[float] = field(default_factory=list[float])
    answer_medians: list[float] = field(default_factory=list[float])
    answer_longest: list[float] = field(default_factory=list[float])

    @classmethod
    def load(cls, folder: Path, point: str, signal: Action) -> "Series":
        """As far as it has come; empty at first."""
        file = folder / f"{point}-{signal}.json"
        return cls(**json.loads(file.read_text())) if file.exists() else cls(point, signal)

    def save(self, folder: Path) -> None:
        """Replaces the file at once, so that a campaign can be stopped at any moment."""
        file = folder / f"{self.point}-{self.signal}.json"
        new = file.with_suffix(".new")
        new.write_text(json.dumps(asdict(self)))
        new.replace(file)

    def add(self, outcome: Outcome) -> None:
        """One more storm."""
        self.seeds.append(outcome.seed)
        self.sizes.append(outcome.messages)
        self.violations += [f"seed {outcome.seed}: {violation}" for violation in outcome.violations]
        if not outcome.happened:
            self.not_hit += 1
            return
        self.storms += 1
        self.falls += outcome.falls
        self.messages += outcome.messages
        self.lost += outcome.lost
        self.doubles += outcome.doubles
        self.unknown += outcome.unknown
        self.settled += outcome.settled
        self.ack_medians.append(share(outcome.took, 0.5))
        self.ack_gaps.append(outcome.slowest_ack)
        if outcome.answers:
            self.answer_medians.append(share(outcome.answers, 0.5))
            self.answer_longest.append(max(outcome.answers))

    def enough(self, messages: int, storms: int) -> bool:
        """Whether so many messages were sent, or so many storms raged, even without harm."""
        return self.messages >= messages or len(self.seeds) >= storms

    @property
    def line(self) -> str:
        """A row of the table."""
        cells: Sequence[Any] = (
            KILL_POINTS.get(self.point, ""),
            f"`{self.point}`",
            self.signal,
            self.storms,
            self.falls,
            self.messages,
            self.lost,
            self.doubles,
            len(self.violations),
            self.unknown,
            self.settled,
            f"{share(sorted(self.ack_medians), 0.5):.3f}",
            f"{max(self.ack_gaps, default=0):.1f}",
            f"{share(sorted(self.answer_medians), 0.5):.2f}",
            f"{max(self.answer_longest, default=0):.1f}",
        )
        return f"| {' | '.join(map(str, cells))} |"


BEGIN, END = "<!-- campaign -->", "<!-- /campaign -->"


def publish(folder: Path, document: Path) -> None:
    """Puts the table between the marks of a page, and the whole report beside the page. Raises `ValueError` without."""
    before, _, rest = document.read_text().partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise ValueError(f"{document} has no {BEGIN} … {END}")
    document.write_text(f"{before}{BEGIN}\n{write(folder)}\n{END}{after}")
    document.with_suffix(".json").write_text((folder / "report.json").read_text())


def write(folder: Path) -> str:
    """Writes `report.json` and `report.md` over all series of a folder; answers the table."""
    found = [Series(**json.loads(file.read_text())) for file in folder.glob("*-*.json")]
    order = list(KILL_POINTS)
    found.sort(key=lambda s: (order.index(s.point) if s.point in order else len(order), s.signal))
    total = sum(series.messages for series in found)
    wrong = sum(len(series.violations) for series in found)
    bound = f"no violation; with 95 % confidence fewer than 1 message in {total // 3:,}" if total and not wrong else ""
    falls, storms = sum(series.falls for series in found), sum(series.storms for series in found)
    told = f"{storms} storms, {falls} falls, {total:,} messages, {wrong} violations; {bound}".rstrip("; ")
    table = "\n".join([HEAD, *(series.line for series in found)])
    (folder / "report.json").write_text(json.dumps([asdict(series) for series in found], indent=1))
    (folder / "report.md").write_text(f"{told}.\n\n{table}\n")
    return f"{told}.\n\n{table}"
