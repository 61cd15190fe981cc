import asyncio
import socket
import traceback
from contextlib import aclosing
from dataclasses import replace
from email.utils import format_datetime

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
    obey,
    say,
    stall,
)
from switchboard import clock
from switchboard.errors import ProviderBusy, ProviderError, ProviderMisconfigured, ProviderRefused
from switchboard.providers import Capabilities, Chunk, Prompt, Said, Text, ToolCall, Usage, complete
from switchboard.providers.openai import OpenAI

QUESTION = ask("When do you open?")

BUSY = {
    "429": fail(429),
    "408": fail(408),
    "409": fail(409),
    "500": fail(500),
    "503": fail(503),
    "529": fail(529),
    "402 that says when": fail(402, retry_after="3"),
    "html": html(),
    "empty body": empty(),
    "compressed": bomb(),
    "cut before the text": cut(),
    "cut": cut("We "),
    "no finish_reason": end_early("We open."),
    "error object": error_in_stream("We "),
    "error object first": error_in_stream(),
    "junk": junk("We "),
    "no object": Play(pieces=("We ",), ending="junk value"),
    "gave up": Play(pieces=("We ",), finish="error"),
    "said nothing": Play(pieces=()),
    "endless": babble(),
    "endless line": say("x" * 1_500_000),
    "endless arguments": call_tool("hand_over", *["x" * 1_000] * 300),
}
REFUSED = {
    "400": fail(400, "This model's maximum context length is 8192 tokens.", code="context_length_exceeded"),
    "413": fail(413),
    "422": fail(422),
    "403 flagged": fail(403, "flagged", metadata={"flagged_input": "…", "reasons": ["violence"]}),
    "filter": Play(pieces=(), finish="filter"),
    "refusal": Play(pieces=(), refusal="I cannot help with that."),
    "no tokens left": Play(pieces=(), finish="length"),
}
MISCONFIGURED = {
    "401": (fail(401), "OPENAI_API_KEY"),
    "403": (fail(403), "OPENAI_API_KEY"),
    "404": (fail(404, code="model_not_found"), "gpt-5.4-mini"),
    "404 path": (fail(404), "OPENAI_BASE_URL"),
    "400 no model": (fail(400, code="model_not_found"), "gpt-5.4-mini"),
    "400 ollama": (fail(400, "registry.ollama.ai/library/llama3:8b does not support tools"), "tools"),
    "400 vllm": (fail(400, '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser'), "tools"),
    "402": (fail(402), "credit"),
    "429 no credit": (fail(429, code="insufficient_quota"), "credit"),
    "405": (fail(405), "OPENAI_BASE_URL"),
    "307": (Play(status=307, headers={"location": "http://127.0.0.1:1/v1"}), "OPENAI_BASE_URL"),
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


async def test_a_refusal_says_why(llm: LlmStand, openai: OpenAI):
    llm.play(REFUSED["400"], REFUSED["refusal"])
    with pytest.raises(ProviderRefused, match="maximum context length is 8192"):
        await complete(openai, QUESTION)
    with pytest.raises(ProviderRefused, match="I cannot help with that"):
        await complete(openai, QUESTION)


async def test_what_came_before_a_failure_was_given_out(llm: LlmStand, openai: OpenAI):
    for play in (cut("We ", "open"), end_early("We ", "open"), error_in_stream("We ", "open"), junk("We ", "open")):
        llm.play(play)
        heard: list[Chunk] = []
        with pytest.raises(ProviderBusy):
            await listen(openai, heard)
        assert heard == [Text("We "), Text("open")]


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


async def test_nobody_listens():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    provider = OpenAI(api_key="k", base_url=f"http://127.0.0.1:{port}/v1", patience=5)
    with pytest.raises(ProviderBusy, match="ConnectError"):
        await complete(provider, QUESTION)
    await provider.close()


async def test_silence_before_and_within_an_answer_ends_it(llm: LlmStand):
    provider = OpenAI(api_key="k", base_url=llm.openai_url, patience=0.2)
    await provider.warm()
    llm.play(hang(), stall("We "))
    for _ in range(2):
        with pytest.raises(ProviderBusy, match=r"sent nothing for 0\.2 seconds"):
            await complete(provider, QUESTION)
    await llm.wait_for_gone(2)
    await provider.close()


async def test_the_server_learns_at_once_that_nobody_listens_any_more(llm: LlmStand, openai: OpenAI):
    llm.play(stall("We ", then=("open.",)))
    async with aclosing(openai.stream(QUESTION)) as chunks:
        assert await anext(chunks) == Text("We ")
    await llm.wait_for_gone(seconds=2)


async def test_a_cancelled_reader_hangs_up(llm: LlmStand, openai: OpenAI):
    llm.play(hang())
    reading = asyncio.create_task(complete(openai, QUESTION))
    await llm.wait_for(1)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    await llm.wait_for_gone(seconds=2)


async def test_an_endless_answer_is_not_read_to_its_end(llm: LlmStand, openai: OpenAI):
    llm.play(babble(20_000_000, piece=10_000))
    with pytest.raises(ProviderBusy, match="200000 characters"):
        await complete(openai, QUESTION)
    await llm.wait_for_gone(seconds=5)
    assert llm.sent_pieces < 1_500


async def test_a_compressed_answer_is_not_unfolded(llm: LlmStand, openai: OpenAI):
    llm.play(bomb())
    with pytest.raises(ProviderBusy, match="compressed"):
        await complete(openai, QUESTION)


@pytest.mark.parametrize("play", [flood(b": " + b"x" * 500_000 + b"\n", 70), flood(b"data: " + b" " * 3_000_000)])
async def test_an_answer_without_words_is_not_read_for_ever(llm: LlmStand, openai: OpenAI, play: Play):
    llm.play(play)
    with pytest.raises(ProviderBusy, match="more than an answer can be"):
        await complete(openai, QUESTION)


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


async def test_the_environment_of_the_sdk_is_not_shown_to_the_server(llm: LlmStand, monkeypatch: pytest.MonkeyPatch):
    for name in ("OPENAI_API_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_ADMIN_KEY"):
        monkeypatch.setenv(name, "canary")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    provider = OpenAI(api_key=None, base_url=llm.openai_url, patience=5)
    await complete(provider, QUESTION)
    await provider.close()
    assert "canary" not in str(llm.calls[0].headers)


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


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500])
async def test_a_key_that_the_server_repeats_goes_no_further(llm: LlmStand, openai: OpenAI, key: str, status: int):
    llm.play(fail(status, f"Incorrect API key provided: {key}\x1b[31m\nfor you"))
    with pytest.raises(ProviderError) as caught:
        await complete(openai, QUESTION)
    assert key not in "".join(traceback.format_exception(caught.value))
    assert caught.value.message.isprintable()


