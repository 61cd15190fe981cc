"""What is OpenAI's and its imitators' alone; what every provider does is in contracts/test_provider.py."""

from dataclasses import replace
from email.utils import format_datetime

import pytest

from providers.prompts import ask
from stands.llm import (
    LlmStand,
    Play,
    call_tool,
    fail,
    obey,
    say,
)
from switchboard import clock
from switchboard.errors import ProviderBusy, ProviderMisconfigured, ProviderRefused
from switchboard.providers import Capabilities, Prompt, Said, ToolCall, Usage, complete
from switchboard.providers.openai import OpenAI

QUESTION = ask("When do you open?")

BUSY = {
    "409": fail(409),
    "402 that says when": fail(402, retry_after="3"),
    "no choices": Play(pieces=("We ",), ending="junk value"),
    "gave up": Play(pieces=("We ",), finish="error"),
    "endless arguments": call_tool("hand_over", *["x" * 1_000] * 300),
}
REFUSED = {
    "400": fail(400, "This model's maximum context length is 8192 tokens.", code="context_length_exceeded"),
    "422": fail(422),
    "403 flagged": fail(403, "flagged", metadata={"flagged_input": "…", "reasons": ["violence"]}),
}
MISCONFIGURED = {
    "404": (fail(404, code="model_not_found"), "gpt-5.4-mini"),
    "404 path": (fail(404), "OPENAI_BASE_URL"),
    "400 no model": (fail(400, code="model_not_found"), "gpt-5.4-mini"),
    "400 ollama": (fail(400, "registry.ollama.ai/library/llama3:8b does not support tools"), "tools"),
    "400 vllm": (fail(400, '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser'), "tools"),
    "405": (fail(405), "OPENAI_BASE_URL"),
}


@pytest.mark.parametrize("case", BUSY)
async def test_busy(llm: LlmStand, openai: OpenAI, case: str):
    llm.play(BUSY[case])
    with pytest.raises(ProviderBusy) as caught:
        await complete(openai, QUESTION)
    assert caught.value.retry_after == (3 if "says when" in case else None)
    assert len(llm.calls) == 1, "whoever asks decides about another try, not the SDK"


@pytest.mark.parametrize("case", REFUSED)
async def test_refused(llm: LlmStand, openai: OpenAI, case: str):
    llm.play(REFUSED[case])
    with pytest.raises(ProviderRefused):
        await complete(openai, QUESTION)


@pytest.mark.parametrize("case", MISCONFIGURED)
async def test_misconfigured(llm: LlmStand, openai: OpenAI, case: str):
    play, words = MISCONFIGURED[case]
    llm.play(play)
    with pytest.raises(ProviderMisconfigured, match=words):
        await complete(openai, QUESTION)


async def test_waiting_times(llm: LlmStand, openai: OpenAI):
    for header, seconds in {"7": 7, "0.5": 0.5, "-3": 0, "86400": 600, "soon": None, "nan": None, "": None}.items():
        llm.play(fail(429, retry_after=header))
        with pytest.raises(ProviderBusy) as caught:
            await complete(openai, QUESTION)
        assert caught.value.retry_after == seconds, header
    llm.play(fail(503, retry_after=format_datetime(clock.now().replace(year=2400), usegmt=True)))
    with pytest.raises(ProviderBusy) as caught:
        await complete(openai, QUESTION)
    assert caught.value.retry_after == 600


async def test_of_a_huge_error_page_the_status_counts(llm: LlmStand, openai: OpenAI):
    llm.play(fail(404, "x" * 5_000_000), fail(400, "y" * 5_000_000))
    with pytest.raises(ProviderMisconfigured):
        await complete(openai, QUESTION)
    with pytest.raises(ProviderRefused) as caught:
        await complete(openai, QUESTION)
    assert len(caught.value.message) < 500


