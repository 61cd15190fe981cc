"""Too much is refused with words and numbers; webhooks and health never are; a Redis that is away is no outage."""

import asyncio
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator

import asyncpg
import httpx
import pytest
from structlog.testing import capture_logs

from stands.app import bearer, local_settings, running_client, signed, token, until_ready
from stands.served import sql as sql
from stands.tenants import Tenant, settle
from switchboard.http.rate_limits import AWAY_SECONDS, HEADERS, RateLimits
from switchboard.metrics import Metrics
from switchboard.settings import Settings


class Redis:
    """A Redis of this test's own, which it may kill."""

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        raise RuntimeError("redis-server does not start")

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture
def redis() -> Iterator[Redis]:
    if shutil.which("redis-server") is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("no redis-server here")
    server = Redis()
    yield server
    server.kill()


def limited(database_url: str, **limits: object) -> Settings:
    off = {"rate_limit_caller": 0, "rate_limit_customer": 0, "rate_limit_workspace": 0}
    return local_settings(database_url, **(off | limits))


async def statuses(client: httpx.AsyncClient, path: str, times: int, headers: dict[str, str]) -> list[int]:
    return [(await client.get(path, headers=headers)).status_code for _ in range(times)]


async def test_a_caller_is_told_where_it_is_and_refused_when_it_is_too_much(database_url: str) -> None:
    settings = limited(database_url, rate_limit_caller=5)
    headers = bearer(token(settings))
    async with running_client(settings) as client:
        await until_ready(client)
        first = await client.get("/admin/stats", headers=headers)
        assert first.status_code == 200
        assert first.headers["ratelimit-policy"] == '"caller";q=5;w=60'
        assert first.headers["ratelimit"].startswith('"caller";r=4;t=')
        assert (first.headers["ratelimit-limit"], first.headers["ratelimit-remaining"]) == ("5", "4")
        assert await statuses(client, "/admin/stats/", 4, headers) == [200] * 4

        refused = await client.get("/admin/stats", headers=headers)
        assert refused.status_code == 429
        assert refused.headers["content-type"] == "application/problem+json"
        body = refused.json()
        assert (body["code"], body["success"], body["status"]) == ("rate_limited", False, 429)
        assert body["request_id"] == refused.headers["x-request-id"]
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert refused.headers["retry-after"] == refused.headers["ratelimit-reset"]
        assert refused.headers["ratelimit-remaining"] == "0"
        # A stream counts like any request, and so does what is not there.
        assert (await client.get("/api/events?follow=false", headers=headers)).status_code == 429
        assert (await client.get("/nothing", headers=headers)).status_code == 429
        # Somebody else is somebody else; nobody in particular is told to say who they are.
        other = bearer(token(settings, subject="other"))
        assert (await client.get("/admin/stats", headers=other)).status_code == 200
        assert await statuses(client, "/admin/stats", 8, {}) == [401] * 8
        # Channels and supervisors come through whatever token they bring.
        assert await statuses(client, "/health/live", 8, headers) == [200] * 8
        webhook = b'{"object":"page","entry":[]}'
        for path in ("/webhook", "/webhook/", "/webhooks/messenger"):
            answers = [
                await client.post(path, content=webhook, headers={**headers, **signed(webhook)}) for _ in range(8)
            ]
            assert [answer.status_code for answer in answers] == [200] * 8
            assert not any(name in answers[0].headers for name in HEADERS)
        metrics = (await client.get("/metrics", headers=other)).text
        assert 'switchboard_rate_limits_total{outcome="limited",policy="caller"} 3.0' in metrics


