"""When a model is left alone, for how long, and what brings it back."""

import asyncio
from contextlib import aclosing
from itertools import pairwise

import pytest

from providers.prompts import ask
from providers.scripted import Scripted, Step
from switchboard.errors import Fault, ProviderBusy, ProviderError, ProviderMisconfigured, ProviderRefused
from switchboard.metrics import Metrics
from switchboard.providers import Text, complete
from switchboard.providers.breaker import Breaker, LeftAlone

GOOD: list[Step] = ["We open at nine."]


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def busy(fault: Fault = "server", retry_after: float | None = None) -> ProviderBusy:
    return ProviderBusy("no", fault=fault, retry_after=retry_after)


async def fails(breaker: Breaker, model: str = "m") -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await complete(breaker, ask("Hi", model=model))
    return caught.value


async def test_after_three_failures_in_a_row_it_is_left_alone_until_a_probe_works(clock: Clock):
    provider, metrics = Scripted("p", *[[busy("timeout")]] * 3, GOOD), Metrics()
    breaker = Breaker(provider, metrics, clock)
    for _ in range(3):
        assert not isinstance(await fails(breaker), LeftAlone)
    left = await fails(breaker)
    assert isinstance(left, LeftAlone)
    assert (left.retry_after, left.fault, left.turned_away) == (5, "timeout", True)
    assert len(provider.calls) == 3
    assert b'switchboard_provider_left_alone{model="m",provider="p"} 1.0' in metrics.render()
    clock.now += 5
    await complete(breaker, ask("Hi", model="m"))
    await complete(breaker, ask("Hi", model="m"))
    assert len(provider.calls) == 5
    assert b'switchboard_provider_left_alone{model="m",provider="p"} 0.0' in metrics.render()


async def test_failures_that_are_not_in_a_row_do_not_add_up(clock: Clock):
    provider = Scripted("p", [busy()], [busy()], GOOD, [busy()], [busy()], GOOD)
    breaker = Breaker(provider, now=clock)
    for _ in range(2):
        await fails(breaker)
        await fails(breaker)
        await complete(breaker, ask("Hi", model="m"))
    assert len(provider.calls) == 6


@pytest.mark.parametrize(("fault", "retry_after", "seconds"), [("limit", 30, 30), ("limit", None, 5), ("server", 7, 7)])
async def test_a_rate_limit_and_whoever_says_when_is_left_alone_at_once(
    clock: Clock, fault: Fault, retry_after: float | None, seconds: float
):
    provider = Scripted("p", [busy(fault, retry_after)], GOOD)
    breaker = Breaker(provider, now=clock)
    await fails(breaker)
    clock.now += seconds - 0.1
    assert (await fails(breaker)).retry_after == pytest.approx(1, abs=0.95)
    await complete(breaker, ask("Hi", model="another"))
    assert provider.calls == ["m", "another"], "only that model"
    clock.now += 0.1
    await complete(breaker, ask("Hi", model="m"))


@pytest.mark.parametrize("fault", ["key", "credit"])
async def test_a_bad_key_is_out_at_once_for_all_models_and_tried_once_a_minute(clock: Clock, fault: Fault):
    provider = Scripted("p", [ProviderMisconfigured("bad key", fault=fault)])
    breaker = Breaker(provider, now=clock)
    for second in range(600):
        assert (await fails(breaker, f"model-{second % 7}")).fault == fault
        clock.now += 1
    assert len(provider.calls) == 10


async def test_a_model_that_is_not_there_leaves_the_others(clock: Clock):
    provider = Scripted("p", [ProviderMisconfigured("no such model")], GOOD)
    breaker = Breaker(provider, now=clock)
    await fails(breaker)
    left = await fails(breaker)
    assert isinstance(left, LeftAlone)
    assert isinstance(left.cause, ProviderMisconfigured), "waiting does not help, so nobody is told to"
    await complete(breaker, ask("Hi", model="another"))
    assert provider.calls == ["m", "another"]


async def test_probes_that_fail_are_ever_rarer_up_to_a_minute(clock: Clock):
    provider = Scripted("p", [busy()])
    breaker = Breaker(provider, now=clock)
    probes: list[float] = []
    for _ in range(3000):
        calls = len(provider.calls)
        await fails(breaker)
        if len(provider.calls) > calls:
            probes.append(clock.now)
        clock.now += 0.1
    gaps = [round(later - earlier) for earlier, later in pairwise(probes[2:])]
    assert gaps[:6] == [5, 10, 20, 40, 60, 60]


async def test_one_call_at_a_time_probes(clock: Clock):
    gate = asyncio.Event()
    provider = Scripted("p", [busy("limit", 5)], [gate, "We open."], GOOD)
    breaker = Breaker(provider, now=clock)
    await fails(breaker)
    clock.now += 5
    probing = asyncio.create_task(complete(breaker, ask("Hi", model="m")))
    await asyncio.sleep(0)
    assert (await fails(breaker)).retry_after == 1
    gate.set()
    await probing
    await complete(breaker, ask("Hi", model="m"))
    assert len(provider.calls) == 3


async def test_a_probe_that_is_given_up_leaves_its_place_to_another(clock: Clock):
    provider = Scripted("p", [busy("limit", 5)], [asyncio.Event()], ["We ", "open."], GOOD)
    breaker = Breaker(provider, now=clock)
    await fails(breaker)
    clock.now += 5
    probing = asyncio.create_task(complete(breaker, ask("Hi", model="m")))
    await asyncio.sleep(0)
    probing.cancel()
    await asyncio.gather(probing, return_exceptions=True)
    async with aclosing(breaker.stream(ask("Hi", model="m"))) as chunks:
        assert await anext(chunks) == Text("We ")
    assert provider.ended == 3
    await complete(breaker, ask("Hi", model="m"))


async def test_what_began_before_changes_nothing_afterwards(clock: Clock):
    good, bad = asyncio.Event(), asyncio.Event()
    provider = Scripted("p", [good, "We open."], [bad, busy()], [busy("limit", 5)], GOOD)
    breaker = Breaker(provider, now=clock)
    early = [asyncio.create_task(complete(breaker, ask("Hi", model="m"))) for _ in range(2)]
    await asyncio.sleep(0)
    await fails(breaker)
    good.set()
    await early[0]
    clock.now += 3
    assert isinstance(await fails(breaker), LeftAlone), "a late success says nothing about now"
    bad.set()
    await asyncio.gather(early[1], return_exceptions=True)
    clock.now += 2
    await complete(breaker, ask("Hi", model="m"))


async def test_a_refused_prompt_is_no_failure(clock: Clock):
    provider = Scripted("p", [ProviderRefused("no")])
    breaker = Breaker(provider, now=clock)
    for _ in range(5):
        assert isinstance(await fails(breaker), ProviderRefused)
    assert len(provider.calls) == 5
    assert not breaker.circuits


async def test_a_server_that_always_says_try_now_is_left_alone_too(clock: Clock):
    provider = Scripted("p", [busy("limit", 0)])
    breaker = Breaker(provider, now=clock)
    for _ in range(20):
        await fails(breaker)
    assert len(provider.calls) == 3


async def test_no_frame_of_a_failed_call_is_kept(clock: Clock):
    breaker = Breaker(Scripted("p", [busy("limit", 30)]), now=clock)
    await fails(breaker)
    for _ in range(3):
        await fails(breaker)
    (circuit,) = breaker.circuits.values()
    assert circuit.cause is not None
    assert circuit.cause.__traceback__ is None
