"""What every provider does, whatever it is made of. A new one joins with a class of its own here."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Protocol

import pytest

from providers.prompts import ask
from stands.llm import LlmStand, Play, call_tool, say
from switchboard.errors import ProviderRefused
from switchboard.providers import Chunk, Done, Prompt, Provider, Text, ToolCall, complete
from switchboard.providers.deadlines import with_deadlines
from switchboard.providers.extractive import Extractive
from switchboard.providers.openai import OpenAI

LONG = "We open at nine. On Sundays we open at ten."


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


class TheOpenAI:
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
        return ask("When do you open?")


class TheExtractive:
    provider: Provider = Extractive()

    def answers(self) -> Prompt:
        return ask("When do you open?", LONG)

    def hands_over(self) -> Prompt:
        return ask("I want to talk to a human.", LONG)

    def refuses(self) -> Prompt:
        return ask("I want to talk to a human.", LONG, tools=())


@pytest.fixture(params=["openai", "openai with deadlines", "extractive"])
async def subject(request: pytest.FixtureRequest, llm: LlmStand, openai: OpenAI) -> AsyncIterator[Subject]:
    if request.param == "openai":
        yield TheOpenAI(llm, openai)
    elif request.param == "openai with deadlines":
        yield TheOpenAI(llm, with_deadlines(openai, first_token_seconds=5, total_seconds=10))
    else:
        yield TheExtractive()


async def test_text_comes_in_pieces_and_then_exactly_one_end(subject: Subject):
    chunks = await everything(subject.provider, subject.answers())
    *texts, done = chunks
    assert all(isinstance(chunk, Text) and chunk.text for chunk in texts)
    assert len(texts) > 1
    assert "".join(chunk.text for chunk in texts if isinstance(chunk, Text)) == LONG
    assert isinstance(done, Done)
    assert (done.finish_reason, bool(done.model)) == ("stop", True)
    assert not done.usage.estimated


async def test_a_tool_call_comes_whole(subject: Subject):
    chunks = await everything(subject.provider, subject.hands_over())
    call, done = chunks
    assert call == ToolCall("hand_over", {"reason": "The customer asks for a person."})
    assert isinstance(done, Done)
    assert done.finish_reason == "tool"


async def test_a_refusal_is_an_error(subject: Subject):
    prompt = subject.refuses()
    with pytest.raises(ProviderRefused):
        await everything(subject.provider, prompt)


async def test_a_reader_who_stops_early_ends_the_stream(subject: Subject):
    async with aclosing(subject.provider.stream(subject.answers())) as chunks:
        assert isinstance(await anext(chunks), Text)
    with pytest.raises(StopAsyncIteration):
        await anext(chunks)


async def test_one_provider_answers_again_and_again(subject: Subject):
    first = await complete(subject.provider, subject.answers())
    second = await complete(subject.provider, subject.hands_over())
    third = await complete(subject.provider, subject.answers())
    assert (first.text, second.text, third.text) == (LONG, "", LONG)
    assert [call.name for call in second.tool_calls] == ["hand_over"]


async def everything(provider: Provider, prompt: Prompt) -> list[Chunk]:
    return [chunk async for chunk in provider.stream(prompt)]
