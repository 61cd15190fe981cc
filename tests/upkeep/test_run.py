"""A task is done once for each time it is due, whoever looks, whoever dies, and however late it is."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import asyncpg
import pytest

from stands.brokers import BROKERS, NAMES, need
from switchboard.database import Database
from switchboard.errors import Unavailable
from switchboard.jobs import Job, Jobs
from switchboard.metrics import Metrics
from switchboard.upkeep.run import Upkeep
from switchboard.upkeep.task import Result, Task

Work = Callable[[Result], Awaitable[Result]]


class Counted:
    """A task's work: counts how often it was begun, and waits until it is let go."""

    def __init__(self) -> None:
        self.begun = 0
        self.seen: list[Result] = []
        self.went = asyncio.Event()
        self.go = asyncio.Event()
        self.go.set()

    async def __call__(self, before: Result) -> Result:
        self.begun += 1
        self.seen.append(before)
        self.went.set()
        await self.go.wait()
        return {"number": self.begun}


def process(database: Database, work: Work, *, lease: float = 60, **schedule: Any) -> Upkeep:
    """One of several processes that share a task."""
    task = Task("sweep", "for the test", work, **(schedule or {"every": 3600.0}))
    return Upkeep(database, [task], Metrics(), lease_seconds=lease, look_seconds=0.02)


async def make_due(database: Database, at: str = "2020-01-01T02:00:00Z") -> None:
    await database.update("upkeep", {"due_at": at}, where={"name": "sweep"})


async def row(database: Database) -> dict[str, Any]:
    (found,) = await database.call("list_upkeep")
    return dict(found)


async def test_what_is_new_is_due_after_its_time(database: Database) -> None:
    work = Counted()
    upkeep = process(database, work)
    assert await upkeep.due() == []
    assert await upkeep.do("sweep") is None
    assert (work.begun, (await row(database))["late_seconds"]) == (0, 0)


async def test_many_look_and_one_does_it_late_and_once(database: Database) -> None:
    """It was due years ago, while nobody was there."""
    work = Counted()
    processes = [process(database, work) for _ in range(3)]
    await processes[0].due()
    await make_due(database)
    assert [await one.due() for one in processes] == [["sweep"]] * 3
    done = await asyncio.gather(*(one.do("sweep") for one in processes for _ in range(4)))
    assert [one.outcome for one in done if one] == ["done"]
    assert work.begun == 1
    assert await processes[1].due() == []
    kept = await row(database)
    assert (kept["outcome"], kept["result"], kept["lease_no"], kept["running"]) == ("done", {"number": 1}, 1, False)


async def test_a_person_may_have_it_done_now_but_not_twice_at_a_time(database: Database) -> None:
    work = Counted()
    upkeep = process(database, work)
    work.go.clear()
    first = asyncio.create_task(upkeep.do("sweep", forced=True))
    await work.went.wait()
    assert await upkeep.do("sweep", forced=True) is None
    assert (await row(database))["running"] is True
    work.go.set()
    done = await first
    assert done is not None
    assert done.outcome == "done"
    assert await upkeep.do("sweep", forced=True)
    assert work.seen == [{}, {"number": 1}], "each run gets what the last one left"


async def test_whoever_dies_over_it_loses_it(database: Database) -> None:
    work = Counted()
    upkeep = process(database, work)
    await upkeep.due()
    await make_due(database)
    task = upkeep.tasks["sweep"].as_json()
    died = await database.call("begin_upkeep", task=task, lease_seconds=0.3)
    assert await upkeep.do("sweep") is None
    async with asyncio.timeout(10):
        while (done := await upkeep.do("sweep")) is None:
            await asyncio.sleep(0.02)
    assert (done.outcome, work.begun) == ("done", 1)
    late = await database.call("finish_upkeep", task=task, lease_no=died["lease_no"], outcome="failed", error="x")
    assert late == {"held": False}
    assert (await row(database))["outcome"] == "done"


async def test_a_long_run_keeps_its_lease(database: Database) -> None:
    work = Counted()
    slow, other = process(database, work, lease=0.6), process(database, work, lease=0.6)
    work.go.clear()
    running = asyncio.create_task(slow.do("sweep", forced=True))
    await work.went.wait()
    for _ in range(8):
        await asyncio.sleep(0.15)
        assert await other.do("sweep", forced=True) is None
    work.go.set()
    done = await running
    assert done is not None
    assert done.outcome == "done"


async def test_a_run_that_has_lost_its_lease_ends(database: Database) -> None:
    work = Counted()
    upkeep = process(database, work, lease=0.3)
    work.go.clear()
    running = asyncio.create_task(upkeep.do("sweep", forced=True))
    await work.went.wait()
    await database.update("upkeep", {"lease_no": 7}, where={"name": "sweep"})
    async with asyncio.timeout(10):
        done = await running
    assert done is not None
    assert done.outcome == "lost"