async def test_what_was_refused_did_nothing(database_url: str, sql: asyncpg.Connection) -> None:
    settings = limited(database_url, rate_limit_caller=1)
    async with running_client(settings) as client:
        await until_ready(client)
        headers = bearer(token(settings))
        answers = [await client.post("/api/conversations", json={"user_id": "u"}, headers=headers) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [201, 429, 429]
        assert await sql.fetchval("select count(*) from conversations") == 1


async def test_tokens_of_one_workspace_share_and_those_of_another_do_not(
    database_url: str, sql: asyncpg.Connection
) -> None:
    ours, theirs = await settle(sql, "Ours"), await settle(sql, "Theirs")
    settings = limited(database_url, rate_limit_workspace=4)

    def of(tenant: Tenant, subject: str) -> dict[str, str]:
        return bearer(token(settings, "viewer", tenant.workspace, subject=subject))

    async with running_client(settings) as client:
        await until_ready(client)
        assert await statuses(client, "/admin/stats", 3, of(ours, "anna")) == [200] * 3
        assert await statuses(client, "/admin/stats", 2, of(ours, "ben")) == [200, 429]
        assert await statuses(client, "/admin/stats", 4, of(theirs, "carl")) == [200] * 4


async def test_one_customer_of_a_program_cannot_use_up_the_others(database_url: str) -> None:
    settings = limited(database_url, rate_limit_customer=2, rate_limit_caller=1000)
    async with running_client(settings) as client:
        await until_ready(client)
        headers = bearer(token(settings))

        async def opens(user: str, who: dict[str, str] = headers) -> httpx.Response:
            return await client.post("/api/conversations", json={"user_id": user}, headers=who)

        answers = [await opens("u1") for _ in range(3)]
        assert [answer.status_code for answer in answers] == [201, 201, 429]
        assert answers[2].headers["ratelimit"].count('";r=') == 2
        assert '"customer";r=0' in answers[2].headers["ratelimit"]
        assert (await opens("u2")).status_code == 201
        # Another token that uses the same word means another customer.
        assert (await opens("u1", bearer(token(settings, subject="other")))).status_code == 201
        conversation = answers[0].json()["id"]
        says = {"conversation": conversation, "content": "hello"}
        said = [
            await client.post("/api/messages", json=says, headers={**headers, "prefer": "respond-async"})
            for _ in range(3)
        ]
        assert [answer.status_code for answer in said] == [202, 202, 429]


async def test_nothing_is_counted_when_all_limits_are_off(database_url: str) -> None:
    settings = limited(database_url)
    async with running_client(settings) as client:
        await until_ready(client)
        answer = await client.get("/admin/stats", headers=bearer(token(settings)))
        assert answer.status_code == 200
        assert not any(name in answer.headers for name in HEADERS)


async def test_in_redis_all_processes_count_together(redis: Redis) -> None:
    settings = limited("", rate_limit_caller=10, broker_url=redis.url)
    one, two = (RateLimits(settings, Metrics(), redis_seconds=20) for _ in range(2))
    passed = [(await each.hit(("caller", "a")))[0].passed for _ in range(10) for each in (one, two)]
    assert sum(passed) == 10
    assert passed[:10] == [True] * 10
    await one.close()
    await two.close()


async def test_many_at_once_pass_no_more_than_may(redis: Redis) -> None:
    for settings in (limited("", rate_limit_caller=50), limited("", rate_limit_caller=50, broker_url=redis.url)):
        limits = RateLimits(settings, Metrics(), redis_seconds=20)
        standings = await asyncio.gather(*(limits.hit(("caller", "a")) for _ in range(100)))
        assert sum(standing[0].passed for standing in standings) == 50
        await limits.close()


async def test_a_redis_that_is_away_lets_everybody_pass_and_is_told_of(redis: Redis) -> None:
    metrics = Metrics()
    limits = RateLimits(limited("", rate_limit_caller=1, broker_url=redis.url), metrics, redis_seconds=5)
    assert [(await limits.hit(("caller", "a")))[0].passed for _ in range(2)] == [True, False]
    redis.kill()
    with capture_logs() as logs:
        began = time.monotonic()
        assert [await limits.hit(("caller", "a")) for _ in range(50)] == [[]] * 50
        took = time.monotonic() - began
    assert took < 5  # a refused connection is no wait, and it is asked once, not fifty times
    assert [line["event"] for line in logs] == ["rate limits not counted"]
    assert b'switchboard_rate_limits_total{outcome="not_counted",policy="all"} 1.0' in metrics.render()
    redis.start()
    await asyncio.sleep(AWAY_SECONDS + 0.1)
    assert [(await limits.hit(("caller", "b")))[0].passed for _ in range(2)] == [True, False]
    await limits.close()
