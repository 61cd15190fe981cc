"""The brokers that `BROKER_URL` may name, by the scheme of its address."""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from taskiq import AsyncBroker

_RECLAIM_MS = 60_000
"""After this a task whose worker died is given to another; taskiq's own default is ten minutes."""


def _in_process(url: str) -> "AsyncBroker":
    from switchboard.jobs.in_process import InProcess

    return InProcess()


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


OPENERS: "dict[str, Callable[[str], AsyncBroker]]" = {
    "memory": _in_process,
    "redis": _on_redis,
    "rediss": _on_redis,
    "nats": _on_nats,
    "amqp": _on_rabbitmq,
    "amqps": _on_rabbitmq,
}
