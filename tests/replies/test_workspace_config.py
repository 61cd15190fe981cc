"""What a workspace has set shows in its replies: on the model's wire, in the message, and after a hand-back."""

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest
from pydantic import SecretStr

from stands import plays
from stands.app import local_settings
from stands.desk import ANNA, Desk
from stands.shop import Shop, open_shop
from switchboard.database import Database
from switchboard.database.postgres import Postgres
from switchboard.knowledge.put import put_document
from switchboard.workspaces.provider_keys import ProviderKeys

MODEL = "openai:gpt-4.1-mini"
SECRET = "an-encryption-secret-for-the-tests-only"
OWN_KEY = "sk-the-workspaces-own"


@pytest.fixture
async def shop(postgres: Postgres, database_url: str) -> AsyncIterator[Shop]:
    make = partial(local_settings, database_url, encryption_secret=SECRET)
    async with open_shop(make, default_model=MODEL) as shop:
        await configure(postgres, quiet_seconds=0)
        yield shop


async def configure(postgres: Postgres, **values: Any) -> None:
    await postgres.update("workspaces", values, where={"id": 1})


async def put_prompts(postgres: Postgres, version: int, **texts: str) -> None:
    await postgres.insert("prompts", [{"workspace_id": 1, "version": version, "created_by": "olga", **texts}])


async def test_model_temperature_and_length_are_the_workspaces(shop: Shop, postgres: Postgres) -> None:
    await configure(postgres, model="openai:gpt-4.1-nano", temperature=0.25, max_tokens=77)
    await shop.hears("Hi")
    await shop.until_message(sender_type="bot", delivery_state="sent")
    await postgres.update("agents", {"temperature": 0.75, "model": "openai:gpt-4.1"}, where={"workspace_id": 1})
    await shop.hears("Hi again", mid="mid.2")
    await shop.llm.wait_for(2)
    told = [(call.body["model"], call.body["temperature"], call.body["max_tokens"]) for call in shop.llm.calls]
    assert told == [("gpt-4.1-nano", 0.25, 77), ("gpt-4.1", 0.75, 77)], "an agent's own go before"


async def test_the_four_prompts_are_told_and_their_version_is_kept(shop: Shop, postgres: Postgres) -> None:
    await put_document(postgres, 1, "Hours", "Open from nine to five.")
    await put_prompts(postgres, 1, manual_prompt="Say thou.")
    await put_prompts(
        postgres,
        2,
        manual_prompt="Say you.",
        knowledge_source="Founded 1999.",
        product_service="Tea.",
        question_answer="Q? A!",
    )
    await shop.hears("When are you open?")
    reply = await shop.until_message(sender_type="bot", delivery_state="sent")
    system = shop.llm.calls[0].body["messages"][0]["content"]
    instructions, mark, reference = system.partition("\n[")
    assert "Say you." in instructions
    assert "Say thou." not in system
    assert mark
    for text in (
        "About the company\nFounded 1999.",
        "Products and services\nTea.",
        "Questions and answers\nQ? A!",
        "Open from",
    ):
        assert text in reference
        assert text not in instructions, "what may come from elsewhere is reference, not an order"
    assert reply["prompt_version"] == 2
    (receipt,) = await postgres.select("replies")
    assert receipt["prompt_version"] == 2
    await put_prompts(postgres, 3, manual_prompt="Be brief.")
    await shop.hears("And on Sunday?", mid="mid.2")
    assert (await shop.until_message(sender_type="bot", seq=4))["prompt_version"] == 3
    assert (await shop.until_message(sender_type="bot", seq=2))["prompt_version"] == 2


async def test_the_disclosure_comes_first_and_again_after_a_person(shop: Shop, postgres: Postgres) -> None:
    await configure(postgres, disclosure_text="I am an AI.")
    for number, text in enumerate(["One", "Two"]):
        shop.llm.play(plays.say(text))
        await shop.hears("Hi", mid=f"mid.{number}")
        await shop.until_message(sender_type="bot", delivery_state="sent", seq=2 * number + 2)
    await shop.post("/admin/conversations/1/messages", {"content": "Anna here"})
    await shop.post("/admin/conversations/1/handback")
    shop.llm.play(plays.say("Three"))
    await shop.hears("Thanks", mid="mid.9")
    await shop.until_message(sender_type="bot", seq=7)
    said = [one["content"] for one in await shop.messages() if one["sender_type"] == "bot"]
    assert said == ["I am an AI.\n\nOne", "Two", "I am an AI.\n\nThree"]


