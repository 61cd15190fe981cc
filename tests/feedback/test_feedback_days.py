"""What is counted of feedback, with what is not yet, is the feedback there is: exactly, in whichever order it comes."""

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from feedback.conftest import Team
from stands.tenants import settle
from switchboard.database import Database
from switchboard.feedback.roll_up import count_yesterdays_feedback_again, roll_up_feedback

ZONES = {1: "Europe/Berlin", 2: None}
MOMENTS = [
    datetime(2026, 3, 29, 0, 59, tzinfo=UTC),  # Berlin leaves 2:00 out a minute later
    datetime(2026, 6, 30, 21, 59, tzinfo=UTC),  # a minute before midnight in Berlin
    datetime(2026, 6, 30, 22, tzinfo=UTC),
    datetime(2026, 7, 1, tzinfo=UTC),
]
WRITERS = [(1, "openai", "m"), (None, "openai", "m"), (2, None, None)]
"""Agent, provider and model of messages: what was said while nobody was configured has neither."""
MESSAGES = len(ZONES) * len(MOMENTS) * len(WRITERS)
TYPES = ("safety_issue", "inappropriate", "factual_error", "outdated", "off_topic")
COLUMNS = ("safety_issues", "inappropriate", "factual_errors", "outdated", "off_topic")
FIGURES = (
    *("rating_count", "rating_sum", "rating_squares", "flagged_messages", *COLUMNS),
    *("dismissed_flags", "hand_overs", "corrections"),
)
KEYS = ("workspace_id", "day", "agent_id", "provider", "model")

Line = dict[Any, list[int]]


@dataclass(frozen=True)
class Does:
    """One statement about a message, at once or in the transaction ``late`` that ends some time later."""

    sql: str
    message: int
    values: tuple[Any, ...] = ()
    late: int | None = None


@dataclass(frozen=True)
class End:
    """The transaction ``late`` ends."""

    late: int
    commit: bool


@dataclass(frozen=True)
class RollUp:
    """So many changes are counted."""

    rows: int


@dataclass(frozen=True)
class Rebuild:
    """Days are counted anew."""

    first: date
    days: int


OF = "from messages m where m.id = $1"
RATE = (
    f"insert into ratings (workspace_id, message_id, rated_by, score) select m.workspace_id, m.id, $2, $3 {OF}"
    " on conflict on constraint ratings_once do update set score = excluded.score"
)
WITHDRAW = "delete from ratings where message_id = $1 and rated_by = $2"
FLAG = (
    "insert into flags (workspace_id, message_id, flagged_by, flag_type)"
    f" select m.workspace_id, m.id, $2, $3 {OF} on conflict do nothing"
)
TAKE_BACK = "delete from flags where message_id = $1 and flagged_by = $2 and flag_type = $3"
CHANGE_TYPE = (
    "update flags f set flag_type = $3 where message_id = $1 and flagged_by = $2 and not exists ("
    " select from flags x where x.message_id = $1 and x.flagged_by = $2 and x.flag_type = $3)"
    " and f.id = (select min(x.id) from flags x where x.message_id = $1 and x.flagged_by = $2)"
)
RESOLVE = "update flags set outcome = $3, resolved_at = now() where message_id = $1 and flagged_by = $2"
HAND_OVER = (
    "insert into replies (workspace_id, conversation_id, message_id, outcome, answered_seq, lease_no, epoch)"
    f" select m.workspace_id, m.conversation_id, m.id, 'handed_over', m.seq, 1, 0 {OF} on conflict do nothing"
)
NEVER_SENT = "update replies set outcome = 'taken_over' where message_id = $1"
CORRECT = (
    "insert into corrections (workspace_id, conversation_id, message_id, reason, question, answer, better_answer,"
    f" created_by) select m.workspace_id, m.conversation_id, m.id, 'corrected', '', '', '', '' {OF}"
    " on conflict do nothing"
)
ERASE = "delete from messages where id = $1"

messages = st.integers(1, MESSAGES) | st.integers(1, 3)
people = st.sampled_from(["anna", "ben"])
scores = st.integers(1, 5)
types = st.sampled_from(TYPES)


def does(sql: str, *values: st.SearchStrategy[Any]) -> st.SearchStrategy[Does]:
    return st.builds(Does, st.just(sql), messages, st.tuples(*values))


def late(number: int) -> st.SearchStrategy[Does]:
    """Of a person of its own: two who write the same row would wait for one another."""
    person = st.just(f"late {number}")
    return st.one_of(
        st.builds(Does, st.just(RATE), messages, st.tuples(person, scores), st.just(number)),
        st.builds(Does, st.just(FLAG), messages, st.tuples(person, types), st.just(number)),
    )