@pytest.mark.parametrize("base_url", ["localhost:11434", "file:///etc", "http://[::1/v1", "http://"])
def test_an_address_that_is_none(base_url: str):
    with pytest.raises(ProviderMisconfigured, match="OPENAI_BASE_URL"):
        OpenAI(api_key="k", base_url=base_url, patience=5)


@pytest.mark.parametrize("key", ["sk-кey", "sk-a\nb"])
def test_a_key_that_is_none(key: str):
    with pytest.raises(ProviderMisconfigured, match="OPENAI_API_KEY") as caught:
        OpenAI(api_key=key, base_url=None, patience=5)
    assert key not in caught.value.message


async def test_a_key_is_sent_without_the_space_around_it(llm: LlmStand):
    provider = OpenAI(api_key=" sk-1\n", base_url=llm.openai_url, patience=5)
    await complete(provider, QUESTION)
    await provider.close()
    assert llm.calls[0].headers["authorization"] == "Bearer sk-1"


async def test_first_uses_at_the_same_time_share_one_client(llm: LlmStand):
    provider = OpenAI(api_key="k", base_url=llm.openai_url, patience=5)
    answers = await asyncio.gather(*(complete(provider, QUESTION) for _ in range(5)))
    assert len({answer.text for answer in answers}) == 1
    assert len(llm.calls) == 5
    await provider.close()


async def listen(provider: OpenAI, heard: list[Chunk]) -> None:
    async for chunk in provider.stream(QUESTION):
        heard.append(chunk)
