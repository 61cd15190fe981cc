"""How a loop's tasks come to their end when the service stops."""

import asyncio
from collections.abc import Set
from typing import Any


async def finished(tasks: Set[asyncio.Task[Any]]) -> None:
    """Returns when none of them runs any more; being cancelled here leaves them running."""
    if tasks:
        await asyncio.wait(tasks)


async def cut_off(tasks: Set[asyncio.Task[Any]], seconds: float) -> None:
    """Cancels them, and waits at most ``seconds`` for what they do about it."""
    if tasks:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=seconds)
