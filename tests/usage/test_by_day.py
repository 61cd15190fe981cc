"""Usage line by line, and how models did day by day: what is in the ledger, for those who may know it."""

import json
from typing import Any

import asyncpg
import httpx
import pytest

from stands.app import bearer, token
from stands.tenants import settle, talk
from switchboard.settings import Settings

ANSWERED = {"outcome": "answered", "input_tokens": 10, "output_tokens": 5, "cost": "0.25"}


@pytest.fixture
def us(settings: Settings) -> dict[str, str]:
    return bearer(token(settings, "viewer", 1))


async def book(
    sql: asyncpg.Connection, outcome: str, *attempts: dict[str, Any], days_ago: int = 0, purpose: str = "reply"
) -> None:
    """A reply with these calls to models came to this."""
    calls = [{"provider": "openai", "model": "m", **ANSWERED, **attempt} for attempt in attempts]
    await sql.execute(
        "select record_usage(1, null, null, $1, $2, now() - $3 * interval '1 day', $4)",
        *(outcome, json.dumps({"attempts": calls}), days_ago, purpose),
    )


async def get(client: httpx.AsyncClient, path: str, who: dict[str, str], status: int = 200, **query: Any) -> Any:
    answer = await client.get(path, params=query, headers=who)
    assert answer.status_code == status, answer.text
    return answer.json()


async def test_how_a_model_did_is_told_from_both_what_is_rolled_up_and_what_is_not(
    client: httpx.AsyncClient, sql: asyncpg.Connection, us: dict[str, str]
) -> None:
    for _ in range(6):
        await book(sql, "answered", {"latency_ms": 1000, "first_token_ms": 200})
    await sql.execute("select roll_up_usage()")
    await book(sql, "handed_over", {"latency_ms": 4000, "first_token_ms": 800})
    await book(sql, "handed_over", {"latency_ms": 4000, "first_token_ms": 800})
    await book(sql, "superseded", {"cost": None})
    await book(sql, "answered", {"outcome": "server", "cost": "0"}, {"model": "n", "latency_ms": 1000})
    await book(sql, "answered", {"cost": "9"}, purpose="summary")
    found = await get(client, "/api/model-performance/", us, days=7)
    assert (found["count"], found["next_cursor"]) == (2, None)
    one, other = found["models"]
    assert (one["provider"], one["model"]) == ("openai", "m")
    assert {name: one[name] for name in ("calls", "replies", "errors", "fallbacks")} == {
        "calls": 10,
        "replies": 8,
        "errors": 1,
        "fallbacks": 0,
    }
    assert (one["hand_over_rate"], one["superseded_rate"]) == (0.25, 0.1)
    assert (one["input_tokens"], one["output_tokens"]) == (100, 50)
    assert (one["cost"], one["cost_unknown_calls"]) == (2.0, 1), "what a summary cost is no reply's"
    # A histogram is right to a tenth.
    assert 900 <= one["latency_p50_ms"] <= 1100
    assert 3600 <= one["latency_p95_ms"] <= 4400
    assert 180 <= one["first_token_p50_ms"] <= 220
    assert 720 <= one["first_token_p95_ms"] <= 880
    assert (one["average_rating"], one["rating_count"], one["flag_rate"]) == (None, 0, 0.0)
    assert (other["model"], other["calls"], other["fallbacks"], other["first_token_p50_ms"]) == ("n", 1, 1, None)
    await sql.execute("select roll_up_usage()")
    assert await get(client, "/api/model-performance/", us, days=7) == found, "nothing is lost or counted twice"


async def test_what_people_think_of_a_model_is_told_from_both_what_is_counted_and_what_is_not(
    client: httpx.AsyncClient, sql: asyncpg.Connection, us: dict[str, str]
) -> None:
    """Of the day of the message, whenever it was rated; rated again, withdrawn and dismissed count as they are now."""
    await settle(sql, "Theirs")
    conversation, *said = await answers(sql, 4)
    await sql.execute("update messages set created_at = now() - interval '1 day' where id = $1", said[3])
    for _ in range(3):
        await book(sql, "answered", {})
    await book(sql, "answered", {}, days_ago=1)
    for message, score, who in ((said[0], 5, "anna"), (said[0], 2, "ben"), (said[1], 4, "anna"), (said[3], 1, "anna")):
        await think(sql, "rate_message", message, score, who)
    for message in said[:2]:
        await think(sql, "flag_message", message, "outdated", "anna")

    async def told() -> list[tuple[Any, ...]]:
        live = await get(client, "/api/model-performance/", us, days=7)
        await sql.execute("select roll_up_feedback()")
        assert await get(client, "/api/model-performance/", us, days=7) == live
        return [(row["average_rating"], row["rating_count"], row["flag_rate"]) for row in live["models"]]

    assert await told() == [(3.67, 3, 0.6667), (1.0, 1, 0.0)]
    await think(sql, "rate_message", said[0], 4, "ben")
    await sql.execute("delete from ratings where message_id = $1", said[3])
    await sql.execute("update flags set outcome = 'dismissed', resolved_at = now() where message_id = $1", said[1])
    assert await told() == [(4.33, 3, 0.3333), (None, 0, 0.0)]
    await sql.execute("delete from conversations where id = $1", conversation)
    assert await told() == [(None, 0, 0.0), (None, 0, 0.0)]


