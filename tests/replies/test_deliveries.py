"""A send happens once, in order, and not after a person took over: the rules of delivery, on both transports."""

import asyncio

import asyncpg
import pytest

from stands.desk import ANNA, Desk
from switchboard.database import Database
from switchboard.database.postgres import Postgres


@pytest.fixture
async def desk(database: Database) -> Desk:
    desk = Desk(database)
    await desk.open()
    await desk.hears("Hi")
    return desk


async def states(desk: Desk) -> list[str]:
    return [str(row["state"]) for row in await desk.database.select("deliveries", order=["id"])]


async def test_parts_are_sent_one_after_the_other(desk: Desk) -> None:
    await desk.answers("one two three", parts=["one", "two", "three"])
    sent: list[str] = []
    for number in range(3):
        (delivery,) = await desk.sends()
        assert await desk.sends() == [], "the next part waits for this one"
        sent.append(delivery["text"])
        await desk.delivered(delivery, f"mid{number}")
    assert sent == ["one", "two", "three"]
    assert (await desk.bots())[0]["delivery_state"] == "sent"
    assert (await desk.bots())[0]["external_id"] == "mid0"


async def test_one_worker_sends(desk: Desk) -> None:
    await desk.answers()
    claims = await asyncio.gather(*(desk.sends() for _ in range(8)))
    assert sum(len(claim) for claim in claims) == 1


async def test_back_off_keeps_the_order_and_delays_nobody_else(desk: Desk) -> None:
    await desk.answers("one two", parts=["one", "two"])
    (delivery,) = await desk.sends()
    await desk.undelivered(delivery, "ready", retry=30)
    assert await desk.sends() == []
    await desk.hears("Hi", customer="u2")
    await desk.answers("to the other")
    assert [d["text"] for d in await desk.sends()] == ["to the other"]


async def test_a_busy_channel_is_tried_again(desk: Desk) -> None:
    await desk.answers()
    (delivery,) = await desk.sends()
    await desk.undelivered(delivery, "ready", retry=0.1)
    await asyncio.sleep(0.15)
    (again,) = await desk.sends()
    assert (again["id"], again["attempts"], again["marker"]) == (delivery["id"], 2, delivery["marker"])


@pytest.mark.parametrize("state", ["failed", "unknown"])
async def test_what_did_not_go_through_is_shown_to_a_person_and_never_sent_again(desk: Desk, state: str) -> None:
    await desk.answers("one two", parts=["one", "two"])
    (delivery,) = await desk.sends()
    await desk.undelivered(delivery, state)
    (reply,) = await desk.bots()
    assert (reply["delivery_state"], reply["delivery_reason"], reply["requires_human"]) == (state, "because", True)
    (conversation,) = await desk.database.select("conversations")
    assert conversation["requires_human"] is True
    assert f"delivery.{state}" in await desk.events()
    rest = await desk.sends()
    assert delivery["id"] not in [d["id"] for d in rest]
    assert (await states(desk))[1] == ("cancelled" if state == "failed" else "sending")


async def test_a_send_whose_process_died_is_unknown(desk: Desk) -> None:
    await desk.answers()
    (delivery,) = await desk.sends(lease=0.05)
    await asyncio.sleep(0.1)
    assert await desk.sends() == []
    assert await states(desk) == ["unknown"]
    await desk.delivered(delivery, "late")
    assert await states(desk) == ["sent"], "the channel did say yes after all"


async def test_an_echo_settles_an_unknown_send(desk: Desk) -> None:
    await desk.answers()
    (delivery,) = await desk.sends()
    await desk.undelivered(delivery, "unknown")
    await desk.receives({"kind": "echo", "external_id": "mid1", "data": {"metadata": delivery["marker"]}})
    assert await states(desk) == ["sent"]
    assert [m["sender_type"] for m in await desk.database.select("messages", order=["id"])] == ["user", "bot"]


async def test_an_echo_may_come_before_the_answer_of_the_send(desk: Desk) -> None:
    await desk.answers()
    (delivery,) = await desk.sends()
    await desk.receives({"kind": "echo", "external_id": "mid1", "data": {"metadata": delivery["marker"]}})
    await desk.delivered(delivery, "mid1")
    assert await states(desk) == ["sent"]
    assert (await desk.events()).count("delivery.sent") == 1


