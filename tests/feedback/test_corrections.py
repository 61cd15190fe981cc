"""Better answers, on both transports."""

import json
from typing import Any

import asyncpg
import pytest

from feedback.conftest import Team
from stands.app import PAGE
from stands.problems import check_problem


async def say(sql: asyncpg.Connection, team: Team, sender: str, text: str) -> int:
    """One more message in the team's conversation: its id."""
    place = await sql.fetchval(
        "update conversations set last_seq = last_seq + 1 where id = $1 returning last_seq", team.tenant.conversation
    )
    made: int = await sql.fetchval(
        "insert into messages (workspace_id, conversation_id, seq, sender_type, content) values ($1, $2, $3, $4, $5)"
        " returning id",
        *(team.tenant.workspace, team.tenant.conversation, place, sender, text),
    )
    return made


async def listed(team: Team, **query: Any) -> list[dict[str, Any]]:
    return (await team.does("carla", "GET", "/api/corrections/", **query))["corrections"]


@pytest.fixture
async def answer(ours: Team, sql: asyncpg.Connection) -> int:
    """What the AI said to a second question; nobody has corrected anything yet."""
    await sql.execute("delete from corrections")
    await say(sql, ours, "system", "A note.")
    await say(sql, ours, "user", "And on Fridays?")
    await say(sql, ours, "user", "In the evening?")
    return await say(sql, ours, "bot", "We never close.")


async def reply(team: Team, text: str) -> dict[str, Any]:
    path = f"/admin/conversations/{team.tenant.conversation}/messages"
    return (await team.does("anna", "POST", path, {"content": text}, role="support"))["message"]


async def test_a_correction_is_kept_and_sent_and_takes_over(ours: Team, answer: int, sql: asyncpg.Connection) -> None:
    path = f"/admin/messages/{answer}/correct/"
    made = await ours.ask("anna", "POST", path, {"content": " We close at six. "}, role="support")
    assert made.status_code == 201, made.text
    kept, sent = made.json()["correction"], made.json()["message"]
    assert (kept["question"], kept["answer"]) == ("And on Fridays?\nIn the evening?", "We never close.")
    assert (kept["better_answer"], kept["reason"], kept["created_by"]) == ("We close at six.", "corrected", "anna")
    assert kept["context"] == [
        {"sender_type": "user", "content": "OursOurs asks"},
        {"sender_type": "bot", "content": "OursOurs answers"},
    ]
    assert (sent["sender_type"], sent["author"], sent["content"]) == ("human", "anna", "We close at six.")
    assert kept["reply_id"] == sent["id"]
    handler = await sql.fetchval("select handler from conversations where id = $1", ours.tenant.conversation)
    assert handler == "human"
    types = await sql.fetch(
        "select type from events where type like 'correction.%' or type like '%by_human' order by id"
    )
    assert [row[0] for row in types] == ["correction.kept", "message.sent_by_human"]
    (shown,) = await listed(ours)
    assert {name: shown[name] for name in kept} == kept


async def test_it_need_not_be_sent_and_may_be_given_again(ours: Team, answer: int, sql: asyncpg.Connection) -> None:
    path = f"/admin/messages/{answer}/correct"
    for text in ("First.", "Second."):
        done = await ours.does("anna", "POST", path, {"content": text, "send": False}, role="support")
        assert (done["message"], done["correction"]["reply_id"]) == (None, None)
    assert [one["better_answer"] for one in await listed(ours)] == ["Second."]
    assert await sql.fetchval("select handler from conversations where id = $1", ours.tenant.conversation) == "ai"
    # What somebody called a correction is not replaced by what is said later.
    await ours.does("ben", "POST", "/api/ratings", {"message": answer, "score": 1})
    await reply(ours, "Third.")
    assert [one["better_answer"] for one in await listed(ours)] == ["Second."]


async def test_it_goes_out_on_the_channel_in_parts(ours: Team, answer: int, sql: asyncpg.Connection) -> None:
    await sql.execute(
        "update channels set platform = 'messenger', account = 'p' where workspace_id = $1", ours.tenant.workspace
    )
    long = "We close at six on Fridays. " * 120
    done = await ours.does("anna", "POST", f"/admin/messages/{answer}/correct", {"content": long}, role="support")
    parts = await sql.fetchval("select count(*) from deliveries where message_id = $1", done["message"]["id"])
    assert parts > 1


@pytest.mark.parametrize(
    ("feedback", "reason"),
    [
        (("ratings", {"score": 2}), "rated_low"),
        (("flags", {"flag_type": "factual_error"}), "flagged"),
        (("ratings", {"score": 3}), None),
        (None, None),
    ],
)
async def test_the_next_reply_after_a_bad_answer_is_kept(
    ours: Team, answer: int, feedback: tuple[str, dict[str, Any]] | None, reason: str | None, sql: asyncpg.Connection
) -> None:
    if feedback is not None:
        await ours.does("ben", "POST", f"/api/{feedback[0]}", {"message": answer, **feedback[1]})
    await say(sql, ours, "user", "Really?")
    sent = await reply(ours, "No, we close at six.")
    found = await listed(ours)
    assert [(one["reason"], one["message_id"], one["reply_id"]) for one in found] == (
        [(reason, answer, sent["id"])] if reason else []
    )
    # Nor is what is said after that a better answer to it.
    await reply(ours, "You are welcome.")
    assert [one["better_answer"] for one in await listed(ours)] == [one["better_answer"] for one in found]


