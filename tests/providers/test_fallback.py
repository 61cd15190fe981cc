"""One whole answer out of several models, and the record of how it came to be."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from statistics import median

import pytest

from providers.prompts import ask
from providers.scripted import Scripted, Step
from stands.llm import LlmStand, Play, cut, end_early, error_in_stream, fail, hang, html, say
from stands.vendors import open_vendor
from switchboard.errors import Fault, ProviderBusy, ProviderError, ProviderMisconfigured, ProviderRefused
from switchboard.metrics import Metrics
from switchboard.providers import Attempt, Chunk, Done, Prompt, Provider, Text, Usage, complete
from switchboard.providers.breaker import Breaker
from switchboard.providers.deadlines import with_deadlines
from switchboard.providers.fallback import Candidate, Fallback

QUESTION = ask("When do you open?")
GOOD: list[Step] = ["We open ", "at nine."]


def busy(fault: Fault = "server", retry_after: float | None = None, *, turned_away: bool = False) -> ProviderBusy:
    return ProviderBusy("no", fault=fault, retry_after=retry_after, turned_away=turned_away)


def chain(*providers: Provider, metrics: Metrics | None = None) -> Fallback:
    return Fallback([Candidate(provider, f"model-of-{provider.name}") for provider in providers], metrics)


async def everything(provider: Provider, prompt: Prompt = QUESTION) -> list[Chunk]:
    return [chunk async for chunk in provider.stream(prompt)]


async def attempts_of(provider: Provider, prompt: Prompt = QUESTION) -> tuple[list[Attempt], ProviderError]:
    attempts: list[Attempt] = []

    async def read() -> None:
        async for chunk in provider.stream(prompt):
            if isinstance(chunk, Attempt):
                attempts.append(chunk)

    with pytest.raises(ProviderError) as caught:
        await read()
    return attempts, caught.value


async def test_the_first_that_works_answers_and_nobody_else_is_asked():
    first, second = Scripted("a", GOOD), Scripted("b", GOOD)
    attempt, *said, done = await everything(chain(first, second))
    assert said == [Text("We open "), Text("at nine.")]
    assert isinstance(attempt, Attempt)
    assert isinstance(done, Done)
    assert (attempt.provider, attempt.model, attempt.outcome) == ("a", "model-of-a", "answered")
    assert attempt.usage == done.usage == Usage(11, 7)
    assert first.calls == ["model-of-a"]
    assert second.calls == []


FAILURES: dict[str, ProviderError] = {
    "busy": busy(),
    "rate limit": busy("limit", 30),
    "timeout": busy("timeout"),
    "bad key": ProviderMisconfigured("no", fault="key"),
    "too long for this one": ProviderRefused("no"),
}


@pytest.mark.parametrize("said", [[], ["We ", "op"]])
@pytest.mark.parametrize("case", FAILURES)
async def test_the_next_one_answers_from_scratch(case: str, said: list[Step]):
    second = Scripted("b", GOOD)
    answer = await complete(chain(Scripted("a", [*said, FAILURES[case]]), second), QUESTION)
    assert answer.text == "We open at nine."
    assert answer.done.model == "model-of-b-dated"


async def test_every_attempt_is_told_with_what_it_took():
    failed = busy("limit", turned_away=True)
    chunks = await everything(
        chain(Scripted("a", [failed]), Scripted("b", ["Twelve chars", busy()]), Scripted("c", GOOD))
    )
    limited, broken, good = [chunk for chunk in chunks if isinstance(chunk, Attempt)]
    assert (limited.outcome, limited.usage, limited.first_token_ms) == ("limit", Usage(), None)
    assert limited.reason == "no"
    assert (broken.outcome, broken.usage.estimated, broken.usage.output_tokens) == ("server", True, 3)
    assert broken.usage.input_tokens > 50
    assert (good.outcome, good.usage, good.reason) == ("answered", Usage(11, 7), None)


async def test_what_is_shown_already_is_not_begun_anew():
    second = Scripted("b", GOOD)
    shown = replace(QUESTION, shown=lambda: True)
    attempts, error = await attempts_of(chain(Scripted("a", ["We ", busy()]), second), shown)
    assert isinstance(error, ProviderBusy)
    assert len(attempts) == 1
    assert second.calls == []
    assert (await complete(chain(Scripted("a", [busy()]), second), shown)).text == "We open at nine."


async def test_a_model_that_declines_is_not_circumvented():
    second = Scripted("b", GOOD)
    _, error = await attempts_of(chain(Scripted("a", [ProviderRefused("no", fault="filter")]), second))
    assert isinstance(error, ProviderRefused)
    assert second.calls == []


@pytest.mark.parametrize(
    ("errors", "kind", "retry_after"),
    [
        ([busy("limit", 30), busy("limit", 9)], ProviderBusy, 9),
        ([busy("limit", 30), busy()], ProviderBusy, None),
        ([ProviderMisconfigured(fault="key"), busy("limit", 9)], ProviderBusy, 9),
        ([ProviderMisconfigured(fault="key"), ProviderMisconfigured(fault="credit")], ProviderMisconfigured, None),
        ([ProviderRefused(), ProviderMisconfigured()], ProviderRefused, None),
    ],
)
async def test_when_all_fail_it_is_worth_another_try_if_one_is_only_busy(
    errors: list[ProviderError], kind: type[ProviderError], retry_after: float | None
):
    attempts, error = await attempts_of(chain(*[Scripted(str(at), [one]) for at, one in enumerate(errors)]))
    assert (type(error), error.retry_after) == (kind, retry_after)
    assert [attempt.outcome for attempt in attempts] == [one.fault for one in errors]


async def test_a_model_that_is_left_alone_is_skipped_and_costs_nothing():
    metrics = Metrics()
    first = Scripted("a", [busy("limit", 60)])
    provider = chain(Breaker(first), Scripted("b", GOOD), metrics=metrics)
    await everything(provider)
    skipped, *_ = await everything(provider)
    assert isinstance(skipped, Attempt)
    assert (skipped.outcome, skipped.usage) == ("skipped", Usage())
    assert len(first.calls) == 1
    told = metrics.render().decode()
    for line in ('{outcome="limit",provider="a"} 1.0', '{outcome="skipped",provider="a"} 1.0'):
        assert f"switchboard_provider_attempts_total{line}" in told
    assert 'switchboard_provider_attempts_total{outcome="answered",provider="b"} 2.0' in told


@pytest.mark.parametrize(
    ("cause", "kind"), [(busy("limit", 60), ProviderBusy), (ProviderMisconfigured(fault="key"), ProviderMisconfigured)]
)
async def test_one_model_alone_that_is_left_alone_fails_as_it_did(cause: ProviderError, kind: type[ProviderError]):
    provider = chain(Breaker(Scripted("a", [cause])))
    await attempts_of(provider)
    attempts, error = await attempts_of(provider)
    assert (type(error), attempts[0].outcome) == (kind, "skipped")


async def test_a_reader_that_stops_ends_the_call_and_the_record():
    first = Scripted("a", ["Twelve chars", asyncio.Event()])
    async with aclosing(chain(first).stream(QUESTION)) as chunks:
        attempt = await anext(chunks)
        await anext(chunks)
    assert isinstance(attempt, Attempt)
    assert (attempt.outcome, attempt.usage.estimated, attempt.usage.output_tokens) == ("stopped", True, 3)
    assert first.ended == 1


# The same over the wire.


@pytest.fixture
async def pair(llm: LlmStand) -> AsyncIterator[Fallback]:
    """OpenAI, and Anthropic behind it; the plays are for both in the order they are asked."""
    first, second = open_vendor(llm, "openai"), open_vendor(llm, "anthropic")
    timed = [with_deadlines(one, first_token_seconds=0.5, gap_seconds=0.5, total_seconds=5) for one in (first, second)]
    llm.play(say(), say())
    await complete(first, QUESTION)
    await complete(second, QUESTION)
    llm.calls.clear()
    yield Fallback([Candidate(Breaker(timed[0]), "gpt-5.4-mini"), Candidate(Breaker(timed[1]), "claude-haiku-5-5")])
    await first.close()
    await second.close()


WIRE: dict[str, tuple[Play, str]] = {
    "500": (fail(500), "server"),
    "429": (fail(429, retry_after="20"), "limit"),
    "401": (fail(401), "key"),
    "no credit": (fail(429, code="insufficient_quota"), "credit"),
    "hang": (hang(), "timeout"),
    "cut": (cut("We ", "op"), "broken"),
    "early end": (end_early("We open at"), "broken"),
    "error in a good stream": (error_in_stream("We "), "server"),
    "sign-in page": (html(), "broken"),
}


@pytest.mark.parametrize("case", WIRE)
async def test_another_vendor_takes_over(llm: LlmStand, pair: Fallback, case: str):
    play, fault = WIRE[case]
    llm.play(play, say("We open ", "at nine."))
    began = time.monotonic()
    answer = await complete(pair, QUESTION)
    assert time.monotonic() - began < 1.5, "half a second of patience, and what it takes"
    assert (answer.text, answer.done.model) == ("We open at nine.", "claude-haiku-5-5-20260317")
    assert [call.vendor for call in llm.calls] == ["openai", "anthropic"]
    llm.play(say("Hello."), say("Hello."))
    chunks = await everything(pair)
    again = chunks[0]
    assert isinstance(again, Attempt)
    # Left alone at once for what says how long, or only a person puts right; given another try for all else.
    assert again.outcome == ("skipped" if fault in {"limit", "key", "credit"} else "answered")


async def test_taking_over_costs_little(llm: LlmStand, pair: Fallback):
    """At most 20 ms more than asking the second one directly, in the middle."""
    second = open_vendor(llm, "anthropic")
    llm.default = say("We open.")
    took: dict[str, list[float]] = {"direct": [], "after a failure": []}
    for _ in range(15):
        took["direct"].append(await timed(second))
        llm.play(fail(500))
        took["after a failure"].append(await timed(pair))
        llm.play(say())
        await complete(pair, QUESTION)
    await second.close()
    assert median(took["after a failure"]) - median(took["direct"]) < 0.02


async def timed(provider: Provider) -> float:
    began = time.monotonic()
    await complete(provider, QUESTION)
    return time.monotonic() - began
