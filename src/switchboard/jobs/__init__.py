"""Background work through taskiq: in this process, or over Redis, NATS or RabbitMQ by `BROKER_URL`.

The broker only says that there is work; what is to be done is in the database. A job that is lost is asked for again, a
job that runs twice finds nothing left to do. taskiq is imported when the jobs start, not before: it costs a quarter of
a second.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import structlog

from switchboard.bell import Bell
from switchboard.errors import Misconfigured
from switchboard.jobs.brokers import OPENERS

if TYPE_CHECKING:
    from taskiq import AsyncBroker

AT_ONCE = 8
"""Jobs a process does at the same time, whatever the broker."""
LISTEN_AGAIN_SECONDS = 1.0
CLOSE_SECONDS = 2.0
"""How long closing waits for what still runs, and for the broker, after `Jobs.drain` or without it."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Job:
    """Work with a name; doing it again must do no harm.

    ``every``: asked for about so often, in seconds, by each process; None: only by `Jobs.ask`. ``bell``: rung by
    whoever knows that there is something to do now.
    """

    name: str
    work: Callable[[], Awaitable[object]]
    every: float | None = None
    bell: Bell | None = None


class Jobs:
    """The jobs of this process, at most `AT_ONCE` of them at a time."""

    def __init__(self, broker_url: str | None, jobs: tuple[Job, ...]) -> None:
        """Raises `Misconfigured` when ``broker_url`` names no broker we know."""
        self._url = broker_url
        self._jobs = jobs
        scheme = urlsplit(broker_url or "memory://").scheme
        if scheme not in OPENERS:
            raise Misconfigured(f"BROKER_URL begins with {scheme!r}: use redis://, nats:// or amqp://.")
        self._opener = OPENERS[scheme]
        self._asking: dict[str, Any] = {}
        self._finish = asyncio.Event()
        self._running: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Asks for the jobs on schedule and does those that are asked for, until cancelled."""
        self._finish = asyncio.Event()
        broker = await asyncio.to_thread(self._opener, self._url or "")
        self._asking = {job.name: broker.register_task(self._doing(job), task_name=job.name) for job in self._jobs}
        # Every process takes jobs as well as asking for them; RabbitMQ's broker opens its reading side only then.
        broker.is_worker_process = True
        await broker.startup()
        receiving = asyncio.create_task(_receive(broker, self._finish))
        try:
            async with asyncio.TaskGroup() as group:
                for job in self._jobs:
                    if job.every is not None:
                        group.create_task(self._ask_every(job, job.every))
                group.create_task(asyncio.Event().wait())
        finally:
            await self._close(broker, receiving)

    async def ask(self, name: str) -> None:
        """Says to whichever process is free that there is work for this job; a broker that is away is logged."""
        if self._finish.is_set() or name not in self._asking:
            return
        try:
            await self._asking[name].kiq()
        except Exception:
            log.exception("job not asked for", job=name)

    async def drain(self, seconds: float) -> None:
        """Takes no more jobs, lets what runs finish for ``seconds``, then cuts it off."""
        self._finish.set()
        if self._running:
            await asyncio.wait(set(self._running), timeout=seconds)
        await self._cut_off()

    async def _ask_every(self, job: Job, every: float) -> None:
        while True:
            await self.ask(job.name)
            # Many processes ask; spread, they do not all ask at once.
            seconds = every * random.uniform(0.75, 1.25)  # noqa: S311 - no secret hangs on it
            await (job.bell.wait(seconds) if job.bell else asyncio.sleep(seconds))

    def _doing(self, job: Job) -> Callable[[], Awaitable[None]]:
        async def work() -> None:
            await job.work()

        async def run() -> None:
            # A task of its own: taskiq forgets those that it has started, and takes a cancellation for an error.
            task = asyncio.create_task(work())
            self._running.add(task)
            task.add_done_callback(self._running.discard)
            await asyncio.wait([task])
            if task.cancelled():
                log.warning("job cut off", job=job.name)
            elif error := task.exception():
                # The next round tries again; the process and its other jobs go on.
                log.error("job failed", job=job.name, exc_info=error)

        return run

    async def _cut_off(self) -> None:
        running = set(self._running)
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running, timeout=CLOSE_SECONDS)

    async def _close(self, broker: "AsyncBroker", receiving: "asyncio.Task[None]") -> None:
        # Told to finish, it finishes what it has taken; a client that hears neither that nor its cancellation, as
        # Redis' may while it reads, hears that its connection is closed.
        self._finish.set()
        await asyncio.wait([receiving], timeout=CLOSE_SECONDS)
        await self._cut_off()
        receiving.cancel()
        await broker.shutdown()
        await asyncio.wait([receiving], timeout=CLOSE_SECONDS)


async def _receive(broker: "AsyncBroker", finish: asyncio.Event) -> None:
    """Does what is asked for until ``finish``; then waits for what runs."""
    from taskiq.receiver import Receiver

    with ThreadPoolExecutor(1) as threads:
        while not finish.is_set():
            try:
                await Receiver(broker, executor=threads, run_startup=False, max_async_tasks=AT_ONCE).listen(finish)
            except Exception as error:
                # The broker is away or closed: the schedule asks again, and so do we, until told to finish.
                log.warning("broker not heard", reason=type(error).__name__)
                await asyncio.sleep(LISTEN_AGAIN_SECONDS)
