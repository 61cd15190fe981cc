"""How long a model may take: to begin its answer, and for the whole of it. Around any provider."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from switchboard.errors import ProviderBusy
from switchboard.providers import Capabilities, Chunk, Done, Prompt, Provider


def with_deadlines(provider: Provider, *, first_token_seconds: float, total_seconds: float) -> Provider:
    """``provider``, whose streams end with `ProviderBusy` when a deadline passes; both count from the call.

    The total is the clock on the wall: what the reader does between two chunks counts as well, so that a place in the
    queue is never held for longer. A tool call is one chunk, so its arguments must arrive within the first deadline.
    """
    return Deadlines(provider, first_token_seconds, total_seconds)


@dataclass(frozen=True, slots=True)
class Deadlines:
    """A provider with deadlines; both in seconds."""

    provider: Provider
    first_token_seconds: float
    total_seconds: float

    @property
    def name(self) -> str:
        """As in ``provider:model``."""
        return self.provider.name

    def capabilities(self, model: str) -> Capabilities:
        """What ``model`` can do."""
        return self.provider.capabilities(model)

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Chunk, None]:
        """As the provider's own. Raises `ProviderBusy` when a deadline passes; the provider's stream is closed then."""
        begun = asyncio.get_running_loop().time()
        ends = begun + self.total_seconds
        limit = min(begun + self.first_token_seconds, ends)
        async with aclosing(self.provider.stream(prompt)) as chunks:
            while True:
                chunk = await self._next(chunks, limit, begun)
                if chunk is None or isinstance(chunk, Done):
                    break
                limit = ends
                yield chunk
        if chunk is not None:
            yield chunk

    async def _next(self, chunks: AsyncGenerator[Chunk, None], limit: float, begun: float) -> Chunk | None:
        # The timeout covers the wait for one chunk and never a `yield`: it would cancel whatever the reader does.
        timeout = asyncio.timeout_at(limit)
        try:
            async with timeout:
                return await anext(chunks, None)
        except TimeoutError as error:
            if not timeout.expired():
                raise
            what = "the whole answer" if limit - begun >= self.total_seconds else "the first word"
            raise ProviderBusy(f"{self.name} took longer than {limit - begun:g} seconds for {what}.") from error

    async def close(self) -> None:
        """Gives back the provider's connections."""
        await self.provider.close()