async def test_a_flag_that_was_dismissed_keeps_nothing(ours: Team, answer: int) -> None:
    flag = await ours.does("ben", "POST", "/api/flags", {"message": answer, "flag_type": "outdated"})
    await ours.does("anna", "POST", f"/admin/flags/{flag['id']}/resolve", {"outcome": "dismissed"}, role="support")
    await reply(ours, "As it says.")
    assert await listed(ours) == []


async def test_a_reply_in_the_channels_own_inbox_is_kept_as_well(ours: Team, sql: asyncpg.Connection) -> None:
    await sql.execute("delete from corrections")
    workspace = 1
    events = [
        {"kind": "message", "text": "When?", "external_id": "m1"},
        {"kind": "echo", "text": "At six.", "external_id": "m2"},
    ]

    async def hears(event: dict[str, Any]) -> None:
        common = {"platform": "messenger", "account": PAGE, "customer": "u1", "data": {"own": False}}
        part = {"platform": "messenger", "account": PAGE, "body": None, "events": [common | event]}
        await accept(sql, part)

    await hears(events[0])
    conversation = await sql.fetchval("select max(id) from conversations where workspace_id = $1", workspace)
    said = await sql.fetchval(
        "insert into messages (workspace_id, conversation_id, seq, sender_type, content)"
        " select $1, $2, last_seq + 1, 'bot', 'Never.' from conversations where id = $2 returning id",
        *(workspace, conversation),
    )
    await sql.execute("update conversations set last_seq = last_seq + 1 where id = $1", conversation)
    await sql.execute(
        "insert into ratings (workspace_id, message_id, rated_by, score) values ($1, $2, 'x', 1)", workspace, said
    )
    await hears(events[1])
    await hears(events[1])
    rows = await sql.fetch("select message_id, question, better_answer, created_by from corrections")
    assert [tuple(row) for row in rows] == [(said, "When?", "At six.", "channel")]


async def accept(sql: asyncpg.Connection, part: dict[str, Any]) -> None:
    """A webhook, accepted and sorted."""
    await sql.execute("select accept_webhook(platform => 'messenger', text => '{}', body => null)")
    kept = json.loads(await sql.fetchval("select unsorted_webhooks(most_bytes => 1000)"))
    read = json.dumps([{"id": one["id"], "parts": [part]} for one in kept])
    await sql.execute("select sort_inbox(read => $1)", read)


async def test_filters_and_pages(ours: Team, answer: int, sql: asyncpg.Connection) -> None:
    agent = ours.tenant.agent
    await sql.execute("update messages set agent_id = $1 where id = $2", agent, ours.tenant.answer)
    for number in (ours.tenant.answer, answer):
        await ours.does(
            "anna", "POST", f"/admin/messages/{number}/correct", {"content": "x", "send": False}, role="support"
        )
    assert [one["message_id"] for one in await listed(ours)] == [answer, ours.tenant.answer]
    page = await ours.does("anna", "GET", "/api/corrections", limit=1)
    rest = await ours.does("anna", "GET", "/api/corrections", limit=1, cursor=page["next_cursor"])
    assert [one["message_id"] for one in page["corrections"] + rest["corrections"]] == [answer, ours.tenant.answer]
    assert [one["message_id"] for one in await listed(ours, agent=agent)] == [ours.tenant.answer]
    assert [one["message_id"] for one in await listed(ours, message=answer, reason="corrected")] == [answer]
    assert len(await listed(ours, conversation=ours.tenant.conversation, workspace=ours.tenant.workspace)) == 2
    for nothing in (
        {"reason": "flagged"},
        {"from": "2100-01-01T00:00:00Z"},
        {"to": "2000-01-01T00:00:00Z"},
        {"workspace": 1},
    ):
        assert await listed(ours, **nothing) == []
    await sql.execute("update conversations set deleted_at = now() where id = $1", ours.tenant.conversation)
    assert await listed(ours) == []
    await sql.execute("delete from customers where workspace_id = $1", ours.tenant.workspace)
    assert await sql.fetchval("select count(*) from corrections") == 0


async def test_what_is_refused(ours: Team, theirs: Team, answer: int, sql: asyncpg.Connection) -> None:
    await sql.execute("delete from corrections")
    path = f"/admin/messages/{answer}/correct"
    check_problem(await ours.ask("anna", "POST", path, {"content": "x"}), 403)
    for number in (theirs.tenant.answer, 2**53):
        refused = await ours.ask("anna", "POST", f"/admin/messages/{number}/correct", {"content": "x"}, role="support")
        assert check_problem(refused, 404) == "There is no such message."
    refused = await ours.ask(
        "anna", "POST", f"/admin/messages/{ours.tenant.question}/correct", {"content": "x"}, role="support"
    )
    assert "from the customer" in check_problem(refused, 422)
    for body in ({}, {"content": " "}, {"content": "x" * 20_001}, {"content": "x", "send": "perhaps"}):
        check_problem(await ours.ask("anna", "POST", path, body, role="support"), 422)
    await sql.execute("update conversations set lifecycle = 'closed' where id = $1", ours.tenant.conversation)
    check_problem(await ours.ask("anna", "POST", path, {"content": "x"}, role="support"), 409)
    assert await sql.fetchval("select count(*) from corrections") == 0
    await ours.does("anna", "POST", path, {"content": "x", "send": False}, role="support")
