"""A deleted conversation is silent and out of sight, comes back whole, and is gone after its thirty days."""

import asyncio
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from stands.desk import ANNA, Desk
from stands.served import sql as sql
from switchboard.database import Database
from switchboard.errors import Forbidden, NotFound
from switchboard.storage.folder import Folder
from switchboard.upkeep.purge_deleted import purge_deleted
from switchboard.upkeep.watchdog import watch

OWNER = {"subject": "olga", "admin": False, "roles": {"1": "owner"}}


@pytest.fixture
async def desk(database: Database) -> Desk:
    desk = Desk(database)
    await desk.open()
    return desk


async def delete(desk: Desk, conversation: int = 1) -> None:
    await desk.database.call("delete_conversation", caller=ANNA, conversation_id=conversation)


async def restore(desk: Desk, conversation: int = 1, caller: dict[str, Any] = OWNER) -> dict[str, Any]:
    found: dict[str, Any] = await desk.database.call(
        "restore_conversation", caller=caller, conversation_id=conversation
    )
    return found


async def test_a_reply_that_is_being_made_is_not_sent(desk: Desk) -> None:
    await desk.hears("When are you open?")
    (turn,) = await desk.claims()
    await delete(desk)
    assert await desk.renews(turn) == "taken_over", "whoever writes it is told to stop"
    assert (await desk.finishes(turn, "At eight."))["outcome"] == "taken_over"
    assert await desk.bots() == []
    assert await desk.sends() == []
    assert await desk.claims() == []
    (call,) = await desk.database.select("usage")
    assert call["outcome"] == "taken_over", "what it cost counts"


async def test_a_reply_that_is_ready_is_not_sent(desk: Desk) -> None:
    await desk.hears("When are you open?")
    await desk.answers("At eight.")
    await delete(desk)
    assert await desk.sends() == []
    (reply,) = await desk.bots()
    assert (reply["delivery_state"], reply["delivery_reason"]) == ("cancelled", "the conversation was deleted")


async def test_what_the_customer_writes_next_opens_another(desk: Desk) -> None:
    await desk.hears("When are you open?")
    await delete(desk)
    assert await desk.claims() == []
    await desk.hears("Hello?")
    (turn,) = await desk.claims()
    assert turn["conversation_id"] == 2
    assert [line["content"] for line in turn["transcript"]] == ["Hello?"]
    # A webhook that the channel repeats is still known.
    await desk.receives({"kind": "message", "text": "When are you open?", "external_id": "m1"})
    assert len(await desk.database.select("messages")) == 2


async def test_it_is_nowhere_to_be_seen(desk: Desk) -> None:
    await desk.hears("Where is my parcel?")
    await desk.answers("On its way.")
    call = desk.database.call
    (question, answer) = await desk.database.select("messages", order=["id"])
    await desk.database.insert(
        "knowledge_questions", [{"workspace_id": 1, "conversation_id": 1, "seq": 1, "question": "parcel?", "best": 0}]
    )
    seen = {
        "list": lambda: call("list_conversations", caller=ANNA, filters={}, sort="created_at"),
        "search": lambda: call("list_conversations", caller=ANNA, filters={"q": "parcel"}, sort="created_at"),
        "sessions": lambda: call("list_sessions", caller=ANNA, filters={}, customer_id="u1"),
        "one": lambda: call("get_conversation", caller=ANNA, conversation_id=1),
        "message": lambda: call("get_message", caller=ANNA, message_id=question["id"]),
        "messages": lambda: call("list_all_messages", caller=ANNA),
        "statuses": lambda: call("count_statuses", caller=ANNA),
        "unanswered": lambda: call("unanswered_questions", caller=ANNA),
    }
    before = {name: await look() for name, look in seen.items()}
    assert all(before.values()), before
    await delete(desk)
    assert {name: await look() for name, look in seen.items()} == {name: [] for name in seen} | {
        "one": None,
        "message": None,
    }
    assert (await call("chat_analytics", caller=ANNA, workspace_id=1, days=1))["unanswered_questions"]["count"] == 0
    for function, arguments in (
        ("list_messages", {"conversation_id": 1}),
        ("take_over", {"conversation_id": 1}),
        ("delete_conversation", {"conversation_id": 1}),
        ("change_conversation", {"conversation_id": 1, "changes": {"title": "x"}}),
        ("mark_message", {"message_id": answer["id"], "mark": "human"}),
    ):
        with pytest.raises(NotFound):
            await call(function, caller=ANNA, **arguments)
    assert (await restore(desk))["status"] == "active"
    assert {name: await look() for name, look in seen.items()}.keys() == before.keys()
    assert len(await seen["messages"]()) == 2


async def test_whoever_waits_for_it_while_it_is_deleted_finds_nothing(desk: Desk, sql: asyncpg.Connection) -> None:
    """A change that queues behind the deletion must not be made to what is deleted."""
    await desk.hears("Hi")
    async with sql.transaction():
        await sql.execute("update conversations set deleted_at = now()")
        changing = asyncio.create_task(desk.database.call("set_priority", caller=ANNA, conversation_id=1, priority=9))
        async with asyncio.timeout(4):
            while not await sql.fetchval("select count(*) from pg_locks where not granted"):
                await asyncio.sleep(0.01)
    with pytest.raises(NotFound):
        await changing


