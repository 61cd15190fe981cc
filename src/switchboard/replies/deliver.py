"""The loop that claims sends and makes each of them once."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime

import structlog
from pydantic import BaseModel, ConfigDict

from switchboard import clock
from switchboard.bell import Bell
from switchboard.channels import Channel, File, Outbound
from switchboard.database import Database
from switchboard.errors import (
    ChannelBroken,
    DeliveryBusy,
    DeliveryError,
    DeliveryRefused,
    DeliveryUnknown,
    NotFound,
    SwitchboardError,
    Unavailable,
)
from switchboard.failpoints import reach
from switchboard.metrics import Metrics
from switchboard.replies.stopping import cut_off, finished
from switchboard.replies.window import tag_for
from switchboard.storage import Storage, whole
from switchboard.storage.links import Links

LEASE_SECONDS = 60.0
"""Longer than any send takes: a claimed send that is not settled by then is unknown."""
MAX_ATTEMPTS = 8
"""About ten minutes of back-off."""

log = structlog.get_logger()


class Enclosed(BaseModel):
    """The file of a delivery that has one instead of a text."""

    model_config = ConfigDict(frozen=True)

    id: int
    name: str
    kind: str
    content_type: str
    storage_key: str


class Delivery(BaseModel):
    """What `claim_deliveries` returns: one part of a message, ours to send."""

    model_config = ConfigDict(frozen=True)

    workspace_id: int
    id: int
    conversation_id: int
    message_id: int
    text: str
    marker: str
    attempts: int
    automated: bool
    platform: str
    account: str
    recipient: str
    last_customer_at: datetime | None
    file: Enclosed | None = None


class Deliveries:
    """The sends this process makes, at most ``concurrency`` at a time."""

    def __init__(
        self,
        database: Database,
        senders: Mapping[str, Channel],
        metrics: Metrics,
        *,
        bell: Bell,
        concurrency: int,
        poll_seconds: float,
        files: Storage,
        links: Links,
    ) -> None:
        self._files = files
        self._links = links
        self._database = database
        self._senders = senders
        self._metrics = metrics
        self._bell = bell
        self._concurrency = concurrency
        self._poll_seconds = poll_seconds
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._ended_claiming = asyncio.Event()

    async def run(self) -> None:
        """Claims and sends until `drain`; a database that is away is waited for."""
        while not self._stopping:
            await reach("before_send_claim")
            free = self._concurrency - len(self._tasks)
            claimed = await self._claim_some(free) if free > 0 else []
            for delivery in claimed:
                task = asyncio.create_task(self._deliver(delivery))
                self._tasks.add(task)
                task.add_done_callback(self._ended)
            if len(claimed) < free or free <= 0:
                await self._bell.wait(self._poll_seconds)
        self._ended_claiming.set()

    async def drain(self, seconds: float) -> None:
        """Claims no more and lets the sends that run finish for ``seconds``; what is cut off then becomes unknown."""
        # A claim under way is not cut off: its sends would count as begun.
        self._stopping = True
        self._bell.ring()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._ended_claiming.wait()
                await finished(self._tasks)
        await cut_off(self._tasks, seconds / 8)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._bell.ring()

    async def _claim_some(self, free: int) -> list[Delivery]:
        try:
            rows = await self._database.call("claim_deliveries", max_deliveries=free, lease_seconds=LEASE_SECONDS)
        except SwitchboardError as error:
            log.warning("no deliveries claimed", code=error.code)
            await asyncio.sleep(1)
            return []
        return [Delivery.model_validate(row) for row in rows]

    async def _deliver(self, delivery: Delivery) -> None:
        with structlog.contextvars.bound_contextvars(
            conversation=delivery.conversation_id, delivery=delivery.id, workspace=delivery.workspace_id
        ):
            await reach("after_send_claim")
            try:
                external_id = await self._send(delivery)
            except DeliveryError as error:
                await self._undelivered(delivery, error)
            except Exception:
                log.exception("send failed in a way nobody foresaw")
                await self._undelivered(delivery, DeliveryUnknown())
            else:
                await reach("after_send")
                await self._settle("mark_delivered", delivery, external_id=external_id)
                self._metrics.deliveries.labels("sent").inc()
                await reach("after_mark_delivered")

    async def _send(self, delivery: Delivery) -> str:
        sender = self._senders.get(delivery.platform)
        if sender is None:
            raise ChannelBroken(f"This installation cannot send on {delivery.platform}.")
        tag = tag_for(
            sender.window,
            automated=delivery.automated,
            last_customer_at=delivery.last_customer_at,
            now=clock.now(),
        )
        file = await self._open(delivery.file) if delivery.file else None
        sent = await sender.send(
            Outbound(delivery.account, delivery.recipient, delivery.text, metadata=delivery.marker, tag=tag, file=file)
        )
        return sent.external_id

    async def _open(self, file: Enclosed) -> File:
        try:
            content = await whole(self._files, file.storage_key)
        except Unavailable as error:
            raise DeliveryBusy(error.message) from error
        except NotFound as error:
            raise DeliveryRefused(error.message) from error
        link = self._links.make_public(file.id, clock.now())
        return File(file.name, file.content_type, file.kind, content, link)

    async def _undelivered(self, delivery: Delivery, error: DeliveryError) -> None:
        again = isinstance(error, DeliveryBusy) and delivery.attempts < MAX_ATTEMPTS
        state = "ready" if again else "unknown" if isinstance(error, DeliveryUnknown) else "failed"
        wait = max(error.retry_after or 0, min(2.0**delivery.attempts, 300.0))
        log.warning("not delivered", code=error.code, state=state, attempt=delivery.attempts)
        self._metrics.deliveries.labels("retried" if again else state).inc()
        await self._settle(
            "mark_undelivered",
            delivery,
            attempt=delivery.attempts,
            state=state,
            reason=error.message[:500],
            retry_seconds=wait if again else None,
        )
        if again:
            self._bell.ring_in(wait)

    async def _settle(self, function: str, delivery: Delivery, **arguments: object) -> None:
        """Writes the outcome, and keeps trying until the claim runs out: an outcome lost would have to be unknown."""
        deadline = asyncio.get_running_loop().time() + LEASE_SECONDS
        while True:
            try:
                await self._database.call(
                    function, workspace_id=delivery.workspace_id, delivery_id=delivery.id, **arguments
                )
                return
            except SwitchboardError as error:
                log.warning("outcome of a send not written yet", code=error.code)
                if asyncio.get_running_loop().time() > deadline:
                    return
                await asyncio.sleep(0.5)