async def test_an_echo_known_by_its_id_alone_is_our_own(desk: Desk) -> None:
    await desk.answers()
    (delivery,) = await desk.sends()
    await desk.delivered(delivery, "mid1")
    await desk.receives({"kind": "echo", "external_id": "mid1", "data": {}})
    (conversation,) = await desk.database.select("conversations")
    assert conversation["handler"] == "ai"


async def test_anybody_elses_echo_is_a_person_and_takes_over(desk: Desk) -> None:
    await desk.answers("From the AI")
    await desk.receives({"kind": "echo", "external_id": "other", "text": "Anna here", "data": {"app_id": "2"}})
    assert await desk.sends() == [], "what the AI had ready stays unsent"
    assert await states(desk) == ["cancelled"]
    (conversation,) = await desk.database.select("conversations")
    assert conversation["handler"] == "human"
    assert "conversation.taken_over" in await desk.events()


async def test_our_own_app_elsewhere_is_not_a_person(desk: Desk) -> None:
    await desk.answers("From the AI")
    await desk.receives({"kind": "echo", "external_id": "other", "text": "Hi", "data": {"app_id": "1", "own": True}})
    (conversation,) = await desk.database.select("conversations")
    assert conversation["handler"] == "ai"


async def test_a_takeover_takes_back_what_is_not_on_its_way(desk: Desk) -> None:
    done = await desk.answers("one two", parts=["one", "two"])
    (delivery,) = await desk.sends()
    await desk.database.call("take_over", caller=ANNA, conversation_id=done["conversation_id"])
    await desk.delivered(delivery, "mid1")
    assert await desk.sends() == []
    assert await states(desk) == ["sent", "cancelled"]


async def test_a_busy_send_is_not_repeated_after_a_takeover(desk: Desk) -> None:
    """The takeover comes while the send is under way: it goes back to the queue, and the claim refuses it there."""
    done = await desk.answers()
    (delivery,) = await desk.sends()
    await desk.database.call("take_over", caller=ANNA, conversation_id=done["conversation_id"])
    await desk.undelivered(delivery, "ready", retry=0)
    assert await desk.sends() == []
    assert await states(desk) == ["cancelled"]
    assert (await desk.bots())[0]["delivery_state"] == "cancelled"


async def test_a_persons_message_is_not_fenced(desk: Desk) -> None:
    (turn,) = await desk.claims()
    there = {"caller": ANNA, "conversation_id": turn["conversation_id"]}
    await desk.database.call("post_human_reply", content="Hello", parts=["Hello"], **there)
    await desk.database.call("hand_back", **there)
    (delivery,) = await desk.sends()
    assert (delivery["text"], delivery["automated"]) == ("Hello", False)


async def test_the_claim_to_send_waits_for_no_takeover_and_never_overtakes_one(
    postgres: Postgres, database_url: str
) -> None:
    """A takeover that is about to commit: the claim passes the delivery by, and afterwards refuses it."""
    desk = Desk(postgres)
    await desk.open()
    await desk.hears("Hi")
    done = await desk.answers()
    person = await asyncpg.connect(database_url)
    try:
        async with person.transaction():
            await person.fetchval(
                "select take_over($1::text::jsonb, $2)", '{"subject": "anna", "admin": true}', done["conversation_id"]
            )
            assert await desk.sends() == []
            assert await states(desk) == ["ready"]
        assert await desk.sends() == []
        assert await states(desk) == ["cancelled"]
    finally:
        await person.close()


async def test_without_the_comparison_of_epochs_the_ai_talks_over_the_person(postgres: Postgres) -> None:
    """The protection switched off, to see that the tests above would notice."""
    desk = Desk(postgres)
    await desk.open()
    await desk.hears("Hi")
    done = await desk.answers()
    (delivery,) = await desk.sends()
    await desk.database.call("take_over", caller=ANNA, conversation_id=done["conversation_id"])
    await desk.undelivered(delivery, "ready", retry=0)
    (turn,) = await desk.database.select("turns")
    await desk.database.update("deliveries", {"epoch": turn["epoch"]}, where={"workspace_id": 1})
    assert len(await desk.sends()) == 1
