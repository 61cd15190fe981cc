"""The ledger has a row for every call to a model, and no other: what the vendors logged is the proof."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from stands import plays
from stands.app import local_settings
from stands.desk import Desk
from stands.embeddings import EmbeddingStand
from stands.llm import LlmStand
from stands.shop import Shop, open_shop
from stands.vendors import url_of
from switchboard.database import Database
from switchboard.database.postgres import Postgres
from switchboard.doctor.examine import examine
from switchboard.errors import ProviderError
from switchboard.knowledge.index import Indexing
from switchboard.knowledge.put import put_document
from switchboard.knowledge.retrieve import Knowledge
from switchboard.providers.embeddings import Embeddings
from switchboard.providers.registry import open_providers
from switchboard.usage.try_model import try_model

MODELS = {
    "openai": "gpt-5.4-mini",
    "anthropic": "claude-haiku-4-5",
    "mistral": "mistral-small-latest",
    "gemini": "gemini-2.5-flash",
}
FALLBACK = "backup:gpt-4o-mini"


def asked(llm: LlmStand, vendor: str) -> list[tuple[str, str]]:
    """What the stand was asked for, as the ledger names it."""
    return [(vendor, call.body["model"]) for call in llm.calls]


async def booked(database: Database, **where: Any) -> list[dict[str, Any]]:
    return await database.select("usage", where={"purpose": "reply", **where}, order=["id"])


async def until_quiet(shop: Shop, database: Database) -> None:
    """Until every turn is answered, or left to people."""

    async def quiet() -> bool:
        turns = await database.select("turns")
        waiting = await database.select("inbox", where={"sorted_at": None})
        return bool(turns) and not waiting and all(turn["due_at"] is None for turn in turns)

    await shop.until(quiet)


@pytest.mark.parametrize("vendor", MODELS)
async def test_the_ledger_has_what_the_vendors_logged(vendor: str, postgres: Postgres, database_url: str) -> None:
    async with LlmStand() as llm, LlmStand() as backup:
        told: dict[str, Any] = {
            "default_model": f"{vendor}:{MODELS[vendor]}",
            "fallback_models": FALLBACK,
            "openai_servers": f"backup={backup.openai_url}",
            f"{vendor}_api_key": "sk-canary-0123456789",
            f"{vendor}_base_url": url_of(llm, vendor),
        }
        async with open_shop(partial(local_settings, database_url), **told) as shop:
            await postgres.update("workspaces", {"quiet_seconds": 0}, where={"id": 1})
            await every_kind_of_end(shop, llm, backup, postgres)
        rows = await booked(postgres)
        assert sorted((row["provider"], row["model"]) for row in rows) == sorted(
            asked(llm, vendor) + asked(backup, "backup")
        )
        assert Counter(row["outcome"] for row in rows) == {
            "answered": 3,
            "handed_over": 1,
            "taken_over": 1,
            "superseded": 1,
            "failed": 2,
        }
        assert {row["outcome"]: row["estimated"] for row in rows if row["outcome"] != "failed"} == {
            "answered": False,
            "handed_over": False,
            "taken_over": True,
            "superseded": True,
        }
        failed, broken = [row for row in rows if row["outcome"] == "failed"]
        assert (failed["fault"], failed["input_tokens"], failed["cost"]) == ("limit", 0, 0), "turned away, for nothing"
        assert (broken["provider"], broken["estimated"], broken["fallback"]) == ("backup", True, True)
        assert all(row["fallback"] == (row["provider"] == "backup") for row in rows)
        assert all(row["latency_ms"] is not None and row["customer_id"] and row["conversation_id"] for row in rows)
        await reply_costs_are_sums(postgres)


async def every_kind_of_end(shop: Shop, llm: LlmStand, backup: LlmStand, database: Database) -> None:
    """One customer each: answered, handed over, taken over, superseded; then both models fail."""
    llm.play(plays.say("From nine."), plays.call_tool("hand_over", '{"reason": "asked for it"}'))
    await shop.hears("When?", mid="mid.1", customer="1")
    await shop.until_message(1, sender_type="bot", delivery_state="sent")
    await shop.hears("A person, please", mid="mid.2", customer="2")
    await shop.until_message(2, sender_type="bot", delivery_state="sent")
    with paused() as play:
        llm.play(play)
        await shop.hears("Hi", mid="mid.3", customer="3")
        await llm.wait_for(3)
        await shop.post("/admin/conversations/3/takeover")
        await llm.wait_for_gone(1)
    with paused() as play:
        llm.play(play, plays.say("Two coffees."))
        await shop.hears("A coffee", mid="mid.4", customer="4")
        await llm.wait_for(4)
        await shop.hears("no, two", mid="mid.5", customer="4")
        await shop.until_message(4, sender_type="bot", delivery_state="sent")
    llm.play(plays.fail(429, retry_after="60"))
    backup.play(plays.say("From the other one."))
    await shop.hears("Hi", mid="mid.6", customer="5")
    await until_sent(4, shop, database)
    # The first is left alone by now: what is not asked is not booked.
    backup.play(plays.cut("We are", " op"))
    await database.update("turns", {"attempts": 2}, where={"due_at": None})
    await shop.hears("Hi", mid="mid.7", customer="5")
    await until_sent(5, shop, database)
    await until_quiet(shop, database)


async def until_sent(count: int, shop: Shop, database: Database) -> None:
    """Until so many messages of the AI have been sent."""
    where = {"sender_type": "bot", "delivery_state": "sent"}

    async def sent() -> bool:
        return len(await database.select("messages", where=where)) >= count

    await shop.until(sent)


@contextmanager
def paused() -> Iterator[plays.Play]:
    """A call that says two words and goes on when this is left."""
    gate = asyncio.Event()
    yield plays.say("I am", " writing", pause=gate, pause_after=1)
    gate.set()


async def reply_costs_are_sums(database: Database) -> None:
    """What a message says it cost is what its rows cost together, and unknown if one of them is."""
    for message in await database.select("messages", where={"sender_type": "bot"}):
        costs = [row["cost"] for row in await booked(database, message_id=message["id"])]
        known = None if not costs or None in costs else sum(Decimal(str(cost)) for cost in costs)
        told = message["cost"] if message["cost"] is None else Decimal(str(message["cost"]))
        assert told == known or (costs == [] and told is None), message


async def test_what_a_stopped_process_began_is_booked(postgres: Postgres, database_url: str) -> None:
    make = partial(local_settings, database_url, shutdown_seconds=0.5)
    async with open_shop(make, default_model="openai:gpt-5.4-mini") as shop:
        await postgres.update("workspaces", {"quiet_seconds": 0}, where={"id": 1})
        shop.llm.play(plays.say("never", " finished", pause=asyncio.Event(), pause_after=1))
        await shop.hears("Hi")
        await shop.llm.wait_for(1)
        llm = shop.llm
    (row,) = await booked(postgres)
    assert len(llm.calls) == 1
    assert (row["outcome"], row["estimated"]) == ("lost", True)


@pytest.mark.parametrize("place", ["mid_stream", "before_finish"])
async def test_what_a_fault_of_ours_threw_away_is_booked(place: str, postgres: Postgres, database_url: str) -> None:
    make = partial(local_settings, database_url, fail=f"{place}:error")
    async with open_shop(make, default_model="openai:gpt-5.4-mini") as shop:
        await postgres.update("workspaces", {"quiet_seconds": 0}, where={"id": 1})
        await shop.hears("Hi")
        await shop.until_message(sender_type="bot", delivery_state="sent")
        rows = await booked(postgres)
        assert len(rows) == len(shop.llm.calls) == 2
        assert [row["outcome"] for row in rows] == ["lost", "answered"]
        assert rows[0]["estimated"] == (place == "mid_stream")


async def test_a_call_is_booked_once_however_often_it_is_told(database: Database) -> None:
    desk = Desk(database)
    await desk.open()
    await desk.hears("Hi")
    (turn,) = await desk.claims()
    call = {"call_id": "00000000-0000-7000-8000-000000000001", "provider": "p", "model": "m", "outcome": "answered"}
    told = {"workspace_id": 1, "conversation_id": turn["conversation_id"], "lease_no": turn["lease_no"]}
    spent = {"attempts": [call], "outcome": "failed", "seq_in": 1, "epoch": 0}
    for _ in range(2):
        await database.call("release_turn", **told, reply=spent, spent=spent)
    (row,) = await booked(database)
    assert (row["outcome"], row["cost"], row["call_id"]) == ("failed", None, call["call_id"])
    assert len(await database.select("usage_tail")) == 1


async def test_what_was_spent_on_a_conversation_that_is_gone_is_booked(database: Database) -> None:
    desk = Desk(database)
    await desk.open()
    await desk.hears("Hi")
    (turn,) = await desk.claims()
    await database.delete("conversations", where={"id": turn["conversation_id"]})
    assert (await desk.finishes(turn))["outcome"] == "lost"
    (row,) = await booked(database)
    assert (row["outcome"], row["customer_id"], row["conversation_id"]) == ("lost", None, turn["conversation_id"])


async def test_a_conversation_may_go_and_its_cost_stays(database: Database) -> None:
    desk = Desk(database)
    await desk.open()
    await desk.hears("Hi")
    await desk.answers()
    await database.call("roll_up_usage")
    await desk.hears("Hi again")
    await desk.answers()
    before = await database.call("usage_stats", caller={"admin": True}, workspace_id=1, days=1)
    assert (before["totals"]["calls"], len(before["top_customers"])) == (2, 1)
    await database.delete("customers", where={"id": 1})
    assert await database.select("conversations") == []
    assert await database.select("usage_customers") == []
    assert [(row["customer_id"], row["conversation_id"]) for row in await booked(database)] == [(None, 1), (None, 1)]
    after = await database.call("usage_stats", caller={"admin": True}, workspace_id=1, days=1)
    assert after["totals"] == before["totals"]
    assert after["top_customers"] == []
    await database.delete("workspaces", where={"id": 1})
    for table in ("usage", "usage_tail", "usage_days", "usage_times", "usage_customers"):
        assert await database.select(table) == []


async def test_embeddings_are_booked_whatever_becomes_of_them(database: Database) -> None:
    desk = Desk(database)
    await desk.open()
    await desk.hears("A parcel")
    async with EmbeddingStand() as stand:
        embeddings = Embeddings("openai:text-embedding-3-small", api_key="k", base_url=stand.url, patience=5)
        knowledge = Knowledge(database, embeddings)
        await put_document(database, 1, "Shop", "A parcel is expensive.", index=False)
        await Indexing(database, embeddings).work()
        await knowledge.find(1, "parcel?", 1)
        stand.status = 500
        await knowledge.find(1, "parcel? " * 10, 1)
        await knowledge.find(1, "it rests now", 1)
        await embeddings.close()
        rows = await database.select("usage", where={"purpose": "embedding"}, order=["id"])
        assert len(rows) == len(stand.calls) == 3
    indexing, asked, failed = rows
    assert (indexing["outcome"], indexing["customer_id"]) == ("answered", None)
    assert (asked["customer_id"], asked["platform"], asked["cost"]) == (1, "messenger", None), "no price is known here"
    assert (failed["outcome"], failed["fault"]) == ("failed", "server")
    assert all(row["latency_ms"] is not None for row in rows)


async def test_tests_of_a_model_are_booked(postgres: Postgres, database_url: str) -> None:
    async with LlmStand() as llm:
        settings = local_settings(
            database_url, openai_api_key="k", openai_base_url=llm.openai_url, default_model="openai:gpt-4o-mini"
        )
        await postgres.call("ensure_workspace", name="Shop", agent_name="a", system_prompt="b")
        lines = await examine(settings)
        assert ("provider openai:gpt-4o-mini", "ok") in [(line.name, line.state) for line in lines], lines
        providers = open_providers(settings)
        llm.play(plays.fail(500))
        with pytest.raises(ProviderError):
            await try_model(postgres, providers, "openai:gpt-4o-mini", 1)
        await providers.close()
        rows = await postgres.select("usage", order=["id"])
        assert [(row["purpose"], row["workspace_id"], row["outcome"]) for row in rows] == [
            ("test", None, "answered"),
            ("test", 1, "failed"),
        ]
        assert len(llm.calls) == 2
        everything = await postgres.call("usage_global", caller={"admin": True}, days=1)
    assert [line["workspace"] for line in everything["by_workspace"]] in ([None, 1], [1, None])
    assert everything["totals"]["calls"] == 2
