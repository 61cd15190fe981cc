"""What is rolled up, with what is not yet, is the ledger: exactly, whatever happens in whichever order."""

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stands.desk import Desk
from switchboard.database import Database
from switchboard.usage.roll_up import roll_up

ZONES = {1: "Europe/Berlin", 2: "America/New_York", 3: None}
"""Of the workspaces; the third has no hours, and is counted by UTC."""
EDGES = [
    datetime(2026, 3, 29, 1, tzinfo=UTC),  # Berlin leaves 2:00 out
    datetime(2026, 10, 25, 1, tzinfo=UTC),  # Berlin has 2:00 twice
    datetime(2026, 3, 8, 7, tzinfo=UTC),  # New York leaves 2:00 out
    datetime(2026, 11, 1, 6, tzinfo=UTC),  # New York has 1:00 twice
    datetime(2026, 6, 30, 22, tzinfo=UTC),  # midnight in Berlin
    datetime(2027, 1, 1, 5, tzinfo=UTC),  # midnight in New York
    datetime(2026, 12, 31, tzinfo=UTC),
]
moments = st.builds(
    lambda edge, hours, microseconds: edge + timedelta(hours=hours, microseconds=microseconds),
    st.sampled_from(EDGES),
    st.sampled_from([-25, -24, -23, -7, -6, -5, -2, -1, 0, 1, 2, 22, 23, 24]),
    st.sampled_from([-1, 0, 1]),
)
costs = st.none() | st.decimals(0, 1000, places=12) | st.sampled_from([Decimal(0), Decimal("0.1"), Decimal("1e-18")])


@dataclass(frozen=True)
class Book:
    """A call is booked: at once, or in the transaction ``late`` that ends some time later."""

    workspace: int | None
    customer: int | None
    at: datetime
    cost: Decimal | None
    tokens: int
    outcome: str
    model: str
    latency_ms: int | None
    late: int | None


@dataclass(frozen=True)
class End:
    """The transaction ``late`` ends."""

    late: int
    commit: bool


@dataclass(frozen=True)
class RollUp:
    """So many are counted."""

    rows: int


@dataclass(frozen=True)
class Rebuild:
    """Days are counted anew."""

    first: date
    days: int


