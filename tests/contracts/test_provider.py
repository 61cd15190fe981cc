"""What every provider does, whatever it is made of. A new one joins in `VENDORS`, or with a class of its own here."""

import asyncio
import socket
import traceback
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from typing import Protocol

import pytest

from providers.prompts import ask
from stands.llm import (
    LlmStand,
    Play,
    babble,
    bomb,
    call_tool,
    cut,
    empty,
    end_early,
    error_in_stream,
    fail,
    flood,
    hang,
    html,
    junk,
    say,
    stall,
)
from stands.vendors import KEY, VENDORS, open_vendor
from switchboard.errors import ProviderBusy, ProviderError, ProviderMisconfigured, ProviderRefused
from switchboard.providers import Attempt, Chunk, Done, Prompt, Provider, Said, Text, ToolCall, Usage, complete
from switchboard.providers.breaker import Breaker
from switchboard.providers.deadlines import with_deadlines
from switchboard.providers.extractive import Extractive
from switchboard.providers.fallback import Candidate, Fallback

LONG = "We open at nine. On Sundays we open at ten."
QUESTION = ask("When do you open?", model="m")


class Subject(Protocol):
    """A provider, and the prompts that make it do a thing."""

    provider: Provider

    def answers(self) -> Prompt:
        """With `LONG`, in more than one piece."""
        ...

    def hands_over(self) -> Prompt:
        """With a call of `hand_over`."""
        ...

    def refuses(self) -> Prompt:
        """With `ProviderRefused`."""
        ...


class TheVendor:
    def __init__(self, llm: LlmStand, provider: Provider) -> None:
        self.llm, self.provider = llm, provider

    def answers(self) -> Prompt:
        return self._next(say("We open at nine.", " On Sundays we open at ten."))

    def hands_over(self) -> Prompt:
        return self._next(call_tool("hand_over", '{"rea', 'son": "The customer ', 'asks for a person."}'))

    def refuses(self) -> Prompt:
        return self._next(Play(pieces=(), finish="filter"))

    def _next(self, play: Play) -> Prompt:
        self.llm.play(play)
        return QUESTION


class TheExtractive:
    provider: Provider = Extractive()

    def answers(self) -> Prompt:
        return ask("When do you open?", LONG)

    def hands_over(self) -> Prompt:
        return ask("I want to talk to a human.", LONG)

    def refuses(self) -> Prompt:
        return ask("I want to talk to a human.", LONG, tools=())


def wrapped(provider: Provider) -> Provider:
    """As the registry hands them out."""
    timed = with_deadlines(provider, first_token_seconds=5, gap_seconds=5, total_seconds=10)
    return Fallback([Candidate(Breaker(timed), "m")])


@pytest.fixture(params=VENDORS)
async def vendor(request: pytest.FixtureRequest, llm: LlmStand) -> AsyncIterator[Provider]:
    provider = open_vendor(llm, request.param)
    yield provider
    await provider.close()


@pytest.fixture(params=[*VENDORS, "wrapped", "extractive"])
async def subject(request: pytest.FixtureRequest, llm: LlmStand) -> AsyncIterator[Subject]:
    if request.param == "extractive":
        yield TheExtractive()
        return
    provider = open_vendor(llm, "openai" if request.param == "wrapped" else request.param)
    yield TheVendor(llm, wrapped(provider) if request.param == "wrapped" else provider)
    await provider.close()


# All of them.


async def test_text_comes_in_pieces_and_then_exactly_one_end(subject: Subject):
    *texts, done = await everything(subject.provider, subject.answers())
    assert all(isinstance(chunk, Text) and chunk.text for chunk in texts)
    assert len(texts) > 1
    assert "".join(chunk.text for chunk in texts if isinstance(chunk, Text)) == LONG
    assert isinstance(done, Done)
    assert (done.finish_reason, bool(done.model)) == ("stop", True)
    assert not done.usage.estimated


async def test_a_tool_call_comes_whole(subject: Subject):
    call, done = await everything(subject.provider, subject.hands_over())
    assert call == ToolCall("hand_over", {"reason": "The customer asks for a person."})
    assert isinstance(done, Done)
    assert done.finish_reason == "tool"


async def test_a_refusal_is_an_error(subject: Subject):
    prompt = subject.refuses()
    with pytest.raises(ProviderRefused):
        await everything(subject.provider, prompt)


async def test_a_reader_who_stops_early_ends_the_stream(subject: Subject):
    async with aclosing(subject.provider.stream(subject.answers())) as chunks:
        async for chunk in chunks:
            if isinstance(chunk, Text):
                break
    with pytest.raises(StopAsyncIteration):
        await anext(chunks)


