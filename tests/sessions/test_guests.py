"""Visitors of a web page: a public start, a token for one conversation, and nothing behind it but what was said."""

import asyncio
import json
from datetime import timedelta
from functools import partial
from typing import Any
from unittest.mock import ANY

import asyncpg
import jwt
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from stands import plays
from stands.app import JWT_SECRET, bearer, rest_settings
from stands.shop import MakeSettings, Shop, open_shop
from stands.supabase import Supabase
from stands.tenants import settle, talk
from stands.told import EVENTS, hear, only, said
from switchboard import clock
from switchboard.auth import Guest
from switchboard.auth.guest_tokens import LIFE, GuestTokens
from switchboard.database import Database
from switchboard.database.postgres import Postgres

START = "/api/v1/chat/start/"
MESSAGES = "/api/v1/chat/messages/"
CAROL = "carol@example.com"
GUEST_MESSAGE = {"id", "seq", "sender_type", "content", "timestamp", "edited_at", "attachments"}


async def start(shop: Shop, **body: Any) -> dict[str, Any]:
    answer = await shop.client.post(START, json=body, headers={"authorization": ""})
    assert answer.status_code == 201, answer.text
    return answer.json()


async def say(shop: Shop, headers: dict[str, str], content: str, status: int = 201, **more: Any) -> dict[str, Any]:
    answer = await shop.client.post(MESSAGES, json={"content": content, **more}, headers=headers)
    assert answer.status_code == status, answer.text
    return answer.json()


