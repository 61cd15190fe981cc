"""Replies told as they are written: what is heard is what is stored, or the client is told that it is not."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import asyncpg
import httpx
import pytest
from fastapi import FastAPI

from stands import plays
from stands.app import running_client, serving, until_ready
from stands.shop import MakeSettings, Shop, open_shop
from stands.told import EVENTS, Event, hear, only, said, telling
from switchboard.auth import Caller
from switchboard.database.postgres import Postgres
from switchboard.errors import DatabaseUnavailable
from switchboard.http.event_stream import QUIET, EventAnswer, event
from switchboard.replies.aloud import Shapes, tell
from switchboard.replies.exchange import Exchange, Saying
from switchboard.replies.overheard import Piece
from switchboard.replies.say import Begun, Programs, Told

ASK = "/api/v1/ai/ask/"
QUESTION = {"question": "When are you open?", "customer_id": "anna"}
FALLBACK = "openai:gpt-4o-mini"


def names(events: list[Event]) -> list[str]:
    """The kinds of events in their order, neighbours of one kind as one."""
    return [one.name for at, one in enumerate(events) if at == 0 or events[at - 1].name != one.name]


async def stored(shop: Shop, events: list[Event]) -> str:
    """The AI's last message in the session."""
    session = only(events, "message")["session_id"]
    kept = (await shop.client.get(f"/api/v1/ai/sessions/{session}/")).json()["messages"]
    return [one["content"] for one in kept if one["sender_type"] == "bot"][-1]


async def test_the_reply_comes_in_pieces_and_is_what_is_stored(shop: Shop) -> None:
    shop.llm.play(plays.say(" \n", " We are", " open ", "\n", "from nine ", "to five.", " \n"))
    events = await hear(shop.client, ASK, QUESTION)
    assert names(events) == ["message", "delta", "sources", "done"]
    assert len([one for one in events if one.name == "delta"]) > 2
    assert said(events) == await stored(shop, events) == "We are open \nfrom nine to five."
    message, done = only(events, "message"), only(events, "done")
    assert (message["session_id"], message["message"]["content"]) == (done["session_id"], "When are you open?")
    assert only(events, "sources")["sources"] == done["sources"]
    assert (done["answer"], done["auto_response_generated"]) == (said(events), True)
    assert (done["usage"]["input_tokens"], done["usage"]["output_tokens"]) == (11, 7)
    whole = (await shop.client.post(ASK, json=QUESTION)).json()
    assert whole.keys() == done.keys()


async def test_the_first_piece_comes_while_the_model_still_writes_and_before_anything_is_stored(
    shop: Shop, sql: asyncpg.Connection
) -> None:
    gate = asyncio.Event()
    shop.llm.play(plays.stall("We are open", gate=gate, then=(" from nine.",)))
    async with telling(shop.client, ASK, QUESTION) as events:
        assert (await anext(events)).name == "message"
        first = await anext(events)
        assert (first.name, first.data) == ("delta", {"text": "We are open"})
        assert await sql.fetchval("select count(*) from messages where sender_type = 'bot'") == 0
        gate.set()
        rest = [first, *[one async for one in events]]
    assert said(rest) == only(rest, "done")["answer"] == "We are open from nine."


async def test_a_client_that_hangs_up_loses_nothing(shop: Shop, sql: asyncpg.Connection) -> None:
    gate = asyncio.Event()
    shop.llm.play(plays.stall("We are open", gate=gate, then=(" from nine.",)))
    async with telling(shop.client, ASK, QUESTION) as events:
        session = (await anext(events)).data["session_id"]
        assert (await anext(events)).name == "delta"
    gate.set()
    reply = await shop.until_message(int(session), sender_type="bot")
    assert reply["content"] == "We are open from nine."
    kept = (await shop.client.get(f"/api/v1/ai/sessions/{session}/")).json()
    assert [one["content"] for one in kept["messages"]] == ["When are you open?", "We are open from nine."]

    async def told_live() -> bool:
        live = await shop.client.get("/api/events", params={"after": "0", "follow": "false", "conversation": session})
        return "reply.answered" in live.text

    await shop.until(told_live)
    assert len(shop.llm.calls) == 1


