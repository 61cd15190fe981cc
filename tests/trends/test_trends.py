"""Weeks compared: what rises, what nobody could answer, what is rated lower; no noise, and nothing of one's own."""

import asyncio
import json
import math
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import pytest

from stands.weeks import Business, monday
from switchboard.database import Database
from switchboard.trends.weeks import keep_weeks

ADMIN = {"subject": "admin", "admin": True, "roles": {}}


@pytest.fixture
async def cafe(sql: asyncpg.Connection) -> Business:
    """A café with five weeks behind it in which forty people a week asked when it is open."""
    cafe = await Business.open(sql)
    for weeks_ago in range(1, 6):
        await cafe.hears(weeks_ago, "When are you open?", times=40)
    return cafe


async def last_week(database: Database, business: Business) -> dict[str, Any]:
    await keep_weeks(database)
    return (await database.call("list_trends", caller=ADMIN, workspace_id=business.workspace, weeks=1))[0]


async def everything_kept(sql: asyncpg.Connection) -> str:
    return json.dumps([row[0] for row in await sql.fetch("select figures::text from trend_weeks")])


def g2(one: int, of_one: int, other: int, of_other: int) -> float:
    """As the textbook has it: twice the sum of observed times the logarithm of observed by expected."""
    table = [[one, other], [of_one - one, of_other - other]]
    total = of_one + of_other
    return 2 * sum(
        seen * math.log(seen * total / (sum(row) * sum(line[place] for line in table)))
        for row in table
        for place, seen in enumerate(row)
        if seen
    )


async def test_a_topic_that_rises_is_told_with_its_figures(cafe: Business, database: Database) -> None:
    await cafe.hears(1, "Do you have oat milk, oat milk?", times=18)
    await cafe.hears(1, "Oat milk!", times=2)
    await cafe.hears(2, "Do you have oat milk", times=2)
    await cafe.hears(4, "OAT MILK", times=2)
    week = await last_week(database, cafe)
    assert (week["from"], week["conversations"]) == (monday(1).isoformat(), 60)
    assert (week["previous_weeks"], week["previous_conversations"]) == (4, 164)
    (topic,) = week["topics"]
    assert topic.pop("g2") == pytest.approx(g2(20, 60, 4, 164), abs=0.01)
    assert topic == {
        "topic": "oat milk",
        "count": 38,
        "conversations": 20,
        "customers": 20,
        "previous_conversations": 4,
        "previous_mean": 1,
        "ratio": pytest.approx((20 / 60) / (4 / 164), abs=0.01),
    }
    assert "open" not in json.dumps(week["topics"]), "what is said as often as ever is no topic"


async def test_a_new_word_has_no_ratio_and_words_in_two_forms_are_one(cafe: Business, database: Database) -> None:
    await cafe.hears(1, "Is delivery free", times=4)
    await cafe.hears(1, "Deliveries please", times=12)
    (pleases, topic) = sorted((await last_week(database, cafe))["topics"], key=lambda one: one["conversations"])
    assert (topic["topic"], topic["conversations"], topic["ratio"]) == ("deliveries", 16, None)
    assert (pleases["topic"], pleases["conversations"]) == ("deliveries please", 12)


async def test_words_are_those_of_the_language_of_the_knowledge(
    sql: asyncpg.Connection, cafe: Business, database: Database
) -> None:
    await sql.execute(
        "insert into knowledge_documents (workspace_id, title, kind, state, indexed_language, chunks, due_at)"
        " values ($1, 'Haus', 'text', 'ready', 'german', 3, null), ($1, 'House', 'text', 'ready', 'english', 1, null)",
        cafe.workspace,
    )
    await cafe.hears(1, "die Torte und", times=12)
    await cafe.hears(1, "mit den Torten", times=8)
    (topic,) = (await last_week(database, cafe))["topics"]
    assert (topic["topic"], topic["conversations"]) == ("torte", 20), "in English, `die` and `und` would be words"


async def test_noise_and_small_samples_are_not_told(sql: asyncpg.Connection, database: Database) -> None:
    steady, small, new = [await Business.open(sql, name) for name in ("Steady", "Small", "New")]
    for weeks_ago in range(1, 6):
        await steady.hears(weeks_ago, "When are you open?", times=40)
        await steady.hears(weeks_ago, "Is there cake?", times=10 + (weeks_ago == 1))
        await small.hears(weeks_ago, "Is there cake?" if weeks_ago == 1 else "Hello", times=15)
    await new.hears(1, "Is there cake?", times=60)
    for business in (steady, small, new):
        assert (await last_week(database, business))["topics"] == [], business


