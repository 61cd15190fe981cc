"""The statistics say what is in the tables, at any moment, to those who may know."""

import json
import random
from collections import Counter
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import httpx
import pytest

from stands.app import bearer, token
from stands.desk import ANNA, Desk
from stands.owner import Owner
from switchboard import clock
from switchboard.database import Database
from switchboard.settings import Settings
from switchboard.usage.roll_up import roll_up

HOURS = {"time_zone": "Pacific/Auckland", "weekly": {}, "holidays": {}}


async def book(
    sql: asyncpg.Connection,
    workspace: int | None = 1,
    purpose: str = "reply",
    conversation: int | None = None,
    **told: Any,
) -> None:
    """A call to a model is booked."""
    await sql.execute("select record_call($1, $2, $3, $4)", workspace, purpose, json.dumps(made(**told)), conversation)


def made(**told: Any) -> dict[str, Any]:
    """A call as the ledger takes it."""
    return {"provider": "openai", "model": "m", "outcome": "answered", "input_tokens": 10, "output_tokens": 5} | told


async def test_stats_add_up_what_is_rolled_up_and_what_is_not(owner: Owner, sql: asyncpg.Connection) -> None:
    await book(sql, cost="0.25", latency_ms=1000)
    await sql.execute("select roll_up_usage()")
    await book(sql, cost="0.5", latency_ms=1000)
    await book(sql, outcome="server", cost=None)
    await book(sql, purpose="embedding", model="e", cost="0.125")
    stats = await owner.get("/usage/stats/", days=7)
    assert (stats["workspace"], stats["days"], stats["time_zone"]) == (1, 7, "UTC")
    assert (len(stats["by_day"]), stats["by_day"][0]["day"], stats["by_day"][-1]["day"]) == (
        7,
        stats["from"],
        stats["to"],
    )
    assert stats["totals"] == {
        "calls": 4,
        "failed_calls": 1,
        "fallback_calls": 0,
        "estimated_calls": 0,
        "input_tokens": 40,
        "output_tokens": 20,
        "cached_tokens": 0,
        "reasoning_tokens": 0,
        "total_tokens": 60,
        "cost": 0.875,
        "cost_unknown_calls": 1,
    }
    assert stats["by_day"][-1]["cost"] == 0.875
    assert (stats["by_day"][0]["calls"], stats["by_day"][0]["cost"]) == (0, 0)
    one, other = stats["by_model"]
    assert (one["provider"], one["model"], one["calls"], other["model"]) == ("openai", "m", 3, "e")
    assert 900 <= one["latency_p50_ms"] <= 1100
    assert other["first_token_p50_ms"] is None
    assert {line["purpose"]: line["calls"] for line in stats["by_purpose"]} == {"reply": 3, "embedding": 1}
    assert {line["outcome"]: line["calls"] for line in stats["by_outcome"]} == {"answered": 3, "failed": 1}
    (nowhere,) = stats["by_channel"]
    assert (nowhere["platform"], nowhere["calls"]) == (None, 4)


async def test_a_cost_nobody_knows_is_null_and_counted(owner: Owner, sql: asyncpg.Connection) -> None:
    assert (await owner.get("/usage/stats"))["totals"]["cost"] == 0, "nothing was spent"
    await book(sql, cost=None)
    totals = (await owner.get("/usage/stats"))["totals"]
    assert (totals["calls"], totals["cost"], totals["cost_unknown_calls"]) == (1, None, 1)


async def test_the_customers_who_cost_most(owner: Owner, sql: asyncpg.Connection) -> None:
    await sql.execute("insert into channels (workspace_id, id, platform, account) values (1, 50, 'messenger', 'x')")
    for number in range(1, 4):
        await sql.execute(
            "insert into customers (workspace_id, id, channel_id, external_id) values (1, $1, 50, $2)",
            number,
            f"u{number}",
        )
        await sql.execute(
            "insert into conversations (workspace_id, id, channel_id, customer_id) values (1, $1, 50, $1)", number
        )
        for _ in range(number):
            await book(sql, conversation=number, cost="0.5")
        if number == 2:
            await sql.execute("select roll_up_usage()")
    stats = await owner.get("/usage/stats", customers=2)
    assert [
        (line["customer_id"], line["platform"], line["calls"], line["cost"]) for line in stats["top_customers"]
    ] == [
        ("u3", "facebook", 3, 1.5),
        ("u2", "facebook", 2, 1.0),
    ]
    assert [line["platform"] for line in stats["by_channel"]] == ["facebook"]
    assert (await owner.get("/usage/stats", customers=0))["top_customers"] == []


