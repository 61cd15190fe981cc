"""What was said while the database was away comes in once, in its order, and is never answered a second time."""

import asyncio
from typing import Any

import pytest

from stands.desk import ANNA, Desk
from switchboard.database import Database
from switchboard.errors import NotFound
from switchboard.replies.prompt import build_prompt
from switchboard.replies.turn import Turn

PROGRAM = {"subject": "program", "admin": False, "roles": {"1": "support"}}
RECEIPT: dict[str, Any] = {
    "text": "From nine.",
    "sent_at": "2026-11-20T09:00:02+00:00",
    "provider": "openai",
    "model": "m",
    "input_tokens": 10,
    "output_tokens": 5,
    "cost": "0.002",
    "latency_ms": 700,
    "confidence": 0.9,
    "finish_reason": "stop",
    "sources": [],
    "started_at": "2026-11-20T09:00:01+00:00",
}
SPENT: dict[str, Any] = RECEIPT | {
    "outcome": "failed",
    "attempts": [
        {"provider": "openai", "model": "m", "outcome": "server", "call_id": "00000000-0000-0000-0000-000000000001"}
    ],
}


@pytest.fixture
async def desk(database: Database) -> Desk:
    """A workspace with one conversation of a program, number 1."""
    desk = Desk(database)
    await desk.open()
    await database.call("open_conversation", caller=PROGRAM, workspace_id=1, platform="api", user_id="u1")
    return desk


async def store(desk: Desk, name: str, *, reply: dict[str, Any] | None = RECEIPT, **changes: Any) -> Any:
    """The exchange ``name`` is replayed."""
    exchange: dict[str, Any] = {
        "workspace_id": 1,
        "conversation_id": 1,
        "external_id": name,
        "content": f"asked in {name}",
        "sent_at": "2026-11-20T09:00:00+00:00",
        "covers": [],
        "reply": reply,
        "hand_over": False,
        "spent": None,
    }
    return await desk.database.call("store_exchange", exchange=exchange | changes)


async def say(desk: Desk, content: str, name: str | None = None) -> Any:
    """The customer says something that is tracked."""
    return await desk.database.call(
        "add_user_message", caller=PROGRAM, conversation_id=1, content=content, external_id=name
    )


async def said(desk: Desk) -> list[tuple[str, str]]:
    rows = await desk.database.select("messages", order=["seq"])
    assert [row["seq"] for row in rows] == list(range(1, len(rows) + 1))
    return [(row["sender_type"], row["content"]) for row in rows]


async def test_somebody_looks_whether_it_was_answered(desk: Desk) -> None:
    await store(desk, "a", reply=None)
    assert (await turn_of(desk))["watch_at"] is not None


async def test_where_it_is_closed_they_are_told_so_whoever_has_it(desk: Desk) -> None:
    hours = {"time_zone": "UTC", "weekly": {}, "holidays": {}}
    await desk.database.update("workspaces", {"business_hours": hours}, where={"id": 1})
    await desk.database.call("take_over", caller=ANNA, conversation_id=1)
    assert (await store(desk, "a", reply=None))["outcome"] == "waits for a person"
    assert (await turn_of(desk))["due_at"] is not None


async def test_the_disclosure_and_the_prompts_are_kept(desk: Desk) -> None:
    await store(desk, "a", reply=RECEIPT | {"disclosed": True, "prompt_version": 3})
    _, answer = await desk.database.select("messages", order=["seq"])
    assert (answer["metadata"]["disclosed"], answer["prompt_version"]) == (True, 3)
    (reply,) = await desk.database.select("replies")
    assert reply["prompt_version"] == 3


async def turn_of(desk: Desk) -> dict[str, Any]:
    (turn,) = await desk.database.select("turns")
    return turn


