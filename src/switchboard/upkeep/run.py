"""Looking for what is due, and doing it: claimed under a lease, kept alive while it runs, its outcome written down."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

import structlog

from switchboard.database import Database
from switchboard.errors import SwitchboardError
from switchboard.metrics import Metrics
from switchboard.upkeep.task import Result, Task

LEASE_SECONDS = 60.0
"""A task whose process died is taken up by another after so long."""
LOOK_SECONDS = 5.0

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Done:
    """What came of a run; ``error`` in words for people where it failed."""

    name: str
    outcome: Literal["done", "failed", "lost"]
    result: Result
    error: str | None = None


class Upkeep:
    """The periodic tasks, as one of the processes sees them that share them."""

    def __init__(
        self,
        database: Database,
        tasks: Sequence[Task],
        metrics: Metrics,
        *,
        lease_seconds: float = LEASE_SECONDS,
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        self.tasks: Mapping[str, Task] = {task.name: task for task in tasks}
        self._database = database
        self._metrics = metrics
        self._lease_seconds = lease_seconds
        self._look_seconds = look_seconds

    async def run(self, ask: Callable[[str], Awaitable[None]]) -> None:
        """Asks for every task that is due and that nobody holds, until cancelled; whoever hears it first does it."""
        while True:
            try:
                for name in await self.due():
                    await ask(name)
            except SwitchboardError as error:
                log.warning("upkeep not looked at", code=error.code)
            await asyncio.sleep(self._look_seconds * random.uniform(0.75, 1.25))  # noqa: S311 - no secret hangs on it

    async def due(self) -> list[str]:
        """The names of the tasks that are due, by the database's clock."""
        tasks = [task.as_json() for task in self.tasks.values()]
        names: list[str] = await self._database.call("due_upkeep", tasks=tasks)
        return names

    async def do(self, name: str, *, forced: bool = False) -> Done | None:
        """Does the task if it is due, or ``forced``; None when it is not, or somebody else does it."""
        task = self.tasks[name]
        claim = await self._database.call(
            "begin_upkeep", task=task.as_json(), lease_seconds=self._lease_seconds, forced=forced
        )
        if claim is None:
            return None
        done = await self._do(task, int(claim["lease_no"]), claim["result"])
        self._metrics.upkeep.labels(name, done.outcome).inc()
        return done

    async def _do(self, task: Task, lease_no: int, before: Result) -> Done:
        work = asyncio.ensure_future(task.work(before))
        keeping = asyncio.create_task(self._keep(task, lease_no, work))
        try:
            await asyncio.wait([work])
        except asyncio.CancelledError:
            await self._give_back(task, lease_no, work)
            raise
        finally:
            keeping.cancel()
        if work.cancelled():
            log.warning("upkeep lost to another process", task=task.name)
            return Done(task.name, "lost", {})
        return await self._write_down(task, lease_no, work)

    async def _write_down(self, task: Task, lease_no: int, work: "asyncio.Future[Result]") -> Done:
        error = work.exception()
        if error is None:
            done = Done(task.name, "done", work.result())
            tell = log.info if any(done.result.values()) else log.debug
            tell("upkeep done", task=task.name, **{f"of_{name}": told for name, told in done.result.items()})
        else:
            # Its own words are for people; those of a fault of ours may hold anything, and are in the log.
            told = error.message if isinstance(error, SwitchboardError) else f"internal error ({type(error).__name__})"
            done = Done(task.name, "failed", {}, told)
            log.error("upkeep failed", task=task.name, exc_info=error)
        kept = await self._database.call(
            "finish_upkeep",
            task=task.as_json(),
            lease_no=lease_no,
            outcome=done.outcome,
            result=done.result,
            error=done.error,
        )
        return done if kept["held"] else Done(task.name, "lost", done.result, done.error)

    async def _keep(self, task: Task, lease_no: int, work: "asyncio.Future[Result]") -> None:
        """Renews the lease; ends the work when somebody else has the task by now."""
        while True:
            await asyncio.sleep(self._lease_seconds / 3)
            try:
                kept = await self._database.call(
                    "renew_upkeep", name=task.name, lease_no=lease_no, lease_seconds=self._lease_seconds
                )
            except SwitchboardError as error:
                log.warning("upkeep lease not renewed", task=task.name, code=error.code)
                continue
            if not kept["held"]:
                work.cancel()
                return

    async def _give_back(self, task: Task, lease_no: int, work: "asyncio.Future[Result]") -> None:
        """The process stops: whoever looks next begins it anew. If even that fails, the lease ends by itself."""
        work.cancel()
        await asyncio.wait([work], timeout=1)
        with suppress(SwitchboardError):
            await self._database.call("release_upkeep", name=task.name, lease_no=lease_no)
