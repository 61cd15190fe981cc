"""What is Mistral's alone; what every provider does is in contracts/test_provider.py."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from providers.prompts import ask
from stands.llm import LlmStand, Play, fail, flood
from stands.vendors import KEY
from switchboard.errors import ProviderBusy, ProviderMisconfigured
from switchboard.providers import Prompt, Said, complete
from switchboard.providers.mistral import Mistral

QUESTION = ask("When do you open?", "A passage that is not sent.", model="mistral-small-latest")


@pytest.fixture
async def mistral(llm: LlmStand) -> AsyncIterator[Mistral]:
    provider = Mistral(api_key=KEY, base_url=llm.mistral_url, patience=5)
    yield provider
    await provider.close()


async def test_the_request(llm: LlmStand, mistral: Mistral):
    said = (Said("user", "Hi"), Said("assistant", "Hello!"), Said("user", "When do you open?"))
    await complete(mistral, replace(QUESTION, messages=said, temperature=0.3, max_tokens=200))
    body, headers = llm.calls[0].body, llm.calls[0].headers
    assert headers["authorization"] == f"Bearer {KEY}"
    assert [(one["role"], one["content"]) for one in body["messages"]] == [
        ("system", "You answer for Acme."),
        ("user", "Hi"),
        ("assistant", "Hello!"),
        ("user", "When do you open?"),
    ]
    (tool,) = body["tools"]
    assert (tool["function"]["name"], tool["function"]["parameters"]["required"]) == ("hand_over", ["reason"])
    assert {name: body[name] for name in body.keys() - {"messages", "tools"}} == {
        "model": "mistral-small-latest",
        "temperature": 0.3,
        "max_tokens": 200,
        "stream": True,
    }


async def test_what_is_not_set_is_not_sent(llm: LlmStand, mistral: Mistral):
    await complete(mistral, Prompt("mistral-small-latest", "", (Said("user", "Hi"),), tools=()))
    assert llm.calls[0].body.keys() == {"model", "messages", "stream"}


async def test_thoughts_are_not_said(llm: LlmStand, mistral: Mistral):
    llm.play(flood(THOUGHT))
    assert (await complete(mistral, QUESTION)).text == "We open."


async def test_how_its_answers_end(llm: LlmStand, mistral: Mistral):
    llm.play(Play(pieces=("We ",), finish="model_length"), Play(pieces=("We ",), finish="error"))
    assert (await complete(mistral, QUESTION)).done.finish_reason == "length"
    with pytest.raises(ProviderBusy, match="gave up"):
        await complete(mistral, QUESTION)


@pytest.mark.parametrize("body", [b'{"detail": "Unauthorized"}', b"no JSON"])
async def test_errors_lie_open(llm: LlmStand, mistral: Mistral, body: bytes):
    llm.play(Play(status=401, raw=body), fail(400, "Invalid model: x", type="invalid_model", code="1500"))
    with pytest.raises(ProviderMisconfigured, match="rejects the key: check MISTRAL_API_KEY"):
        await complete(mistral, QUESTION)
    with pytest.raises(ProviderMisconfigured, match="has no model 'mistral-small-latest'"):
        await complete(mistral, QUESTION)


THOUGHT = b"""\
data: {"choices": [{"index": 0, "delta": {"content": [\
{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}, {"type": "text", "text": "We "}]}}]}

data: {"choices": [{"index": 0, "delta": {"content": "open."}, "finish_reason": "stop"}]}

data: [DONE]

"""
