"""Answering through the whole service, with a model that is slow, wrong or gone, and people who step in."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial

import pytest

from stands import graph as facebook
from stands import plays
from stands.app import PAGE, local_settings
from stands.graph import echo_of
from stands.shop import Shop, open_shop
from switchboard import clock
from switchboard.database.postgres import Postgres
from switchboard.knowledge.put import put_document

MODEL = "openai:gpt-5.4-mini"


@pytest.fixture
async def shop(postgres: Postgres, database_url: str) -> AsyncIterator[Shop]:
    async with open_shop(partial(local_settings, database_url), default_model=MODEL) as shop:
        await postgres.update("workspaces", {"quiet_seconds": 0}, where={"id": 1})
        yield shop


async def test_a_models_answer_is_stored_with_what_it_took(shop: Shop, postgres: Postgres) -> None:
    await put_document(postgres, 1, "Opening hours", "Open from nine to five.")
    shop.llm.play(plays.say("We are open ", "from nine to five."))
    await shop.hears("When are you open?")
    reply = await shop.until_message(sender_type="bot", delivery_state="sent")
    assert reply["content"] == "We are open from nine to five."
    assert (reply["provider"], reply["input_tokens"], reply["output_tokens"]) == ("openai", 11, 7)
    assert reply["latency_ms"] >= 0
    assert 0.5 <= reply["confidence_score"] <= 1
    (booked,) = await postgres.select("usage")
    assert (booked["cached_tokens"], booked["reasoning_tokens"], booked["outcome"]) == (3, 2, "answered")
    (call,) = shop.llm.calls
    told = str(call.body["messages"])
    assert "Open from nine to five." in told
    assert "When are you open?" in told


@pytest.mark.parametrize(
    ("play", "said"),
    [
        (plays.say("nine\0 to five"), "nine\ufffd to five"),
        (plays.call_tool("hand_over", '{"reason": "a\\u0000b"}', text="One\0 moment"), "One\ufffd moment"),
        (plays.fail(400, "no\0 such"), "I cannot answer right now. A colleague will get back to you here."),
    ],
)
async def test_what_no_database_can_hold_silences_nobody(shop: Shop, play: plays.Play, said: str) -> None:
    shop.llm.play(play)
    await shop.hears("When are you open?")
    assert (await shop.until_message(sender_type="bot", delivery_state="sent"))["content"] == said


async def test_a_burst_is_answered_once(shop: Shop, postgres: Postgres) -> None:
    await postgres.update("workspaces", {"quiet_seconds": 0.4}, where={"id": 1})
    for number, text in enumerate(["Hi", "a cappuccino", "and a croissant"]):
        await shop.hears(text, mid=f"mid.{number}")
    await shop.graph.wait_for_sends(1)
    await shop.until_message(sender_type="bot", delivery_state="sent")
    assert len(shop.llm.calls) == 1
    assert len(shop.graph.sends) == 1


async def test_a_takeover_stops_the_model_and_nothing_is_sent(shop: Shop, postgres: Postgres) -> None:
    gate = asyncio.Event()
    shop.llm.play(plays.say("I am", " still writing", pause=gate, pause_after=1))
    await shop.hears("Hi")
    await shop.llm.wait_for(1)
    await shop.post("/admin/conversations/1/takeover")
    await shop.llm.wait_for_gone(1)
    gate.set()

    async def recorded() -> list[object]:
        return [row["outcome"] for row in await postgres.select("replies")]

    assert await shop.until(recorded) == ["taken_over"]
    (booked,) = await postgres.select("usage")
    assert booked["estimated"] is True
    assert booked["input_tokens"] > 0, "what was spent counts, sent or not"
    assert [one["sender_type"] for one in await shop.messages()] == ["user"]
    assert shop.graph.sends == []


async def test_a_newer_message_stops_the_model_and_both_are_answered(shop: Shop, postgres: Postgres) -> None:
    shop.llm.play(plays.say("One", " coffee", pause=asyncio.Event(), pause_after=1), plays.say("Two coffees."))
    await shop.hears("A coffee", mid="mid.1")
    await shop.llm.wait_for(1)
    await shop.hears("no, two", mid="mid.2")
    await shop.llm.wait_for(2)
    reply = await shop.until_message(sender_type="bot", delivery_state="sent")
    assert reply["content"] == "Two coffees."
    assert "no, two" in str(shop.llm.calls[1].body["messages"])
    assert sorted(str(row["outcome"]) for row in await postgres.select("replies")) == ["answered", "superseded"]
    assert len(shop.graph.sends) == 1


async def test_somebody_answering_in_facebooks_own_inbox_pauses_the_ai(shop: Shop) -> None:
    shop.llm.play(plays.say("I am", " still writing", pause=asyncio.Event(), pause_after=1))
    await shop.hears("Hi")
    await shop.llm.wait_for(1)
    await shop.is_told(
        {
            "sender": {"id": PAGE},
            "recipient": {"id": "4711"},
            "timestamp": 1_790_000_000_000,
            "message": {"mid": "mid.anna", "is_echo": True, "app_id": 263902037430900, "text": "Anna here"},
        }
    )
    await shop.llm.wait_for_gone(1)
    await shop.hears("Are you a person?", mid="mid.2")
    await shop.until_message(sender_type="user", seq=3)
    assert (await shop.conversation())["status"] == "support_active"
    assert [one["sender_type"] for one in await shop.messages()] == ["user", "human", "user"]
    assert len(shop.llm.calls) == 1
    assert shop.graph.sends == []


async def test_a_busy_model_is_tried_again(shop: Shop, postgres: Postgres) -> None:
    shop.llm.play(plays.fail(429, "slow down", retry_after="0"), plays.say("Here I am."))
    await shop.hears("Hi")
    reply = await shop.until_message(sender_type="bot", delivery_state="sent")
    assert reply["content"] == "Here I am."
    assert [str(row["outcome"]) for row in await postgres.select("replies", order=["id"])] == ["failed", "answered"]
    assert len(await postgres.select("usage")) == 2


async def test_a_model_that_refuses_our_key_hands_over_to_a_person_at_once(shop: Shop) -> None:
    shop.llm.play(plays.fail(401, "bad key"))
    await shop.hears("Hi")
    reply = await shop.until_message(sender_type="bot", delivery_state="sent")
    assert reply["content"].startswith("I cannot answer right now.")
    assert reply["requires_human"] is True
    assert (await shop.conversation())["status"] == "support_active"
    assert len(shop.llm.calls) == 1


async def test_the_model_may_ask_for_a_person(shop: Shop, postgres: Postgres) -> None:
    shop.llm.play(plays.call_tool("hand_over", '{"reason": ', '"wants a refund"}'))
    await shop.hears("I want my money back")
    reply = await shop.until_message(sender_type="bot", delivery_state="sent")
    assert (reply["requires_human"], reply["confidence_score"]) == (True, 0)
    assert (await shop.conversation())["handler"] == "human"
    (receipt,) = await postgres.select("replies")
    assert receipt["reason"] == "wants a refund"


async def test_an_unsure_answer_is_sent_and_shown_to_a_person(shop: Shop) -> None:
    shop.llm.play(plays.say("Maybe."))
    await shop.hears("Do you sell elephants?")
    reply = await shop.until_message(sender_type="bot", delivery_state="sent")
    assert (reply["requires_human"], reply["confidence_score"]) == (True, pytest.approx(0.3))
    assert (await shop.conversation())["status"] == "active", "the AI goes on"


async def test_a_long_answer_is_sent_in_parts_in_order(shop: Shop) -> None:
    sentences = [f"This is sentence number {number} of a long answer." for number in range(100)]
    shop.llm.play(plays.say(" ".join(sentences)))
    await shop.hears("Tell me everything")
    await shop.until_message(sender_type="bot", delivery_state="sent")
    parts = [send.json["message"]["text"] for send in shop.graph.sends]
    assert len(parts) == 3
    assert " ".join(parts) == " ".join(sentences)


async def test_a_send_that_may_have_arrived_is_not_repeated_and_its_echo_settles_it(shop: Shop) -> None:
    shop.graph.script(facebook.reset(accepted=True))
    await shop.hears("Hi")
    reply = await shop.until_message(sender_type="bot", delivery_state="unknown")
    assert reply["requires_human"] is True
    (send,) = shop.graph.sends
    await shop.is_told(echo_of(send, "m_1", app_id=None))
    await shop.until_message(sender_type="bot", delivery_state="sent")
    assert len(shop.graph.sends) == 1


async def test_a_rate_limit_is_waited_for(shop: Shop) -> None:
    shop.graph.script(facebook.error(613))
    await shop.hears("Hi")
    await shop.until_message(sender_type="bot", delivery_state="sent")
    assert len(shop.graph.sends) == 2


@pytest.mark.parametrize(("code", "subcode"), [(551, None), (10, 2018278), (190, None), (100, None)])
async def test_a_refused_send_is_shown_to_a_person_and_not_repeated(shop: Shop, code: int, subcode: int | None) -> None:
    shop.graph.script(facebook.error(code, subcode))
    await shop.hears("Hi")
    reply = await shop.until_message(sender_type="bot", delivery_state="failed")
    assert reply["requires_human"] is True
    assert reply["delivery_reason"]
    assert len(shop.graph.sends) == 1


def days_ago(days: float) -> str:
    return (clock.now() - timedelta(days=days)).isoformat()


async def test_after_a_day_only_people_may_answer_and_their_message_says_so(shop: Shop, postgres: Postgres) -> None:
    await shop.hears("Hi")
    await shop.until_message(sender_type="bot", delivery_state="sent")
    await postgres.update("conversations", {"last_customer_at": days_ago(2)}, where={"id": 1})
    await shop.post("/admin/conversations/1/messages", {"content": "Sorry for the wait."})
    await shop.until_message(sender_type="human", delivery_state="sent")
    assert (shop.graph.sends[1].json["messaging_type"], shop.graph.sends[1].json["tag"]) == (
        "MESSAGE_TAG",
        "HUMAN_AGENT",
    )
    await postgres.update("conversations", {"last_customer_at": days_ago(8)}, where={"id": 1})
    await shop.post("/admin/conversations/1/messages", {"content": "Still there?"})
    late = await shop.until_message(sender_type="human", delivery_state="failed")
    assert "too long ago" in late["delivery_reason"]
    assert len(shop.graph.sends) == 2


async def test_an_automated_answer_is_never_sent_after_a_day(shop: Shop, postgres: Postgres) -> None:
    gate = asyncio.Event()
    shop.llm.play(plays.say("Late", " answer", pause=gate, pause_after=1))
    await shop.hears("Hi")
    await shop.llm.wait_for(1)
    await postgres.update("conversations", {"last_customer_at": days_ago(1.01)}, where={"id": 1})
    gate.set()
    reply = await shop.until_message(sender_type="bot", delivery_state="failed")
    assert reply["requires_human"] is True
    assert shop.graph.sends == []


async def test_a_service_that_stops_gives_its_turns_back(postgres: Postgres, database_url: str) -> None:
    make = partial(local_settings, database_url, shutdown_seconds=0.5)
    async with open_shop(make, default_model=MODEL) as shop:
        await postgres.update("workspaces", {"quiet_seconds": 0}, where={"id": 1})
        shop.llm.play(plays.say("never", " finished", pause=asyncio.Event(), pause_after=1))
        await shop.hears("Hi")
        await shop.llm.wait_for(1)
    (turn,) = await postgres.select("turns")
    assert (turn["lease_until"], turn["attempts"]) == (None, 0)
    assert turn["due_at"] is not None
    async with open_shop(make, default_model=MODEL) as shop:
        reply = await shop.until_message(sender_type="bot", delivery_state="sent")
        assert reply["content"] == plays.ANSWER


async def test_a_fault_of_ours_ends_with_a_person_not_with_silence(postgres: Postgres, database_url: str) -> None:
    make = partial(local_settings, database_url)
    async with open_shop(make, default_model=MODEL) as shop:
        await postgres.update("workspaces", {"quiet_seconds": 0}, where={"id": 1})
        await shop.hears("Hi")
        await shop.until_message(sender_type="bot")
        await postgres.update("turns", {"attempts": 3}, where={"workspace_id": 1})
        await shop.hears("Hi again", mid="mid.2")
        reply = await shop.until_message(sender_type="bot", requires_human=True, seq=4)
        assert reply["content"].startswith("I cannot answer right now.")
