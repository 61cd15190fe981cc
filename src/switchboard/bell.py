"""Wakes a loop of this process. A hint only: the loop looks at the database, and looks there unwoken too."""

import asyncio


class Bell:
    """Rung by those who changed something, waited for by the one loop that acts on it."""

    def __init__(self, also: "Bell | None" = None) -> None:
        """``also`` is rung whenever this one is."""
        self._event = asyncio.Event()
        self._also = also

    def ring(self) -> None:
        """Wakes the one who waits, or the next who will."""
        self._event.set()
        if self._also is not None:
            self._also.ring()

    def ring_in(self, seconds: float) -> None:
        """Rings after ``seconds``."""
        if seconds <= 0:
            self.ring()
            return
        asyncio.get_running_loop().call_later(seconds, self.ring)

    async def wait(self, seconds: float) -> None:
        """Returns when rung, or after ``seconds``; a ring since the last wait counts."""
        try:
            async with asyncio.timeout(seconds):
                await self._event.wait()
        except TimeoutError:
            return
        self._event.clear()
