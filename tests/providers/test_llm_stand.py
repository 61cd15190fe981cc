"""The stand itself, without any SDK: that what other tests rely on is so."""

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from stands.llm import ANSWER, LlmStand, cut, fail, hang, say

ASKED: dict[str, Any] = {"model": "m", "messages": [], "stream": True, "stream_options": {"include_usage": True}}


async def test_what_a_call_looks_like_on_the_wire(llm: LlmStand):
    llm.play(say("a", "b"))
    *lines, end = await post(llm)
    assert end == "[DONE]"
    chunks = [json.loads(line) for line in lines]
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks[:-1]) == "ab"
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"
    assert (chunks[-1]["choices"], chunks[-1]["usage"]["total_tokens"]) == ([], 18)


async def test_plays_are_for_one_call_each_and_the_rest_is_the_default(llm: LlmStand):
    llm.play(fail(429, retry_after="7", code="rate_limit_exceeded"))
    async with aiohttp.ClientSession() as session, session.post(f"{llm.openai_url}/chat/completions", json=ASKED) as no:
        assert (no.status, no.headers["retry-after"]) == (429, "7")
        assert (await no.json())["error"]["code"] == "rate_limit_exceeded"
    assert ANSWER in "".join(await post(llm))


async def test_calls_are_on_disk_before_they_are_answered(tmp_path: Path):
    log = tmp_path / "calls.jsonl"
    async with LlmStand(log=log) as llm:
        llm.play(hang())
        asking = asyncio.create_task(post(llm))
        await llm.wait_for(1)
        first = json.loads(log.read_text("utf-8"))
        assert (first["number"], first["vendor"], first["body"]) == (1, "openai", ASKED)
        asking.cancel()
        await llm.wait_for_gone(1)
        await post(llm)
        assert [json.loads(line)["number"] for line in log.read_text("utf-8").splitlines()] == [1, 2]


async def test_a_gate_holds_a_call_until_it_opens(llm: LlmStand):
    gate = asyncio.Event()
    llm.play(hang(gate))
    asking = asyncio.create_task(post(llm))
    await llm.wait_for(1)
    assert not asking.done()
    gate.set()
    assert ANSWER in "".join(await asking)
    assert llm.gone == 0


async def test_a_cut_is_a_reset(llm: LlmStand):
    llm.play(cut("a"))
    with pytest.raises(aiohttp.ClientError):
        await post(llm)


async def test_waiting_for_what_does_not_come_ends(llm: LlmStand):
    with pytest.raises(TimeoutError):
        await llm.wait_for(1, seconds=0.05)


async def post(llm: LlmStand) -> list[str]:
    url = f"{llm.openai_url}/chat/completions"
    async with aiohttp.ClientSession() as session, session.post(url, json=ASKED) as response:
        text = await response.text()
    return [line.removeprefix("data: ") for line in text.splitlines() if line]
