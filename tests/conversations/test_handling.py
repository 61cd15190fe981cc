"""What people do with a conversation, one after the other and at once."""

import asyncio

import asyncpg

from channels.payloads import event, message
from stands.panel import WORKSPACE, Panel
from stands.tenants import talk


async def test_close_and_reopen(panel: Panel, sql: asyncpg.Connection) -> None:
    conversation, _, _ = await talk(sql, WORKSPACE, "x", explicit=False)
    await sql.execute("update turns set due_at = now(), seq_in = 2")
    for _ in range(2):
        closed = (await panel.post(f"/conversations/{conversation}/close"))["conversation"]
        assert (closed["status"], closed["lifecycle"]) == ("closed", "closed")
        assert closed["closed_at"]
    turn = await sql.fetchrow("select due_at, epoch, seq_in - seq_done as left from turns")
    assert turn is not None
    assert tuple(turn) == (None, 1, 0)
    for action in ("takeover", "handback"):
        await panel.post(f"/conversations/{conversation}/{action}", status=409)
    await panel.post(f"/conversations/{conversation}/messages", {"content": "x"}, status=409)
    for _ in range(2):
        opened = (await panel.post(f"/conversations/{conversation}/reopen"))["conversation"]
        assert (opened["status"], opened["closed_at"]) == ("active", None)
    events = [row[0] for row in await sql.fetch("select type from events where type like 'conversation.%' order by id")]
    assert events == ["conversation.closed", "conversation.reopened"]


async def test_a_closed_conversation_is_not_reopened_beside_a_newer_one(panel: Panel) -> None:
    await panel.receive(message(text="first"))
    (old,) = (await panel.get("/conversations"))["conversations"]
    await panel.post(f"/conversations/{old['id']}/close")
    await panel.receive(event(message={"mid": "m_second", "text": "second"}))
    (new,) = (await panel.get("/conversations"))["conversations"]
    assert new["id"] != old["id"]
    refused = await panel.post(f"/conversations/{old['id']}/reopen", status=409)
    assert "newer conversation" in refused["detail"]


async def test_takeover_and_handback(panel: Panel, sql: asyncpg.Connection) -> None:
    await panel.receive(message(text="Is anybody there?"))
    (row,) = (await panel.get("/conversations"))["conversations"]
    path = f"/conversations/{row['id']}"
    taken = (await panel.post(f"{path}/takeover", {"reason": "angry"}))["conversation"]
    assert (taken["status"], taken["handler"], taken["assigned_to"]) == ("support_active", "human", "anna")
    turn = await sql.fetchrow("select due_at, lease_until, epoch from turns")
    assert turn is not None
    assert tuple(turn) == (None, None, 1)
    # Once more does no harm, and raises no epoch.
    await panel.post(f"{path}/takeover")
    assert await sql.fetchval("select epoch from turns") == 1
    refused = await panel.post(f"{path}/takeover", by="ben", status=409)
    assert refused["detail"] == "anna has taken over this conversation already."
    assert refused["code"] == "conflict"

    back = (await panel.post(f"{path}/handback", by="ben"))["conversation"]
    assert (back["status"], back["handler"], back["assigned_to"]) == ("active", "ai", None)
    turn = await sql.fetchrow("select due_at is not null, epoch from turns")
    assert turn is not None
    assert tuple(turn) == (True, 2), "the customer still waits: the AI answers"
    await panel.post(f"{path}/handback")
    assert await sql.fetchval("select epoch from turns") == 2
    audit = [tuple(row) for row in await sql.fetch("select actor, action, subject from audit order by id")]
    subject = f"conversation:{row['id']}"
    assert audit == [("anna", "conversation.taken_over", subject), ("ben", "conversation.handed_back", subject)]


async def test_two_take_over_at_once_and_one_is_told_who_won(panel: Panel, sql: asyncpg.Connection) -> None:
    for _ in range(5):
        conversation, _, _ = await talk(sql, WORKSPACE, "x")
        path = f"/admin/conversations/{conversation}/takeover"
        people = ["anna", "ben", "carla"]
        answers = await asyncio.gather(*(panel.client.post(path, headers=panel.who(name)) for name in people))
        by_name = dict(zip(people, answers, strict=True))
        (winner,) = [name for name, answer in by_name.items() if answer.status_code == 200]
        for name, answer in by_name.items():
            if name != winner:
                assert answer.status_code == 409
                assert winner in answer.json()["detail"]
        assert await sql.fetchval("select assigned_to from conversations where id = $1", conversation) == winner
        assert await sql.fetchval("select epoch from turns where conversation_id = $1", conversation) == 1


async def test_what_nobody_answered_is_the_ais_again_and_what_somebody_answered_is_done(
    panel: Panel, sql: asyncpg.Connection
) -> None:
    await panel.receive(message(text="Question"))
    (row,) = (await panel.get("/conversations"))["conversations"]
    path = f"/conversations/{row['id']}"
    await panel.post(f"{path}/messages", {"content": "Answer"}, status=201)
    await panel.post(f"{path}/handback")
    turn = await sql.fetchrow("select due_at, seq_in - seq_done from turns")
    assert turn is not None
    assert tuple(turn) == (None, 0)


