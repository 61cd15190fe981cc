"""Asking the next model when one fails: whoever reads the stream hears of every attempt, and one whole answer."""

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from switchboard.errors import ProviderBusy, ProviderError
from switchboard.metrics import Metrics
from switchboard.providers import (
    Attempt,
    Capabilities,
    Chunk,
    Done,
    Prompt,
    Provider,
    Text,
    ToolCall,
    Usage,
    estimate,
    storable,
)
from switchboard.providers.breaker import LeftAlone


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model that may answer."""

    provider: Provider
    model: str


class Fallback:
    """The candidates in their order, as one provider; with one alone it only keeps the record.

    Another is asked after any failure, also in the middle of an answer: what came of that is void, and the next one
    begins from scratch. It is not, when somebody has read some of it as it came (``shown``), nor when a
    model declines to answer what was asked: then a person decides, and no other model is talked into it.
    """

    def __init__(self, candidates: Sequence[Candidate], metrics: Metrics | None = None) -> None:
        self._candidates = tuple(candidates)
        self._metrics = metrics

    @property
    def name(self) -> str:
        """That of the first."""
        return self._candidates[0].provider.name

    def capabilities(self, model: str) -> Capabilities:
        """What the first can do."""
        return self._candidates[0].provider.capabilities(model)

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Chunk, None]:
        """Before each attempt an `Attempt`, which is filled in when it ends; then what that model says.

        ``prompt.model`` is left aside. Raises `ProviderBusy` if it is worth another try, else the first failure.
        """
        failures: list[ProviderError] = []
        for candidate in self._candidates:
            record = _Record(candidate, replace(prompt, model=candidate.model))
            yield record.attempt
            try:
                async with aclosing(candidate.provider.stream(record.prompt)) as chunks:
                    async for chunk in chunks:
                        record.note(chunk)
                        yield chunk
                return
            except ProviderError as error:
                record.failed(error)
                failures.append(error)
                if error.fault == "filter" or (record.characters and prompt.shown()):
                    break
            finally:
                record.ended()
                self._count(record.attempt)
        raise _verdict(failures)

    async def close(self) -> None:
        """Nothing of its own: the providers are closed by whoever opened them."""

    def _count(self, attempt: Attempt) -> None:
        if self._metrics is not None:
            self._metrics.provider_attempts.labels(attempt.provider, attempt.outcome).inc()


@dataclass(slots=True)
class _Record:
    candidate: Candidate
    prompt: Prompt
    attempt: Attempt = field(init=False)
    characters: int = 0
    _began: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.attempt = Attempt(self.candidate.provider.name, self.candidate.model)

    def note(self, chunk: Chunk) -> None:
        if self.attempt.first_token_ms is None:
            self.attempt.first_token_ms = self._elapsed()
        if isinstance(chunk, Text):
            self.characters += len(chunk.text)
        elif isinstance(chunk, ToolCall):
            self.characters += len(str(chunk.arguments))
        elif isinstance(chunk, Done):
            self.attempt.outcome, self.attempt.usage = "answered", chunk.usage

    def failed(self, error: ProviderError) -> None:
        self.attempt.outcome = "skipped" if isinstance(error, LeftAlone) else error.fault
        self.attempt.reason = storable(error.message)
        # Turned away before it began, it cost nothing; broken off, nobody tells what it cost.
        free = error.turned_away and not self.characters
        self.attempt.usage = Usage() if free else estimate(self.prompt, self.characters)

    def ended(self) -> None:
        self.attempt.latency_ms = self._elapsed()
        if self.attempt.outcome == "running":
            self.attempt.outcome = "stopped"
            self.attempt.usage = estimate(self.prompt, self.characters)

    def _elapsed(self) -> int:
        return round((time.monotonic() - self._began) * 1000)


def _verdict(failures: Sequence[ProviderError]) -> ProviderError:
    """What to tell of them all: busy, and for how long, as long as one of them is."""
    if failures[-1].fault == "filter":
        return failures[-1]
    causes = [error.cause if isinstance(error, LeftAlone) else error for error in failures]
    busy = [error for error, cause in zip(failures, causes, strict=True) if isinstance(cause, ProviderBusy)]
    if not busy:
        return causes[0]
    waits = [error.retry_after for error in busy if error.retry_after is not None]
    # One that did not say may be asked again at once.
    wait = min(waits) if len(waits) == len(busy) else None
    return ProviderBusy(busy[0].message, fault=busy[0].fault, retry_after=wait)