async def test_days_are_those_of_the_workspaces_clock(owner: Owner, sql: asyncpg.Connection) -> None:
    await sql.execute("update workspaces set business_hours = $1", json.dumps(HOURS))
    today = clock.now().astimezone(ZoneInfo(HOURS["time_zone"])).date()
    midnight = datetime.combine(today, datetime.min.time(), ZoneInfo(HOURS["time_zone"]))
    for at in (midnight - timedelta(microseconds=1), midnight):
        await sql.execute("select record_usage(1, null, null, 'answered', $1, $2)", json.dumps(made(cost="1")), at)
    stats = await owner.get("/usage/stats", days=2)
    if stats["to"] == today.isoformat():  # not over midnight meanwhile
        assert stats["time_zone"] == HOURS["time_zone"]
        assert [line["calls"] for line in stats["by_day"]] == [1, 1]
        assert (await owner.get("/usage/stats", days=1))["totals"]["calls"] == 1


async def test_global_is_all_workspaces_and_the_installation_itself(
    client: httpx.AsyncClient, settings: Settings, sql: asyncpg.Connection
) -> None:
    admin = bearer(token(settings))
    await sql.execute("insert into workspaces (id, name) values (70, 'Dear'), (71, 'Idle')")
    await book(sql, 70, cost="2")
    await book(sql, None, purpose="test", cost="0.5")
    await sql.execute("select roll_up_usage()")
    await book(sql, cost="1")
    told = (await client.get("/api/v1/ai/usage/global/", headers=admin)).json()
    assert [(line["workspace"], line["cost"]) for line in told["by_workspace"]] == [(70, 2), (1, 1), (None, 0.5)]
    assert (told["workspaces"], told["totals"]["cost"], told["totals"]["calls"]) == (3, 3.5, 3)
    assert [line["calls"] for line in told["by_day"]] == [3]
    told = (await client.get("/api/v1/ai/usage/global", params={"limit": 1}, headers=admin)).json()
    assert ([line["name"] for line in told["by_workspace"]], told["workspaces"]) == (["Dear"], 3)


@pytest.mark.parametrize("path", ["/usage/stats", "/usage/global", "/analytics"])
@pytest.mark.parametrize("days", ["0", "366", "-1", "week", ""])
async def test_days_that_are_none_are_named(owner: Owner, path: str, days: str) -> None:
    told = await owner.get(path, 422, days=days)
    assert [error["field"] for error in told["errors"]] == ["days"]


async def test_viewers_see_their_own_and_strangers_nothing(
    client: httpx.AsyncClient, settings: Settings, sql: asyncpg.Connection
) -> None:
    await sql.execute("insert into workspaces (id, name) values (70, 'Other')")
    for path in ("/usage/stats", "/analytics"):
        for role, mine, theirs in (("viewer", 200, 404), ("owner", 200, 404), ("admin", 200, 200)):
            headers = bearer(token(settings, role, None if role == "admin" else 1))
            for workspace, status in ((1, mine), (70, theirs), (7_000, 404)):
                answer = await client.get(f"/api/v1/ai{path}", params={"workspace": workspace}, headers=headers)
                assert answer.status_code == status, (path, role, workspace, answer.text)


@pytest.mark.parametrize("seed", [1, 2])
async def test_analytics_are_a_recount_of_the_messages(database: Database, seed: int) -> None:
    chance = random.Random(seed)
    desk = Desk(database)
    await desk.open()
    for number in range(40):
        await something_happens(desk, chance, number)
        if chance.random() < 0.3:
            await database.call("follow_events", after=0)
        if chance.random() < 0.3:
            await roll_up(database)
        if number % 8 == 0:
            await assert_recounted(database)
    await assert_recounted(database)
    await database.call("follow_events", after=0)
    await roll_up(database)
    await assert_recounted(database)