async def test_an_own_key_is_used_for_its_workspace_alone(shop: Shop, postgres: Postgres) -> None:
    sealed = ProviderKeys(SecretStr(SECRET)).seal(1, "openai", OWN_KEY)
    await shop.hears("Hi")
    await shop.llm.wait_for(1)
    await postgres.insert("provider_keys", [{"workspace_id": 1, "provider": "openai", "sealed": sealed}])
    for number in (2, 3):
        await shop.until_message(sender_type="bot", seq=2 * number - 2)
        await shop.hears("Hi", mid=f"mid.{number}")
        await shop.llm.wait_for(number)
    keys = [call.headers["authorization"] for call in shop.llm.calls]
    assert keys == ["Bearer a-key-for-the-tests", f"Bearer {OWN_KEY}", f"Bearer {OWN_KEY}"]


async def test_an_own_key_that_does_not_open_is_no_reason_to_use_ours(shop: Shop, postgres: Postgres) -> None:
    sealed = ProviderKeys(SecretStr(SECRET)).seal(2, "openai", OWN_KEY)
    await postgres.insert("provider_keys", [{"workspace_id": 1, "provider": "openai", "sealed": sealed}])
    await shop.hears("Hi")
    reply = await shop.until_message(sender_type="bot", delivery_state="sent")
    assert reply["content"].startswith("I cannot answer right now.")
    assert reply["requires_human"] is True
    assert shop.llm.calls == []


async def test_what_a_person_said_is_known_after_a_hand_back(shop: Shop) -> None:
    shop.llm.play(plays.call_tool("hand_over", '{"reason": "a refund"}'), plays.say("It is on its way."))
    await shop.hears("I want my money back")
    await shop.until_message(sender_type="bot", delivery_state="sent")
    await shop.post("/admin/conversations/1/messages", {"content": "You get it by Friday."})
    await shop.post("/admin/conversations/1/handback", {"note": "Refund 4711 is booked."})
    await shop.hears("When will I have it?", mid="mid.2")
    await shop.until_message(sender_type="bot", content="It is on its way.")
    first, second = (call.body["messages"] for call in shop.llm.calls)
    assert "A colleague had this conversation" not in str(first)
    assert "A colleague had this conversation" in second[0]["content"]
    assert "Refund 4711 is booked." in second[0]["content"]
    assert "(a colleague wrote) You get it by Friday." in str(second[1:])
    assert second[-1] == {"role": "user", "content": "When will I have it?"}


async def test_what_was_just_handed_back_is_not_handed_over_again(shop: Shop) -> None:
    shop.llm.play(*[plays.call_tool("hand_over", '{"reason": "again"}')] * 3)
    await shop.hears("I want a person")
    await shop.until_message(sender_type="bot", delivery_state="sent")
    await shop.post("/admin/conversations/1/takeover")
    await shop.hears("Hello?", mid="mid.2")
    await shop.until_message(sender_type="user", seq=3)
    await shop.post("/admin/conversations/1/handback")
    reply = await shop.until_message(sender_type="bot", seq=4)
    assert reply["requires_human"] is True
    assert (await shop.conversation())["status"] == "active", "the AI keeps it, and people are told"
    await shop.hears("I said I want a person", mid="mid.3")
    await shop.until_message(sender_type="bot", seq=6)
    assert (await shop.conversation())["status"] == "support_active", "asked anew, it hands over"


@pytest.fixture
async def desk(database: Database) -> Desk:
    desk = Desk(database)
    await desk.open()
    return desk


async def test_a_first_message_that_people_had_is_answered_when_handed_back(desk: Desk) -> None:
    await desk.database.update("workspaces", {"default_handler": "human"}, where={"id": 1})
    await desk.hears("Hi")
    assert await desk.claims() == []
    await desk.database.call("hand_back", caller=ANNA, conversation_id=1)
    (turn,) = await desk.claims()
    assert turn["seq_done"] < 1 <= turn["seq_in"], "it is still to be answered"


async def test_a_reply_that_a_takeover_kept_back_is_made_again_when_handed_back(desk: Desk) -> None:
    await desk.hears("Hi")
    await desk.answers("never sent")
    there = {"caller": ANNA, "conversation_id": 1}
    await desk.database.call("take_over", **there)
    await desk.database.call("hand_back", **there)
    assert await desk.outcomes() == ["taken_over"]
    done = await desk.answers("Hello!")
    assert done["outcome"] == "answered"
    assert [send["text"] for send in await desk.sends()] == ["Hello!"]


async def test_a_reply_of_which_a_part_went_out_is_not_made_again(desk: Desk) -> None:
    await desk.hears("Hi")
    await desk.answers("one two", parts=["one", "two"])
    await desk.sends()
    there = {"caller": ANNA, "conversation_id": 1}
    await desk.database.call("take_over", **there)
    await desk.database.call("hand_back", **there)
    assert await desk.claims() == []
    assert await desk.outcomes() == ["answered"]