async def test_the_request(llm: LlmStand, openai: OpenAI, key: str):
    said = (Said("user", "Hi"), Said("assistant", "Hello!"), Said("user", "When do you open?"))
    prompt = replace(ask("", "A passage that is not sent.", model="local-model"), messages=said)
    await complete(openai, replace(prompt, temperature=0.3, max_tokens=200))
    body, headers = llm.calls[0].body, llm.calls[0].headers
    assert headers["authorization"] == f"Bearer {key}"
    assert headers["accept-encoding"] == "identity"
    assert body["messages"] == [
        {"role": "system", "content": "You answer for Acme."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello!"},
        {"role": "user", "content": "When do you open?"},
    ]
    assert [tool["function"]["name"] for tool in body["tools"]] == ["hand_over"]
    assert body["tools"][0]["function"]["parameters"]["required"] == ["reason"]
    assert {name: body[name] for name in body.keys() - {"messages", "tools"}} == {
        "model": "local-model",
        "temperature": 0.3,
        "max_tokens": 200,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


async def test_openai_itself_is_asked_in_its_newer_words(llm: LlmStand, monkeypatch: pytest.MonkeyPatch):
    # By way of a proxy, so that the address is OpenAI's and the server is ours.
    monkeypatch.setenv("HTTP_PROXY", llm.openai_url.removesuffix("/v1"))
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    provider = OpenAI(api_key="k", base_url="http://api.openai.com/v1", patience=5)
    await complete(provider, replace(QUESTION, max_tokens=200))
    await provider.close()
    assert llm.calls[0].headers["host"] == "api.openai.com"
    assert llm.calls[0].body["max_completion_tokens"] == 200
    assert "max_tokens" not in llm.calls[0].body


async def test_what_is_not_set_is_not_sent(llm: LlmStand, openai: OpenAI):
    await complete(openai, Prompt("local-model", "", (Said("user", "Hi"),), tools=()))
    assert llm.calls[0].body.keys() == {"model", "messages", "stream", "stream_options"}
    assert [message["role"] for message in llm.calls[0].body["messages"]] == ["user"]


@pytest.mark.parametrize(
    ("model", "temperature"),
    {
        "gpt-4.1-mini": True,
        "gpt-4o": True,
        "gpt-5-chat-latest": True,
        "llama3.3": True,
        "olmo-2": True,
        "gpt-5.4-mini": False,
        "gpt-6.1-sol": False,
        "o3": False,
        "o4-mini": False,
        "openai/gpt-5-mini": False,
        "ft:o4-mini:acme::1": False,
    }.items(),
)
async def test_reasoning_models_get_no_temperature(llm: LlmStand, openai: OpenAI, model: str, temperature: bool):
    assert openai.capabilities(model) == Capabilities(tools=True, temperature=temperature)
    await complete(openai, replace(QUESTION, model=model, temperature=0.5))
    assert ("temperature" in llm.calls[0].body) is temperature


async def test_tokens_are_those_reported_last(llm: LlmStand, openai: OpenAI):
    for place in ("own chunk", "last choice", "last piece", "every chunk"):
        llm.play(say("We ", "open.", usage=place))
        done = (await complete(openai, QUESTION)).done
        assert done.usage == Usage(11, 7, 3, 2), place
        assert done.model == "gpt-5.4-mini-2026-03-17"


async def test_tokens_that_nobody_reports_are_estimated(llm: LlmStand, openai: OpenAI):
    llm.play(say("Twelve chars", usage="none"))
    usage = (await complete(openai, QUESTION)).done.usage
    assert (usage.estimated, usage.output_tokens) == (True, 3)
    sent = len(str(llm.calls[0].body["messages"]) + str(llm.calls[0].body["tools"]))
    assert usage.input_tokens == pytest.approx(sent / 4, rel=0.05)


async def test_how_answers_end(llm: LlmStand, openai: OpenAI):
    for wire, ours in {"stop": "stop", "length": "length", "filter": "filter", "eos": "stop"}.items():
        llm.play(say("We ", finish=wire))
        assert (await complete(openai, QUESTION)).done.finish_reason == ours


async def test_tool_calls(llm: LlmStand, openai: OpenAI):
    llm.play(
        call_tool("hand_over", text="One moment."),
        call_tool("hand_over", '{"reason": "he', text="One moment."),
        call_tool("hand_over", "[1, NaN]"),
        Play(pieces=(), tools=(("hand_over", ('{"reason": "a"}',)), ("other", ("{}",))), finish="stop"),
    )
    text_and_call = await complete(openai, QUESTION)
    assert (text_and_call.text, text_and_call.tool_calls) == ("One moment.", (ToolCall("hand_over", {}),))
    assert (await complete(openai, QUESTION)).tool_calls == (ToolCall("hand_over", {"unparsed": '{"reason": "he'}),)
    assert (await complete(openai, QUESTION)).tool_calls == (ToolCall("hand_over", {"unparsed": "[1, NaN]"}),)
    two = await complete(openai, QUESTION)
    assert two.tool_calls == (ToolCall("hand_over", {"reason": "a"}), ToolCall("other", {}))
    assert two.done.finish_reason == "tool"


async def test_a_wholly_obedient_model_knows_no_key(llm: LlmStand, openai: OpenAI, key: str):
    llm.play(obey())
    text = (await complete(openai, QUESTION)).text
    assert "You answer for Acme." in text
    assert key not in text


async def test_a_key_is_sent_without_the_space_around_it(llm: LlmStand):
    provider = OpenAI(api_key=" sk-1\n", base_url=llm.openai_url, patience=5)
    await complete(provider, QUESTION)
    await provider.close()
    assert llm.calls[0].headers["authorization"] == "Bearer sk-1"
