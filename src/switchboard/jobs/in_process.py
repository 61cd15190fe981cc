"""A broker for one process. taskiq's own starts everything at once, however much there is, and waits for nothing."""

import asyncio
from collections.abc import AsyncGenerator

from taskiq import AsyncBroker, BrokerMessage


class InProcess(AsyncBroker):
    """Keeps what was asked for until the receiver has room; a job that waits already is not asked for twice."""

    def __init__(self) -> None:
        super().__init__()
        self._waiting: dict[str, bytes] = {}
        self._some = asyncio.Event()

    async def kick(self, message: BrokerMessage) -> None:
        """Our jobs take no arguments, so one that waits is as good as two."""
        self._waiting.setdefault(message.task_name, message.message)
        self._some.set()

    async def listen(self) -> AsyncGenerator[bytes, None]:
        """What was asked for, the oldest first; waits where there is nothing."""
        while True:
            await self._some.wait()
            yield self._waiting.pop(next(iter(self._waiting)))
            if not self._waiting:
                self._some.clear()