async def test_what_fewer_than_three_customers_say_is_not_kept(
    sql: asyncpg.Connection, cafe: Business, database: Database
) -> None:
    """However often they say it, and however it is spelt; the same of questions that nobody answered."""
    said = await cafe.hears(1, "Zanzibar Quetzal", times=30, customers=["rita", "otto"])
    said += await cafe.hears(1, "Refund Mueller", times=10, customers=["ida", "udo"])
    said += await cafe.hears(1, "Refund please", times=10)
    await cafe.cannot_answer(said)
    counted = await database.call("count_topics", workspace_id=cafe.workspace, week=monday(1).isoformat())
    week = await last_week(database, cafe)
    kept = json.dumps(counted) + await everything_kept(sql)
    for word in ("zanzibar", "quetzal", "mueller"):
        assert word not in kept.lower()
    assert [topic["topic"] for topic in week["topics"]] == ["refund", "refund please"]
    assert [question["question"] for question in week["questions"]] == ["refund please"]
    assert week["unanswered"] == 50


async def test_numbers_addresses_and_names_of_files_are_no_words(cafe: Business, database: Database) -> None:
    await cafe.hears(1, "0171 5551234 me@example.com https://example.com/a b.pdf AB12CD34", times=30)
    assert (await last_week(database, cafe))["topics"] == []


async def test_a_week_is_kept_once_whoever_looks_and_however_often(
    sql: asyncpg.Connection, cafe: Business, database: Database
) -> None:
    await cafe.hears(1, "Oat milk", times=20)
    kept = await asyncio.gather(*(keep_weeks(database) for _ in range(3)))
    assert sum(kept) == 12, "twelve weeks, each kept by one of them"
    before = await sql.fetch("select * from trend_weeks order by workspace_id, week, kind, place")
    await cafe.hears(1, "Soy milk", times=20)
    assert await keep_weeks(database) == 0
    assert await sql.fetch("select * from trend_weeks order by workspace_id, week, kind, place") == before
    await sql.execute("delete from trend_weeks where week = $1", monday(1))
    assert await keep_weeks(database) == 1
    assert "soy" in await everything_kept(sql)


async def test_weeks_before_the_workspace_and_those_long_gone_are_not_kept(
    sql: asyncpg.Connection, cafe: Business, database: Database
) -> None:
    long_ago = monday(1) - timedelta(weeks=13)
    await sql.execute("insert into trend_weeks values ($1, $2, 'week', 0, '{}')", cafe.workspace, long_ago)
    await sql.execute("update workspaces set created_at = $1", datetime.combine(monday(2), time(9), UTC))
    assert await keep_weeks(database) == 2
    found = await sql.fetch("select distinct week from trend_weeks order by 1")
    assert [row[0] for row in found] == [monday(2), monday(1)]


async def test_what_is_deleted_or_erased_does_not_count(
    sql: asyncpg.Connection, cafe: Business, database: Database
) -> None:
    deleted = await cafe.hears(1, "Oat milk", times=20)
    erased = await cafe.hears(1, "Soy milk", times=20)
    await cafe.cannot_answer([*deleted, *erased])
    await sql.execute("update conversations set deleted_at = now() where id = any ($1)", deleted)
    await sql.execute(
        "delete from customers where id in (select customer_id from conversations where id = any ($1))", erased
    )
    week = await last_week(database, cafe)
    assert (week["conversations"], week["topics"], week["unanswered"], week["questions"]) == (40, [], 0, [])


async def test_the_week_is_that_of_the_workspaces_clock(
    sql: asyncpg.Connection, cafe: Business, database: Database
) -> None:
    zone = ZoneInfo("Asia/Tokyo")
    await sql.execute('update workspaces set business_hours = \'{"time_zone": "Asia/Tokyo"}\'')
    begins = datetime.combine(monday(1), time(0), zone)
    for at, text in (
        (begins - timedelta(seconds=1), "too early"),
        (begins, "first thing"),
        (begins + timedelta(days=7, seconds=-1), "last thing"),
        (begins + timedelta(days=7), "too late"),
    ):
        await cafe.hears(1, text, times=10, at=at)
    counted = await database.call("count_topics", workspace_id=cafe.workspace, week=monday(1).isoformat())
    said = {topic["name"]: topic["conversations"] for topic in counted["topics"]}
    assert said == {"open": 40, "thing": 20, "first": 10, "last": 10, "first thing": 10, "last thing": 10}


