"""What was replaced, and what may still be there: counts that add up over an export, and nothing of the contents."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class LeakReport:
    """Counts for one export.

    ``replaced`` and ``suspected`` are by kind; ``suspects``, only where asked for, are the words themselves: they are
    what was hidden from everybody else.
    """

    texts: int = 0
    changed: int = 0
    replaced: Counter[str] = field(default_factory=Counter[str])
    suspected: Counter[str] = field(default_factory=Counter[str])
    suspects: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])

    def told(self) -> dict[str, object]:
        """For JSON: the counts alone."""
        return {
            "texts": self.texts,
            "changed": self.changed,
            "replaced": dict(sorted(self.replaced.items())),
            "suspected": dict(sorted(self.suspected.items())),
        }
