"""Background work through taskiq: in this process, or over Redis, NATS or RabbitMQ by `BROKER_URL`.

The broker only says that there is work; what is to be done is in the database. A job that is lost is asked for again by
the schedule, a job that runs twice finds nothing left to do. taskiq is imported when the jobs start, not before: it
costs a quarter of a second.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import structlog

from switchboard.errors import Misconfigured

if TYPE_CHECKING:
    from taskiq import AsyncBroker

_RECLAIM_MS = 60_000
"""After this a task whose worker died is given to another; taskiq's own default is ten minutes."""

LISTEN_AGAIN_SECONDS = 1.0
DRAIN_SECONDS = 2.0
"""How long a job that runs when the process stops may go on."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Job:
    """Work with a name, done about every ``every`` seconds by some process; doing it again must do no harm."""

    name: str
    work: Callable[[], Awaitable[None]]
    every: float


class Jobs:
    """The jobs of this process."""

    def __init__(self, broker_url: str | None, jobs: tuple[Job, ...]) -> None:
        """Raises `Misconfigured` when ``broker_url`` names no broker we know."""
        self._url = broker_url
        self._jobs = jobs
        scheme = urlsplit(broker_url or "memory://").scheme
        if scheme not in _OPENERS:
            raise Misconfigured(f"BROKER_URL begins with {scheme!r}: use redis://, nats:// or amqp://.")
        self._opener = _OPENERS[scheme]

    async def run(self) -> None:
        """Asks for the jobs on schedule and does those that are asked for, until cancelled."""
        broker = await asyncio.to_thread(self._opener, self._url or "")
        tasks = {job.name: broker.register_task(_guarded(job), task_name=job.name) for job in self._jobs}
        # Every process takes jobs as well as asking for them; RabbitMQ's broker opens its reading side only then.
        broker.is_worker_process = True
        await broker.startup()
        receiving = asyncio.create_task(_receive(broker, finish := asyncio.Event()))
        try:
            async with asyncio.TaskGroup() as group:
                for job in self._jobs:
                    group.create_task(_ask(tasks[job.name], job))
        finally:
            # Told to finish, it finishes what it has taken; a client that hears neither that nor its cancellation, as
            # Redis' may while it reads, hears that its connection is closed.
            finish.set()
            await asyncio.wait([receiving], timeout=DRAIN_SECONDS)
            receiving.cancel()
            await broker.shutdown()
            await asyncio.wait([receiving], timeout=DRAIN_SECONDS)


def _guarded(job: Job) -> Callable[[], Awaitable[None]]:
    async def run() -> None:
        try:
            await job.work()
        except Exception:
            # The next round tries again; the process and its other jobs go on.
            log.exception("job failed", job=job.name)

    return run


async def _ask(task: Any, job: Job) -> None:
    while True:
        try:
            await task.kiq()
        except Exception:
            log.exception("job not asked for", job=job.name)
        # Many processes ask; spread, they do not all ask at once.
        await asyncio.sleep(job.every * random.uniform(0.75, 1.25))  # noqa: S311 - no secret hangs on it


async def _receive(broker: "AsyncBroker", finish: asyncio.Event) -> None:
    """Does what is asked for until ``finish``; then waits for what runs, which a broker would forget."""
    from taskiq import InMemoryBroker
    from taskiq.receiver import Receiver

    if isinstance(broker, InMemoryBroker):
        await finish.wait()
        await broker.wait_all()
        return
    with ThreadPoolExecutor(1) as threads:
        while not finish.is_set():
            try:
                await Receiver(broker, executor=threads, run_startup=False, max_async_tasks=4).listen(finish)
            except Exception as error:
                # The broker is away or closed: the schedule asks again, and so do we, until told to finish.
                log.warning("broker not heard", reason=type(error).__name__)
                await asyncio.sleep(LISTEN_AGAIN_SECONDS)


def _in_process(url: str) -> "AsyncBroker":
    from taskiq import InMemoryBroker

    return InMemoryBroker()


def _on_redis(url: str) -> "AsyncBroker":
    from taskiq_redis import RedisStreamBroker

    return RedisStreamBroker(
        url, queue_name="switchboard", idle_timeout=_RECLAIM_MS, unacknowledged_lock_timeout=5, xread_block=500
    )


def _on_nats(url: str) -> "AsyncBroker":
    from taskiq_nats import NatsBroker

    return NatsBroker(url, subject="switchboard", queue="switchboard")


def _on_rabbitmq(url: str) -> "AsyncBroker":
    from taskiq_aio_pika import AioPikaBroker, Exchange, Queue, QueueType

    return AioPikaBroker(
        url,
        exchange=Exchange(name="switchboard"),
        task_queues=[Queue(type=QueueType.CLASSIC, name="switchboard.jobs")],
        dead_letter_queue=Queue(type=QueueType.CLASSIC, name="switchboard.dead_letter"),
    )


_OPENERS: dict[str, Callable[[str], "AsyncBroker"]] = {
    "memory": _in_process,
    "redis": _on_redis,
    "rediss": _on_redis,
    "nats": _on_nats,
    "amqp": _on_rabbitmq,
    "amqps": _on_rabbitmq,
}
