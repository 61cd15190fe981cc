"""Many customers who write at the same time, and Meta, which repeats what is not acknowledged."""

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import aiohttp

from faults.history import History
from faults.plan import Plan, Webhook
from stands.app import APP_SECRET, PAGE
from stands.graph import message, sign, webhook

PATIENCE_SECONDS = 5.0
"""How long Meta waits for a 200, https://developers.facebook.com/docs/messenger-platform/webhooks."""
AGAIN_SECONDS = 0.15
"""Meta waits longer and longer before it delivers again; here a tenth of a second has to do."""


@dataclass
class Sender:
    """Posts a plan to the addresses and notes what was said to each post."""

    history: History
    addresses: Sequence[str]
    seed: int
    patience: float = PATIENCE_SECONDS
    give_up: float = 60.0
    """After so many seconds a webhook counts as undeliverable, and the trial fails."""
    statuses: list[int] = field(default_factory=list[int])
    took: list[float] = field(default_factory=list[float])
    """Seconds from each post to its answer, whatever that was."""
    acked: int = 0
    slowest: float = 0.0
    """Seconds from the first post of a webhook to its 200, for the one that took longest."""

    async def send(self, plan: Plan) -> None:
        """All customers at once, each one's webhooks one after the other."""
        dice = random.Random(self.seed)
        async with self._client() as client, asyncio.TaskGroup() as group:
            for own in plan.webhooks.values():
                group.create_task(self._write(client, own, random.Random(dice.random())))

    async def post(self, body: bytes, key: str, mids: Sequence[str] = ()) -> None:
        """One webhook, until it is taken. Raises `AssertionError` when nobody takes it."""
        async with self._client() as client:
            await self._deliver(client, body, key, mids, random.Random(key))

    def _client(self) -> aiohttp.ClientSession:
        # Not the service's kind of client, but a light one: on two cores the sender must not be what is slow.
        patience = aiohttp.ClientTimeout(total=self.patience)
        return aiohttp.ClientSession(timeout=patience, connector=aiohttp.TCPConnector(limit=200))

    async def _write(self, client: aiohttp.ClientSession, own: Sequence[Webhook], dice: random.Random) -> None:
        for one in own:
            await asyncio.sleep(one.pause)
            body = webhook(PAGE, *(message(PAGE, one.customer, mid, text) for mid, text in one.messages))
            async with asyncio.TaskGroup() as group:
                for copy in range(one.copies):
                    own_dice = random.Random(dice.random())
                    group.create_task(self._deliver(client, body, f"{one.mids[0]}#{copy}", one.mids, own_dice))

    async def _deliver(
        self, client: aiohttp.ClientSession, body: bytes, key: str, mids: Sequence[str], dice: random.Random
    ) -> None:
        began = time.monotonic()
        while True:
            address = dice.choice(self.addresses)
            self.history.note("meta", "webhook", "invoke", key, to=address, mids=list(mids))
            status = await self._post(client, address, body, key)
            waited = time.monotonic() - began
            if status == 200:
                self.acked += len(mids)
                self.slowest = max(self.slowest, waited)
                for mid in mids:
                    self.history.note("meta", "message", "ok", mid)
                return
            assert waited < self.give_up, f"nobody takes {key}: last answer {status}"
            await asyncio.sleep(AGAIN_SECONDS * (0.5 + dice.random()))

    async def _post(self, client: aiohttp.ClientSession, address: str, body: bytes, key: str) -> int | None:
        began = time.monotonic()
        try:
            async with client.post(f"{address}/webhook", data=body, headers=sign(body, APP_SECRET)) as answer:
                status = answer.status
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self.history.note("meta", "webhook", "info", key, to=address, error=type(error).__name__)
            return None
        self.took.append(time.monotonic() - began)
        self.statuses.append(status)
        self.history.note("meta", "webhook", "ok" if status == 200 else "fail", key, status=status)
        return status
