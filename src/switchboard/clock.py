"""What time it is, in one place, so that a test can say otherwise.

Leases, order and quiet times use the database's clock; this one is for tokens, windows and what people read.
"""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Returns the current time, aware, in UTC."""


def now() -> datetime:
    """The current time in UTC."""
    return datetime.now(UTC)
