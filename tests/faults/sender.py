"""Many customers who write at the same time, and Meta, which repeats what is not acknowledged."""

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import httpx

from faults.history import History
from stands.app import APP_SECRET, PAGE
from stands.graph import message, sign, webhook

PATIENCE_SECONDS = 5.0
"""How long Meta waits for a 200, https://developers.facebook.com/docs/messenger-platform/webhooks."""
AGAIN_SECONDS = 0.15
"""Meta waits longer and longer before it delivers again; here a tenth of a second has to do."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """Messages of one customer in one body: (mid, text) each. ``copies`` of it are posted at the same time."""

    customer: str
    messages: tuple[tuple[str, str], ...]
    pause: float = 0.0
    copies: int = 1


@dataclass(frozen=True, slots=True)
class Plan:
    """What every customer writes, in their order; the same seed draws the same plan."""

    webhooks: dict[str, list[Webhook]]

    @classmethod
    def draw(cls, seed: int, *, prefix: str, messages: int, pause: float = 0.3) -> "Plan":
        """About one customer for every four messages; ``pause`` seconds at most between two webhooks of one."""
        dice = random.Random(seed)
        webhooks: dict[str, list[Webhook]] = {f"{prefix}-{number}": [] for number in range(max(1, messages // 4))}
        number = 0
        while number < messages:
            customer = dice.choice(list(webhooks))
            size = min(dice.choice((1, 1, 1, 1, 2, 3)), messages - number)
            said = tuple((f"{prefix}.mid.{n}", f"{customer} asks {n}") for n in range(number, number + size))
            waits = dice.choice((0.0, dice.random() * pause))
            webhooks[customer].append(Webhook(customer, said, waits, dice.choice((1,) * 9 + (2,))))
            number += size
        return cls({customer: own for customer, own in webhooks.items() if own})

    @property
    def mids(self) -> dict[str, str]:
        """The text of every message by its id."""
        return {mid: text for own in self.webhooks.values() for one in own for mid, text in one.messages}

    @property
    def orders(self) -> list[list[str]]:
        """The ids of each customer's messages in the order they were sent."""
        return [[mid for one in own for mid, _ in one.messages] for own in self.webhooks.values()]


@dataclass
class Sender:
    """Posts a plan to the addresses and notes what was said to each post."""

    history: History
    addresses: Sequence[str]
    seed: int
    patience: float = PATIENCE_SECONDS
    give_up: float = 60.0
    """After so many seconds a webhook counts as undeliverable, and the trial fails."""
    sticky: bool = False
    """Whether all webhooks of a customer go to one process, as with a load balancer that goes by the sender."""
    statuses: list[int] = field(default_factory=list[int])
    acked: int = 0
    slowest: float = 0.0
    """Seconds from the first post of a webhook to its 200, for the one that took longest."""

    async def send(self, plan: Plan) -> None:
        """All customers at once, each one's webhooks one after the other."""
        dice = random.Random(self.seed)
        limits = httpx.Limits(max_connections=200)
        async with httpx.AsyncClient(timeout=self.patience, limits=limits) as client, asyncio.TaskGroup() as group:
            for customer, own in plan.webhooks.items():
                group.create_task(self._write(client, customer, own, random.Random(dice.random())))

    async def post(self, body: bytes, key: str, mids: Sequence[str] = ()) -> None:
        """One webhook, until it is taken. Raises `AssertionError` when nobody takes it."""
        async with httpx.AsyncClient(timeout=self.patience) as client:
            await self._deliver(client, body, key, mids, random.Random(key))

    async def _write(
        self, client: httpx.AsyncClient, customer: str, own: Sequence[Webhook], dice: random.Random
    ) -> None:
        for one in own:
            await asyncio.sleep(one.pause)
            body = webhook(PAGE, *(message(PAGE, customer, mid, text) for mid, text in one.messages))
            mids = [mid for mid, _ in one.messages]
            async with asyncio.TaskGroup() as group:
                for copy in range(one.copies):
                    own_dice = random.Random(dice.random())
                    group.create_task(self._deliver(client, body, f"{mids[0]}#{copy}", mids, own_dice, customer))

    async def _deliver(
        self,
        client: httpx.AsyncClient,
        body: bytes,
        key: str,
        mids: Sequence[str],
        dice: random.Random,
        customer: str = "",
    ) -> None:
        began = asyncio.get_running_loop().time()
        while True:
            address = (random.Random(customer) if self.sticky else dice).choice(self.addresses)
            self.history.note("meta", "webhook", "invoke", key, to=address, mids=list(mids))
            status = await self._post(client, address, body, key)
            took = asyncio.get_running_loop().time() - began
            if status == 200:
                self.acked += len(mids)
                self.slowest = max(self.slowest, took)
                for mid in mids:
                    self.history.note("meta", "message", "ok", mid)
                return
            assert took < self.give_up, f"nobody takes {key}: last answer {status}"
            await asyncio.sleep(AGAIN_SECONDS * (0.5 + dice.random()))

    async def _post(self, client: httpx.AsyncClient, address: str, body: bytes, key: str) -> int | None:
        with suppress(httpx.TransportError):
            answer = await client.post(f"{address}/webhook", content=body, headers=sign(body, APP_SECRET))
            self.statuses.append(answer.status_code)
            kind = "ok" if answer.status_code == 200 else "fail"
            self.history.note("meta", "webhook", kind, key, status=answer.status_code)
            return answer.status_code
        self.history.note("meta", "webhook", "info", key, to=address)
        return None