async def test_one_provider_answers_again_and_again(subject: Subject):
    first = await complete(subject.provider, subject.answers())
    second = await complete(subject.provider, subject.hands_over())
    third = await complete(subject.provider, subject.answers())
    assert (first.text, second.text, third.text) == (LONG, "", LONG)
    assert [call.name for call in second.tool_calls] == ["hand_over"]


# Those behind an SDK.


async def test_tokens_are_those_reported_with_cached_and_reasoning_ones(llm: LlmStand, vendor: Provider):
    llm.play(say("We ", "open.", tokens=(1100, 70, 1000, 20)))
    done = (await complete(vendor, QUESTION)).done
    assert done.usage == Usage(input_tokens=1100, output_tokens=70, cached_tokens=1000, reasoning_tokens=20)
    assert done.model.startswith("m-"), "as the vendor names it"


async def test_tokens_that_nobody_reports_are_estimated(llm: LlmStand, vendor: Provider):
    llm.play(say("Twelve chars", usage="none"))
    usage = (await complete(vendor, QUESTION)).done.usage
    assert (usage.estimated, usage.output_tokens) == (True, 3)
    assert 100 < usage.input_tokens < 200


async def test_how_answers_end(llm: LlmStand, vendor: Provider):
    for wire, ours in {"stop": "stop", "length": "length", "filter": "filter"}.items():
        llm.play(say("We ", finish=wire))
        assert (await complete(vendor, QUESTION)).done.finish_reason == ours


async def test_text_and_calls(llm: LlmStand, vendor: Provider):
    llm.play(
        call_tool("hand_over", text="One moment."),
        Play(pieces=(), tools=(("hand_over", ('{"reason": "a"}',)), ("other", ("{}",))), finish="tool"),
    )
    text_and_call = await complete(vendor, QUESTION)
    assert (text_and_call.text, text_and_call.tool_calls) == ("One moment.", (ToolCall("hand_over", {}),))
    two = await complete(vendor, QUESTION)
    assert two.tool_calls == (ToolCall("hand_over", {"reason": "a"}), ToolCall("other", {}))


async def test_arguments_that_make_no_sense_are_no_crash(llm: LlmStand, vendor: Provider):
    for garbage in ('{"reason": "he', "[1,2]", "NaN"):
        llm.play(call_tool("hand_over", garbage, text="One moment."))
        try:
            (call,) = (await complete(vendor, QUESTION)).tool_calls
        except ProviderBusy as error:
            assert error.fault == "broken"  # noqa: PT017 - where the SDK itself will not have them
        else:
            assert call == ToolCall("hand_over", {"unparsed": garbage})


BUSY = {
    "408": (fail(408), "server"),
    "429": (fail(429), "limit"),
    "429 that says when": (fail(429, retry_after="7"), "limit"),
    "500": (fail(500), "server"),
    "502 page": (Play(status=502, raw=b"<html>", content_type="text/html"), "server"),
    "503 that says when": (fail(503, retry_after="7"), "server"),
    "529": (fail(529), "server"),
    "html": (html(), "broken"),
    "empty body": (empty(), "broken"),
    "compressed": (bomb(), "broken"),
    "cut before the text": (cut(), "broken"),
    "cut": (cut("We "), "broken"),
    "clean early end": (end_early("We open."), "broken"),
    "clean early end of nothing": (end_early(), "broken"),
    "error object": (error_in_stream("We "), "server"),
    "error object first": (error_in_stream(), "server"),
    "junk": (junk("We "), "broken"),
    "no object": (Play(pieces=("We ",), ending="junk value"), "broken"),
    "said nothing": (Play(pieces=()), "broken"),
    "endless": (babble(), "broken"),
    "endless line": (say("x" * 1_500_000), "broken"),
    "endless comments": (flood(b": " + b"x" * 500_000 + b"\n", 70), "broken"),
    "endless event": (flood(b"data: " + b"x" * 500 + b"\n", 70_000), "broken"),
    "one line without end": (flood(b"data: " + b" " * 3_000_000), "broken"),
    "endless arguments": (call_tool("hand_over", *["x" * 1_000] * 1_300), "broken"),
}


@pytest.mark.parametrize("case", BUSY)
async def test_busy(llm: LlmStand, vendor: Provider, case: str):
    play, fault = BUSY[case]
    llm.play(play)
    with pytest.raises(ProviderBusy) as caught:
        await complete(vendor, QUESTION)
    assert (caught.value.fault, caught.value.retry_after) == (fault, 7 if "says when" in case else None)
    assert caught.value.turned_away == (play.status != 200)
    assert len(llm.calls) == 1, "whoever asks decides about another try, not the SDK"


async def test_an_event_is_not_gathered_for_ever(llm: LlmStand, vendor: Provider):
    llm.play(flood(b"data: " + b"x" * 500 + b"\n", 10_000))
    with pytest.raises(ProviderBusy, match="more than an answer can be"):
        await complete(vendor, QUESTION)


