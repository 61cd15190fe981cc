"""A turn is answered once, by one worker, and never over a person: the rules of the turn, on both transports."""

import asyncio
from datetime import timedelta

import pytest

from stands.desk import ANNA, BEN, Desk
from switchboard import clock
from switchboard.database import Database
from switchboard.errors import Conflict


@pytest.fixture
async def desk(database: Database) -> Desk:
    desk = Desk(database)
    await desk.open()
    return desk


async def test_one_worker_gets_a_turn(desk: Desk) -> None:
    await desk.hears("When are you open?")
    claims = await asyncio.gather(*(desk.claims() for _ in range(8)))
    assert [len(claim) for claim in claims].count(1) == 1
    assert sum(len(claim) for claim in claims) == 1


async def test_nothing_is_due_before_the_quiet_time_is_over(desk: Desk) -> None:
    await desk.database.update("workspaces", {"quiet_seconds": 0.3}, where={"id": 1})
    stored = await desk.hears("Hi", "one more thing")
    assert 0.2 < stored["due_in"] <= 0.3
    assert await desk.claims() == []
    await asyncio.sleep(stored["due_in"] + 0.02)
    (turn,) = await desk.claims()
    assert [line["content"] for line in turn["transcript"]] == ["Hi", "one more thing"]


async def test_every_message_begins_the_quiet_time_anew_but_not_for_ever(desk: Desk) -> None:
    await desk.database.update("workspaces", {"quiet_seconds": 10}, where={"id": 1})
    first = (await desk.hears("a"))["due_in"]
    await desk.database.update(
        "turns", {"waiting_since": "2026-01-01T00:00:00Z", "due_at": "2026-01-01T00:00:30Z"}, where={"workspace_id": 1}
    )
    last = (await desk.hears("b"))["due_in"]
    assert 9 < first <= 10
    assert last < 0, "four quiet times after the first message the turn is due, however much is still being typed"


async def test_a_reply_to_what_was_seen_ends_the_turn(desk: Desk) -> None:
    await desk.hears("When are you open?")
    done = await desk.answers("At eight.")
    assert done["outcome"] == "answered"
    assert await desk.claims() == []
    (reply,) = await desk.bots()
    assert (reply["content"], reply["confidence_score"], reply["cost"]) == ("At eight.", 0.9, 0.002)


async def test_a_worker_that_lost_its_lease_cannot_finish(desk: Desk) -> None:
    await desk.hears("Hi")
    (asleep,) = await desk.claims(lease=0.05)
    await asyncio.sleep(0.1)
    (awake,) = await desk.claims()
    assert awake["lease_no"] == asleep["lease_no"] + 1
    assert await desk.renews(asleep) == "lost"
    assert (await desk.finishes(asleep, "from the zombie"))["outcome"] == "lost"
    assert (await desk.finishes(awake, "from the living"))["outcome"] == "answered"
    assert [reply["content"] for reply in await desk.bots()] == ["from the living"]
    assert await desk.outcomes() == ["lost", "answered"]


async def test_a_lease_that_ran_out_does_not_finish_even_when_nobody_else_came(desk: Desk) -> None:
    await desk.hears("Hi")
    (turn,) = await desk.claims(lease=0.05)
    await asyncio.sleep(0.1)
    assert (await desk.finishes(turn))["outcome"] == "lost"
    assert await desk.bots() == []


async def test_the_same_finish_again_changes_nothing(desk: Desk) -> None:
    """The answer to the first call may get lost on the way back."""
    await desk.hears("Hi")
    (turn,) = await desk.claims()
    first = await desk.finishes(turn)
    assert await desk.finishes(turn) == first
    assert len(await desk.bots()) == 1
    assert len(await desk.database.select("usage")) == 1


async def test_a_newer_message_supersedes_the_reply_and_its_cost_counts(desk: Desk) -> None:
    await desk.hears("A cappuccino")
    (turn,) = await desk.claims()
    await desk.hears("no, two")
    assert await desk.renews(turn) == "superseded"
    assert (await desk.finishes(turn, "One cappuccino."))["outcome"] == "superseded"
    done = await desk.answers("Two cappuccinos.")
    assert done["seq_in"] == 2
    assert [reply["content"] for reply in await desk.bots()] == ["Two cappuccinos."]
    assert await desk.outcomes() == ["superseded", "answered"]
    assert [row["cost"] for row in await desk.database.select("usage")] == [0.002, 0.002]