steps = st.lists(
    st.one_of(
        *(does(RATE, people, scores), does(RATE, people, scores), does(WITHDRAW, people)),
        *(does(FLAG, people, types), does(TAKE_BACK, people, types), does(CHANGE_TYPE, people, types)),
        does(RESOLVE, people, st.sampled_from(["confirmed", "fixed", "dismissed"])),
        *(does(HAND_OVER), does(NEVER_SENT), does(CORRECT), does(ERASE), late(0), late(1)),
        st.builds(End, st.sampled_from([0, 1]), st.booleans()),
        st.builds(RollUp, st.integers(1, 3) | st.just(2000)),
        st.builds(Rebuild, st.sampled_from(MOMENTS).map(lambda at: at.date()), st.integers(0, 100)),
    ),
    max_size=30,
)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(program=steps)
def test_the_days_are_the_feedback(database_url: str, program: list[Any]) -> None:
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        runner.run(perform(database_url, program))


async def perform(dsn: str, program: list[Any]) -> None:
    async with AsyncExitStack() as stack:
        sql = await stack.enter_async_context(connected(dsn))
        others = [await stack.enter_async_context(connected(dsn)) for _ in range(2)]
        await begin_anew(sql)
        under_way: dict[int, Any] = {}
        for step in program:
            match step:
                case Does(statement, message, values, None):
                    # What somebody else is at stays as it is: whoever waited for them would wait for this test.
                    with suppress(asyncpg.LockNotAvailableError):
                        await sql.execute(statement, message, *values)
                case Does(statement, message, values, number) if number is not None:
                    if number not in under_way:
                        under_way[number] = others[number].transaction()
                        await under_way[number].start()
                    await others[number].execute(statement, message, *values)
                case End(number, commit):
                    if transaction := under_way.pop(number, None):
                        await (transaction.commit() if commit else transaction.rollback())
                case RollUp(rows):
                    await sql.fetchval("select roll_up_feedback($1)", rows)
                case Rebuild(first, days):
                    await sql.fetchval("select rebuild_feedback($1, $2)", first, first + timedelta(days=days))
            await assert_equal(sql)
        for transaction in under_way.values():
            await transaction.commit()
        await assert_equal(sql)
        while json.loads(await sql.fetchval("select roll_up_feedback(3)"))["more"]:
            await assert_equal(sql)
        assert await sql.fetchval("select count(*) from feedback_tail") == 0
        await assert_equal(sql)
        assert await told(sql, "feedback_days") == await told(sql, "feedback_lines")