async def test_problems_before_the_stream_are_plain_answers(shop: Shop) -> None:
    for path, body, status in (
        (ASK, {"question": "Hi"}, 422),
        ("/api/v1/ai/sessions/msg_abc123/send/", {"message": "Hi"}, 404),
        ("/api/messages", {"conversation": 999, "content": "Hi"}, 404),
    ):
        answer = await shop.client.post(path, json=body, headers=EVENTS)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")


async def test_send_and_messages_are_told_as_well(shop: Shop) -> None:
    session = (await shop.client.post(ASK, json=QUESTION)).json()["session_id"]
    shop.llm.play(plays.say("We ", "roast."), plays.say("Coffee", ", mostly."))
    sent = await hear(shop.client, f"/api/v1/ai/sessions/{session}/send/", {"message": "What do you do?"})
    assert said(sent) == only(sent, "done")["answer"] == "We roast."
    spoken = await hear(shop.client, "/api/messages", {"conversation": int(session), "content": "What?"})
    assert names(spoken) == ["message", "delta", "sources", "done"]
    assert said(spoken) == only(spoken, "done")["reply"]["content"] == "Coffee, mostly."
    assert only(spoken, "done")["reply"]["output_tokens"] == 7


async def test_what_is_put_before_the_first_answer_is_told_first(shop: Shop, sql: asyncpg.Connection) -> None:
    await sql.execute("update workspaces set disclosure_text = 'An AI answers here.'")
    shop.llm.play(plays.say("\nWe are ", "open."), plays.say("Still open."))
    events = await hear(shop.client, ASK, QUESTION)
    assert said(events) == await stored(shop, events) == "An AI answers here.\n\nWe are open."
    assert "discarded" not in names(events)
    again = await hear(shop.client, ASK, QUESTION)
    assert said(again) == await stored(shop, again) == "Still open."


@pytest.mark.parametrize("text", ["", "One moment. "])
async def test_a_hand_over_tells_what_the_customer_is_told(shop: Shop, text: str) -> None:
    shop.llm.play(plays.call_tool("hand_over", '{"reason": "x"}', text=text))
    events = await hear(shop.client, ASK, QUESTION)
    assert names(events) == ["message", "delta", "sources", "done"]
    assert (
        said(events)
        == await stored(shop, events)
        == (text.strip() or "I will pass this on to a colleague, who will get back to you here.")
    )
    assert only(events, "done")["handed_over"] is True


async def test_an_apology_replaces_what_was_begun(shop: Shop) -> None:
    shop.llm.default = plays.fail(401, "bad key")
    shop.llm.play(plays.error_in_stream("We are op"))
    events = await hear(shop.client, ASK, QUESTION)
    assert names(events) == ["message", "delta", "discarded", "delta", "sources", "done"]
    assert said(events) == await stored(shop, events)
    assert said(events).startswith("I cannot answer right now")
    assert next(one.data for one in events if one.name == "discarded") == {"reason": "retried"}


