"""P6: the next model's first words when the first model fails, against asking the next one directly."""

import time
from collections.abc import Callable
from contextlib import AsyncExitStack, aclosing

from benchmarks import servers
from benchmarks.measure import Figures, Report, Scale, interleave, percentile
from stands.clusters import free_port
from switchboard.providers import Prompt, Provider, Said, Text
from switchboard.providers.breaker import Breaker
from switchboard.providers.registry import Providers, open_providers
from switchboard.settings import Settings, load

COMPARED = (
    "From before the call to the first piece of text, in one process, one call at a time, over connections that are"
    " open. The first model answers 500, or nobody listens at its address; the second answers at once. What the breaker"
    " learns is forgotten before each call, so that every one of them fails over; in service the third failure in a row"
    " would have the first model left alone. Against the second model asked alone, through the same layers."
)
ALONE, BROKEN, GONE = "the second alone", "after a 500", "after a refused connection"


async def run(scale: Scale) -> Report:
    """Both kinds of failure."""
    report = Report("P6", "Failing over", COMPARED)
    many = scale.some(200, 3)
    async with AsyncExitStack() as stack:
        good = await stack.enter_async_context(servers.serving(servers.model()))
        bad = await stack.enter_async_context(servers.serving(servers.model(FAIL="1")))
        sides: dict[str, Callable[[], object]] = {}
        for name, port in ((BROKEN, bad.port), (GONE, free_port())):
            providers = open_providers(_settings(port, good.port))
            stack.push_async_callback(providers.close)
            await providers.warm()
            chain = Chain(providers, *providers.get("openai:m"))
            sides[name] = lambda chain=chain: chain.measure(many)
            alone = Chain(providers, *providers.alone("second:m"))
            sides[ALONE] = lambda alone=alone: alone.measure(many)
            for warm in (chain, alone):
                await warm.measure(scale.some(20, 1))
        rounds = await interleave(sides, scale.rounds)  # pyright: ignore[reportArgumentType] - lambdas of awaitables
    report.tables.append(rounds.table({"p50": "p50, ms", "p99": "p99, ms"}))
    report.raw["rounds"] = rounds.sides
    for name in (BROKEN, GONE):
        report.target(f"added p50, {name}", rounds.added(name, ALONE, "p50"), 20, "ms")
        report.target(f"added p99, {name}", rounds.added(name, ALONE, "p99"), 50, "ms")
    return report


class Chain:
    """A provider, and how long it takes to say something."""

    def __init__(self, providers: Providers, provider: Provider, model: str) -> None:
        self._breakers = [each for each in providers.by_name.values() if isinstance(each, Breaker)]
        self._provider = provider
        self._prompt = Prompt(model=model, system="Be brief.", messages=(Said("user", "When do you open?"),), tools=())

    async def measure(self, many: int) -> Figures:
        """``many`` calls."""
        taken: list[float] = []
        for _ in range(many):
            for breaker in self._breakers:
                breaker.circuits.clear()
            began = time.perf_counter()
            first: float | None = None
            async with aclosing(self._provider.stream(self._prompt)) as chunks:
                async for chunk in chunks:
                    if isinstance(chunk, Text) and first is None:
                        first = (time.perf_counter() - began) * 1000
            if first is None:
                raise RuntimeError("the second model said nothing")
            taken.append(first)
        return {"p50": percentile(taken, 0.5), "p99": percentile(taken, 0.99)}


def _settings(first: int, second: int) -> Settings:
    return load(
        openai_base_url=f"http://127.0.0.1:{first}/v1",
        openai_servers=f"second=http://127.0.0.1:{second}/v1",
        default_model="openai:m",
        fallback_models="second:m",
    )
