"""What is Gemini's alone; what every provider does is in contracts/test_provider.py."""

import time
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from providers.prompts import ask
from stands.llm import LlmStand, Play, fail, flood
from stands.vendors import KEY
from switchboard.errors import ProviderBusy, ProviderMisconfigured, ProviderRefused
from switchboard.providers import Prompt, Said, complete
from switchboard.providers.gemini import Gemini

QUESTION = ask("When do you open?", "A passage that is not sent.", model="gemini-3.8-flash")
RETRY = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "17.5s"}


@pytest.fixture
async def gemini(llm: LlmStand) -> AsyncIterator[Gemini]:
    provider = Gemini(api_key=KEY, base_url=llm.url, patience=5)
    yield provider
    await provider.close()


async def test_the_request(llm: LlmStand, gemini: Gemini):
    said = (Said("user", "Hi"), Said("assistant", "Hello!"), Said("user", "When do you open?"))
    await complete(gemini, replace(QUESTION, messages=said, temperature=0.3, max_tokens=200))
    (call,) = llm.calls
    assert call.path == "/v1beta/models/gemini-3.8-flash:streamGenerateContent"
    assert call.headers["x-goog-api-key"] == KEY
    (tool,) = call.body.pop("tools")
    (function,) = tool["functionDeclarations"]
    assert (function["name"], function["parameters_json_schema"]["required"]) == ("hand_over", ["reason"])
    assert call.body == {
        "model": "gemini-3.8-flash",
        "systemInstruction": {"parts": [{"text": "You answer for Acme."}], "role": "user"},
        "contents": [
            {"role": "user", "parts": [{"text": "Hi"}]},
            {"role": "model", "parts": [{"text": "Hello!"}]},
            {"role": "user", "parts": [{"text": "When do you open?"}]},
        ],
        "generationConfig": {"temperature": 0.3, "maxOutputTokens": 200},
    }


async def test_what_is_not_set_is_not_sent(llm: LlmStand, gemini: Gemini):
    await complete(gemini, Prompt("gemini-3.8-flash", "", (Said("user", "Hi"),), tools=()))
    assert {name for name, value in llm.calls[0].body.items() if value} == {"model", "contents"}


async def test_thoughts_are_not_said(llm: LlmStand, gemini: Gemini):
    llm.play(flood(THOUGHT))
    answer = await complete(gemini, QUESTION)
    assert answer.text == "We open."
    assert (answer.done.usage.output_tokens, answer.done.usage.reasoning_tokens) == (40, 30)


async def test_it_says_when_in_its_body(llm: LlmStand, gemini: Gemini):
    llm.play(fail(429, details=[{"@type": "x"}, RETRY]), fail(429, details=[RETRY], retry_after="3"))
    for seconds in (17.5, 3):
        with pytest.raises(ProviderBusy) as caught:
            await complete(gemini, QUESTION)
        assert caught.value.retry_after == seconds


async def test_a_key_that_it_does_not_know(llm: LlmStand, gemini: Gemini):
    llm.play(fail(400, "API key not valid.", details=[{"@type": "ErrorInfo", "reason": "API_KEY_INVALID"}]))
    with pytest.raises(ProviderMisconfigured, match="rejects the key: check GEMINI_API_KEY"):
        await complete(gemini, QUESTION)


@pytest.mark.parametrize("reason", ["SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII"])
async def test_what_it_will_not_say(llm: LlmStand, gemini: Gemini, reason: str):
    llm.play(Play(pieces=(), finish=reason))
    with pytest.raises(ProviderRefused):
        await complete(gemini, QUESTION)


@pytest.mark.parametrize("reason", ["MALFORMED_FUNCTION_CALL", "OTHER"])
async def test_where_it_went_wrong(llm: LlmStand, gemini: Gemini, reason: str):
    llm.play(Play(pieces=("We ",), finish=reason))
    with pytest.raises(ProviderBusy, match=reason):
        await complete(gemini, QUESTION)


async def test_a_blocked_question_says_why(llm: LlmStand, gemini: Gemini):
    llm.play(Play(pieces=(), refusal="Not this."))
    with pytest.raises(ProviderRefused, match=r"Not this\."):
        await complete(gemini, QUESTION)


async def test_a_connection_that_fails_is_not_slept_upon():
    provider = Gemini(api_key=KEY, base_url="http://127.0.0.1:1", patience=5)
    await provider.warm()
    began = time.monotonic()
    with pytest.raises(ProviderBusy, match="cannot be reached"):
        await complete(provider, QUESTION)
    assert time.monotonic() - began < 1, "left to itself the SDK waits up to ten seconds and tries again"
    await provider.close()


THOUGHT = b"""\
data: {"candidates": [{"content": {"role": "model", "parts": [{"text": "Hm.", "thought": true}]}}]}\r
\r
data: {"candidates": [{"content": {"role": "model", "parts": [{"text": "We "}, {"text": "open."}]}}]}\r
\r
data: {"candidates": [{"finishReason": "STOP"}],\
 "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 10, "thoughtsTokenCount": 30}}\r
\r
"""
