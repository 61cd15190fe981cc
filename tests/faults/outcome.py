"""What a storm has shown, and its traces on the disk."""

import shutil
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from faults.evidence import Evidence
from faults.history import History


@dataclass(slots=True)
class Outcome:
    """What a storm showed. Times in seconds; ``answers`` from an acknowledgement to the reply that covers it."""

    seed: int
    messages: int
    happened: bool
    falls: int
    """How often a process fell at the place it was told to."""
    violations: list[str]
    unknown: int
    """Sends of which it was not known for a time, or is not yet, whether they had arrived."""
    settled: int
    """Those of them of which an echo told that they had."""
    slowest_ack: float
    """The longest wait for a 200, from the first time a webhook was posted."""
    took: list[float]
    """Each single post, from shortest to longest, whatever its answer."""
    quiet_after: float
    answers: list[float]
    statuses: dict[int, int]
    unanswered: int
    """Webhooks that got no answer at all while Meta waited; each was delivered again."""
    folder: Path
    evidence: Evidence = field(default_factory=Evidence, repr=False)

    @property
    def lost(self) -> int:
        """Messages that were acknowledged and are not there."""
        return sum("I1 lost" in one for one in self.violations)

    @property
    def doubles(self) -> int:
        """What was stored, answered or sent twice."""
        return sum("double" in one for one in self.violations)

    def raise_if_wrong(self) -> None:
        """Raises `AssertionError` with the seed and all violations; also when the harm did not happen.

        What was written meanwhile, by the service, by Facebook and by us, is then kept beside the system's other
        temporary files.
        """
        if self.violations:
            kept = keep(self, Path(self.folder.parent))
            raise AssertionError(f"seed {self.seed}, logs in {kept}:\n" + "\n".join(self.violations[:20]))
        assert self.happened, f"seed {self.seed}: the fault did not happen"


def keep(outcome: Outcome, into: Path) -> Path:
    """Copies the logs and the history of a storm to a folder of its own below ``into``, and says which."""
    kept = into / f"storm-{outcome.seed}-{time.time_ns()}"
    kept.mkdir(parents=True)
    for file in outcome.folder.iterdir():
        if file.is_file():
            shutil.copy(file, kept)
    (kept / "violations.txt").write_text("\n".join(outcome.violations) + "\n")
    return kept


def answer_times(history: History, evidence: Evidence) -> list[float]:
    """For each message that the AI answered: seconds from its acknowledgement to the reply that covers it."""
    ahead = time.monotonic() - datetime.now(UTC).timestamp()
    acked = {event.key: event.t for event in history.events if event.op == "message" and event.type == "ok"}
    finals: dict[int, list[tuple[int, float]]] = {}
    for row in evidence.replies:
        if row["outcome"] in ("answered", "handed_over"):
            finished = row["finished_at"].timestamp() + ahead
            finals.setdefault(row["conversation_id"], []).append((row["answered_seq"], finished))
    took: list[float] = []
    for row in evidence.messages:
        if row["external_id"] in acked:
            covering = [at for seq, at in finals.get(row["conversation_id"], []) if seq >= row["seq"]]
            if covering:
                took.append(round(max(0.0, min(covering) - acked[row["external_id"]]), 3))
    return sorted(took)


def share(times: list[float], part: float) -> float:
    """The value below which this part of sorted times lies: 0.5 is the median. Zero if there are none."""
    return times[min(len(times) - 1, int(part * len(times)))] if times else 0.0
