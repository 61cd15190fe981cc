"""Work that goes on beside everything else in a process, and does not end because it failed once."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import structlog

BEGIN_AGAIN_SECONDS = 1.0

log = structlog.get_logger()


@asynccontextmanager
async def running(work: Callable[[], Coroutine[Any, Any, None]]) -> AsyncGenerator[None]:
    """``work`` in the background while inside; begun anew when it fails, for nobody would notice that it is missing."""
    task = asyncio.create_task(_again_and_again(work))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _again_and_again(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    while True:
        try:
            return await work()
        except Exception:
            log.exception("background work failed and begins anew")
            await asyncio.sleep(BEGIN_AGAIN_SECONDS)
