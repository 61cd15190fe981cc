"""Background jobs: asked for on schedule, done once each time, in this process and over every broker we offer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from structlog.testing import capture_logs

from stands.brokers import BROKERS, NAMES, need
from switchboard.database import Database
from switchboard.errors import Misconfigured
from switchboard.jobs import AT_ONCE, Job, Jobs
from switchboard.upkeep.purge import purge


@asynccontextmanager
async def running(jobs: Jobs) -> AsyncIterator[None]:
    task = asyncio.create_task(jobs.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@pytest.mark.parametrize("url", [None, *BROKERS], ids=["in process", *NAMES])
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


async def test_a_stopping_process_waits_as_long_as_it_may_and_then_cuts_off() -> None:
    began, ended = asyncio.Event(), asyncio.Event()
    told: list[str] = []

    async def short() -> None:
        began.set()
        await ended.wait()
        told.append("short")

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            told.append("endless was cut off")
            raise

    jobs = Jobs(None, (Job("short", short, every=60), Job("endless", endless, every=60)))
    with capture_logs() as logs:
        async with running(jobs), asyncio.timeout(10):
            await began.wait()
            asyncio.get_running_loop().call_later(0.1, ended.set)
            await jobs.drain(1)
            assert told == ["short", "endless was cut off"]
            await jobs.ask("short")
    assert told == ["short", "endless was cut off"], "it takes no more"
    assert [line["job"] for line in logs if line["event"] == "job cut off"] == ["endless"]


async def test_no_more_jobs_at_a_time_than_there_is_room_for() -> None:
    now = most = 0
    full, go = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        if now >= AT_ONCE:
            full.set()
        await go.wait()
        now -= 1

    many = tuple(Job(f"job {number}", work, every=0.01) for number in range(3 * AT_ONCE))
    async with running(Jobs(None, many)), asyncio.timeout(10):
        await full.wait()
        for _ in range(100):
            await asyncio.sleep(0.001)
        assert most == AT_ONCE
        go.set()


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
    gone = await purge(database, inbox_days=30, event_days=30)
    assert {what: times for what, times in gone.items() if times} == {"inbox": 1, "idempotency_keys": 1}
    assert [row["key"] for row in await database.select("idempotency_keys")] == ["new"]
    assert len(await database.select("inbox")) == 2, "what is not sorted yet is never deleted"