async def test_what_came_before_a_failure_was_given_out(llm: LlmStand, vendor: Provider):
    for play in (cut("We ", "open"), end_early("We ", "open"), error_in_stream("We ", "open"), junk("We ", "open")):
        llm.play(play)
        heard: list[Chunk] = []
        with pytest.raises(ProviderBusy):
            await listen(vendor, heard)
        assert heard == [Text("We "), Text("open")]


REFUSED = {
    "400": (fail(400, "prompt is too long: 9000 tokens > 8192 maximum"), "prompt"),
    "413": (fail(413), "prompt"),
    "filter": (Play(pieces=(), finish="filter"), "filter"),
    "refusal": (Play(pieces=(), refusal="I cannot help with that."), "filter"),
    "no tokens left": (Play(pieces=(), finish="length"), "prompt"),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_refused(llm: LlmStand, vendor: Provider, case: str):
    play, fault = REFUSED[case]
    llm.play(play)
    with pytest.raises(ProviderRefused) as caught:
        await complete(vendor, QUESTION)
    assert caught.value.fault == fault
    if case == "400":
        assert "prompt is too long: 9000 tokens" in caught.value.message


MISCONFIGURED = {
    "401": (fail(401), "key"),
    "400 gemini": (fail(400, "API key not valid.", details=[{"reason": "API_KEY_INVALID"}]), "key"),
    "403": (fail(403), "model"),
    "404": (fail(404), "model"),
    "402": (fail(402), "credit"),
    "429 openai": (fail(429, code="insufficient_quota"), "credit"),
    "400 anthropic": (fail(400, "Your credit balance is too low to access the Anthropic API."), "credit"),
    "429 gemini": (fail(429, "Your prepayment credits are depleted."), "credit"),
    "400 gemini country": (fail(400, "Unsupported location.", code="FAILED_PRECONDITION"), "model"),
    "405": (fail(405), "model"),
    "307": (Play(status=307, headers={"location": "http://127.0.0.1:1/v1"}), "model"),
}


@pytest.mark.parametrize("case", MISCONFIGURED)
async def test_misconfigured(llm: LlmStand, vendor: Provider, case: str):
    play, fault = MISCONFIGURED[case]
    llm.play(play)
    with pytest.raises(ProviderMisconfigured) as caught:
        await complete(vendor, QUESTION)
    assert (caught.value.fault, caught.value.turned_away) == (fault, True)
    assert "_KEY" in caught.value.message or "_SERVERS" in caught.value.message or "_BASE_URL" in caught.value.message


@pytest.mark.parametrize("name", VENDORS)
async def test_nobody_listens(name: str):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    provider = VENDORS[name](f"http://127.0.0.1:{port}", "k", 5)
    with pytest.raises(ProviderBusy) as caught:
        await complete(provider, QUESTION)
    assert (caught.value.fault, caught.value.turned_away) == ("unreachable", True)
    await provider.close()


async def test_a_model_that_does_not_begin(llm: LlmStand, vendor: Provider):
    await complete(vendor, QUESTION)
    llm.play(hang())
    provider = with_deadlines(vendor, first_token_seconds=0.2, gap_seconds=5, total_seconds=5)
    with pytest.raises(ProviderBusy, match=r"0\.2 seconds for the first word") as caught:
        await complete(provider, QUESTION)
    assert caught.value.fault == "timeout"
    await llm.wait_for_gone()


async def test_a_model_that_pauses_and_one_that_drips(llm: LlmStand, vendor: Provider):
    await complete(vendor, QUESTION)
    llm.play(stall("We "), say(*["x"] * 1_000, delay=0.02))
    provider = with_deadlines(vendor, first_token_seconds=2, gap_seconds=0.5, total_seconds=2)
    with pytest.raises(ProviderBusy, match=r"0\.5 seconds for the next word"):
        await complete(provider, QUESTION)
    with pytest.raises(ProviderBusy, match="2 seconds for the whole answer"):
        await complete(provider, QUESTION)
    await llm.wait_for_gone(2)


@pytest.mark.parametrize("name", VENDORS)
async def test_silence_on_the_wire_ends_an_answer_by_itself(llm: LlmStand, name: str):
    provider = open_vendor(llm, name, patience=0.3)
    await complete(provider, QUESTION)
    llm.play(hang(), stall("We "))
    for _ in range(2):
        with pytest.raises(ProviderBusy, match=r"sent nothing for 0\.3 seconds") as caught:
            await complete(provider, QUESTION)
        assert caught.value.fault == "timeout"
    await llm.wait_for_gone(2)
    await provider.close()


async def test_the_server_learns_at_once_that_nobody_listens_any_more(llm: LlmStand, vendor: Provider):
    llm.play(stall("We "))
    async with aclosing(vendor.stream(QUESTION)) as chunks:
        assert await anext(chunks) == Text("We ")
    await llm.wait_for_gone(seconds=2)


async def test_a_cancelled_reader_hangs_up(llm: LlmStand, vendor: Provider):
    llm.play(hang())
    reading = asyncio.create_task(complete(vendor, QUESTION))
    await llm.wait_for(1)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    await llm.wait_for_gone(seconds=2)


async def test_an_endless_answer_is_not_read_to_its_end(llm: LlmStand, vendor: Provider):
    llm.play(babble(20_000_000, piece=10_000))
    with pytest.raises(ProviderBusy, match="200000 characters"):
        await complete(vendor, QUESTION)
    await llm.wait_for_gone(seconds=5)
    assert llm.sent_pieces < 1_500


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500])
async def test_a_key_that_the_server_repeats_goes_no_further(llm: LlmStand, vendor: Provider, status: int):
    llm.play(fail(status, f"Incorrect API key provided: {KEY}\x1b[31m\nfor you"))
    with pytest.raises(ProviderError) as caught:
        await complete(vendor, QUESTION)
    assert KEY not in "".join(traceback.format_exception(caught.value))
    assert caught.value.message.isprintable()