books = st.builds(
    Book,
    workspace=st.sampled_from([1, 1, 1, 2, 3, None]),
    customer=st.sampled_from([None, 1, 2]),
    at=moments,
    cost=costs,
    tokens=st.integers(0, 2_000_000_000),
    outcome=st.sampled_from(["answered", "handed_over", "superseded", "failed"]),
    model=st.sampled_from(["a", "b"]),
    latency_ms=st.none() | st.integers(0, 2_000_000_000),
    late=st.sampled_from([None, None, 0, 1]),
)
steps = st.lists(
    st.one_of(
        books,
        books,
        books,
        st.builds(End, st.sampled_from([0, 1]), st.booleans()),
        st.builds(RollUp, st.integers(1, 4) | st.just(5000)),
        st.builds(Rebuild, moments.map(lambda at: at.date()), st.integers(0, 300)),
    ),
    max_size=30,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(program=steps)
def test_the_days_are_the_ledger(database_url: str, program: list[Any]) -> None:
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        runner.run(perform(database_url, program))


async def perform(dsn: str, program: list[Any]) -> None:
    async with AsyncExitStack() as stack:
        sql = await stack.enter_async_context(connected(dsn))
        late = [await stack.enter_async_context(connected(dsn)) for _ in range(2)]
        await begin_anew(sql)
        open_transactions: dict[int, Any] = {}
        for step in program:
            match step:
                case Book(late=None):
                    await book(sql, step)
                case Book(late=number) if number is not None:
                    if number not in open_transactions:
                        open_transactions[number] = late[number].transaction()
                        await open_transactions[number].start()
                    await book(late[number], step)
                case End(number, commit):
                    if transaction := open_transactions.pop(number, None):
                        await (transaction.commit() if commit else transaction.rollback())
                case RollUp(rows):
                    await sql.fetchval("select roll_up_usage($1)", rows)
                case Rebuild(first, days):
                    await sql.fetchval("select rebuild_usage($1, $2)", first, first + timedelta(days=days))
            await assert_equal(sql)
        for transaction in open_transactions.values():
            await transaction.commit()
        await assert_equal(sql)
        while json.loads(await sql.fetchval("select roll_up_usage(7)"))["more"]:
            await assert_equal(sql)
        assert await sql.fetchval("select count(*) from usage_tail") == 0
        await assert_equal(sql)


@asynccontextmanager
async def connected(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


async def begin_anew(sql: asyncpg.Connection) -> None:
    await sql.execute("truncate workspaces restart identity cascade")
    # Rows without a workspace are not cut off with them.
    await sql.execute(
        "truncate usage, usage_tail, usage_days, usage_times, usage_customers, customers restart identity cascade"
    )
    for workspace, zone in ZONES.items():
        hours = json.dumps({"time_zone": zone, "weekly": {}, "holidays": {}}) if zone else None
        await sql.execute(
            "insert into workspaces (id, name, business_hours) values ($1, $2, $3)", workspace, f"w{workspace}", hours
        )
    await sql.execute("insert into channels (workspace_id, id, platform, account) values (1, 1, 'telegram', 'x')")
    for customer in (1, 2):
        await sql.execute(
            "insert into customers (workspace_id, id, channel_id, external_id) values (1, $1, 1, $2)",
            *(customer, f"c{customer}"),
        )
        await sql.execute(
            "insert into conversations (workspace_id, id, channel_id, customer_id) values (1, $1, 1, $1)", customer
        )


async def book(sql: asyncpg.Connection, step: Book) -> None:
    reply = {
        "provider": "p",
        "model": step.model,
        "input_tokens": step.tokens,
        "cost": None if step.cost is None else str(step.cost),
        "latency_ms": step.latency_ms,
    }
    await sql.execute(
        "select record_usage($1, $2, null, $3, $4, $5)",
        *(step.workspace, step.customer if step.workspace == 1 else None, step.outcome, json.dumps(reply), step.at),
    )


async def assert_equal(sql: asyncpg.Connection) -> None:
    """One look at all: the lines, rolled up or not, against every row of the ledger added up here."""
    async with sql.transaction(isolation="repeatable_read"):
        ledger = await sql.fetch("select * from usage")
        lines = await sql.fetch(
            "select workspace_id, day, model, platform, outcome, sum(calls) as calls, sum(input_tokens) as tokens,"
            " sum(cost) as cost, sum(cost_unknown_calls) as unknown from usage_lines group by 1, 2, 3, 4, 5"
        )
        times = await sql.fetch(
            "select workspace_id, day, model, sum_times(latencies) as latencies from usage_time_lines group by 1, 2, 3"
        )
        customers = await sql.fetch(
            "select day, customer_id, sum(calls) as calls, sum(cost) as cost from ("
            " select day, customer_id, calls, cost from usage_customers union all"
            " select u.day, u.customer_id, 1, coalesce(u.cost, 0) from usage_tail t join usage u on u.id = t.usage_id"
            " where u.customer_id is not null) x group by 1, 2"
        )
        edges = await sql.fetchval("select time_edges()")
    counted: dict[Any, list[Any]] = defaultdict(lambda: [0, 0, Decimal(0), 0])
    waited: dict[Any, list[int]] = {}
    owed: dict[Any, list[Any]] = defaultdict(lambda: [0, Decimal(0)])
    for row in ledger:
        zone = ZoneInfo(ZONES.get(row["workspace_id"]) or "UTC")
        day = row["at"].astimezone(zone).date()
        sums = counted[row["workspace_id"], day, row["model"], row["platform"], row["outcome"]]
        cost = row["cost"] or Decimal(0)
        sums[:] = sums[0] + 1, sums[1] + row["input_tokens"], sums[2] + cost, sums[3] + (row["cost"] is None)
        if row["outcome"] in ("answered", "handed_over"):
            counts = waited.setdefault((row["workspace_id"], day, row["model"]), [0] * (len(edges) + 1))
            if row["latency_ms"] is not None:
                counts[sum(edge <= row["latency_ms"] for edge in edges)] += 1
        if row["customer_id"]:
            owed[day, row["customer_id"]][:] = (
                owed[day, row["customer_id"]][0] + 1,
                owed[day, row["customer_id"]][1] + cost,
            )
    keys = ("workspace_id", "day", "model", "platform", "outcome")
    assert counted == {
        tuple(line[key] for key in keys): [line["calls"], line["tokens"], line["cost"], line["unknown"]]
        for line in lines
    }
    padded = {
        (line["workspace_id"], line["day"], line["model"]): list(line["latencies"])
        + [0] * (len(edges) + 1 - len(line["latencies"]))
        for line in times
    }
    assert waited == padded
    assert owed == {(line["day"], line["customer_id"]): [line["calls"], line["cost"]] for line in customers}


async def test_many_roll_ups_at_once_count_once(database: Database) -> None:
    desk = Desk(database)
    await desk.open()
    call = {"provider": "p", "model": "m", "outcome": "answered", "cost": "0.1"}
    for _ in range(30):
        await database.call("record_call", workspace_id=1, purpose="reply", call=call)
    await asyncio.gather(*(roll_up(database) for _ in range(6)))
    await roll_up(database)
    assert await roll_up(database) == 0
    (line,) = await database.select("usage_days")
    assert (line["calls"], str(line["cost"])) == (30, "3.0")


async def test_a_long_backlog_is_worked_off(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("switchboard.usage.roll_up.BATCH", 4)
    desk = Desk(database)
    await desk.open()
    for number in range(5):
        await desk.hears("Hi", customer=f"u{number}")
        await desk.answers()
    await database.call("follow_events", after=0)
    events = len(await database.select("events"))
    assert await roll_up(database) == 5 + events
    assert sum(line["events"] for line in await database.select("activity_days")) == events


@pytest.mark.parametrize(
    ("times", "share", "expected"),
    [([], 0.5, None), ([0], 0.5, 0), ([100] * 99 + [60_000], 0.5, 100), ([100] * 94 + [60_000] * 6, 0.95, 60_000)],
)
async def test_a_percentile_is_right_to_a_tenth(
    database_url: str, times: list[int], share: float, expected: int | None
) -> None:
    async with connected(database_url) as sql:
        found = await sql.fetchval("select time_at(count_times($1), $2)", times, share)
    assert found == expected or (
        found is not None and expected is not None and abs(found - expected) <= expected / 10 + 1
    )


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_percentiles_of_many_are_those_of_the_times_themselves(database_url: str, seed: int) -> None:
    async with connected(database_url) as sql:
        await sql.fetch("select setseed($1)", seed / 10)
        for share in (0.5, 0.95):
            exact, found = await sql.fetchrow(
                "with t as (select (exp(random() * 12))::bigint as ms from generate_series(1, 2000))"
                " select percentile_disc($1) within group (order by ms)::float8,"
                " time_at(count_times(array_agg(ms)), $1) from t",
                share,
            )
            assert abs(found - exact) <= exact / 10 + 1