async def test_owners_restore_it_for_thirty_days(desk: Desk, sql: asyncpg.Connection) -> None:
    await desk.hears("When are you open?")
    await delete(desk)
    with pytest.raises(Forbidden, match="owner"):
        await restore(desk, caller=ANNA)
    with pytest.raises(NotFound):
        await restore(desk, caller={"subject": "eve", "admin": False, "roles": {"2": "owner"}})
    (listed,) = await desk.database.call("list_deleted_conversations", caller=OWNER)
    kept = datetime.fromisoformat(listed["restorable_until"]) - datetime.fromisoformat(listed["deleted_at"])
    assert kept == timedelta(days=30)
    assert await desk.database.call("list_deleted_conversations", caller=ANNA) == []
    found = await restore(desk)
    assert (found["status"], found["deleted_at"]) == ("active", None)
    assert await desk.claims() == [], "what was asked before is not answered by itself"
    assert await restore(desk) == found, "again changes nothing"
    await sql.execute("update messages set created_at = now() - interval '1 day'")
    assert await watch(desk.database) == 1, "but people are told that somebody waits"
    assert (await desk.events())[-3:] == ["conversation.deleted", "conversation.restored", "message.requires_human"]
    await delete(desk)
    await sql.execute("update conversations set deleted_at = now() - interval '30 days 1 second'")
    assert await desk.database.call("list_deleted_conversations", caller=OWNER) == []
    with pytest.raises(NotFound):
        await restore(desk)


async def test_where_the_customer_has_a_newer_one_it_comes_back_closed(desk: Desk) -> None:
    await desk.hears("Hi")
    await delete(desk)
    await desk.hears("Hello?")
    assert (await restore(desk))["status"] == "closed"
    await desk.hears("Still here")
    messages = await desk.database.select("messages", where={"conversation_id": 2})
    assert [message["content"] for message in messages] == ["Hello?", "Still here"]


async def test_what_comes_in_from_an_outage_is_kept_and_not_answered(desk: Desk) -> None:
    caller = {"subject": "program", "admin": False, "roles": {"1": "support"}}
    await desk.database.call("open_conversation", caller=caller, workspace_id=1, platform="api", user_id="u")
    await delete(desk)
    exchange = {
        "workspace_id": 1,
        "conversation_id": 1,
        "external_id": "x",
        "content": "Are you there?",
        "sent_at": "2026-01-01T00:00:00Z",
        "covers": [],
        "reply": None,
        "spent": None,
    }
    await desk.database.call("store_exchange", exchange=exchange)
    assert await desk.claims() == []
    assert len(await desk.database.select("messages")) == 1


async def test_after_thirty_days_it_is_purged_with_its_files(
    desk: Desk, sql: asyncpg.Connection, tmp_path: Path
) -> None:
    files = Folder(tmp_path)
    await desk.hears("Here is a photo")
    await desk.answers("Nice.")
    await desk.hears("Another customer", customer="u2")
    for conversation, key in ((1, "1/gone"), (2, "1/stays")):
        await files.put(key, b"x", "image/png")
        await sql.execute(
            "insert into attachments (workspace_id, conversation_id, message_id, place, state, storage_key)"
            " select 1, $1, min(id), 1, 'stored', $2 from messages where conversation_id = $1",
            *(conversation, key),
        )
    await sql.execute(  # more than one batch
        "insert into messages (workspace_id, conversation_id, seq, sender_type, content)"
        " select 1, 1, n, 'user', 'x' from generate_series(3, 4502) n"
    )
    await delete(desk)
    await sql.execute("update conversations set deleted_at = deleted_at - interval '29 days'")
    assert await purge_deleted(desk.database, files) == {"conversations": 0, "messages": 0, "files": 0}
    await sql.execute("update conversations set deleted_at = deleted_at - interval '2 days'")
    assert await purge_deleted(desk.database, files) == {"conversations": 1, "messages": 4502, "files": 1}
    assert [row["id"] for row in await desk.database.select("conversations")] == [2]
    assert not (tmp_path / "1" / "gone").exists()
    assert (tmp_path / "1" / "stays").exists()
    for table in ("messages", "replies", "deliveries", "turns"):
        assert await desk.database.select(table, where={"conversation_id": 1}) == [], table
    (call,) = await desk.database.select("usage")
    assert call["conversation_id"] == 1, "what it cost was paid all the same"
    assert await purge_deleted(desk.database, files) == {"conversations": 0, "messages": 0, "files": 0}


async def test_it_is_purged_when_nobody_can_restore_it_any_more(desk: Desk, sql: asyncpg.Connection) -> None:
    await desk.hears("Hi")
    await delete(desk)
    await sql.execute("update conversations set deleted_at = now() - interval '30 days 30 minutes'")
    assert await desk.database.call("expired_conversations") == []
    with pytest.raises(NotFound):
        await restore(desk)
    assert timedelta(days=30) == await sql.fetchval("select kept_after_deletion()")
