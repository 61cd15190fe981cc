"""Answering with several models through the whole service, some of which are down."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest

from stands import plays
from stands.app import bearer, local_settings, token
from stands.shop import Shop, open_shop
from switchboard.database.postgres import Postgres

MODEL = "openai:gpt-5.4-mini"


@pytest.fixture
async def shop(postgres: Postgres, database_url: str) -> AsyncIterator[Shop]:
    """Two models on one stand: the plays are for the calls in their order."""
    made: dict[str, Any] = {"default_model": MODEL, "fallback_models": "openai:gpt-4o-mini"}
    async with open_shop(partial(local_settings, database_url), **made) as shop:
        await postgres.update("workspaces", {"quiet_seconds": 0}, where={"id": 1})
        yield shop


@pytest.mark.parametrize(
    "play", [plays.fail(500), plays.cut("We are ", "op"), plays.end_early("We are open"), plays.error_in_stream("We ")]
)
async def test_the_next_model_answers_in_the_same_turn_and_nothing_is_said_twice(
    shop: Shop, postgres: Postgres, play: plays.Play
) -> None:
    shop.llm.play(play, plays.say("We are open ", "from nine to five."))
    await shop.hears("When are you open?")
    reply = await shop.until_message(sender_type="bot", delivery_state="sent")
    assert reply["content"] == "We are open from nine to five."
    assert [call.body["model"] for call in shop.llm.calls] == ["gpt-5.4-mini", "gpt-4o-mini"]
    assert reply["model"] == "gpt-4o-mini-2026-03-17"
    (receipt,) = await postgres.select("replies")
    assert (receipt["outcome"], receipt["provider"]) == ("answered", "openai")
    assert len(shop.graph.sends) == 1


async def test_when_all_are_down_one_notice_tells_of_a_person_however_much_is_written(
    shop: Shop, postgres: Postgres
) -> None:
    shop.llm.default = plays.fail(401, "bad key")
    for number in range(4):
        await shop.hears(f"Hello? {number}", mid=f"mid.{number}")
        await asyncio.sleep(0.2)
    await shop.until_message(sender_type="bot", delivery_state="sent")
    await shop.hears("Anybody?", mid="mid.9")
    await shop.until_message(sender_type="user", content="Anybody?")
    await asyncio.sleep(0.5)
    said = [one for one in await shop.messages() if one["sender_type"] == "bot"]
    assert [one["content"][:24] for one in said] == ["I cannot answer right no"]
    assert (await shop.conversation())["status"] == "support_active"
    assert len(shop.graph.sends) == 1
    assert len(shop.llm.calls) == 1, "one bad key is asked once, and both models have it"


async def test_another_customer_does_not_wait_for_what_has_just_failed(shop: Shop, postgres: Postgres) -> None:
    shop.llm.play(plays.fail(429, retry_after="60"), plays.say("One."), plays.say("Two."))
    await shop.hears("Hi")
    await shop.until_message(sender_type="bot", delivery_state="sent")
    await shop.hears("Hi", mid="mid.2", customer="4712")
    await shop.until_message(2, sender_type="bot", delivery_state="sent")
    models = [call.body["model"] for call in shop.llm.calls]
    assert models == ["gpt-5.4-mini", "gpt-4o-mini", "gpt-4o-mini"]
    told = (await shop.client.get("/metrics", headers=bearer(token(shop.settings)))).text
    assert 'switchboard_provider_attempts_total{outcome="limit",provider="openai"} 1.0' in told
    assert 'switchboard_provider_attempts_total{outcome="skipped",provider="openai"} 1.0' in told
    assert 'switchboard_provider_left_alone{model="gpt-5.4-mini",provider="openai"} 1.0' in told


async def test_who_would_have_to_wait_for_minutes_hears_of_a_person_at_once(
    postgres: Postgres, database_url: str
) -> None:
    async with open_shop(partial(local_settings, database_url), default_model=MODEL) as shop:
        await postgres.update("workspaces", {"quiet_seconds": 0}, where={"id": 1})
        shop.llm.play(plays.fail(429, retry_after="300"))
        await shop.hears("Hi")
        await shop.until_message(sender_type="bot", delivery_state="sent")
        assert len(shop.llm.calls) == 1
        await shop.hears("Hi", mid="mid.2", customer="4712")
        await shop.until_message(2, sender_type="bot", delivery_state="sent")
        assert len(shop.llm.calls) == 1
    one, other = await postgres.select("replies", order=["id"])
    assert (one["outcome"], one["provider"]) == ("handed_over", "openai")
    assert (other["outcome"], other["provider"]) == ("handed_over", None)
    assert len(await postgres.select("usage")) == 1, "a call that was not made is not booked"
