"""The database is away, slow, or back again: what is asked meanwhile, and what comes right by itself."""

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator

import asyncpg
import httpx
import pytest

from channels.payloads import body, message
from stands.app import bearer, local_settings, running_client, signed, token, until_ready
from stands.clusters import Cluster, free_port, majors
from switchboard.database.migrations import migrate
from switchboard.settings import Settings

DEADLINE = 1.0
"""Seconds the service of these tests gives its database."""
WEBHOOK = body(message(text="Are you there?"))


@pytest.fixture(scope="module")
def server() -> Iterator[Cluster]:
    """A migrated Postgres that these tests may stop; each of them leaves it running."""
    cluster = Cluster(majors()[18])
    cluster.start()
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        runner.run(migrate(cluster.dsn()))
    yield cluster
    cluster.thaw()
    cluster.destroy()


@pytest.fixture
def settings(server: Cluster) -> Settings:
    return local_settings(server.dsn(), database_timeout_seconds=DEADLINE)


@pytest.fixture
async def up(settings: Settings) -> AsyncGenerator[httpx.AsyncClient]:
    """The client of a service whose database is there."""
    async with running_client(settings) as client:
        await until_ready(client)
        yield client


async def ask_everything(client: httpx.AsyncClient, settings: Settings) -> list[httpx.Response]:
    """One request of every kind that needs the database, all at the same time."""
    # Nobody answers here: whoever speaks must not wait for it.
    admin = {**bearer(token(settings)), "prefer": "respond-async"}
    return await asyncio.gather(
        client.post("/webhook", content=WEBHOOK, headers=signed(WEBHOOK)),
        client.get("/admin/conversations", headers=admin),
        client.get("/admin/conversations/1", headers=admin),
        client.get("/admin/stats", headers=admin),
        client.post("/admin/conversations/1/takeover", headers=admin),
        client.post("/api/conversations", json={}, headers=admin),
        client.post("/api/messages", json={"conversation": 1, "content": "x"}, headers=admin),
        client.post(
            "/api/messages", json={"conversation": 1, "content": "x"}, headers={**admin, "idempotency-key": "k"}
        ),
        client.get("/admin/stats", headers=bearer("sbk_" + "0" * 8 + "_" + "0" * 64)),
    )


def check_unavailable(answer: httpx.Response) -> None:
    assert answer.status_code == 503, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["retry-after"]) >= 1
    problem = answer.json()
    assert problem["success"] is False
    assert problem["code"] in {"database_unavailable", "database_too_slow", "spool_full"}
    assert "try again" in problem["detail"]
    assert "127.0.0.1" not in answer.text
    assert "5432" not in answer.text


@pytest.fixture
def new_server() -> Iterator[Cluster]:
    """A Postgres that has never been started, and where it will be."""
    cluster = Cluster(majors()[18])
    cluster.port = free_port()
    yield cluster
    cluster.destroy()


async def test_it_starts_without_its_database_and_comes_right_when_it_is_there(new_server: Cluster) -> None:
    settings = local_settings(new_server.dsn(), database_timeout_seconds=DEADLINE)
    async with running_client(settings) as client:
        await check_coming_right(client, settings, new_server)


async def check_coming_right(client: httpx.AsyncClient, settings: Settings, server: Cluster) -> None:
    started = time.monotonic()
    for answer in await ask_everything(client, settings):
        check_unavailable(answer)
    assert time.monotonic() - started < DEADLINE + 1
    assert (await client.get("/health/live")).status_code == 200
    ready = await client.get("/health/ready")
    assert ready.status_code == 503
    parts = ready.json()["parts"]
    assert (parts["database"]["ok"], parts["schema"]["ok"]) == (False, False)
    assert parts["database"]["detail"]

    server.start()
    async with asyncio.timeout(10):
        while "switchboard migrate" not in (ready := await client.get("/health/ready")).text:
            await asyncio.sleep(0.05)
    # There, and empty: it says what to do, and does not migrate behind anybody's back.
    assert ready.json()["parts"]["schema"]["ok"] is False
    await migrate(server.dsn())
    await until_ready(client)
    assert (await client.post("/webhook", content=WEBHOOK, headers=signed(WEBHOOK))).status_code == 200
    await until_there(client, settings)