async def answers(sql: asyncpg.Connection, number: int) -> list[int]:
    """A conversation of the first workspace with so many answers by openai:m: its id and theirs."""
    conversation, _, _ = await talk(sql, 1, "Ours")
    made = await sql.fetch(
        "insert into messages (workspace_id, conversation_id, seq, sender_type, content, provider, model)"
        " select 1, $1, n, 'bot', 'x', 'openai', 'm' from generate_series(3, $2) n returning id",
        *(conversation, 2 + number),
    )
    return [conversation, *(row[0] for row in made)]


async def think(sql: asyncpg.Connection, function: str, message: int, what: Any, who: str) -> None:
    """Somebody rates or flags a message of the first workspace."""
    caller = json.dumps({"subject": who, "admin": False, "roles": {"1": "viewer"}})
    await sql.execute(f"select {function}($1::text::jsonb, $2, $3)", caller, message, what)


async def test_models_go_on_where_the_page_ended_and_days_end(
    client: httpx.AsyncClient, sql: asyncpg.Connection, us: dict[str, str]
) -> None:
    for day in range(4):
        for model in ("a", "b"):
            await book(sql, "answered", {"model": model}, days_ago=day)
    told: list[tuple[str, str]] = []
    cursor: dict[str, str] = {}
    while True:
        page = await get(client, "/api/model-performance", us, days=3, limit=4, **cursor)
        told += [(row["day"], row["model"]) for row in page["models"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    days = sorted({day for day, _ in told}, reverse=True)
    assert len(days) == 3
    assert told == [(day, model) for day in days for model in ("a", "b")]


async def test_lines_add_up_to_the_summary_and_the_days(
    client: httpx.AsyncClient, sql: asyncpg.Connection, us: dict[str, str]
) -> None:
    for day in (0, 0, 2, 40):
        await book(sql, "answered", {}, days_ago=day)
        await sql.execute("select roll_up_usage()") if day else None
    await book(sql, "answered", {"cost": None}, purpose="embedding")
    lines: list[dict[str, Any]] = []
    page = await get(client, "/api/usage/", us, limit=1)
    while page["usage"]:
        lines += page["usage"]
        if page["next_cursor"] is None:
            break
        page = await get(client, "/api/usage/", us, limit=1, cursor=page["next_cursor"])
    assert [(line["purpose"], line["calls"], line["cost"]) for line in lines] == [
        ("embedding", 1, None),
        ("reply", 2, 0.5),
        ("reply", 1, 0.25),
    ]
    summary = await get(client, "/api/usage/summary/", us)
    assert summary["totals"]["calls"] == sum(line["calls"] for line in lines) == 4
    assert (summary["totals"]["cost"], summary["totals"]["cost_unknown_calls"]) == (0.75, 1)
    assert {line["purpose"]: line["calls"] for line in summary["by_purpose"]} == {"reply": 3, "embedding": 1}
    daily = await get(client, "/api/usage/daily/", us, days=3)
    assert [day["calls"] for day in daily["daily"]] == [1, 0, 3]
    assert (await get(client, "/api/usage/daily/", us, days=60))["daily"][-41]["calls"] == 1


async def test_others_are_not_there_and_bad_questions_are_told_why(
    client: httpx.AsyncClient, sql: asyncpg.Connection, us: dict[str, str]
) -> None:
    theirs = await settle(sql, "Theirs")
    foreign = "WyJkYXkiLCJ4IiwieSJd"  # ["day","x","y"]
    for path in ("/api/usage/", "/api/usage/summary/", "/api/usage/daily/", "/api/model-performance/"):
        assert theirs.mark not in json.dumps(await get(client, path, us))
        await get(client, path, us, 404, workspace=theirs.workspace)
        for days in (0, 366, "week"):
            told = await get(client, path, us, 422, days=days)
            assert told["errors"][0]["field"] == "days"
    for path in ("/api/usage/", "/api/model-performance/"):
        for cursor in ("nonsense", foreign):
            assert (await get(client, path, us, 422, cursor=cursor))["errors"][0]["field"] == "cursor"
        await get(client, path, us, 422, limit=201)
