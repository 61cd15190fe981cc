"""I7 on the wire: whatever happens to its connections, a client's own log has every event once, in order."""

import asyncio
import json
import random
from collections.abc import Mapping
from contextlib import AsyncExitStack

import asyncpg
import httpx
import pytest
import websockets

from live.conftest import Happens
from live.readers import Log, connected, listen, until
from stands.app import bearer, local_settings, running_app, token
from stands.tenants import Tenant
from switchboard.settings import Settings

WRITTEN = 240


def member(settings: Settings, tenant: Tenant, name: str = "viewer") -> dict[str, str]:
    return bearer(token(settings, "viewer", tenant.workspace, subject=name))


async def follow(addresses: list[str], headers: Mapping[str, str], log: Log, *, hurry: float) -> None:
    """A client that is cut off all the time, and comes back to whichever process answers."""
    while True:
        resume = {} if log.last is None else {"last-event-id": log.last}
        try:
            async with connected(random.choice(addresses), {**headers, **resume}) as connection:
                listening = asyncio.create_task(listen(connection, log))
                await asyncio.wait([listening], timeout=random.random() * hurry)
                connection.cut()
                await listening
        except (ConnectionError, asyncio.IncompleteReadError):
            await asyncio.sleep(0.02)


async def write(database_url: str, tenants: tuple[Tenant, ...], count: int) -> None:
    """Transactions that overlap and commit in another order than they wrote in."""
    connection = await asyncpg.connect(database_url)
    for number in range(count):
        tenant = tenants[number % len(tenants)]
        async with connection.transaction():
            await connection.execute("select write_event($1, $2, null, 'x', '{}')", tenant.workspace, number)
            await asyncio.sleep(random.random() * 0.04)
    await connection.close()


async def places(sql: asyncpg.Connection, *tenants: Tenant) -> list[int]:
    """The places of all their events, when all have one."""
    async with asyncio.timeout(20):
        while await sql.fetchval("select exists (select from events where position is null)"):
            await asyncio.sleep(0.01)
    ids = [tenant.workspace for tenant in tenants]
    rows = await sql.fetch("select position from events where workspace_id = any($1) order by 1", ids)
    return [row["position"] for row in rows]


