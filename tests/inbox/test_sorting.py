"""Sorting: in small steps where the database is slow, together under load, and past what stands in the way."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import asyncpg
import pytest

from channels.payloads import PAGE, body, event
from switchboard.bell import Bell
from switchboard.channels.messenger.parse import parse
from switchboard.database.postgres import open_postgres
from switchboard.errors import DatabaseTooSlow
from switchboard.inbox.read import Reader
from switchboard.inbox.sort import Sorting
from switchboard.metrics import Metrics


class Slow:
    """A database in which a statement has time for three webhooks of a hundred bytes."""

    def __init__(self, waiting: int) -> None:
        self.waiting = waiting
        self.tried: list[int] = []

    async def call(self, function: str, /, **arguments: Any) -> Any:
        if function == "unsorted_webhooks":
            self.tried.append(arguments["most_bytes"])
            some = min(self.waiting, max(1, arguments["most_bytes"] // 100))
            return [{"id": n, "platform": "messenger", "body": b"{}".hex(), "tries": 0} for n in range(some)]
        if len(arguments["read"]) > 3:
            raise DatabaseTooSlow
        self.waiting -= len(arguments["read"])
        return {"webhooks": len(arguments["read"]), "received": 0, "due_in": None}


async def test_too_many_at_once_for_the_database_are_sorted_in_smaller_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    database: Any = Slow(20)
    monkeypatch.setattr("switchboard.inbox.sort.MOST_BYTES", 10_000)
    monkeypatch.setattr("switchboard.inbox.sort.AGAIN_SECONDS", 0.0)
    channel: Any = SimpleNamespace(parse=lambda body: [])
    reader = Reader({"messenger": channel}, None)
    sorting = Sorting(
        database, reader, Metrics(), bell=Bell(), turns_bell=Bell(), events_bell=Bell(), poll_seconds=0.01
    )
    running = asyncio.create_task(sorting.run())
    async with asyncio.timeout(5):
        while database.waiting:
            await asyncio.sleep(0.01)
    running.cancel()
    assert database.tried[:8] == [10_000, 2500, 625, 156, 312, 624, 156, 312]


async def test_under_load_webhooks_are_sorted_together_and_a_single_one_at_once() -> None:
    calls: list[float] = []
    loop = asyncio.get_running_loop()

    class Counted:
        async def call(self, function: str, /, **arguments: Any) -> Any:
            calls.append(loop.time())
            return []

    database: Any = Counted()
    bell = Bell()
    running = asyncio.create_task(
        Sorting(
            database, Reader({}, None), Metrics(), bell=bell, turns_bell=Bell(), events_bell=Bell(), poll_seconds=5
        ).run()
    )
    await asyncio.sleep(0.1)
    assert len(calls) == 1
    bell.ring()
    await asyncio.sleep(0.002)
    assert len(calls) == 2
    began = loop.time()
    while loop.time() - began < 0.2:
        bell.ring()
        await asyncio.sleep(0.001)
    assert len(calls) <= 2 + 21
    running.cancel()


# What stands in the way ----------------------------------------------------------------------------------------------

SLOW = """
create function dawdle() returns trigger language plpgsql as $$
begin
  if new.content = 'slow' then
    perform pg_sleep(5);
  elsif new.content = 'broken' then
    raise exception using errcode = 'XX000', message = 'a fault of ours';
  end if;
  return new;
end $$;
create trigger dawdle before insert on messages for each row execute function dawdle();
"""


async def receive(sql: "asyncpg.Connection[Any]", *texts: str) -> None:
    for number, text in enumerate(texts):
        said = body(event(f"customer {number}", message={"mid": f"m_{text}", "text": text})).decode()
        await sql.execute("select accept_webhook('messenger', $1, null)", said)


async def contents(sql: "asyncpg.Connection[Any]") -> list[str]:
    return [row[0] for row in await sql.fetch("select content from messages order by id")]


@asynccontextmanager
async def sorting(url: str) -> AsyncIterator["asyncpg.Connection[Any]"]:
    """A service that sorts, with half a second for each statement; given is a superuser's look at the database."""
    database = await open_postgres(url, pool_size=2, timeout=0.5)
    sql = await asyncpg.connect(url)
    workspace = await sql.fetchval("insert into workspaces (name) values ('Shop') returning id")
    await sql.execute("select connect_channel($1, 'messenger', $2)", workspace, PAGE)
    channel: Any = SimpleNamespace(parse=parse)
    running = asyncio.create_task(
        Sorting(
            database,
            Reader({"messenger": channel}, None),
            Metrics(),
            bell=Bell(),
            turns_bell=Bell(),
            events_bell=Bell(),
            poll_seconds=0.05,
            timeout=0.5,
        ).run()
    )
    try:
        yield sql
    finally:
        running.cancel()
        await asyncio.wait([running])
        await database.close()
        await sql.close()


async def until(sql: "asyncpg.Connection[Any]", query: str, wanted: Any, seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while await sql.fetchval(query) != wanted:
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("trouble", ["slow", "broken"])
async def test_a_webhook_that_cannot_be_sorted_lets_the_others_pass(
    trouble: str, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("switchboard.inbox.sort.AGAIN_SECONDS", 0.05)
    monkeypatch.setattr("switchboard.inbox.sort.MOST_BYTES", 1)
    async with sorting(database_url) as sql:
        await sql.execute(SLOW)
        await receive(sql, "first", trouble, "behind it")
        await until(sql, "select count(*) from messages", 2)
        assert await contents(sql) == ["first", "behind it"]
        held = await sql.fetchrow("select tries, held_until - now() as wait from inbox where sorted_at is null")
        assert held is not None
        assert (held["tries"], 50 < held["wait"].total_seconds() <= 60) == (1, True)
        # Its time has come, and it is better now.
        await sql.execute("drop trigger dawdle on messages")
        await sql.execute("update inbox set held_until = now() where sorted_at is null")
        await until(sql, "select count(*) from messages", 3)
        assert await contents(sql) == ["first", "behind it", trouble]


async def test_one_that_never_can_be_sorted_is_set_aside_with_the_reason(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("switchboard.inbox.sort.AGAIN_SECONDS", 0.05)
    async with sorting(database_url) as sql:
        await sql.execute(SLOW)
        await receive(sql, "broken")
        await sql.execute("update inbox set tries = 8")
        await until(sql, "select tries from inbox", 9)
        assert await sql.fetchval("select extract(epoch from held_until - now()) > 3500 from inbox")
        await sql.execute("update inbox set held_until = now()")
        await until(sql, "select sorted_at is not null from inbox", True)
        assert "XX000" in await sql.fetchval("select unhandled -> 0 ->> 'reason' from inbox")


async def test_a_lock_in_the_way_is_waited_for_in_order(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("switchboard.inbox.sort.AGAIN_SECONDS", 0.01)
    monkeypatch.setattr("switchboard.inbox.sort.MOST_BYTES", 1)
    tried: list[Any] = []
    monkeypatch.setattr("switchboard.inbox.sort.log.warning", lambda *_, **told: tried.append(told))
    async with sorting(database_url) as sql:
        other = await asyncpg.connect(database_url)
        holding = other.transaction()
        await holding.start()
        await other.execute("lock table messages in access exclusive mode")
        await receive(sql, "first", "second")
        async with asyncio.timeout(30):
            while len(tried) < 10:
                await asyncio.sleep(0.05)
        assert await sql.fetchval("select max(tries) from inbox") == 0
        await holding.rollback()
        await other.close()
        await until(sql, "select count(*) from messages", 2)
        assert await contents(sql) == ["first", "second"]