async def test_what_failed_is_said_and_tried_again_before_its_time(database: Database, sql: asyncpg.Connection) -> None:
    async def fail(_: Result) -> Result:
        raise Unavailable("The disk is full.")

    upkeep = process(database, fail)
    waits: list[float] = []
    for _ in range(3):
        done = await upkeep.do("sweep", forced=True)
        assert done is not None
        assert (done.outcome, done.error) == ("failed", "The disk is full.")
        waits.append(round(await sql.fetchval("select extract(epoch from due_at - ended_at)::float from upkeep")))
    assert waits == [60, 120, 240]
    kept = await row(database)
    assert (kept["failures"], kept["error"]) == (3, "The disk is full.")
    assert (await process(database, Counted()).do("sweep", forced=True)) is not None
    kept = await row(database)
    assert (kept["failures"], kept["error"], kept["outcome"]) == (0, None, "done")


async def test_a_fault_of_ours_is_not_shown_in_its_own_words(database: Database) -> None:
    async def fail(_: Result) -> Result:
        raise ValueError("postgres://user:secret@host")

    done = await process(database, fail).do("sweep", forced=True)
    assert done is not None
    assert done.error == "internal error (ValueError)"
    assert "secret" not in str(await row(database))


async def test_a_process_that_stops_gives_it_back(database: Database) -> None:
    work = Counted()
    upkeep = process(database, work)
    await upkeep.due()
    await make_due(database)
    work.go.clear()
    running = asyncio.create_task(upkeep.do("sweep"))
    await work.went.wait()
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    assert await upkeep.due() == ["sweep"]


@pytest.mark.parametrize(
    ("schedule", "after", "due"),
    [
        ({"every": 1800}, "2026-11-20T10:07:00+00:00", "2026-11-20T10:37:00+00:00"),
        ({"daily_at": "02:00", "zone": "UTC"}, "2026-11-20T01:59:00+00:00", "2026-11-20T02:00:00+00:00"),
        ({"daily_at": "02:00", "zone": "UTC"}, "2026-11-20T02:00:00+00:00", "2026-11-21T02:00:00+00:00"),
        ({"daily_at": "02:00", "zone": "Europe/Berlin"}, "2026-11-20T02:00:00+00:00", "2026-11-21T01:00:00+00:00"),
        # West of Greenwich it is still yesterday.
        ({"daily_at": "02:00", "zone": "America/Lima"}, "2026-11-20T03:00:00+00:00", "2026-11-20T07:00:00+00:00"),
        # The clocks go from two to three: there is no two o'clock; and from three to two: there are two of them.
        ({"daily_at": "02:00", "zone": "Europe/Berlin"}, "2027-03-27T12:00:00+00:00", "2027-03-28T01:00:00+00:00"),
        ({"daily_at": "02:00", "zone": "Europe/Berlin"}, "2026-10-24T12:00:00+00:00", "2026-10-25T01:00:00+00:00"),
    ],
)
async def test_when_it_is_due_next(database: Database, schedule: dict[str, Any], after: str, due: str) -> None:
    found = await database.call("next_upkeep", task={"name": "x", **schedule}, after=after)
    assert found.replace("Z", "+00:00") == due


@asynccontextmanager
async def member(upkeep: Upkeep, url: str | None):
    """A process: it looks, asks, and does what is asked for."""
    jobs = Jobs(url, tuple(Job(name, lambda: upkeep.do("sweep")) for name in upkeep.tasks))
    async with asyncio.TaskGroup() as group:
        running = [group.create_task(jobs.run()), group.create_task(upkeep.run(jobs.ask))]
        try:
            yield
        finally:
            for task in running:
                task.cancel()


@pytest.mark.parametrize("url", [None, *BROKERS], ids=["in process", *NAMES])
@pytest.mark.xdist_group("brokers")
@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning", "default::DeprecationWarning"
)
async def test_three_processes_over_every_broker(database: Database, url: str | None) -> None:
    if url is not None:
        need(url)
    work = Counted()
    processes = [process(database, work) for _ in range(3)]
    await processes[0].due()
    async with AsyncExitStack() as stack, asyncio.timeout(25):
        for one in processes:
            await stack.enter_async_context(member(one, url))
        for times in range(1, 4):
            await make_due(database)
            while (kept := await row(database))["lease_no"] < times or kept["running"]:
                await asyncio.sleep(0.02)
            assert (work.begun, kept["lease_no"], kept["outcome"]) == (times, times, "done")
