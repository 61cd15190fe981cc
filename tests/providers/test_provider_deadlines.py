import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from providers.prompts import ask
from stands.llm import LlmStand, Play, hang, say, stall
from switchboard.errors import ProviderBusy
from switchboard.providers import Capabilities, Chunk, Done, Prompt, Text, Usage, complete
from switchboard.providers.deadlines import with_deadlines
from switchboard.providers.openai import OpenAI

QUESTION = ask("When do you open?")


@pytest.fixture(autouse=True)
async def _warm(openai: OpenAI) -> None:
    await openai.warm()


async def test_a_model_that_does_not_begin(llm: LlmStand, openai: OpenAI):
    provider = with_deadlines(openai, first_token_seconds=0.1, gap_seconds=9, total_seconds=5)
    llm.play(hang())
    with pytest.raises(ProviderBusy, match=r"openai took longer than 0\.1 seconds for the first word"):
        await complete(provider, QUESTION)
    await llm.wait_for_gone(seconds=2)


async def test_a_model_that_only_thinks_aloud_does_not_begin(llm: LlmStand, openai: OpenAI):
    provider = with_deadlines(openai, first_token_seconds=0.1, gap_seconds=9, total_seconds=5)
    llm.play(Play(pieces=("",) * 1000, delay=0.01))
    with pytest.raises(ProviderBusy, match="first word"):
        await complete(provider, QUESTION)


async def test_a_model_that_does_not_end(llm: LlmStand, openai: OpenAI):
    provider = with_deadlines(openai, first_token_seconds=2, gap_seconds=9, total_seconds=2)
    llm.play(stall("We "))
    with pytest.raises(ProviderBusy, match=r"longer than 2 seconds for the whole answer"):
        await complete(provider, QUESTION)
    await llm.wait_for_gone(seconds=2)


async def test_a_model_that_drips_does_not_outlast_the_total(llm: LlmStand, openai: OpenAI):
    provider = with_deadlines(openai, first_token_seconds=2, gap_seconds=9, total_seconds=2)
    llm.play(say(*["x"] * 1000, delay=0.01))
    with pytest.raises(ProviderBusy, match="the whole answer"):
        await complete(provider, QUESTION)
    await llm.wait_for_gone(seconds=2)


async def test_after_the_first_word_only_the_total_counts():
    provider = with_deadlines(Paced(0.2), first_token_seconds=0.05, gap_seconds=9, total_seconds=10)
    assert (await complete(provider, QUESTION)).text == "We open."


async def test_a_reader_that_takes_its_time_is_not_interrupted():
    provider = with_deadlines(Paced(0), first_token_seconds=0.05, gap_seconds=9, total_seconds=0.05)
    async with aclosing(provider.stream(QUESTION)) as chunks:
        assert await anext(chunks) == Text("We ")
        await asyncio.sleep(0.1)  # The deadline passes here; a timeout around the whole stream would hit the reader.


async def test_a_reader_who_stops_early_ends_the_call(llm: LlmStand, openai: OpenAI):
    provider = with_deadlines(openai, first_token_seconds=5, gap_seconds=9, total_seconds=5)
    llm.play(stall("We "))
    async with aclosing(provider.stream(QUESTION)) as chunks:
        assert await anext(chunks) == Text("We ")
    await llm.wait_for_gone(seconds=2)


async def test_a_cancelled_reader_is_cancelled_and_not_busy(llm: LlmStand, openai: OpenAI):
    provider = with_deadlines(openai, first_token_seconds=5, gap_seconds=9, total_seconds=5)
    llm.play(hang())
    reading = asyncio.create_task(complete(provider, QUESTION))
    await llm.wait_for(1)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    await llm.wait_for_gone(seconds=2)


async def test_a_deadline_of_the_readers_own_stays_its_own(llm: LlmStand, openai: OpenAI):
    provider = with_deadlines(openai, first_token_seconds=5, gap_seconds=9, total_seconds=5)
    llm.play(hang())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await complete(provider, QUESTION)


class Paced:
    """A provider that begins at once and then pauses; without a pause it fails by a timeout of its own."""

    name = "paced"

    def __init__(self, pause: float) -> None:
        self.pause = pause
        self.ended = 0

    def capabilities(self, model: str) -> Capabilities:
        return Capabilities(tools=False, temperature=False)

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Chunk, None]:
        try:
            yield Text("We ")
            if not self.pause:
                raise TimeoutError("its own")
            await asyncio.sleep(self.pause)
            yield Text("open.")
            yield Done(Usage(), "stop", "m")
        finally:
            self.ended += 1

    async def close(self) -> None:
        pass


async def test_a_timeout_that_is_none_of_ours_is_not_hidden():
    provider = with_deadlines(Paced(0), first_token_seconds=5, gap_seconds=9, total_seconds=5)
    assert (provider.name, provider.capabilities("m")) == ("paced", Capabilities(tools=False, temperature=False))
    with pytest.raises(TimeoutError, match="its own"):
        await complete(provider, QUESTION)


async def test_the_providers_stream_is_closed_before_the_reader_goes_on():
    paced = Paced(5)
    provider = with_deadlines(paced, first_token_seconds=5, gap_seconds=9, total_seconds=5)
    async with aclosing(provider.stream(QUESTION)) as chunks:
        await anext(chunks)
    assert paced.ended == 1


async def test_the_providers_stream_is_closed_before_the_end_is_told():
    paced = Paced(0.01)
    async for chunk in with_deadlines(paced, first_token_seconds=5, gap_seconds=9, total_seconds=5).stream(QUESTION):
        assert paced.ended == isinstance(chunk, Done)
