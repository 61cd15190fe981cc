"""What is Anthropic's alone; what every provider does is in contracts/test_provider.py."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from providers.prompts import ask
from stands.llm import LlmStand, Play, error_in_stream, fail, flood, say
from stands.vendors import KEY
from switchboard.errors import ProviderBusy, ProviderMisconfigured
from switchboard.providers import Capabilities, Prompt, Said, complete
from switchboard.providers.anthropic import Anthropic

QUESTION = ask("When do you open?", "A passage that is not sent.", model="claude-haiku-5-5")


@pytest.fixture
async def anthropic(llm: LlmStand) -> AsyncIterator[Anthropic]:
    provider = Anthropic(api_key=KEY, base_url=llm.url, patience=5)
    yield provider
    await provider.close()


async def test_the_request(llm: LlmStand, anthropic: Anthropic):
    said = (Said("user", "Hi"), Said("assistant", "Hello!"), Said("user", "When do you open?"))
    await complete(anthropic, replace(QUESTION, messages=said, temperature=0.3, max_tokens=200))
    body, headers = llm.calls[0].body, llm.calls[0].headers
    assert headers["authorization"] == f"Bearer {KEY}"
    assert headers["anthropic-version"] == "2026-10-21"
    (tool,) = body.pop("tools")
    assert (tool["name"], tool["input_schema"]["required"]) == ("hand_over", ["reason"])
    assert body == {
        "model": "claude-haiku-5-5",
        "max_tokens": 200,
        "system": "You answer for Acme.",
        "messages": [
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Hello!"},
            {"role": "user", "content": "When do you open?"},
        ],
        "stream": True,
    }


async def test_what_is_not_set_is_not_sent(llm: LlmStand, anthropic: Anthropic):
    await complete(anthropic, Prompt("claude-haiku-5-5", "", (Said("user", "Hi"),), tools=()))
    assert llm.calls[0].body.keys() == {"model", "max_tokens", "messages", "stream"}
    assert llm.calls[0].body["max_tokens"] == 16_000, "the newer ones think within it"


@pytest.mark.parametrize(
    ("model", "temperature"),
    {
        "claude-3-5-haiku-20241022": True,
        "claude-sonnet-4-20250514": True,
        "claude-opus-4-1-20250805": True,
        "claude-haiku-4-5": True,
        "claude-haiku-4-5-20251001": True,
        "claude-sonnet-4-6": True,
        "claude-opus-4-6": True,
        "claude-opus-4-7": False,
        "claude-opus-4-10": False,
        "claude-haiku-5-5": False,
        "claude-sonnet-5": False,
        "claude-mythos-preview": False,
        "claude-of-the-future": False,
    }.items(),
)
def test_newer_models_take_no_temperature(anthropic: Anthropic, model: str, temperature: bool):
    assert anthropic.capabilities(model) == Capabilities(tools=True, temperature=temperature)


@pytest.mark.parametrize(("model", "temperature"), {"claude-haiku-4-5": True, "claude-haiku-5-5": False}.items())
async def test_a_temperature_goes_only_to_models_that_take_one(
    llm: LlmStand, anthropic: Anthropic, model: str, temperature: bool
):
    await complete(anthropic, replace(QUESTION, model=model, temperature=1.5))
    await complete(anthropic, replace(QUESTION, model=model))
    warm, plain = llm.calls
    assert warm.body.get("temperature") == (1.0 if temperature else None)
    assert warm.headers["anthropic-version"] == ("2023-06-01" if temperature else "2026-10-21")
    assert "temperature" not in plain.body
    assert plain.headers["anthropic-version"] == "2026-10-21"


async def test_the_user_speaks_first(llm: LlmStand, anthropic: Anthropic):
    said = (Said("assistant", "Welcome!"), Said("user", "Hi"))
    await complete(anthropic, replace(QUESTION, messages=said))
    assert [one["content"] for one in llm.calls[0].body["messages"]] == ["…", "Welcome!", "Hi"]


async def test_errors_of_its_own(llm: LlmStand, anthropic: Anthropic):
    llm.play(fail(402, "Pay first.", type="billing_error"), fail(529), error_in_stream("We ", message="Overloaded"))
    with pytest.raises(ProviderMisconfigured, match="credit"):
        await complete(anthropic, QUESTION)
    for words in ("HTTP 529", "Overloaded"):
        with pytest.raises(ProviderBusy, match=words):
            await complete(anthropic, QUESTION)


async def test_new_kinds_of_events_and_blocks_are_passed_over(llm: LlmStand, anthropic: Anthropic):
    llm.play(flood(THINKING))
    answer = await complete(anthropic, QUESTION)
    assert answer.text == "We open."
    assert not answer.tool_calls


async def test_a_stop_without_its_end_is_no_end(llm: LlmStand, anthropic: Anthropic):
    llm.play(flood(THINKING.replace(b"message_stop", b"message_halt")), Play(pieces=("We ",), finish="pause_turn"))
    with pytest.raises(ProviderBusy, match="message_stop"):
        await complete(anthropic, QUESTION)
    assert (await complete(anthropic, QUESTION)).done.finish_reason == "stop"


async def test_it_says_its_own_name(llm: LlmStand, anthropic: Anthropic):
    llm.play(say("We open."))
    assert (await complete(anthropic, QUESTION)).done.model == "claude-haiku-5-5-20260317"


THINKING = b"""\
event: message_start
data: {"type": "message_start", "message": {"model": "m", "usage": {"input_tokens": 5, "output_tokens": 1}}}

event: content_block_start
data: {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}}

event: content_block_delta
data: {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "Hm."}}

event: a_new_one
data: {"type": "a_new_one", "text": "not for anybody"}

event: content_block_start
data: {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}}

event: content_block_delta
data: {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "We open."}}

event: message_delta
data: {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 9}}

event: message_stop
data: {"type": "message_stop"}

"""