async def test_assign_and_priority(panel: Panel, sql: asyncpg.Connection) -> None:
    conversation, _, _ = await talk(sql, WORKSPACE, "x")
    path = f"/conversations/{conversation}"
    row = (await panel.post(f"{path}/assign", {"assigned_to": "  ben "}))["conversation"]
    assert (row["assigned_to"], row["handler"]) == ("ben", "ai")
    row = (await panel.post(f"{path}/assign", {"assigned_to": None}))["conversation"]
    assert row["assigned_to"] is None
    for priority in (100, 0, 50):
        assert (await panel.post(f"{path}/priority", {"priority": priority}))["conversation"]["priority"] == priority
    assert await sql.fetchval("select epoch from turns where conversation_id = $1", conversation) == 0
    types = [row[0] for row in await sql.fetch("select type from events where type like 'conversation.%' order by id")]
    assert types == ["conversation.assigned"] * 2 + ["conversation.prioritised"] * 3


async def test_marks(panel: Panel, sql: asyncpg.Connection) -> None:
    conversation, question, answer = await talk(sql, WORKSPACE, "x")

    async def state() -> tuple[bool, int]:
        row = (await panel.get(f"/conversations/{conversation}"))["conversation"]
        return row["requires_human"], (await panel.get("/stats"))["stats"]["messages_requiring_human"]

    marked = (await panel.post(f"/messages/{question}/mark-human"))["message"]
    assert (marked["id"], marked["requires_human"], marked["human_replied"]) == (question, True, False)
    assert await state() == (True, 1)
    await panel.post(f"/messages/{answer}/mark-human")
    assert await state() == (True, 2)
    for message_id, left in ((question, 1), (answer, 0)):
        marked = (await panel.post(f"/messages/{message_id}/mark-replied"))["message"]
        assert (marked["requires_human"], marked["human_replied"]) == (True, True)
        assert await state() == (left > 0, left)
    # Who asks for a person again gets one again.
    again = (await panel.post(f"/messages/{question}/mark-human"))["message"]
    assert (again["requires_human"], again["human_replied"]) == (True, False)
    assert await state() == (True, 1)


async def test_a_persons_reply_takes_over_and_settles_what_waited(panel: Panel, sql: asyncpg.Connection) -> None:
    await panel.receive(message(text="Question"))
    (row,) = (await panel.get("/conversations"))["conversations"]
    path = f"/conversations/{row['id']}"
    (question,) = (await panel.get(path))["messages"]
    await panel.post(f"/messages/{question['id']}/mark-human")
    long = "Hello, this is Anna. " * 150
    sent = (await panel.post(f"{path}/messages", {"content": f"  {long}  "}, status=201))["message"]
    assert (sent["sender_type"], sent["author"], sent["seq"]) == ("human", "anna", 2)
    assert sent["content"] == long.strip()
    assert sent["delivery_state"] == "pending"
    after = (await panel.get(path))["conversation"]
    assert (after["status"], after["assigned_to"], after["requires_human"]) == ("support_active", "anna", False)
    parts = await sql.fetch("select text, state, epoch from deliveries order by part")
    assert len(parts) > 1
    assert {(part["state"], part["epoch"]) for part in parts} == {("ready", None)}
    assert all(len(part["text"]) <= 2000 for part in parts)
    assert await sql.fetchval("select due_at is null and seq_done = seq_in and epoch = 1 from turns")
    # A colleague may help out; the conversation stays with whoever has it.
    await panel.post(f"{path}/messages", {"content": "And Ben."}, by="ben", status=201)
    assert (await panel.get(path))["conversation"]["assigned_to"] == "anna"
    assert await sql.fetchval("select epoch from turns") == 1


async def test_a_reply_that_nobody_has_to_carry_is_there_at_once(panel: Panel, sql: asyncpg.Connection) -> None:
    conversation, _, _ = await talk(sql, WORKSPACE, "x", platform="web-chat")
    sent = (await panel.post(f"/conversations/{conversation}/messages", {"content": "Hello"}, status=201))["message"]
    assert sent["delivery_state"] == "sent"
    assert await sql.fetchval("select count(*) from deliveries where message_id = $1", sent["id"]) == 0


async def test_a_page_opened_by_name_is_found_by_that_name(panel: Panel) -> None:
    opened = await panel.client.post(
        "/api/conversations", json={"platform": "facebook", "user_id": "by name"}, headers=panel.who()
    )
    assert opened.status_code == 201
    await panel.receive(message(text="by webhook"))
    for platform in ("facebook", "messenger"):
        assert set(await panel.found(platform=platform)) == {"by name", message()["sender"]["id"]}


async def test_two_changes_at_once_lose_neither(panel: Panel, sql: asyncpg.Connection) -> None:
    conversation, question, answer = await talk(sql, WORKSPACE, "x")
    path = f"/conversations/{conversation}"
    await asyncio.gather(
        *(panel.post(f"{path}/messages", {"content": f"{n}"}, by=f"p{n}", status=201) for n in range(8)),
        panel.post(f"/messages/{question}/mark-human"),
        panel.post(f"/messages/{answer}/mark-human"),
        panel.post(f"{path}/priority", {"priority": 7}),
    )
    rows = await sql.fetch("select seq from messages where conversation_id = $1 order by seq", conversation)
    assert [row[0] for row in rows] == list(range(1, 11))
    flags = await sql.fetchrow(
        "select c.requires_human, c.priority, exists (select from messages m where m.conversation_id = c.id"
        " and m.requires_human and not m.human_replied) from conversations c where c.id = $1",
        conversation,
    )
    assert flags is not None
    assert flags[0] == flags[2]
    assert flags[1] == 7