@asynccontextmanager
async def connected(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(dsn, server_settings={"lock_timeout": "50ms"})
    try:
        yield connection
    finally:
        await connection.close()


async def begin_anew(sql: asyncpg.Connection) -> None:
    await sql.execute("truncate workspaces, customers, messages restart identity cascade")
    number = 0
    for workspace, zone in ZONES.items():
        hours = json.dumps({"time_zone": zone, "weekly": {}, "holidays": {}}) if zone else None
        await sql.execute(
            "insert into workspaces (id, name, business_hours) values ($1, $2, $3)", workspace, f"w{workspace}", hours
        )
        await sql.execute(
            "insert into channels (workspace_id, id, platform, account) values ($1, $1, 'x', $2)",
            workspace,
            f"{workspace}",
        )
        await sql.execute(
            "insert into customers (workspace_id, id, channel_id, external_id) values ($1, $1, $1, 'c')", workspace
        )
        await sql.execute(
            "insert into conversations (workspace_id, id, channel_id, customer_id) values ($1, $1, $1, $1)", workspace
        )
        for at in MOMENTS:
            for agent, provider, model in WRITERS:
                number += 1
                await sql.execute(
                    "insert into messages (workspace_id, id, conversation_id, seq, sender_type, content, created_at,"
                    " agent_id, provider, model) values ($1, $2, $1, $2, 'bot', '', $3, $4, $5, $6)",
                    *(workspace, number, at, agent, provider, model),
                )


async def assert_equal(sql: asyncpg.Connection) -> None:
    """One look at all: the lines, rolled up or not, against all ratings, flags and the rest added up here."""
    async with sql.transaction(isolation="repeatable_read"):
        assert await told(sql, "feedback_lines") == await recounted(sql)
        # Message by message as well, once each.
        by_message = await sql.fetch("select * from feedback_message_lines")
        assert len({row["message_id"] for row in by_message}) == len(by_message)
        assert added_up(by_message) == await recounted(sql)


async def told(sql: asyncpg.Connection, relation: str) -> Line:
    return added_up(await sql.fetch(f"select * from {relation}"))


def added_up(rows: list[asyncpg.Record]) -> Line:
    sums: Line = defaultdict(lambda: [0] * len(FIGURES))
    for row in rows:
        key = tuple(row[name] for name in KEYS)
        sums[key] = [before + row[name] for before, name in zip(sums[key], FIGURES, strict=True)]
    return {key: figures for key, figures in sums.items() if any(figures)}


async def recounted(sql: asyncpg.Connection) -> Line:
    sums: Line = defaultdict(lambda: [0] * len(FIGURES))
    kept = {row["id"]: row for row in await sql.fetch("select * from messages")}

    def add(message: int, **figures: int) -> None:
        row = kept.get(message)
        if row is not None:
            day = row["created_at"].astimezone(ZoneInfo(ZONES[row["workspace_id"]] or "UTC")).date()
            line = sums[row["workspace_id"], day, row["agent_id"], row["provider"] or "", row["model"] or ""]
            for name, number in figures.items():
                line[FIGURES.index(name)] += number

    for row in await sql.fetch("select * from ratings"):
        add(row["message_id"], rating_count=1, rating_sum=row["score"], rating_squares=row["score"] ** 2)
    flagged: set[int] = set()
    for row in await sql.fetch("select * from flags"):
        dismissed = row["outcome"] == "dismissed"
        add(row["message_id"], **{"dismissed_flags" if dismissed else COLUMNS[TYPES.index(row["flag_type"])]: 1})
        flagged |= set() if dismissed else {row["message_id"]}
    for message in flagged:
        add(message, flagged_messages=1)
    for row in await sql.fetch("select * from replies where outcome = 'handed_over'"):
        add(row["message_id"], hand_overs=1)
    for row in await sql.fetch("select * from corrections"):
        add(row["message_id"], corrections=1)
    return dict(sums)


async def test_what_people_do_is_counted_as_they_do_it(ours: Team, sql: asyncpg.Connection) -> None:
    """Over HTTP: given, given again, withdrawn; flagged, toggled, dismissed; erased."""
    await sql.execute("delete from corrections")
    message = ours.tenant.answer

    async def figures() -> dict[str, int]:
        live = await told(sql, "feedback_lines")
        await sql.execute("select roll_up_feedback()")
        assert await told(sql, "feedback_days") == live, "rolled up or not, it is the same"
        return {name: n for name, n in zip(FIGURES, next(iter(live.values()), []), strict=False) if n}

    assert await figures() == {}
    rating = await ours.does("anna", "POST", "/api/ratings/", {"message": message, "score": 4})
    await ours.does("ben", "POST", "/api/ratings/", {"message": message, "score": 1})
    assert await figures() == {"rating_count": 2, "rating_sum": 5, "rating_squares": 17}
    await ours.does("anna", "PATCH", f"/api/ratings/{rating['id']}/", {"score": 5})
    assert await figures() == {"rating_count": 2, "rating_sum": 6, "rating_squares": 26}
    await ours.does("anna", "DELETE", f"/api/ratings/{rating['id']}/")
    one = {"rating_count": 1, "rating_sum": 1, "rating_squares": 1}
    assert await figures() == one
    toggle = {"message": message, "flag_type": "outdated"}
    await ours.does("anna", "POST", "/api/flags/toggle/", toggle)
    assert await figures() == one | {"flagged_messages": 1, "outdated": 1}
    await ours.does("anna", "POST", "/api/flags/toggle/", toggle)
    assert await figures() == one
    flag = (await ours.does("anna", "POST", "/api/flags/toggle/", toggle))["flag"]["id"]
    await ours.does("eve", "POST", f"/admin/flags/{flag}/resolve", {"outcome": "dismissed"}, role="support")
    assert await figures() == one | {"dismissed_flags": 1}
    await sql.execute("delete from conversations where workspace_id = $1", ours.tenant.workspace)
    assert await figures() == {}
    assert await sql.fetchval("select count(*) from feedback_messages") == 0


async def test_many_roll_ups_at_once_count_once(database: Database, sql: asyncpg.Connection) -> None:
    await settle(sql, "Ours")
    await sql.execute("delete from feedback_messages")
    await sql.execute("delete from feedback_days")
    await asyncio.gather(*(roll_up_feedback(database) for _ in range(6)))
    await roll_up_feedback(database)
    assert await roll_up_feedback(database) == 0
    (line,) = await database.select("feedback_days")
    assert (line["rating_count"], line["off_topic"], line["corrections"]) == (1, 1, 1)


async def test_a_count_gone_wrong_does_not_stay(
    database: Database, sql: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("switchboard.feedback.roll_up.BATCH", 1)
    tenant = await settle(sql, "Ours")
    await sql.execute("update messages set created_at = now() - interval '1 day'")
    await sql.execute("delete from feedback_messages")
    await sql.execute("delete from feedback_days")
    await roll_up_feedback(database)
    right = await told(sql, "feedback_days")
    await sql.execute("update feedback_days set rating_count = 9")
    await sql.execute("delete from feedback_messages")
    assert await count_yesterdays_feedback_again(database) == 1
    assert await told(sql, "feedback_days") == right
    assert tenant.workspace == next(iter(right))[0]


async def test_a_workspace_goes_with_its_days(sql: asyncpg.Connection, database_url: str) -> None:
    """Deleting all of it does not leave marks of what is gone."""
    ours, theirs = await settle(sql, "Ours"), await settle(sql, "Theirs")
    await sql.execute("delete from workspaces where id = $1", ours.workspace)
    for table in ("feedback_days", "feedback_messages", "feedback_tail", "trend_weeks"):
        left = {row[0] for row in await sql.fetch(f"select workspace_id from {table}")}
        assert left == {theirs.workspace}, table