async def test_an_exchange_becomes_a_message_and_its_reply(desk: Desk) -> None:
    assert (await store(desk, "a"))["outcome"] == "answered"
    assert await said(desk) == [("user", "asked in a"), ("bot", "From nine.")]
    question, answer = await desk.database.select("messages", order=["seq"])
    assert (question["external_id"], question["sent_at"][:19]) == ("a", "2026-11-20T09:00:00")
    assert (question["metadata"]["tracked"], answer["metadata"]["tracked"]) == (False, False)
    assert (answer["metadata"]["answers"], answer["delivery_state"], answer["model"]) == ("a", "sent", "m")
    assert await desk.claims() == []
    assert await desk.outcomes() == ["answered"]
    (booked,) = await desk.database.select("usage")
    assert (booked["message_id"], booked["input_tokens"], float(booked["cost"])) == (answer["id"], 10, 0.002)
    assert (await desk.events())[-2:] == ["message.received", "reply.answered"]
    found = await desk.database.call("find_reply", caller=PROGRAM, conversation_id=1, seq=1)
    assert (found["waiting"], found["reply"]["id"]) == (False, answer["id"])


async def test_whatever_is_repeated_is_there_once(desk: Desk) -> None:
    for _ in range(2):
        await asyncio.gather(*(store(desk, "a") for _ in range(4)))
        await asyncio.gather(*(store(desk, "b", reply=None, spent=SPENT) for _ in range(4)))
    assert await said(desk) == [("user", "asked in a"), ("bot", "From nine."), ("user", "asked in b")]
    assert [row["outcome"] for row in await desk.database.select("usage", order=["id"])] == ["answered", "failed"]
    assert await desk.outcomes() == ["answered"]


async def test_a_message_without_a_reply_is_answered_as_any_other(desk: Desk) -> None:
    assert (await store(desk, "a", reply=None))["outcome"] == "due"
    await desk.answers("Now then.")
    assert await said(desk) == [("user", "asked in a"), ("bot", "Now then.")]
    assert await desk.claims() == []


async def test_one_that_had_been_stored_after_all_is_not_stored_again(desk: Desk) -> None:
    await say(desk, "asked in a", "a")
    assert (await store(desk, "a", reply=None))["outcome"] == "known"
    await desk.answers("Tracked.")
    assert (await store(desk, "a", reply=None))["outcome"] == "known"
    assert await said(desk) == [("user", "asked in a"), ("bot", "Tracked.")]
    assert await desk.claims() == []


async def test_the_same_name_is_the_same_message(desk: Desk) -> None:
    first = await say(desk, "Hi", "a")
    assert await say(desk, "Hi", "a") == {**first, "repeated": True}
    assert (await say(desk, "Hi"))["id"] != first["id"] != (await say(desk, "Hi", "b"))["id"]
    assert [content for _, content in await said(desk)] == ["Hi"] * 3


async def test_a_message_somebody_else_has_answered_is_not_answered_twice(desk: Desk) -> None:
    await say(desk, "asked in a", "a")
    await desk.answers("Tracked.")
    assert (await store(desk, "a"))["outcome"] == "lost"
    assert await said(desk) == [("user", "asked in a"), ("bot", "Tracked.")]
    assert await desk.outcomes() == ["answered", "lost"]
    assert len(await desk.database.select("usage")) == 2


async def test_a_reply_closes_what_it_was_written_knowing(desk: Desk) -> None:
    waiting = await say(desk, "First")
    await store(desk, "kept", reply=None)
    (turn,) = await desk.claims()
    await store(desk, "a", covers=[waiting["id"], "kept"])
    assert (await desk.finishes(turn))["outcome"] == "lost"
    assert await desk.claims() == []
    assert [sender for sender, _ in await said(desk)] == ["user", "user", "user", "bot"]


async def test_what_it_did_not_know_of_stays_due_and_is_answered_alone(desk: Desk) -> None:
    first = await say(desk, "First")
    await store(desk, "a")
    looked = await desk.database.call("find_reply", caller=PROGRAM, conversation_id=1, seq=first["seq"])
    assert (looked["waiting"], looked["reply"]) == (True, None)
    assert (await desk.database.call("find_reply", caller=PROGRAM, conversation_id=1, seq=2))["reply"] is not None
    turn = await desk.answers("To the first.")
    # The model is asked the first, although a reply to something else comes after it.
    assert build_prompt(Turn.model_validate(turn), [], "m").question == "First"
    assert (turn["seq_in"], turn["outcome"]) == (1, "answered")
    assert await desk.claims() == []
    looked = await desk.database.call("find_reply", caller=PROGRAM, conversation_id=1, seq=first["seq"])
    assert looked["reply"]["content"] == "To the first."


