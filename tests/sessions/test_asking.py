"""`ask`, the sessions and `send`: a question in, the answer out."""

import asyncio
import json
from typing import Any

import asyncpg
import pytest

from stands import plays
from stands.app import bearer, token
from stands.shop import Shop
from stands.tenants import settle, talk

ASK = "/api/v1/ai/ask/"
SESSIONS = "/api/v1/ai/sessions/"
CLOSED = '{"time_zone": "UTC", "weekly": {}, "holidays": {}}'


async def ask(shop: Shop, question: str = "When are you open?", customer: str = "anna", **more: Any) -> dict[str, Any]:
    answer = await shop.client.post(ASK, json={"question": question, "customer_id": customer, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def send(shop: Shop, session: str, message: str, **more: Any) -> dict[str, Any]:
    answer = await shop.client.post(f"{SESSIONS}{session}/send/", json={"message": message, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_question_gets_its_answer_and_the_customer_keeps_the_session(
    shop: Shop, sql: asyncpg.Connection
) -> None:
    shop.llm.play(plays.say("We are open ", "from nine to five.\n"), plays.say("On Sundays, no."))
    await sql.execute("update workspaces set quiet_seconds = 60")
    first = await ask(shop)
    assert first["answer"] == "We are open from nine to five."
    assert (first["success"], first["auto_response_generated"], first["tracked"]) == (True, True, True)
    assert (first["customer_id"], first["question"]) == ("anna", "When are you open?")
    assert 0 <= first["response_time_ms"] < 60_000
    assert (first["handler"], first["handed_over"], first["pending"]) == ("ai", False, False)
    assert [source["title"] for source in first["sources"]] == ["Opening hours"]
    assert 0 < first["confidence"] <= 1
    assert first["usage"]["model"] == "gpt-5.4-mini-2026-03-17"
    assert (first["usage"]["input_tokens"], first["usage"]["output_tokens"]) == (11, 7)

    again = await ask(shop, "And on Sundays?")
    assert again["session_id"] == first["session_id"]
    assert (await ask(shop, customer="ben"))["session_id"] != first["session_id"]
    kept = (await shop.client.get(f"{SESSIONS}{first['session_id']}/")).json()
    assert [(one["sender_type"], one["content"]) for one in kept["messages"]] == [
        ("user", "When are you open?"),
        ("bot", "We are open from nine to five."),
        ("user", "And on Sundays?"),
        ("bot", "On Sundays, no."),
    ]
    assert (kept["session_id"], kept["customer_id"], kept["status"]) == (first["session_id"], "anna", "active")


async def test_what_is_sent_in_a_session_is_answered_in_it(shop: Shop) -> None:
    session = (await ask(shop))["session_id"]
    shop.llm.play(plays.say("We roast coffee."))
    sent = await send(shop, session, "Can you tell me more about your services?")
    assert (sent["session_id"], sent["customer_id"]) == (session, "anna")
    assert (sent["question"], sent["answer"]) == ("Can you tell me more about your services?", "We roast coffee.")
    assert shop.llm.calls[-1].body["messages"][-1]["content"] == "Can you tell me more about your services?"
    named = await ask(shop, "Once more", session_id=session)
    assert named["session_id"] == session


async def test_forms_are_taken_as_the_examples_send_them(shop: Shop) -> None:
    answer = await shop.client.post(ASK, data={"question": "What are your prices?", "customer_id": "test@example.com"})
    assert answer.status_code == 200, answer.text
    assert (answer.json()["customer_id"], answer.json()["success"]) == ("test@example.com", True)
    path = f"{SESSIONS}{answer.json()['session_id']}/send/"
    assert (await shop.client.post(path, data={"message": "And for two?"})).json()["question"] == "And for two?"


@pytest.mark.parametrize("lifecycle", ["closed", "archived", "resolved"])
async def test_a_closed_session_is_over_and_a_resolved_one_goes_on(
    shop: Shop, sql: asyncpg.Connection, lifecycle: str
) -> None:
    first = await ask(shop)
    status = f"/api/v1/ai/conversations/{first['session_id']}/status/"
    assert (await shop.client.put(status, json={"status": lifecycle})).status_code == 200
    again = await ask(shop, "Hello again")
    assert (again["session_id"] == first["session_id"]) is (lifecycle == "resolved")
    refused = await shop.client.post(f"{SESSIONS}{first['session_id']}/send/", json={"message": "Hello?"})
    assert refused.status_code == (200 if lifecycle == "resolved" else 409), refused.text
    assert (await ask(shop, "And again"))["session_id"] == again["session_id"]


async def test_many_first_questions_of_one_customer_meet_in_one_session(shop: Shop, sql: asyncpg.Connection) -> None:
    for round_ in range(1, 4):
        answers = await asyncio.gather(*(ask(shop, f"Question {number}?") for number in range(8)))
        assert len({answer["session_id"] for answer in answers}) == 1
        assert await sql.fetchval("select count(*) from conversations") == round_
        assert await sql.fetchval("select count(*) from messages where sender_type = 'user'") == 8 * round_
        # The next time the customer is known, and their session over.
        await shop.post(f"/admin/conversations/{answers[0]['session_id']}/close")


async def test_who_asks_second_waits_for_the_session_that_the_first_opens(
    sql: asyncpg.Connection, database_url: str
) -> None:
    await sql.execute("select ensure_workspace('Shop', 'x', '')")
    question = "select (ask_in_session($1, 1, 'anna', 'Hi', $2) ->> 'conversation_id')::bigint"
    caller = json.dumps({"subject": "p", "admin": False, "roles": {"1": "support"}})
    known = await sql.fetchval(question, caller, "m0")
    await sql.execute("update conversations set lifecycle = 'closed'")
    second = await asyncpg.connect(database_url)
    try:
        async with sql.transaction():
            opened = await sql.fetchval(question, caller, "m1")
            waiting = asyncio.create_task(second.fetchval(question, caller, "m2"))
            held = "select exists (select from pg_stat_activity where pid = $1 and wait_event_type = 'Lock')"
            async with asyncio.timeout(10):
                while not await sql.fetchval(held, second.get_server_pid()):
                    assert not waiting.done(), "it opened another one"
                    await asyncio.sleep(0.01)
        assert await waiting == opened != known
    finally:
        await second.close()


async def test_where_a_person_answers_there_is_no_answer_and_no_fault(shop: Shop) -> None:
    session = (await ask(shop))["session_id"]
    await shop.post(f"/admin/conversations/{session}/takeover")
    answer = await send(shop, session, "Hello?")
    assert (answer["answer"], answer["success"], answer["auto_response_generated"]) == (None, True, False)
    assert (answer["handler"], answer["pending"], answer["usage"]) == ("human", False, None)


async def test_what_is_handed_over_says_so(shop: Shop) -> None:
    shop.llm.play(plays.call_tool("hand_over", '{"reason": "wants a person"}'))
    answer = await ask(shop, "Can I talk to somebody?")
    assert answer["answer"].startswith("I will pass this on")
    assert (answer["handed_over"], answer["handler"], answer["confidence"]) == (True, "human", 0)
    assert (answer["requires_human"], answer["auto_response_generated"]) == (True, True)


async def test_an_apology_is_not_the_ais_answer(shop: Shop) -> None:
    shop.llm.default = plays.fail(401, "bad key")
    answer = await ask(shop)
    assert answer["answer"].startswith("I cannot answer right now")
    assert (answer["success"], answer["auto_response_generated"], answer["handed_over"]) == (True, False, True)


async def test_while_it_is_closed_the_answer_says_so_once(shop: Shop, sql: asyncpg.Connection) -> None:
    await sql.execute("update workspaces set business_hours = $1::text::jsonb", CLOSED)
    answer = await ask(shop)
    assert answer["answer"].startswith("We are closed")
    assert (answer["success"], answer["auto_response_generated"]) == (True, False)
    again = await shop.client.post(ASK, json={"question": "Hello?", "customer_id": "anna"})
    assert (again.status_code, again.json()["answer"], again.json()["success"]) == (200, None, True)


async def test_who_does_not_wait_is_told_that_it_is_pending(shop: Shop) -> None:
    answer = await shop.client.post(
        ASK, json={"question": "Hi?", "customer_id": "anna"}, headers={"prefer": "respond-async"}
    )
    assert answer.status_code == 202
    assert (answer.json()["answer"], answer.json()["pending"]) == (None, True)


async def test_sessions_are_listed_by_page_customer_and_status(shop: Shop, sql: asyncpg.Connection) -> None:
    sessions = [(await ask(shop, customer=name))["session_id"] for name in ("anna", "ben", "cleo")]
    await talk(sql, 1, "dora", platform="messenger", customer="anna", explicit=False)
    await shop.post(f"/admin/conversations/{sessions[1]}/close")

    async def listed(**query: Any) -> dict[str, Any]:
        answer = await shop.client.get(SESSIONS, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    whole = await listed()
    assert (whole["count"], whole["next_cursor"]) == (4, None)
    first = await listed(limit=3)
    rest = await listed(limit=3, cursor=first["next_cursor"])
    assert [*first["sessions"], *rest["sessions"]] == whole["sessions"]
    assert {one["session_id"] for one in (await listed(status="active"))["sessions"]} >= {sessions[0], sessions[2]}
    assert [one["session_id"] for one in (await listed(status="closed"))["sessions"]] == [sessions[1]]
    annas = await listed(customer_id="anna")
    assert {one["platform"] for one in annas["sessions"]} == {"api", "facebook"}
    one = await listed(customer_id="anna", limit=1)
    other = await listed(customer_id="anna", limit=1, cursor=one["next_cursor"])
    assert [*one["sessions"], *other["sessions"]] == annas["sessions"]
    assert (await listed(customer_id="nobody"))["sessions"] == []


async def test_wrong_requests_are_told_which_field_is_wrong(shop: Shop, sql: asyncpg.Connection) -> None:
    session = (await ask(shop))["session_id"]
    theirs = await settle(sql, "Theirs")
    messenger, _, _ = await talk(sql, 1, "x", platform="messenger", explicit=False)
    for body, field in (
        ({"customer_id": "anna"}, "question"),
        ({"question": "Hi"}, "customer_id"),
        ({"question": " ", "customer_id": "anna"}, "question"),
        ({"question": "x" * 20_001, "customer_id": "anna"}, "question"),
        ({"question": "Hi", "customer_id": " "}, "customer_id"),
        ({"question": "Hi", "customer_id": "anna", "colour": "red"}, "colour"),
        ({"question": "Hi", "customer_id": "ben", "session_id": session}, "session_id"),
        ({"question": "Hi", "customer_id": "anna", "client_nonce": ""}, "client_nonce"),
    ):
        refused = await shop.client.post(ASK, json=body)
        assert refused.status_code == 422, refused.text
        assert [error["field"] for error in refused.json()["errors"]] == [field]
    refused = await shop.client.post(ASK, json={"question": "Hi", "customer_id": "a", "agent": theirs.agent})
    assert (refused.status_code, "agent" in refused.json()["detail"]) == (422, True)
    for unknown in ("msg_abc123", "999999", "0", "-1", str(theirs.conversation), str(2**60), "%00", "1e3"):
        for answer in (
            await shop.client.get(f"{SESSIONS}{unknown}/"),
            await shop.client.post(f"{SESSIONS}{unknown}/send/", json={"message": "Hi"}),
        ):
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), unknown
    refused = await shop.client.post(f"{SESSIONS}{messenger}/send/", json={"message": "Hi"})
    assert refused.status_code == 422
    for cursor in ("x", "WzFd", "WyJzZXNzaW9ucyIsImEiLCJiIl0"):
        refused = await shop.client.get(SESSIONS, params={"cursor": cursor})
        assert [error["field"] for error in refused.json()["errors"]] == ["cursor"]
    viewer = bearer(token(shop.settings, "viewer", 1))
    body = {"question": "Hi", "customer_id": "anna"}
    assert (await shop.client.post(ASK, json=body, headers=viewer)).status_code == 403