class TestFallbacks:
    """With a second model."""

    @pytest.fixture
    def told(self) -> dict[str, Any]:
        return {"fallback_models": FALLBACK}

    async def test_a_model_that_fails_before_its_first_word_is_not_heard_of(self, shop: Shop) -> None:
        shop.llm.play(plays.fail(500), plays.say("We are ", "open."))
        events = await hear(shop.client, ASK, QUESTION)
        assert names(events) == ["message", "delta", "sources", "done"]
        assert said(events) == "We are open."

    async def test_nothing_is_begun_anew_that_somebody_has_read(self, shop: Shop, sql: asyncpg.Connection) -> None:
        shop.llm.play(plays.error_in_stream("We are op"), plays.say("Open ", "from nine."))
        events = await hear(shop.client, ASK, QUESTION)
        assert names(events) == ["message", "delta", "discarded", "delta", "sources", "done"]
        assert said(events) == await stored(shop, events) == "Open from nine."
        assert next(one.data for one in events if one.name == "discarded") == {"reason": "retried"}
        rows = await sql.fetch("select outcome from replies order by id")
        assert [row["outcome"] for row in rows] == ["failed", "answered"], "the turn was tried again as a whole"

    async def test_where_nobody_reads_the_next_model_begins_anew_at_once(
        self, shop: Shop, sql: asyncpg.Connection
    ) -> None:
        shop.llm.play(plays.error_in_stream("We are op"), plays.say("Open from nine."))
        body = (await shop.client.post(ASK, json=QUESTION, headers={"prefer": "respond-async"})).json()
        await shop.until_message(int(body["session_id"]), sender_type="bot", content="Open from nine.")
        assert await sql.fetchval("select count(*) from replies") == 1, "one turn, without a break"


async def test_what_a_newer_message_makes_stale_is_discarded(shop: Shop) -> None:
    gate = asyncio.Event()
    shop.llm.play(plays.stall("We are", gate=gate), plays.say("Open from nine,", " also on Sundays."))
    async with telling(shop.client, ASK, QUESTION) as first:
        events = [await anext(first), await anext(first)]
        other = asyncio.create_task(hear(shop.client, ASK, {**QUESTION, "question": "And on Sundays?"}))
        events += [one async for one in first]
    gate.set()
    assert names(events) == ["message", "delta", "discarded", "delta", "sources", "done"]
    assert next(one.data for one in events if one.name == "discarded") == {"reason": "superseded"}
    assert said(events) == only(events, "done")["answer"] == "Open from nine, also on Sundays."
    others = await other
    assert "discarded" not in names(others), "it was nothing that the second one had heard"
    assert said(others) == "Open from nine, also on Sundays."


async def test_what_a_person_takes_over_is_discarded_and_nothing_follows(shop: Shop) -> None:
    gate = asyncio.Event()
    shop.llm.play(plays.stall("We are", gate=gate))
    async with telling(shop.client, ASK, QUESTION) as telling_:
        events = [await anext(telling_), await anext(telling_)]
        await shop.post(f"/admin/conversations/{events[0].data['session_id']}/takeover")
        events += [one async for one in telling_]
    gate.set()
    assert names(events) == ["message", "delta", "discarded", "done"]
    assert events[2].data == {"reason": "taken_over"}
    done = only(events, "done")
    assert (done["answer"], done["handler"], done["pending"]) == (None, "human", False)


async def test_a_reply_that_another_process_writes_comes_whole(
    shop: Shop, make: MakeSettings, sql: asyncpg.Connection
) -> None:
    shop.llm.play(plays.say("We are ", "open."))
    settings = shop.settings.model_copy(update={"reply_concurrency": 0})
    async with running_client(settings) as front:
        await until_ready(front)
        front.headers.update({"authorization": shop.client.headers["authorization"]})
        events = await hear(front, ASK, QUESTION)
    assert [one.name for one in events] == ["message", "delta", "sources", "done"]
    assert said(events) == only(events, "done")["answer"] == "We are open."


async def test_nobody_to_answer_is_told_at_once(shop: Shop) -> None:
    session = (await shop.client.post(ASK, json=QUESTION)).json()["session_id"]
    await shop.post(f"/admin/conversations/{session}/takeover")
    events = await hear(shop.client, f"/api/v1/ai/sessions/{session}/send/", {"message": "Hello?"})
    assert names(events) == ["message", "done"]
    assert only(events, "done")["answer"] is None