async def read(shop: Shop, headers: dict[str, str], **query: Any) -> dict[str, Any]:
    answer = await shop.client.get(MESSAGES, params=query, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_visitor_begins_says_something_and_reads_the_answer(shop: Shop, sql: asyncpg.Connection) -> None:
    await sql.execute("update workspaces set disclosure_text = 'An AI answers here.'")
    begun = await start(shop, name=" Anna ", locale="de-AT")
    assert (begun["disclosure"], begun["handler"], begun["workspace"]) == ("An AI answers here.", "ai", "My business")
    row = await sql.fetchrow("select name, metadata from customers")
    assert row is not None
    assert (row["name"], json.loads(row["metadata"])) == ("Anna", {"locale": "de-AT"})
    me = bearer(begun["token"])
    shop.llm.play(plays.say("We are open."))
    told = await say(shop, me, "When are you open?", client_nonce="a")
    assert told.keys() == {"success", "session_id", "message", "reply", "pending", "handler", "handed_over", "tracked"}
    assert (told["session_id"], told["reply"]["content"]) == (
        begun["session_id"],
        "An AI answers here.\n\nWe are open.",
    )
    assert told["message"].keys() == told["reply"].keys() == GUEST_MESSAGE
    assert await say(shop, me, "When are you open?", client_nonce="a") == told
    found = await read(shop, me)
    assert found["messages"] == [told["message"], told["reply"]]
    assert (found["status"], found["handler"], found["count"]) == ("active", "ai", 2)
    assert (await read(shop, me, after_seq=1))["messages"] == [told["reply"]]
    desk = await shop.conversation(int(begun["session_id"]))
    assert (desk["platform"], desk["customer_name"]) == ("web", "Anna")


async def test_a_visitor_is_told_as_it_is_written_without_what_is_the_desks(shop: Shop) -> None:
    me = bearer((await start(shop))["token"])
    shop.llm.play(plays.say("We are ", "open."))
    events = await hear(shop.client, MESSAGES, {"content": "When are you open?"}, **me)
    assert [one.name for one in events if one.name != "delta"] == ["message", "done"]
    assert said(events) == only(events, "done")["reply"]["content"] == "We are open."
    assert only(events, "done")["reply"].keys() == only(events, "message")["message"].keys() == GUEST_MESSAGE
    told = json.dumps([one.data for one in events])
    for hidden in ("gpt", "cost", "confidence", "tokens", "Opening hours", "workspace"):
        assert hidden not in told, hidden


async def test_a_person_reaches_the_visitor_and_stays_unnamed(shop: Shop, sql: asyncpg.Connection) -> None:
    begun = await start(shop)
    me, session = bearer(begun["token"]), int(begun["session_id"])
    await say(shop, me, "Hello?")
    await shop.post(f"/admin/conversations/{session}/takeover", {"reason": "secret-reason"}, subject=CAROL)
    await shop.post(f"/admin/conversations/{session}/messages", {"content": "It is on us!"}, subject=CAROL)
    await shop.post(f"/admin/conversations/{session}/assign", {"assigned_to": CAROL}, subject=CAROL)
    await sql.execute(
        "insert into messages (workspace_id, conversation_id, seq, sender_type, content, delivery_state)"
        " values (1, $1, 98, 'system', 'a note for the desk', null), (1, $1, 99, 'bot', 'never sent', 'cancelled')",
        session,
    )
    found = await read(shop, me)
    assert [one["sender_type"] for one in found["messages"]] == ["user", "bot", "human"]
    assert (found["messages"][2]["content"], found["handler"]) == ("It is on us!", "human")
    assert await sql.fetchval("select count(*) from deliveries") == 0

    async def live() -> str | None:
        answer = await shop.client.get("/api/events", params={"after": "0", "follow": "false"}, headers=me)
        assert answer.status_code == 200, answer.text
        return answer.text if "message.sent_by_human" in answer.text else None

    told = await shop.until(live)
    for hidden in (CAROL, "secret-reason", "taken_over", "assigned", "workspace_id", '"by"'):
        assert hidden not in told + json.dumps(found), hidden
    assert "event: reply.answered" in told


async def test_live_events_are_those_of_the_one_conversation(shop: Shop, sql: asyncpg.Connection) -> None:
    mine, theirs = await start(shop), await start(shop)
    me = bearer(mine["token"])
    address = str(shop.client.base_url).replace("http", "ws") + "/ws/events"
    async with (
        shop.client.stream("GET", "/api/events", headers=me) as stream,
        connect(address, additional_headers=me) as socket,
    ):
        lines = stream.aiter_lines()
        assert (await anext(lines)).startswith("retry:")
        assert json.loads(await socket.recv())["type"] == "open"
        await shop.client.post(
            MESSAGES, json={"content": "Hi"}, headers={**bearer(theirs["token"]), "prefer": "respond-async"}
        )
        await say(shop, me, "Hello")
        async for line in lines:
            if line.startswith("data:"):
                heard = json.loads(line.removeprefix("data:"))
                break
        by_socket = json.loads(await socket.recv())
    assert heard == by_socket
    assert heard.keys() == {"id", "type", "conversation_id", "message_id", "at", "data"}
    assert str(heard["conversation_id"]) == mine["session_id"]
    refused = await shop.client.get("/api/events", params={"conversation": theirs["session_id"]}, headers=me)
    assert refused.status_code == 404
    async with connect(f"{address}?conversation={theirs['session_id']}", additional_headers=me) as socket:
        assert json.loads(await socket.recv()) == {"type": "end", "reason": "not_found", "retry": ANY}
        with pytest.raises(ConnectionClosed):
            await socket.recv()
        assert socket.close_code == 1008


async def test_a_token_opens_nothing_else(shop: Shop) -> None:
    begun = await start(shop)
    me = bearer(begun["token"])
    for path in (
        "/admin/conversations",
        f"/api/conversations/{begun['session_id']}",
        "/api/v1/ai/sessions/",
        "/metrics",
    ):
        answer = await shop.client.get(path, headers=me)
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), path
    # And who is no guest has no conversation here.
    assert (await shop.client.get(MESSAGES)).status_code == 403
    assert (await shop.client.get(MESSAGES, headers={"authorization": ""})).status_code == 401


