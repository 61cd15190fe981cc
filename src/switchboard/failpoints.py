"""Named places on the path of a message at which a test can make the process fail.

`FAIL="after_inbox_commit:kill9@3,before_send_claim:sleep5"`: the action happens the n-th time the place is reached, the
first time without `@n`. Actions: ``kill9``, ``term``, ``stop`` (SIGSTOP), ``sleep<seconds>``, ``block<seconds>`` (which
stops the whole event loop), ``error``. Unset, a place costs one look at an empty dict.

The places, in the order a message passes them:
after_body_read, before_inbox_commit, after_inbox_commit, before_sort, before_turn_claim, after_turn_claim,
after_context, before_first_chunk, mid_stream, before_finish, before_send_claim, after_send_claim, after_send,
after_mark_delivered, during_drain, during_migration.
"""

import asyncio
import os
import re
import signal
import time
from dataclasses import dataclass
from typing import Final

from switchboard.errors import Misconfigured, SwitchboardError

PLACES: Final = (
    "after_body_read",
    "before_inbox_commit",
    "after_inbox_commit",
    "before_sort",
    "before_turn_claim",
    "after_turn_claim",
    "after_context",
    "before_first_chunk",
    "mid_stream",
    "before_finish",
    "before_send_claim",
    "after_send_claim",
    "after_send",
    "after_mark_delivered",
    "during_drain",
    "during_migration",
)
_SIGNALS: Final = {"kill9": signal.SIGKILL, "term": signal.SIGTERM, "stop": signal.SIGSTOP}
_PAUSE: Final = re.compile(r"(sleep|block)(\d+(?:\.\d+)?)")


@dataclass(slots=True)
class _Failure:
    action: str
    countdown: int


# The one thing a process keeps outside its wiring: written once at start, before anything runs.
_armed: Final[dict[str, _Failure]] = {}


def arm(specification: str | None) -> None:
    """Sets the failures of this process. Raises `Misconfigured` for a place or an action that does not exist."""
    _armed.clear()
    for part in filter(None, (specification or "").split(",")):
        place, _, rest = part.strip().partition(":")
        action, _, count = rest.partition("@")
        known = action in _SIGNALS or action == "error" or _PAUSE.fullmatch(action)
        if place not in PLACES or not known or not (count or "1").isdigit():
            raise Misconfigured(f"FAIL: {part!r} is not place:action@n; the places are {', '.join(PLACES)}")
        _armed[place] = _Failure(action, int(count or "1"))


async def reach(place: str) -> None:
    """Says that ``place`` is reached; does nothing unless a failure is armed there."""
    if _armed and place in _armed:
        await _fail(place, _armed[place])


async def _fail(place: str, failure: _Failure) -> None:
    failure.countdown -= 1
    if failure.countdown != 0:
        return
    if failure.action in _SIGNALS:
        os.kill(os.getpid(), _SIGNALS[failure.action])
    elif failure.action == "error":
        raise SwitchboardError(f"Failpoint {place}.")
    elif pause := _PAUSE.fullmatch(failure.action):
        how, seconds = pause[1], float(pause[2])
        if how == "block":
            time.sleep(seconds)  # noqa: ASYNC251 - a loop that hangs is what it is for
        else:
            await asyncio.sleep(seconds)
