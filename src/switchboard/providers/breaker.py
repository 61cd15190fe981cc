"""Leaving a model alone that has just failed: for others to answer in its place, and for it to recover."""

import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field

import structlog

from switchboard.errors import Fault, ProviderError, ProviderRefused
from switchboard.metrics import Metrics
from switchboard.providers import Capabilities, Chunk, Done, Prompt, Provider

FAILURES = 3
"""In a row, before a model is left alone that did not say itself for how long."""
SHORTEST_SECONDS = 5.0
"""How long it is left alone at first; twice as long after each probe that fails as well."""
LONGEST_SECONDS = 60.0
"""The most of that, and how long a key, an account or a model is left alone that only a person can put right."""
PROBE_SECONDS = 1.0
"""When to come back while somebody else's call finds out."""

_OF_THE_ACCOUNT: frozenset[Fault] = frozenset({"key", "credit"})
_FOR_A_PERSON: frozenset[Fault] = frozenset({"key", "credit", "model"})

log = structlog.get_logger()


class LeftAlone(ProviderError):
    """No call was made, because the model has just failed others; ``cause`` is how, for this caller to raise."""

    def __init__(self, cause: ProviderError) -> None:
        self.cause = cause
        super().__init__(cause.message, fault=cause.fault, retry_after=cause.retry_after, turned_away=True)


@dataclass(slots=True)
class _Circuit:
    """Closed while ``cause`` is None; open until ``until``; then half-open, for one ``probe`` at a time."""

    failures: int = 0
    seconds: float = 0
    until: float = 0
    cause: ProviderError | None = None
    probe: bool = False


@dataclass(frozen=True, slots=True)
class Breaker:
    """A provider with a circuit for each of its models, and one for its account. In memory, of this process.

    Opens at once for a rate limit or any failure that says for how long, and for what only a person can put right;
    after `FAILURES` in a row for all else. What was said about a prompt is no failure of the model's.
    """

    provider: Provider
    metrics: Metrics | None = None
    now: Callable[[], float] = time.monotonic
    circuits: dict[str, _Circuit] = field(default_factory=dict[str, _Circuit])

    @property
    def name(self) -> str:
        """As in ``provider:model``."""
        return self.provider.name

    def capabilities(self, model: str) -> Capabilities:
        """What ``model`` can do."""
        return self.provider.capabilities(model)

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Chunk, None]:
        """As the provider's own. Raises `LeftAlone` without a call while the circuit is open."""
        probed = self._enter(prompt.model)
        done: Done | None = None
        try:
            async with aclosing(self.provider.stream(prompt)) as chunks:
                async for chunk in chunks:
                    if isinstance(chunk, Done):
                        done = chunk
                    else:
                        yield chunk
            self._succeeded(prompt.model, probed)
        except ProviderRefused:
            self._succeeded(prompt.model, probed)
            raise
        except ProviderError as error:
            self._failed(prompt.model, probed, error)
            raise
        finally:
            # Also when the reader stopped early, which says nothing either way.
            for circuit in probed:
                circuit.probe = False
        if done is not None:
            yield done

    async def close(self) -> None:
        """Gives back the provider's connections."""
        await self.provider.close()

    def _enter(self, model: str) -> list[_Circuit]:
        """The half-open circuits that this call probes. Raises `LeftAlone` if one of its circuits is open."""
        open_ones = [circuit for key in ("", model) if (circuit := self.circuits.get(key)) and circuit.cause]
        for circuit in open_ones:
            wait = circuit.until - self.now()
            if circuit.cause and (wait > 0 or circuit.probe):
                raise LeftAlone(circuit.cause.anew(max(wait, PROBE_SECONDS)))
        for circuit in open_ones:
            circuit.probe = True
        return open_ones

    def _succeeded(self, model: str, probed: list[_Circuit]) -> None:
        for key in ("", model):
            circuit = self.circuits.get(key)
            # A call that began before the circuit opened does not close it.
            if circuit and (circuit.cause is None or circuit in probed):
                del self.circuits[key]
                if circuit.cause:
                    log.info("model answers again", provider=self.name, model=key or None)
                    self._show(key, 0)

    def _failed(self, model: str, probed: list[_Circuit], error: ProviderError) -> None:
        key = "" if error.fault in _OF_THE_ACCOUNT else model
        circuit = self.circuits.setdefault(key, _Circuit())
        circuit.failures += 1
        if circuit.cause and circuit not in probed:
            return
        seconds = self._how_long(circuit, error)
        if seconds <= 0:
            return
        circuit.cause, circuit.seconds, circuit.until = error.anew(), seconds, self.now() + seconds
        alarm = log.error if error.fault in _FOR_A_PERSON else log.warning
        alarm("model left alone", provider=self.name, model=key or None, fault=error.fault, seconds=round(seconds))
        self._show(key, 1)

    @staticmethod
    def _how_long(circuit: _Circuit, error: ProviderError) -> float:
        if error.fault in _FOR_A_PERSON:
            return LONGEST_SECONDS
        again = min(max(2 * circuit.seconds, SHORTEST_SECONDS), LONGEST_SECONDS)
        if circuit.failures >= FAILURES or circuit.cause:
            return max(again, error.retry_after or 0)
        if error.retry_after is not None:
            return error.retry_after
        return again if error.fault == "limit" else 0

    def _show(self, model: str, state: int) -> None:
        if self.metrics is not None:
            self.metrics.breakers.labels(self.name, model).set(state)