async def test_the_key_is_sent_to_the_server_and_shown_nowhere_else(llm: LlmStand, vendor: Provider):
    await complete(vendor, QUESTION)
    (call,) = llm.calls
    told = [name for name, value in call.headers.items() if KEY in value]
    assert told in (["authorization"], ["x-goog-api-key"])
    assert KEY not in str(call.body) + call.path
    assert call.headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("name", VENDORS)
@pytest.mark.parametrize("key", ["sk-кey", "sk-a\nb"])
def test_a_key_that_is_none(llm: LlmStand, name: str, key: str):
    with pytest.raises(ProviderMisconfigured, match="_KEY") as caught:
        open_vendor(llm, name, key=key)
    assert key not in caught.value.message


@pytest.mark.parametrize("name", VENDORS)
@pytest.mark.parametrize("url", ["localhost:11434", "file:///etc", "http://[::1/v1", "http://"])
def test_an_address_that_is_none(name: str, url: str):
    with pytest.raises(ProviderMisconfigured, match=r"_BASE_URL|OPENAI_SERVERS"):
        VENDORS[name](url, "k", 5)


@pytest.mark.parametrize("name", VENDORS)
async def test_the_environment_of_the_sdk_is_not_shown_to_the_server(
    llm: LlmStand, name: str, monkeypatch: pytest.MonkeyPatch
):
    for variable in SDK_VARIABLES:
        monkeypatch.setenv(variable, "X-Canary: canary" if variable.endswith("HEADERS") else "canary")
    for variable in ("OPENAI_BASE_URL", "ANTHROPIC_BASE_URL", "GOOGLE_GEMINI_BASE_URL"):
        monkeypatch.setenv(variable, "http://127.0.0.1:1/v1")
    provider = open_vendor(llm, name, key=None)
    await complete(provider, QUESTION)
    await provider.close()
    assert "canary" not in str(llm.calls[0].headers)


SDK_VARIABLES = (
    "OPENAI_API_KEY",
    "OPENAI_ORG_ID",
    "OPENAI_PROJECT_ID",
    "OPENAI_ADMIN_KEY",
    "OPENAI_CUSTOM_HEADERS",
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_AUTH_TOKEN",
    "ANTHROPIC_CUSTOM_HEADERS",
    "MISTRAL_API_KEY",
    "GOOGLE_API_KEY",
    "GEMINI_API_KEY",
)


async def test_first_uses_at_the_same_time_share_one_client(llm: LlmStand, vendor: Provider):
    answers = await asyncio.gather(*(complete(vendor, QUESTION) for _ in range(5)))
    assert len({answer.text for answer in answers}) == 1
    assert len(llm.calls) == 5


async def test_what_was_said_is_told_in_order(llm: LlmStand, vendor: Provider):
    said = (Said("user", "Hi"), Said("assistant", "Hello!"), Said("user", "When do you open?"))
    await complete(vendor, replace(QUESTION, messages=said, temperature=0.3, max_tokens=200))
    told = str(llm.calls[0].body)
    places = [told.index(text) for text in ("'Hi'", "Hello!", "When do you open?")]
    assert places == sorted(places)
    assert "You answer for Acme." in told
    assert "hand_over" in told
    assert "200" in told


async def everything(provider: Provider, prompt: Prompt) -> list[Chunk]:
    return [chunk async for chunk in provider.stream(prompt) if not isinstance(chunk, Attempt)]


async def listen(provider: Provider, heard: list[Chunk]) -> None:
    async for chunk in provider.stream(QUESTION):
        heard.append(chunk)
