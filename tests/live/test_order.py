"""I7 in the database: events get their places after they are committed, so that nobody who reads on misses one."""

import asyncio
import random
from typing import Any

import asyncpg
import pytest

from stands.tenants import Tenant, settle
from switchboard.database import Database

WRITE = "select write_event($1, $2, null, 'x', jsonb_build_object('seq', $3::integer))"


@pytest.fixture
async def shop(sql: asyncpg.Connection) -> Tenant:
    return await settle(sql, "Shop")


@pytest.fixture
async def sql(database_url: str) -> Any:
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


async def follow(database: Database, after: int, most: int = 1000) -> tuple[list[dict[str, Any]], int]:
    found = await database.call("follow_events", after=after, max_rows=most)
    return found["events"], found["last"]


async def test_an_event_that_is_committed_late_comes_late_and_is_not_lost(
    database: Database, sql: asyncpg.Connection, database_url: str, shop: Tenant
) -> None:
    _, start = await follow(database, 0)
    slow = await asyncpg.connect(database_url)
    transaction = slow.transaction()
    await transaction.start()
    await slow.execute(WRITE, shop.workspace, shop.conversation, 1)  # has the lower id, and is not committed
    await sql.execute(WRITE, shop.workspace, shop.conversation, 2)
    (first,), _ = await follow(database, start)
    highest = await sql.fetchval("select max(id) from events")
    await transaction.commit()
    await slow.close()

    (second,), _ = await follow(database, first["id"])
    assert (first["data"]["seq"], second["data"]["seq"]) == (2, 1)
    # Whoever had read on by id would have missed it.
    assert await sql.fetch("select from events where id > $1", highest) == []


async def test_with_many_writers_and_followers_everybody_reads_the_same_in_the_same_order(
    database: Database, database_url: str, sql: asyncpg.Connection, shop: Tenant
) -> None:
    written, writers = 200, 8
    _, start = await follow(database, 0)

    async def write(name: int) -> None:
        connection = await asyncpg.connect(database_url)
        for seq in range(written // writers):
            async with connection.transaction():
                await connection.execute(WRITE, shop.workspace, name, seq)
                await asyncio.sleep(random.random() * 0.01)
        await connection.close()

    async def read() -> list[tuple[int, int, int]]:
        log: list[tuple[int, int, int]] = []
        place = start
        while len(log) < written:
            events, _ = await follow(database, place, most=7)
            log += [(event["id"], event["conversation_id"], event["data"]["seq"]) for event in events]
            place = log[-1][0] if log else place
            await asyncio.sleep(0.001)
        return log

    async with asyncio.timeout(60):
        *logs, _ = await asyncio.gather(read(), read(), read(), *(write(name) for name in range(writers)))
    first, second, third, *_ = logs
    assert first == second == third
    assert [place for place, _, _ in first] == sorted({place for place, _, _ in first})
    for name in range(writers):
        assert [seq for _, writer, seq in first if writer == name] == list(range(written // writers))


async def test_in_one_conversation_the_order_is_the_one_in_which_it_was_locked(
    database: Database, sql: asyncpg.Connection, database_url: str, shop: Tenant
) -> None:
    """A transaction that began first but wrote second comes second: cause before effect."""
    _, start = await follow(database, 0)
    lock = "select from conversations where workspace_id = $1 and id = $2 for update"
    early = await asyncpg.connect(database_url)
    transaction = early.transaction()
    await transaction.start()
    await early.execute("select pg_current_xact_id()")
    async with sql.transaction():
        await sql.execute(lock, shop.workspace, shop.conversation)
        waiting = asyncio.create_task(early.execute(lock, shop.workspace, shop.conversation))
        await sql.execute(WRITE, shop.workspace, shop.conversation, 1)
    await waiting
    await early.execute(WRITE, shop.workspace, shop.conversation, 2)
    await transaction.commit()
    await early.close()
    events, _ = await follow(database, start)
    assert [event["data"]["seq"] for event in events] == [1, 2]


async def test_a_place_is_given_once_and_purging_keeps_the_last(
    database: Database, sql: asyncpg.Connection, shop: Tenant
) -> None:
    for seq in range(5):
        await sql.execute(WRITE, shop.workspace, shop.conversation, seq)
    events, last = await follow(database, 0)
    assert (await follow(database, 0)) == (events, last)
    await sql.execute("update events set at = now() - interval '31 days'")
    assert await database.call("purge_events", days=30) == {"events": len(events) - 1}
    assert await database.call("feed_ends") == {"first": last, "last": last}
    await sql.execute(WRITE, shop.workspace, shop.conversation, 9)
    (event,), _ = await follow(database, last)
    assert event["id"] > last
