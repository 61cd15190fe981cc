"""How long a model may take: to begin its answer, between two pieces of it, and for the whole. Around any provider."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import NamedTuple

from switchboard.errors import ProviderBusy
from switchboard.providers import Capabilities, Chunk, Done, Prompt, Provider


def with_deadlines(
    provider: Provider, *, first_token_seconds: float, gap_seconds: float, total_seconds: float
) -> Provider:
    """``provider``, whose streams end with `ProviderBusy` when a deadline passes; first and total count from the call.

    The total is the clock on the wall: what the reader does between two chunks counts as well, so that a place in the
    queue is never held for longer. A tool call is one chunk, so its arguments must arrive within one deadline.
    """
    return Deadlines(provider, first_token_seconds, gap_seconds, total_seconds)


@dataclass(frozen=True, slots=True)
class Deadlines:
    """A provider with deadlines, all in seconds."""

    provider: Provider
    first_token_seconds: float
    gap_seconds: float
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
        now = asyncio.get_running_loop().time
        ends = now() + self.total_seconds
        limit = _Limit(now() + self.first_token_seconds, self.first_token_seconds, "the first word")
        async with aclosing(self.provider.stream(prompt)) as chunks:
            while True:
                if limit.at >= ends:
                    limit = _Limit(ends, self.total_seconds, "the whole answer")
                chunk = await self._next(chunks, limit)
                if chunk is None or isinstance(chunk, Done):
                    break
                yield chunk
                limit = _Limit(now() + self.gap_seconds, self.gap_seconds, "the next word")
        if chunk is not None:
            yield chunk

    async def _next(self, chunks: AsyncGenerator[Chunk, None], limit: "_Limit") -> Chunk | None:
        # The timeout covers the wait for one chunk and never a `yield`: it would cancel whatever the reader does.
        timeout = asyncio.timeout_at(limit.at)
        try:
            async with timeout:
                return await anext(chunks, None)
        except TimeoutError as error:
            if not timeout.expired():
                raise
            what = f"{limit.seconds:g} seconds for {limit.waited_for}"
            raise ProviderBusy(f"{self.name} took longer than {what}.", fault="timeout") from error

    async def close(self) -> None:
        """Gives back the provider's connections."""
        await self.provider.close()


class _Limit(NamedTuple):
    at: float
    seconds: float
    waited_for: str
