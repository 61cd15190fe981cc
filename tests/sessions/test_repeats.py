"""A request that is sent again is the same message, and gets the same answer: by Idempotency-Key or by client nonce."""

import asyncio
from typing import Any

import asyncpg
import httpx
import pytest

from stands import plays
from stands.app import bearer, token
from stands.shop import Shop
from stands.told import EVENTS, hear, only, said, telling

ASK = "/api/v1/ai/ask/"
QUESTION = {"question": "When are you open?", "customer_id": "anna"}
NONCE = {**QUESTION, "client_nonce": "n1"}


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two answers differ in nothing but how long they took."""
    return {**one, "response_time_ms": 0} == {**other, "response_time_ms": 0}


async def said_once(shop: Shop, sql: asyncpg.Connection) -> None:
    assert await sql.fetchval("select count(*) from messages where sender_type = 'user'") == 1
    assert await sql.fetchval("select count(*) from messages where sender_type = 'bot'") == 1
    assert len(shop.llm.calls) == 1


async def test_the_same_nonce_is_the_same_message(shop: Shop, sql: asyncpg.Connection) -> None:
    first = (await shop.client.post(ASK, json=NONCE)).json()
    assert same((await shop.client.post(ASK, json=NONCE)).json(), first)
    told = await hear(shop.client, ASK, NONCE)
    assert [one.name for one in told] == ["message", "delta", "sources", "done"]
    assert same(only(told, "done"), first)
    assert said(told) == first["answer"]
    await said_once(shop, sql)
    await shop.post(f"/admin/conversations/{first['session_id']}/close")
    assert (await shop.client.post(ASK, json=NONCE)).json()["answer"] == first["answer"], "also when it is over"
    await said_once(shop, sql)


async def test_who_asks_again_while_the_first_still_runs_waits_for_its_answer(
    shop: Shop, sql: asyncpg.Connection
) -> None:
    gate = asyncio.Event()
    shop.llm.play(plays.stall("We are", gate=gate, then=(" open.",)))
    async with telling(shop.client, ASK, NONCE) as first:
        events = [await anext(first), await anext(first)]
        whole = asyncio.create_task(shop.client.post(ASK, json=NONCE))
        async with telling(shop.client, ASK, NONCE) as second:
            others = [await anext(second), await anext(second)]
            assert others[1].data == {"text": "We are"}, "what was said before it came"
            gate.set()
            others += [one async for one in second]
        events += [one async for one in first]
    assert said(events) == said(others) == (await whole).json()["answer"] == "We are open."
    assert same(only(events, "done"), (await whole).json())
    await said_once(shop, sql)


async def test_many_at_once_with_one_nonce_are_one(shop: Shop, sql: asyncpg.Connection) -> None:
    answers = await asyncio.gather(*(shop.client.post(ASK, json=NONCE) for _ in range(8)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({(answer.json()["message_id"], answer.json()["answer_id"]) for answer in answers}) == 1
    await said_once(shop, sql)


async def test_a_nonce_belongs_to_who_sent_it_where_and_to_one_text(shop: Shop) -> None:
    first = (await shop.client.post(ASK, json=NONCE)).json()
    refused = await shop.client.post(ASK, json={**NONCE, "question": "Something else?"})
    assert (refused.status_code, "client_nonce" in refused.json()["detail"]) == (422, True)
    assert (await shop.client.post(ASK, json={**NONCE, "customer_id": "ben"})).json()["customer_id"] == "ben"
    other = bearer(token(shop.settings, "support", 1, subject="another program"))
    assert (await shop.client.post(ASK, json=NONCE, headers=other)).json()["message_id"] != first["message_id"]


async def test_an_answer_is_told_again_whoever_has_the_conversation_by_now(shop: Shop, sql: asyncpg.Connection) -> None:
    shop.llm.play(plays.call_tool("hand_over", '{"reason": "x"}'))
    first = (await shop.client.post(ASK, json=NONCE)).json()
    assert first["handler"] == "human"
    for headers in ({}, {"prefer": "respond-async"}):
        assert same((await shop.client.post(ASK, json=NONCE, headers=headers)).json(), first | {"handed_over": True})
    await said_once(shop, sql)


async def test_messages_and_send_take_a_nonce(shop: Shop, sql: asyncpg.Connection) -> None:
    session = (await shop.client.post(ASK, json=QUESTION)).json()["session_id"]
    for path, body in (
        (f"/api/v1/ai/sessions/{session}/send/", {"message": "More?", "client_nonce": "a"}),
        ("/api/messages", {"conversation": session, "content": "And more?", "client_nonce": "b"}),
    ):
        first, again = [(await shop.client.post(path, json=body)).json() for _ in range(2)]
        assert same(first, again)
    assert await sql.fetchval("select count(*) from messages where sender_type = 'user'") == 3
    assert len(shop.llm.calls) == 3


async def test_a_stream_under_a_key_is_told_again_from_what_is_stored(shop: Shop, sql: asyncpg.Connection) -> None:
    shop.llm.play(plays.say("We are ", "open."))
    first = await hear(shop.client, ASK, QUESTION, **{"idempotency-key": "k"})
    again = await hear(shop.client, ASK, QUESTION, **{"idempotency-key": "k"})
    assert len([one for one in first if one.name == "delta"]) > 1
    assert [one.name for one in again] == ["message", "delta", "sources", "done"]
    assert same(only(first, "done"), only(again, "done"))
    assert same((await asked_under(shop, "k")).json(), only(first, "done")), "also for who wants it whole"
    different = await asked_under(shop, "k", question="Another?")
    assert (different.status_code, "Idempotency-Key" in different.json()["detail"]) == (422, True)
    await said_once(shop, sql)


async def test_a_stream_under_a_key_that_still_runs_refuses_the_next(shop: Shop, sql: asyncpg.Connection) -> None:
    gate = asyncio.Event()
    shop.llm.play(plays.stall("We are", gate=gate, then=(" open.",)))
    async with telling(shop.client, ASK, QUESTION, **{"idempotency-key": "k"}) as first:
        events = [await anext(first), await anext(first)]
        assert events[1].data == {"text": "We are"}, "nothing is held back for the key"
        refused = await asked_under(shop, "k")
        assert (refused.status_code, refused.json()["code"]) == (409, "still_running")
        assert refused.headers["retry-after"] == "1"
    gate.set()  # that client has hung up

    async def kept() -> bool:
        return await sql.fetchval("select status = 200 and body = '' from idempotency_keys")

    await shop.until(kept)
    assert (await asked_under(shop, "k", question="Another?")).status_code == 422

    async def free() -> httpx.Response | None:
        answer = await asked_under(shop, "k")
        return answer if answer.status_code == 200 else None

    assert (await shop.until(free)).json()["answer"] == "We are open."
    await said_once(shop, sql)


async def asked_under(shop: Shop, key: str, **more: str) -> httpx.Response:
    return await shop.client.post(ASK, json={**QUESTION, **more}, headers={"idempotency-key": key})


@pytest.mark.parametrize("headers", [{}, EVENTS])
async def test_a_refusal_is_a_refusal_each_time(shop: Shop, headers: dict[str, str]) -> None:
    for _ in range(2):
        answer = await shop.client.post(
            ASK, json={**QUESTION, "agent": 999}, headers={**headers, "idempotency-key": "k"}
        )
        assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