async def test_pages_of_other_origins_read_the_stream_where_they_may(make: MakeSettings, postgres: Postgres) -> None:
    async with open_shop(make, cors_origins="https://shop.example") as shop:
        headers = {**EVENTS, "authorization": f"Bearer {(await start(shop))['token']}"}
        for origin, allowed in (("https://shop.example", "https://shop.example"), ("https://evil.example", None)):
            async with shop.client.stream(
                "POST", "/api/v1/chat/messages/", json={"content": "Hi"}, headers={**headers, "origin": origin}
            ) as answer:
                assert answer.headers.get("access-control-allow-origin") == allowed


async def start(shop: Shop) -> dict[str, Any]:
    answer = await shop.client.post("/api/v1/chat/start/")
    assert answer.status_code == 201, answer.text
    return answer.json()


class Heard(Programs):
    """Programs of which one thing is heard, and another is stored."""

    def __init__(self, heard: Sequence[str], stored: str | None) -> None:
        self._heard = heard
        self._stored = stored

    async def hear(self, begun: Begun) -> AsyncGenerator[Told]:
        for piece in self._heard:
            yield Piece(piece)
        reply = None if self._stored is None else {"content": self._stored, "metadata": {}}
        yield Exchange(begun.message, reply, tracked=True, handler="ai")


@pytest.mark.parametrize(
    ("heard", "stored", "expected"),
    [
        (["We ", "are."], "We are.", ["delta", "delta", "done"]),
        (["We "], "We are.", ["delta", "delta", "done"]),
        ([], "We are.", ["delta", "done"]),
        (["We are"], "Sorry.", ["delta", "discarded", "delta", "done"]),
        (["We are"], None, ["delta", "discarded", "done"]),
        ([], None, ["done"]),
    ],
)
async def test_the_end_says_what_is_stored_whatever_was_heard(
    heard: list[str], stored: str | None, expected: list[str]
) -> None:
    begun = Begun(Saying(Caller("x", admin=True, roles={}), 1, "Hi", "x"), {}, 0)
    shapes = Shapes(lambda message: message, lambda exchange: exchange.reply or {}, sources=False)
    told = [body.decode().split("\n") async for body in tell(Heard(heard, stored), begun, shapes)]
    events = [Event(lines[0].removeprefix("event: "), json.loads(lines[1].removeprefix("data: "))) for lines in told]
    assert [one.name for one in events] == ["message", *expected]
    assert said(events) == (stored or "")


# The answer itself ---------------------------------------------------------------------------------------------------


async def test_silence_is_broken_by_signs_of_life_and_faults_are_told() -> None:
    app, closed = FastAPI(), asyncio.Event()

    async def broken() -> AsyncGenerator[bytes]:
        yield event("delta", {"text": "x"})
        raise DatabaseUnavailable

    async def unforeseen() -> AsyncGenerator[bytes]:
        yield event("delta", {"text": "x"})
        raise ValueError("secret")

    async def silent() -> AsyncGenerator[bytes]:
        try:
            while True:
                yield QUIET
                await asyncio.sleep(0.01)
        finally:
            closed.set()

    @app.get("/{kind}")
    async def _(kind: str) -> EventAnswer:
        made = {"broken": broken, "unforeseen": unforeseen, "silent": silent}[kind]
        return EventAnswer(made(), beat_seconds=0.05)

    async with serving(app) as address, httpx.AsyncClient(base_url=address) as client:
        text = (await client.get("/broken")).text
        assert text.startswith('event: delta\ndata: {"text":"x"}\n\nevent: error\ndata: {')
        assert '"code":"database_unavailable"' in text
        text = (await client.get("/unforeseen")).text
        assert '"code":"internal"' in text
        assert "secret" not in text
        began = time.monotonic()
        async with client.stream("GET", "/silent") as answer:
            lines = answer.aiter_lines()
            for _ in range(3):
                assert (await anext(lines)) == ": alive"
                await anext(lines)
        assert time.monotonic() - began >= 0.1
        async with asyncio.timeout(5):
            await closed.wait()