async def test_what_is_forged_or_over_opens_nothing(shop: Shop) -> None:
    begun = await start(shop)
    guest = Guest(1, int(begun["session_id"]))
    header = {"kid": "guest"}
    claims = jwt.decode(begun["token"], options={"verify_signature": False})
    old = GuestTokens(JWT_SECRET.encode, lambda: clock.now() - LIFE - timedelta(minutes=1))
    forged = [
        jwt.encode(claims, JWT_SECRET, "HS256", headers=header),  # the installation's own key is another door's
        jwt.encode(claims, JWT_SECRET, "HS256"),
        jwt.encode(claims, "x" * 48, "HS256", headers=header),
        jwt.encode(claims, "", "none", headers=header),
        GuestTokens(lambda: b"y" * 48, clock.now).make(guest)[0],
        old.make(guest)[0],
        begun["token"][:-2] + ("aa" if not begun["token"].endswith("aa") else "bb"),
    ]
    for number, token in enumerate(forged):
        assert (await shop.client.get(MESSAGES, headers=bearer(token))).status_code == 401, number
    assert (await shop.client.get(MESSAGES, headers=bearer(begun["token"]))).status_code == 200


async def test_a_closed_chat_is_read_and_no_longer_spoken_in(shop: Shop) -> None:
    begun = await start(shop)
    me = bearer(begun["token"])
    await say(shop, me, "Hello")
    await shop.post(f"/admin/conversations/{begun['session_id']}/close")
    refused = await say(shop, me, "Still there?", 409)
    assert "closed" in refused["detail"]
    found = await read(shop, me)
    assert (found["status"], found["count"]) == ("closed", 2)


@pytest.mark.parametrize("how", ["deleted_at = now()", None])
async def test_an_erased_chat_ends_its_token(shop: Shop, sql: asyncpg.Connection, how: str | None) -> None:
    begun = await start(shop)
    erase = f"update conversations set {how} where id = $1" if how else "delete from conversations where id = $1"
    await sql.execute(erase, int(begun["session_id"]))
    me = bearer(begun["token"])
    for answer in (
        await shop.client.get(MESSAGES, headers=me),
        await shop.client.post(MESSAGES, json={"content": "Hi"}, headers=me),
        await shop.client.get("/api/events", headers=me),
    ):
        assert answer.status_code == 401, answer.text


async def test_one_that_is_erased_while_it_is_used_shows_nothing_more(shop: Shop, sql: asyncpg.Connection) -> None:
    begun = await start(shop)
    me = bearer(begun["token"])
    await say(shop, me, "Hello")
    await sql.execute("delete from conversations")
    for answer in (
        await shop.client.get(MESSAGES, headers=me),
        await shop.client.post(MESSAGES, json={"content": "Hi"}, headers=me),
    ):
        assert answer.status_code in (401, 404)
        assert "Hello" not in answer.text


async def test_which_business_is_meant(shop: Shop, sql: asyncpg.Connection) -> None:
    theirs = await settle(sql, "Theirs")
    refused = await shop.client.post(START, json={}, headers={"authorization": ""})
    assert (refused.status_code, "workspace" in refused.json()["detail"]) == (422, True)
    assert (await start(shop, workspace=theirs.workspace))["workspace"] == "Theirs Ltd"
    refused = await shop.client.post(START, json={"workspace": 999})
    assert refused.status_code == 404


async def test_wrong_requests_are_told_which_field_is_wrong(shop: Shop) -> None:
    for body, field in (
        ({"workspace": "x"}, "workspace"),
        ({"name": ""}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"locale": "de; drop"}, "locale"),
        ({"colour": "red"}, "colour"),
    ):
        refused = await shop.client.post(START, json=body)
        assert refused.status_code == 422, refused.text
        assert [error["field"] for error in refused.json()["errors"]] == [field]
    me = bearer((await start(shop))["token"])
    for body in ({}, {"content": " "}, {"content": "x" * 4001}):
        refused = await shop.client.post(MESSAGES, json=body, headers=me)
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "content")
    refused = await shop.client.get(MESSAGES, params={"after_seq": -1}, headers=me)
    assert refused.json()["errors"][0]["field"] == "after_seq"