async def test_the_work_on_a_week_has_a_bound(sql: asyncpg.Connection, cafe: Business, database: Database) -> None:
    """Of many conversations always the same ones are read, and of a long one its end."""
    (long,) = await cafe.hears(1, "word", customers=["anna"])
    await sql.execute(
        "insert into messages (workspace_id, conversation_id, seq, sender_type, content, created_at)"
        " select m.workspace_id, m.conversation_id, n, 'user', 'word' || repeat(' word', 500), m.created_at"
        " from messages m, generate_series(2, 600) n where m.conversation_id = $1",
        long,
    )
    await sql.execute("update conversations set last_seq = 600 where id = $1", long)
    arguments = {"workspace_id": cafe.workspace, "week": monday(1).isoformat()}
    some = [await database.call("count_topics", **arguments, most=12) for _ in range(2)]
    assert some[0] == some[1]
    assert some[0]["conversations"] <= 12
    all_of_it = await database.call("count_topics", **arguments, terms=["word"])
    # Of 600 messages the last twenty, of each 300 characters.
    assert (all_of_it["conversations"], all_of_it["topics"][0]["count"]) == (41, 1200)


async def test_questions_nobody_could_answer_are_compared(cafe: Business, database: Database) -> None:
    await cafe.cannot_answer(await cafe.hears(1, "Is there parking?", times=2))
    await cafe.cannot_answer(await cafe.hears(1, "is there  parking", times=3))
    await cafe.cannot_answer(await cafe.hears(1, "Who owns you?", times=2, customers=["a", "b"]))
    await cafe.cannot_answer(await cafe.hears(3, "Is there parking", times=2))
    await cafe.cannot_answer(await cafe.hears(6, "Is there parking", times=9))
    week = await last_week(database, cafe)
    assert (week["unanswered"], week["previous_unanswered"], week["previous_unanswered_mean"]) == (7, 2, 0.5)
    assert week["questions"] == [
        {"question": "is there parking", "count": 5, "customers": 5, "previous_count": 2, "previous_mean": 0.5}
    ]


async def test_ratings_that_fall_are_told_by_agent_and_by_model(sql: asyncpg.Connection, database: Database) -> None:
    shop = await Business.open(sql, "Shop")
    agent = await sql.fetchval(
        "insert into agents (workspace_id, name) values ($1, 'Rita') returning id", shop.workspace
    )
    before, now = [5, 4, 5, 5, 4, 5, 5, 4, 5, 4], [2, 3, 1, 2, 4, 2, 3, 2, 1, 3]
    await shop.is_rated(5, before, agent=agent, model="a")
    await shop.is_rated(2, before, agent=agent, model="a")
    await shop.is_rated(1, now, agent=agent, model="a")
    # As good as ever, too few to say, and better than before.
    for model, earlier, later in (("b", before, before), ("c", before, now[:9]), ("d", now, before)):
        await shop.is_rated(3, earlier, agent=None, model=model)
        await shop.is_rated(1, later, agent=None, model=model)
    # One half is counted, the other is not yet: both are there.
    await sql.execute("select roll_up_feedback(40)")
    week = await last_week(database, shop)

    def spread(scores: list[int]) -> float:
        mean = sum(scores) / len(scores)
        return sum((score - mean) ** 2 for score in scores) / (len(scores) - 1) / len(scores)

    figures = {
        "average": 2.3,
        "count": 10,
        "previous_average": 4.6,
        "previous_count": 20,
        "difference": -2.3,
        "t": pytest.approx(-2.3 / math.sqrt(spread(now) + spread(before * 2)), abs=0.01),
    }
    assert week["agents"] == [{"agent_id": agent, "name": "Rita", **figures}]
    assert week["models"] == [{"provider": "openai", "model": "a", **figures}]


async def test_ratings_without_any_spread_fall_too_and_deleted_ones_do_not_count(
    sql: asyncpg.Connection, database: Database
) -> None:
    shop = await Business.open(sql, "Shop")
    await shop.is_rated(2, [5] * 10, agent=None, model="a")
    await shop.is_rated(1, [4] * 10, agent=None, model="a")
    deleted = await shop.is_rated(1, [1] * 5, agent=None, model="a")
    await sql.execute("update conversations set deleted_at = now() where id = any ($1)", deleted)
    (fall,) = (await last_week(database, shop))["models"]
    assert (fall["difference"], fall["count"], fall["t"]) == (-1, 10, None)
