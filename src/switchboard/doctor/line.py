"""A line of what the doctor says."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from switchboard.errors import SwitchboardError

State = Literal["ok", "warning", "wrong", "unknown"]


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that was looked at. ``state``: unknown where it could not be looked at; ``detail``: in words."""

    name: str
    state: State
    detail: str
    milliseconds: int = 0


class Worth(Exception):
    """What works, but is worth knowing: the words are the line's."""


async def look(name: str, check: Callable[[], Awaitable[str]]) -> Line:
    """The line for a check that returns what it found, or raises what is wrong."""
    began = time.monotonic()
    state: State
    try:
        state, detail = "ok", await check()
    except Worth as worth:
        state, detail = "warning", str(worth)
    except SwitchboardError as error:
        state, detail = "wrong", error.message
    took = round((time.monotonic() - began) * 1000)
    return Line(name, state, detail, took)