async def test_the_public_start_can_be_switched_off_and_what_was_begun_goes_on(
    make: MakeSettings, postgres: Postgres
) -> None:
    async with open_shop(make, web_chat=False) as shop:
        refused = await shop.client.post(START)
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
        (row,) = await postgres.select("workspaces", columns=["id"])
        begun = await postgres.call("start_chat", external_id="guest:x", workspace_id=row["id"])
        token, _ = GuestTokens(JWT_SECRET.encode, clock.now).make(Guest(row["id"], begun["conversation_id"]))
        assert (await read(shop, bearer(token)))["count"] == 0


async def test_starts_are_limited_for_an_address_and_for_a_business_and_messages_for_a_visitor(
    make: MakeSettings, postgres: Postgres
) -> None:
    async with open_shop(make, rate_limit_chat_address=3, rate_limit_customer=2) as shop:
        begun = [await start(shop) for _ in range(3)]
        refused = await shop.client.post(START)
        assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
        assert int(refused.headers["retry-after"]) > 0
        assert refused.headers["ratelimit-policy"].startswith('"chat-address";q=3;w=60')
        me, other = bearer(begun[0]["token"]), bearer(begun[1]["token"])
        for status in (201, 201, 429):
            await say(shop, me, "Hello", status)
        await say(shop, other, "Hello")
    async with open_shop(make, rate_limit_chat_workspace=1) as shop:
        await start(shop)
        refused = await shop.client.post(START)
        assert (refused.status_code, "business" in refused.json()["detail"]) == (429, True)


async def test_it_works_where_people_sign_in_through_supabase(supabase: Supabase) -> None:
    """With Supabase's keys alone there is no secret of our own, and guests' tokens hold in every process."""
    make = partial(rest_settings, supabase)
    async with open_shop(make, jwt_secret=None) as shop:
        me = bearer((await start(shop))["token"])
        assert (await say(shop, me, "Hello"))["message"]["content"] == "Hello"
        async with open_shop(make, jwt_secret=None) as other:
            assert (await read(other, me))["count"] == 2


async def test_the_functions_themselves_show_a_guest_nothing_else(database: Database, sql: asyncpg.Connection) -> None:
    ours = await settle(sql, "Ours")
    other, _, _ = await talk(sql, ours.workspace, "Other")
    guest = {
        "subject": "guest:1",
        "admin": False,
        "roles": {},
        "guest": {"workspace": ours.workspace, "conversation": ours.conversation},
    }
    await database.call("follow_events", after=0)
    assert await database.call("list_conversations", caller=guest, filters={}, sort="priority") == []
    assert await database.call("get_conversation", caller=guest, conversation_id=ours.conversation) is None
    seen = await database.call("events_after", caller=guest, after=0)
    assert {event["conversation_id"] for event in seen["events"]} == {ours.conversation}
    assert (await database.call("events_after", caller=guest, after=0, conversation_id=other))["events"] == []
    found = await database.call("list_guest_messages", caller=guest)
    assert {one["conversation_id"] for one in found["messages"]} == {ours.conversation}


async def test_a_guest_hears_and_reads_over_the_same_door_at_once(shop: Shop) -> None:
    """Many visitors at the same time each get their own answer."""
    tokens = [bearer((await start(shop))["token"]) for _ in range(6)]
    answers = await asyncio.gather(
        *(hear(shop.client, MESSAGES, {"content": f"Question {n}"}, **{**EVENTS, **me}) for n, me in enumerate(tokens))
    )
    for number, events in enumerate(answers):
        assert only(events, "done")["message"]["content"] == f"Question {number}"
        assert said(events)