async def test_a_customer_who_never_stops_writing_is_answered_all_the_same(desk: Desk) -> None:
    await desk.hears("a")
    for _ in range(3):
        (turn,) = await desk.claims()
        await desk.hears("and")
        assert (await desk.finishes(turn))["outcome"] == "superseded"
    (turn,) = await desk.claims()
    await desk.hears("so on")
    assert await desk.renews(turn) == "held"
    assert (await desk.finishes(turn))["outcome"] == "answered"
    assert len(await desk.claims()) == 1, "what came after is answered next"


async def test_no_reply_is_stored_after_a_takeover(desk: Desk) -> None:
    await desk.hears("Hi")
    (turn,) = await desk.claims()
    await desk.database.call("take_over", caller=ANNA, conversation_id=turn["conversation_id"])
    assert await desk.renews(turn) == "taken_over"
    assert (await desk.finishes(turn))["outcome"] == "taken_over"
    assert await desk.bots() == []
    assert await desk.claims() == []
    await desk.hears("Hello?")
    assert await desk.claims() == [], "a person has it"


async def test_two_people_cannot_take_over_the_same_conversation(desk: Desk) -> None:
    await desk.hears("Hi")
    (turn,) = await desk.claims()
    there = {"conversation_id": turn["conversation_id"]}
    await desk.database.call("take_over", caller=ANNA, **there)
    with pytest.raises(Conflict, match="anna"):
        await desk.database.call("take_over", caller=BEN, **there)
    await desk.database.call("take_over", caller=ANNA, **there)


async def test_hand_back_answers_who_still_waits(desk: Desk) -> None:
    await desk.hears("Hi")
    (turn,) = await desk.claims()
    there = {"caller": ANNA, "conversation_id": turn["conversation_id"]}
    await desk.database.call("take_over", **there)
    await desk.hears("Is anybody there?")
    await desk.database.call("hand_back", **there)
    (again,) = await desk.claims()
    assert again["epoch"] == turn["epoch"] + 2
    assert (await desk.finishes(again))["outcome"] == "answered"


async def test_hand_back_leaves_alone_what_a_person_answered(desk: Desk) -> None:
    await desk.hears("Hi")
    (turn,) = await desk.claims()
    there = {"caller": ANNA, "conversation_id": turn["conversation_id"]}
    await desk.database.call("post_human_reply", content="Hello, Anna here.", parts=["Hello, Anna here."], **there)
    await desk.database.call("hand_back", **there)
    assert await desk.claims() == []
    await desk.hears("Thanks. When do you close?")
    (again,) = await desk.claims()
    assert [line["sender_type"] for line in again["transcript"]] == ["user", "human", "user"]


async def test_handing_over_stops_the_ai_after_its_last_text(desk: Desk) -> None:
    await desk.hears("I want my money back")
    done = await desk.answers("A colleague will help you.", hand_over=True)
    assert done["outcome"] == "handed_over"
    (conversation,) = await desk.database.select("conversations")
    assert (conversation["handler"], conversation["requires_human"]) == ("human", True)
    assert (await desk.bots())[0]["requires_human"] is True
    (delivery,) = await desk.sends()
    assert delivery["text"] == "A colleague will help you."
    await desk.hears("Hello?")
    assert await desk.claims() == []
    assert (await desk.events())[-4:-1] == ["reply.handed_over", "message.requires_human", "message.received"] or (
        "reply.handed_over" in await desk.events()
    )


async def test_a_turn_given_back_is_due_at_once_and_its_attempt_does_not_count(desk: Desk) -> None:
    await desk.hears("Hi")
    (turn,) = await desk.claims()
    await desk.database.call(
        "release_turn",
        workspace_id=1,
        conversation_id=turn["conversation_id"],
        lease_no=turn["lease_no"],
    )
    (again,) = await desk.claims()
    assert (again["attempts"], again["lease_no"]) == (1, 2)