async def test_a_storm_of_reconnects_over_two_processes_loses_and_doubles_nothing(
    settings: Settings, address: str, database_url: str, sql: asyncpg.Connection, ours: Tenant, theirs: Tenant
) -> None:
    who = {
        "ours": (ours,),
        "theirs": (theirs,),
        "admin": (ours, theirs),
    }
    started = await places(sql, ours, theirs)
    logs: list[tuple[tuple[Tenant, ...], Log]] = []
    addresses = [address]
    async with running_app(local_settings(database_url, streams_per_caller=0)) as second:
        addresses.append(second)
        clients: list[asyncio.Task[None]] = []
        for number in range(18):
            name = list(who)[number % 3]
            headers = bearer(token(settings)) if name == "admin" else member(settings, who[name][0], f"c{number}")
            logs.append((who[name], Log(last=str(max(started)))))
            clients.append(asyncio.create_task(follow(addresses, headers, logs[-1][1], hurry=0.3)))
        async with asyncio.timeout(90):
            await asyncio.gather(*(write(database_url, (ours, theirs), WRITTEN // 6) for _ in range(6)))
        addresses.remove(second)
    # The second process is gone, with streams open; everybody goes on at the first.
    wanted: dict[str, list[int]] = {}
    for name, tenants in who.items():
        wanted[name] = [place for place in await places(sql, *tenants) if place > max(started)]
    try:
        for tenants, log in logs:
            name = next(name for name, those in who.items() if those == tenants)
            await until(log, len(wanted[name]))
            assert log.ids == wanted[name]
            assert log.resyncs == 0
    finally:
        for client in clients:
            client.cancel()
        await asyncio.wait(clients)
    assert len(wanted["admin"]) == WRITTEN


async def test_after_a_restart_a_client_goes_on_where_it_was(
    settings: Settings, database_url: str, sql: asyncpg.Connection, ours: Tenant, happens: Happens
) -> None:
    log = Log()
    async with AsyncExitStack() as app:
        address = await app.enter_async_context(running_app(settings))
        async with connected(address, member(settings, ours)) as connection:
            listening = asyncio.create_task(listen(connection, log))
            async with asyncio.timeout(10):
                while log.last is None:
                    await asyncio.sleep(0.01)
            await happens(ours)
            await until(log, 1)
            await app.aclose()
            await asyncio.wait_for(listening, 5)
    assert log.ends == ["shutdown"]
    for _ in range(20):
        await happens(ours)
    async with running_app(settings) as address:
        resume = {**member(settings, ours), "last-event-id": str(log.last)}
        async with connected(address, resume) as connection:
            listening = asyncio.create_task(listen(connection, log))
            await until(log, 21)
            connection.cut()
            await listening
    assert log.ids == (await places(sql, ours))[-21:]


async def test_sse_and_websocket_tell_the_same(
    settings: Settings, address: str, sql: asyncpg.Connection, ours: Tenant, theirs: Tenant, happens: Happens
) -> None:
    headers = member(settings, ours)
    url = address.replace("http", "ws", 1) + "/ws/events"
    log = Log()
    async with (
        websockets.connect(url, proxy=None, additional_headers=headers) as by_header,
        websockets.connect(url, proxy=None) as by_message,
        connected(address, headers) as connection,
    ):
        await by_message.send(json.dumps({"authorization": headers["authorization"]}))
        listening = asyncio.create_task(listen(connection, log))
        opened = [json.loads(await socket.recv()) for socket in (by_header, by_message)]
        assert [frame["type"] for frame in opened] == ["open", "open"]
        while log.last is None:
            await asyncio.sleep(0.01)
        for _ in range(10):
            await happens(ours)
            await happens(theirs)
        for socket in (by_header, by_message):
            received = [json.loads(await asyncio.wait_for(socket.recv(), 10)) for _ in range(10)]
            await until(log, 10)
            assert received[-10:] == log.events[-10:]
        assert {event["workspace_id"] for event in log.events} == {ours.workspace}
        connection.cut()
        await listening
    # From the middle on, over either wire.
    middle = log.ids[3]
    async with websockets.connect(f"{url}?after={middle}", proxy=None, additional_headers=headers) as socket:
        received = [json.loads(await asyncio.wait_for(socket.recv(), 10)) for _ in range(len(log.ids) - 3)]
        assert received[1:] == log.events[4:]


async def test_a_reader_that_never_reads_ends_by_itself_and_can_go_on(
    settings: Settings, address: str, sql: asyncpg.Connection, ours: Tenant
) -> None:
    """F49. The sockets' own buffers take the first megabytes; then it falls out of the ring."""
    count = 60_000
    stuck, good = Log(), Log()
    async with (
        connected(address, member(settings, ours)) as never_reads,
        connected(address, member(settings, ours)) as reads,
    ):
        listening = asyncio.create_task(listen(reads, good))
        await sql.execute(
            "insert into events (workspace_id, conversation_id, type, data)"
            " select $1, n, 'x', jsonb_build_object('padding', repeat('x', 200)) from generate_series(1, $2) n",
            *(ours.workspace, count),
        )
        async with asyncio.timeout(100):
            while len(good.ids) < count:
                await asyncio.sleep(0.05)
        await asyncio.wait_for(listen(never_reads, stuck), 20)
        # Where the feed came slower than `UNREAD_SECONDS`, the connection was cut before it had fallen out of the ring.
        assert stuck.ends in (["slow"], [])
        assert 0 < len(stuck.ids) < count
        assert stuck.ids == good.ids[: len(stuck.ids)]
        reads.cut()
        await listening
    assert good.ends == []
    async with connected(address, {**member(settings, ours), "last-event-id": str(stuck.last)}) as again:
        going_on = asyncio.create_task(listen(again, stuck))
        await until(stuck, count, 60)
        again.cut()
        await going_on
    assert stuck.ids == good.ids


async def test_limits_origins_and_bad_words(settings: Settings, database_url: str, ours: Tenant) -> None:
    chosen = settings.model_copy(
        update={"streams_per_caller": 2, "cors_origins": "https://panel.example, https://b.example"}
    )
    headers = member(settings, ours)
    async with running_app(chosen) as address, httpx.AsyncClient(base_url=address) as client:
        url = address.replace("http", "ws", 1) + "/ws/events/"
        async with connected(address, headers) as one, connected(address, headers) as two:
            assert (one.status, two.status) == (200, 200)
            await two.frame()
            answer = await client.get("/api/events", headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (429, "rate_limited")
            assert int(answer.headers["retry-after"]) >= 1
            with pytest.raises(websockets.InvalidStatus) as refused:
                await websockets.connect(url, proxy=None, additional_headers=headers)
            assert refused.value.response.status_code == 429
        async with asyncio.timeout(5):  # a place is free again when the connection is gone
            while (await client.get("/api/events?follow=false", headers=headers)).status_code != 200:
                await asyncio.sleep(0.05)

        for origin, status in (("https://panel.example", 101), ("https://evil.example", 403), (address, 101)):
            try:
                async with websockets.connect(url, proxy=None, origin=origin, additional_headers=headers) as socket:
                    await socket.recv()
                got = 101
            except websockets.InvalidStatus as error:
                got = error.response.status_code
            assert got == status, origin
        for origin, allowed in (("https://b.example", "https://b.example"), ("https://evil.example", None)):
            answer = await client.get("/api/events?follow=false", headers={**headers, "origin": origin})
            assert answer.headers.get("access-control-allow-origin") == allowed

        with pytest.raises(websockets.InvalidStatus) as refused:
            await websockets.connect(url, proxy=None, additional_headers=bearer("nonsense"))
        assert refused.value.response.status_code == 401
        assert refused.value.response.headers["content-type"] == "application/problem+json"
        for said, reason in (
            ("nonsense", "invalid"),
            ('{"authorization": "Bearer x"}', "unauthenticated"),
            ('{"authorization": "Bearer x", "more": 1}', "invalid"),
        ):
            async with websockets.connect(url, proxy=None) as socket:
                await socket.send(said)
                assert json.loads(await socket.recv())["reason"] == reason
                with pytest.raises(websockets.ConnectionClosed):
                    await socket.recv()
                assert socket.close_code == 1008


async def test_a_socket_outlives_its_token_with_a_newer_one(
    settings: Settings, address: str, ours: Tenant, theirs: Tenant, happens: Happens
) -> None:
    url = address.replace("http", "ws", 1) + "/ws/events"
    async with websockets.connect(url, proxy=None, additional_headers=member(settings, ours)) as socket:
        await socket.recv()
        await socket.send(json.dumps(member(settings, ours)))
        await happens(ours)
        assert json.loads(await asyncio.wait_for(socket.recv(), 10))["workspace_id"] == ours.workspace
        await socket.send(json.dumps(member(settings, theirs)))
        assert json.loads(await asyncio.wait_for(socket.recv(), 10))["reason"] == "access_changed"