async def until_there(client: httpx.AsyncClient, settings: Settings) -> None:
    """Returns when the webhook has become a message."""
    async with asyncio.timeout(10):
        while True:
            stats = await client.get("/admin/stats", headers=bearer(token(settings)))
            if stats.json()["stats"]["total_messages"] >= 1:
                return
            await asyncio.sleep(0.02)


async def test_a_restart_of_the_database_is_noticed_by_nobody_who_asks_afterwards(
    up: httpx.AsyncClient, settings: Settings, server: Cluster
) -> None:
    assert (await up.post("/webhook", content=WEBHOOK, headers=signed(WEBHOOK))).status_code == 200
    server.stop()
    for answer in await ask_everything(up, settings):
        check_unavailable(answer)
    assert (await up.get("/health/ready")).json()["parts"]["database"]["ok"] is False
    server.start()
    answers = await ask_everything(up, settings)
    assert [answer.status_code for answer in answers if answer.status_code >= 500] == []
    assert (await up.get("/health/ready")).status_code == 200
    await until_there(up, settings)


async def test_a_frozen_database_holds_nobody_longer_than_the_deadline(
    up: httpx.AsyncClient, settings: Settings, server: Cluster
) -> None:
    server.freeze()
    started = time.monotonic()
    answers = await ask_everything(up, settings)
    took = time.monotonic() - started
    live = await up.get("/health/live")
    ready = await up.get("/health/ready")
    server.thaw()
    for answer in answers:
        check_unavailable(answer)
    assert took < DEADLINE + 1
    assert live.status_code == 200
    assert ready.json()["parts"]["database"]["ok"] is False
    await until_ready(up)
    assert (await up.post("/webhook", content=WEBHOOK, headers=signed(WEBHOOK))).status_code == 200


async def test_a_locked_table_is_a_part_that_is_away_for_now(
    up: httpx.AsyncClient, settings: Settings, server: Cluster
) -> None:
    connection = await asyncpg.connect(server.dsn())
    try:
        async with connection.transaction():
            await connection.execute("lock table conversations")
            # Webhooks are kept in a table of their own, and sorted when the lock is gone.
            assert (await up.post("/webhook", content=WEBHOOK, headers=signed(WEBHOOK))).status_code == 200
            check_unavailable(await up.get("/admin/stats", headers=bearer(token(settings))))
    finally:
        await connection.close()
    assert (await up.post("/webhook", content=WEBHOOK, headers=signed(WEBHOOK))).status_code == 200


async def test_what_is_forged_is_refused_without_the_database() -> None:
    nowhere = local_settings(f"postgresql://postgres@127.0.0.1:{free_port()}/x", database_timeout_seconds=DEADLINE)
    async with running_client(nowhere) as client:
        answer = await client.post("/webhook", content=WEBHOOK, headers=signed(WEBHOOK, "x" * 32))
        assert (answer.status_code, answer.json()["code"]) == (403, "signature_invalid")
        assert (await client.get("/admin/stats")).status_code == 401
        assert (await client.get("/admin/stats", headers=bearer("a.b.c"))).status_code == 401
        assert (await client.get("/nothing")).status_code == 404


async def test_people_who_wait_do_not_keep_webhooks_waiting(server: Cluster) -> None:
    """Every connection for people is taken; those for webhooks are kept apart."""
    settings = local_settings(server.dsn(), database_pool_size=3)
    admin = bearer(token(settings))
    blocker, watcher = await asyncpg.connect(server.dsn()), await asyncpg.connect(server.dsn())
    async with running_client(settings) as client:
        await until_ready(client)
        said = (await client.post("/api/conversations", json={}, headers=admin)).json()["id"]
        async with blocker.transaction():
            await blocker.execute("select from conversations where id = $1 for update", said)
            close = f"/admin/conversations/{said}/close"
            waiting = [asyncio.create_task(client.post(close, headers=admin)) for _ in range(6)]
            await until_waiting(watcher, 3)
            started = time.monotonic()
            assert (await client.post("/webhook", content=WEBHOOK, headers=signed(WEBHOOK))).status_code == 200
            assert time.monotonic() - started < 0.5
        assert {(await answer).status_code for answer in waiting} <= {200, 503}
    await blocker.close()
    await watcher.close()


async def until_waiting(connection: asyncpg.Connection, number: int) -> None:
    """Returns when so many sessions wait for a lock."""
    waiting = "select count(*) from pg_stat_activity where wait_event_type = 'Lock'"
    async with asyncio.timeout(5):
        while await connection.fetchval(waiting) < number:
            await asyncio.sleep(0.01)