async def test_a_failed_attempt_counts_and_waits(desk: Desk) -> None:
    await desk.hears("Hi")
    (turn,) = await desk.claims()
    await desk.database.call(
        "release_turn",
        workspace_id=1,
        conversation_id=turn["conversation_id"],
        lease_no=turn["lease_no"],
        retry_seconds=0.2,
        reply={"outcome": "failed", "seq_in": 1, "epoch": 0, "reason": "busy", "provider": "openai", "model": "m"},
    )
    assert await desk.claims() == []
    await asyncio.sleep(0.25)
    (again,) = await desk.claims()
    assert again["attempts"] == 2
    assert await desk.outcomes() == ["failed"]


async def test_a_worker_cannot_give_back_what_is_not_its_own_any_more(desk: Desk) -> None:
    await desk.hears("Hi")
    (asleep,) = await desk.claims(lease=0.05)
    await asyncio.sleep(0.1)
    (awake,) = await desk.claims()
    await desk.database.call(
        "release_turn", workspace_id=1, conversation_id=1, lease_no=asleep["lease_no"], retry_seconds=0
    )
    assert await desk.renews(awake) == "held"


async def test_a_flood_of_one_workspace_does_not_delay_another(desk: Desk) -> None:
    other = await desk.second_workspace("2002")
    for number in range(30):
        await desk.hears("Hi", customer=f"flood{number}")
    await desk.hears("Hi", customer="quiet", page="2002")
    claimed = await desk.claims(most=2)
    assert sorted(turn["workspace_id"] for turn in claimed) == [1, other]


async def test_a_workspace_has_no_more_turns_at_a_time_than_allowed(desk: Desk) -> None:
    for number in range(5):
        await desk.hears("Hi", customer=f"u{number}")
    assert len(await desk.claims(per_workspace=3)) == 3
    assert await desk.claims(per_workspace=3) == []


async def test_closing_stops_the_answer_and_the_next_message_opens_another(desk: Desk) -> None:
    await desk.hears("Hi")
    (turn,) = await desk.claims()
    await desk.database.call("set_lifecycle", caller=ANNA, conversation_id=turn["conversation_id"], lifecycle="closed")
    assert (await desk.finishes(turn))["outcome"] == "taken_over"
    await desk.hears("Hi again")
    (next_turn,) = await desk.claims()
    assert next_turn["conversation_id"] != turn["conversation_id"]


async def test_the_same_turn_cannot_be_answered_twice_even_with_every_check_off(desk: Desk) -> None:
    """The last wall is a constraint: two replies to one `answered_seq` do not fit into the table."""
    await desk.hears("Hi")
    await desk.answers()
    (reply,) = await desk.database.select("replies")
    again = {name: reply[name] for name in reply if name != "id"} | {"lease_no": 99}
    with pytest.raises(Conflict):
        await desk.database.insert("replies", [again])


async def test_a_message_that_comes_long_after_a_newer_one_was_answered_is_for_people(desk: Desk) -> None:
    await desk.hears("When are you open?")
    await desk.answers()
    before = (clock.now() - timedelta(minutes=11)).isoformat()
    old = {"kind": "message", "text": "Hi", "external_id": "old", "at": before}
    for _ in range(2):  # and once more, as channels do
        await desk.receives(old)
    assert await desk.claims() == []
    found = await desk.database.select("messages", where={"requires_human": True})
    assert [row["content"] for row in found] == ["Hi"]
    assert (await desk.events()).count("message.requires_human") == 1
    (conversation,) = await desk.database.select("conversations")
    assert conversation["requires_human"]


async def test_an_old_message_that_is_the_newest_is_answered(desk: Desk) -> None:
    before = (clock.now() - timedelta(hours=3)).isoformat()
    await desk.receives({"kind": "message", "text": "Hi", "external_id": "old", "at": before})
    await desk.answers()
    # The one that was answered comes again, after others.
    await desk.hears("And now?")
    await desk.answers()
    await desk.receives({"kind": "message", "text": "Hi", "external_id": "old", "at": before})
    assert await desk.database.select("messages", where={"requires_human": True}) == []
