"""Background jobs: asked for on schedule, done once each time, in this process and over every broker we offer."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

import pytest
from structlog.testing import capture_logs

from switchboard.database import Database
from switchboard.errors import Misconfigured
from switchboard.jobs import Job, Jobs
from switchboard.upkeep.purge import purge

BROKERS = ["redis://127.0.0.1:6379/9", "nats://127.0.0.1:4222", "amqp://guest:guest@127.0.0.1:5672/"]


def need(url: str) -> None:
    """Skips without the broker; fails in CI, where a broker that is not there is a hole in what we prove."""
    address = urlsplit(url)
    try:
        socket.create_connection((address.hostname or "", address.port or 0), timeout=1).close()
    except OSError:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"nothing listens at {url}")


@asynccontextmanager
async def running(jobs: Jobs) -> AsyncIterator[None]:
    task = asyncio.create_task(jobs.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@pytest.mark.parametrize("url", [None, *BROKERS], ids=["in process", "redis", "nats", "rabbitmq"])
@pytest.mark.xdist_group("brokers")
# taskiq's Redis broker leaves its clients to the garbage collector; the brokers call deprecated functions of asyncio.
@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning", "default::DeprecationWarning"
)
async def test_a_job_is_done_again_and_again(url: str | None) -> None:
    if url is not None:
        need(url)
    done: asyncio.Queue[None] = asyncio.Queue()

    async def work() -> None:
        done.put_nowait(None)

    async with running(Jobs(url, (Job("count", work, every=0.1),))), asyncio.timeout(20):
        for _ in range(3):
            await done.get()


async def test_a_job_that_fails_is_logged_and_tried_again() -> None:
    calls = 0
    again = asyncio.Event()

    async def work() -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise ValueError("no")
        again.set()

    with capture_logs() as logs:
        async with running(Jobs(None, (Job("fail", work, every=0.05),))), asyncio.timeout(10):
            await again.wait()
    assert [line["job"] for line in logs if line["event"] == "job failed"] == ["fail"]


async def test_what_runs_when_the_process_stops_is_waited_for() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        await asyncio.sleep(0.1)
        ended.set()

    async with running(Jobs(None, (Job("slow", work, every=60),))):
        await begun.wait()
    assert ended.is_set()


def test_a_broker_we_do_not_know_is_named_at_the_start() -> None:
    with pytest.raises(Misconfigured, match="BROKER_URL"):
        Jobs("kafka://there", ())


async def test_what_was_kept_long_enough_is_deleted(database: Database) -> None:
    await database.insert(
        "inbox",
        [
            {
                "platform": "messenger",
                "account": "1",
                "body": "\\x7b7d",
                "events": [],
                "received_at": at,
                "sorted_at": done,
            }
            for at, done in (
                ("2020-01-01T00:00:00Z", "2020-01-01T00:00:01Z"),
                ("2020-01-01T00:00:00Z", None),
                ("2100-01-01T00:00:00Z", "2100-01-01T00:00:01Z"),
            )
        ],
    )
    keys = [("old", "2020-01-01T00:00:00Z"), ("new", "2100-01-01T00:00:00Z")]
    await database.insert(
        "idempotency_keys",
        [{"caller": "c", "key": key, "request_hash": "h", "created_at": at} for key, at in keys],
    )
    assert await purge(database, inbox_days=30) == 2
    assert [row["key"] for row in await database.select("idempotency_keys")] == ["new"]
    assert len(await database.select("inbox")) == 2, "what is not sorted yet is never deleted"
