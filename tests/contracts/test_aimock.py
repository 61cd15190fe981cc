"""The providers on their real SDKs against a server that others wrote after the vendors' documentation."""

import os
from collections.abc import AsyncIterator, Iterator

import pytest

from providers.prompts import ask
from stands import aimock
from stands.aimock import Aimock
from stands.vendors import VENDORS
from switchboard.errors import ProviderBusy, ProviderMisconfigured
from switchboard.providers import Prompt, Provider, ToolCall, complete

LONG = "We open at nine. On Sundays we open at ten."
USAGE = {
    "prompt_tokens": 11,
    "completion_tokens": 7,
    "total_tokens": 18,
    "input_tokens": 11,
    "output_tokens": 7,
    "promptTokenCount": 11,
    "candidatesTokenCount": 7,
    "totalTokenCount": 18,
}
FIXTURES = [
    {"asked": "When do you open?", "response": {"content": LONG, "usage": USAGE}},
    {
        "asked": "A person, please.",
        "response": {"toolCalls": [{"name": "hand_over", "arguments": '{"reason": "A person is asked for."}'}]},
    },
    {"asked": "too often", "response": {"error": {"message": "slow down"}, "status": 429, "retryAfter": 7}},
    {"asked": "bad key", "response": {"error": {"message": "no", "type": "authentication_error"}, "status": 401}},
    {"asked": "down", "response": {"error": {"message": "no", "type": "api_error"}, "status": 500}},
    {"asked": "cut off", "response": {"content": LONG}, "truncateAfterChunks": 3},
]


@pytest.fixture(scope="module")
def server() -> Iterator[Aimock]:
    if reason := aimock.missing():
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)
    with Aimock(*FIXTURES) as server:
        yield server


@pytest.fixture(params=VENDORS)
async def vendor(request: pytest.FixtureRequest, server: Aimock) -> AsyncIterator[Provider]:
    provider = VENDORS[request.param](server.url_of(request.param), "k", 5)
    yield provider
    await provider.close()


def asking(provider: Provider, question: str) -> Prompt:
    models = {"anthropic": "claude-haiku-5-5", "gemini": "gemini-3.8-flash", "mistral": "mistral-small-latest"}
    return ask(question, model=models.get(provider.name, "gpt-5.4-mini"))


async def test_text_and_tokens(vendor: Provider):
    answer = await complete(vendor, asking(vendor, "When do you open?"))
    assert (answer.text, answer.done.finish_reason) == (LONG, "stop")
    # It reports none in Mistral's streams, unless asked in OpenAI's way.
    if vendor.name != "mistral":
        assert (answer.done.usage.input_tokens, answer.done.usage.output_tokens) == (11, 7)


async def test_a_call_of_the_tool(vendor: Provider):
    answer = await complete(vendor, asking(vendor, "A person, please."))
    assert answer.tool_calls == (ToolCall("hand_over", {"reason": "A person is asked for."}),)
    assert answer.done.finish_reason == "tool"


async def test_a_rate_limit(vendor: Provider):
    with pytest.raises(ProviderBusy) as caught:
        await complete(vendor, asking(vendor, "too often"))
    assert (caught.value.fault, caught.value.retry_after) == ("limit", 7)


async def test_a_bad_key_and_a_broken_server(vendor: Provider):
    with pytest.raises(ProviderMisconfigured) as caught:
        await complete(vendor, asking(vendor, "bad key"))
    assert caught.value.fault == "key"
    with pytest.raises(ProviderBusy) as broken:
        await complete(vendor, asking(vendor, "down"))
    assert broken.value.fault == "server"


async def test_an_answer_that_is_cut_off(vendor: Provider):
    with pytest.raises(ProviderBusy) as caught:
        await complete(vendor, asking(vendor, "cut off"))
    assert caught.value.fault == "broken"