async def test_a_lease_under_way_for_what_it_did_not_know_of_goes_on(desk: Desk) -> None:
    await say(desk, "First")
    (turn,) = await desk.claims()
    await store(desk, "a")
    assert (await desk.finishes(turn, "To the first."))["outcome"] == "answered"
    assert (await turn_of(desk))["due_at"] is None


async def test_a_hand_over_gives_the_conversation_to_people(desk: Desk) -> None:
    epoch = (await turn_of(desk))["epoch"]
    stored = await store(desk, "a", hand_over=True, reply=RECEIPT | {"reason": "asked for a person"})
    assert stored["outcome"] == "handed_over"
    (conversation,) = await desk.database.select("conversations")
    assert (conversation["handler"], conversation["requires_human"]) == ("human", True)
    assert (await turn_of(desk))["epoch"] == epoch + 1
    assert (await store(desk, "b", reply=None))["outcome"] == "waits for a person"
    assert await desk.claims() == []


async def test_a_person_who_took_over_meanwhile_sees_it_and_keeps_the_conversation(desk: Desk) -> None:
    await desk.database.call("take_over", caller=ANNA, conversation_id=1)
    epoch = (await turn_of(desk))["epoch"]
    await store(desk, "a", hand_over=True)
    (conversation,) = await desk.database.select("conversations")
    assert (conversation["handler"], conversation["assigned_to"], conversation["requires_human"]) == (
        "human",
        "anna",
        True,
    )
    assert (await turn_of(desk))["epoch"] == epoch
    (reply,) = await desk.bots()
    assert reply["requires_human"]
    assert await desk.claims() == []
    # Handed back, there is nothing left to answer.
    await desk.database.call("hand_back", caller=ANNA, conversation_id=1)
    assert await desk.claims() == []


async def test_a_closed_or_deleted_conversation_keeps_it(desk: Desk) -> None:
    await desk.database.call("set_lifecycle", caller=ANNA, conversation_id=1, lifecycle="closed")
    await store(desk, "a")
    assert (await store(desk, "b", reply=None))["outcome"] == "waits for a person"
    await desk.database.update("conversations", {"deleted_at": "2026-11-20T09:00:00Z"}, where={"id": 1})
    await store(desk, "c")
    (conversation,) = await desk.database.select("conversations")
    assert (conversation["lifecycle"], conversation["requires_human"]) == ("closed", True)
    assert len(await said(desk)) == 5
    assert await desk.claims() == []


async def test_a_conversation_that_is_gone_says_so(desk: Desk) -> None:
    await desk.database.delete("conversations", where={"id": 1})
    with pytest.raises(NotFound, match="any more"):
        await store(desk, "a")


async def test_an_unsure_reply_is_shown_to_people(desk: Desk) -> None:
    await store(desk, "a", reply=RECEIPT | {"requires_human": True, "confidence": 0.3, "reason": "unsure"})
    (conversation,) = await desk.database.select("conversations")
    assert (conversation["handler"], conversation["requires_human"]) == ("ai", True)


async def test_what_is_remembered_is_what_a_turn_is_answered_from(desk: Desk) -> None:
    await say(desk, "When are you open?")
    found = await desk.database.call("remember_conversation", workspace_id=1, conversation_id=1)
    assert (found["handler"], found["open"], found["passages"]) == ("ai", True, [])
    (turn,) = await desk.claims()
    assert found["turn"] == turn | {"lease_no": 0, "attempts": 0}
    await desk.database.call("set_lifecycle", caller=ANNA, conversation_id=1, lifecycle="closed")
    found = await desk.database.call("remember_conversation", workspace_id=1, conversation_id=1)
    assert found["open"] is False
    assert await desk.database.call("remember_conversation", workspace_id=2, conversation_id=1) is None