async def something_happens(desk: Desk, chance: random.Random, number: int) -> None:
    customer = f"u{chance.randrange(4)}"
    match chance.randrange(6):
        case 0 | 1:
            await desk.hears(f"Hi {number}", customer=customer)
        case 2 | 3:
            for turn in await desk.claims():
                await desk.finishes(turn, hand_over=chance.random() < 0.3)
        case 4:
            rows = await desk.database.select("conversations", where={"lifecycle": "open"}, order=["id"], limit=50)
            for row in rows[:1]:
                await desk.database.call(
                    "post_human_reply", caller=ANNA, conversation_id=row["id"], content="Me", parts=["Me"]
                )
        case _:
            rows = await desk.database.select("conversations", where={"lifecycle": "open"}, order=["-id"], limit=50)
            for row in rows[:1]:
                ending = chance.choice(["closed", "resolved"])
                await desk.database.call("set_lifecycle", caller=ANNA, conversation_id=row["id"], lifecycle=ending)


async def assert_recounted(database: Database) -> None:
    told = await database.call("chat_analytics", caller=ANNA, workspace_id=1, days=2)
    messages = await database.select("messages", order=["conversation_id", "seq"], limit=1000)
    senders = Counter(message["sender_type"] for message in messages)
    found = told["messages"]
    assert (found["from_customers"], found["from_ai"], found["from_people"], found["total"]) == (
        senders["user"],
        senders["bot"],
        senders["human"],
        len(messages),
    )
    assert told["conversations"]["opened"] == len(await database.select("conversations"))
    outcomes = Counter(row["outcome"] for row in await database.select("replies", limit=1000))
    assert told["conversations"]["handed_over"] == outcomes["handed_over"]
    waits = {"ai": waits_of(messages, "bot"), "people": waits_of(messages, "human")}
    for who, times in {**waits, "all": waits["ai"] + waits["people"]}.items():
        shown = told["response_times"][who]
        assert shown["count"] == len(times)
        if times:
            assert abs(shown["average_ms"] - sum(times) / len(times)) <= 1
            assert shown["p50_ms"] <= max(times) * 1.2 + 1
    for name in ("conversations", "messages"):
        for key, value in told[name].items():
            assert value == sum(line[name][key] for line in told["by_day"]), key
            assert value == sum(line[name][key] for line in told["by_channel"]), key


def waits_of(messages: list[dict[str, Any]], sender: str) -> list[float]:
    """How long the first unanswered message had waited for each that ``sender`` wrote, in milliseconds."""
    waits: list[float] = []
    since: dict[int, datetime] = {}
    for message in messages:
        at, where = datetime.fromisoformat(message["created_at"]), message["conversation_id"]
        if message["sender_type"] == "user":
            since.setdefault(where, at)
        elif message["sender_type"] in ("bot", "human"):
            asked = since.pop(where, None)
            if asked and message["sender_type"] == sender:
                waits.append((at - asked).total_seconds() * 1000)
    return waits


async def test_analytics_tell_what_nobody_could_answer_and_what_was_not_sent(
    owner: Owner, sql: asyncpg.Connection
) -> None:
    channel = await sql.fetchval("select connect_channel(1, 'api', 'workspace:1') ->> 'id'")
    await sql.execute(
        "insert into customers (workspace_id, id, channel_id, external_id) values (1, 1, $1, 'u')", int(channel)
    )
    await sql.execute(
        "insert into conversations (workspace_id, id, channel_id, customer_id) values (1, 1, $1, 1)", int(channel)
    )
    for seq, question in enumerate(["Parking?", "parking", "A vegan cake?"]):
        await sql.execute("select keep_question(1, 1, $1, $2, 0)", seq, question)
    for outcome in ("superseded", "taken_over", "failed"):
        reply = json.dumps(made(cost="1"))
        await sql.execute("select record_usage(1, 1, null, $1, $2)", outcome, reply)
    told = await owner.get("/analytics/", days=1)
    assert told["unanswered_questions"] == {
        "count": 3,
        "top": [
            {"question": told["unanswered_questions"]["top"][0]["question"], "times": 2},
            {"question": "A vegan cake?", "times": 1},
        ],
    }
    assert told["replies"] == {
        "answered": 0,
        "handed_over": 0,
        "superseded": 1,
        "taken_over": 1,
        "lost": 0,
        "failed": 1,
    }
    assert (told["ai_share"], told["response_times"]["all"]) == (
        None,
        {"count": 0, "average_ms": None, "p50_ms": None, "p95_ms": None},
    )
    await book(sql, purpose="test")
    assert (await owner.get("/analytics", days=1))["replies"] == told["replies"], "a test is no reply"
