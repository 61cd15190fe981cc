"""The load generator, a process of its own: signed webhooks over raw sockets, so that it is not what is measured.

    python -m benchmarks.load < plan.json > outcome.json

Closed loop (``rate`` 0): every client sends its next request when the last is answered. Open loop: requests are due at
fixed times whether or not others are answered, and a latency counts from when the request was due, so that a server
that stalls cannot slow its own measurement down (https://www.scylladb.com/2021/04/22/on-coordinated-omission/).
"""

import asyncio
import hmac
import json
import sys
import time
from collections import deque
from dataclasses import asdict, dataclass, field
from typing import Any

import uvloop

from benchmarks.ground import APP_SECRET, PAGE

PATIENCE_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What to send where. ``customers``: how many write in turn; 0 = a new one for each event. Times in seconds."""

    port: int
    path: str = "/webhooks/messenger"
    clients: int = 16
    seconds: float = 3.0
    warm_up: float = 0.5
    rate: float = 0.0
    most: int = 0
    """Requests after which to stop; 0 = no end but the time."""
    events: int = 1
    customers: int = 1000
    page: str = PAGE
    mark: str = "m"
    """Begins every message id, so that nothing is sent twice."""
    text: str = "Hello! When do you open tomorrow, and is there parking?"
    every: bool = False
    """Whether to tell of every request: [mark and number, when sent, when answered], on the monotonic clock."""


@dataclass(slots=True)
class Outcome:
    """Latencies in milliseconds, as far as they began after the warm-up."""

    answered: int = 0
    refused: int = 0
    broken: int = 0
    seconds: float = 0.0
    cpu: float = 0.0
    """Share of a core the generator used: near 1 it measures itself."""
    latencies: list[float] = field(default_factory=list[float])
    sent: list[tuple[str, float, float]] = field(default_factory=list[tuple[str, float, float]])
    """With ``every``: those answered with 200."""


class Webhooks:
    """Requests as bytes, each with new message ids and signed."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._number = 0

    def next(self) -> tuple[str, bytes]:
        """The mark of the first event, and the whole request."""
        first = self._number
        events = ",".join(self._event() for _ in range(self._plan.events))
        now = int(time.time() * 1000)
        body = (
            f'{{"object":"page","entry":[{{"id":"{self._plan.page}","time":{now},"messaging":[{events}]}}]}}'.encode()
        )
        signature = hmac.digest(APP_SECRET.encode(), body, "sha256").hex()
        head = (
            f"POST {self._plan.path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
            f"x-hub-signature-256: sha256={signature}\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        return f"{self._plan.mark}{first}", head.encode() + body

    def _event(self) -> str:
        number, plan = self._number, self._plan
        self._number += 1
        who = number % plan.customers if plan.customers else number
        mid = f"{plan.mark}{number}"
        return (
            f'{{"sender":{{"id":"{plan.mark}c{who}"}},"recipient":{{"id":"{plan.page}"}},'
            f'"timestamp":{int(time.time() * 1000)},"message":{{"mid":"{mid:_<80}","text":"{plan.text} {mid}"}}}}'
        )


class Connection(asyncio.Protocol):
    """One connection with one request at a time; `ask` returns the status."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._waiting: asyncio.Future[int] | None = None
        self._answer = b""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._answer += data
        head, found, body = self._answer.partition(b"\r\n\r\n")
        if found and len(body) >= _length(head) and self._waiting is not None and not self._waiting.done():
            self._answer = b""
            self._waiting.set_result(int(head[9:12]))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(ConnectionResetError())
        self._transport = None

    @property
    def open(self) -> bool:
        """Whether it can be asked."""
        return self._transport is not None and not self._transport.is_closing()

    async def ask(self, request: bytes) -> int:
        """The status of the answer. Raises `ConnectionError`."""
        if self._transport is None:
            raise ConnectionResetError
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._waiting

    def close(self) -> None:
        """Hangs up."""
        if self._transport is not None:
            self._transport.close()


def _length(head: bytes) -> int:
    place = head.lower().find(b"content-length:")
    return int(head[place + 15 :].split(b"\r\n", 1)[0]) if place >= 0 else 0


class Generator:
    """Carries out one plan."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._webhooks = Webhooks(plan)
        self._outcome = Outcome()
        self._begin = self._end = 0.0
        self._asked = 0

    async def run(self) -> Outcome:
        """Everything that was measured."""
        cpu = time.process_time()
        self._begin = time.monotonic() + self._plan.warm_up
        self._end = self._begin + self._plan.seconds
        await (self._at_rate() if self._plan.rate else self._in_turn())
        whole = time.monotonic() - self._begin
        self._outcome.seconds = self._plan.seconds if self._plan.rate else whole
        self._outcome.cpu = (time.process_time() - cpu) / (whole + self._plan.warm_up)
        return self._outcome

    async def _in_turn(self) -> None:
        async def client() -> None:
            connection = await self._connect()
            while self._goes_on() and self._more():
                mark, request = self._webhooks.next()
                connection = await self._ask(connection, mark, request, time.monotonic())
            connection.close()

        await asyncio.gather(*(client() for _ in range(self._plan.clients)))

    async def _at_rate(self) -> None:
        free: deque[Connection] = deque([await self._connect() for _ in range(self._plan.clients)])
        running: set[asyncio.Task[None]] = set()

        async def one(due: float) -> None:
            connection = free.popleft() if free else await self._connect()
            mark, request = self._webhooks.next()
            free.append(await self._ask(connection, mark, request, due))

        due = time.monotonic()
        while (due < self._end or (not self._outcome.latencies and self._goes_on())) and self._more():
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            task = asyncio.create_task(one(due))
            running.add(task)
            task.add_done_callback(running.discard)
            due += 1 / self._plan.rate
        if running:
            await asyncio.wait(running, timeout=30)
        for connection in free:
            connection.close()

    def _goes_on(self) -> bool:
        # However slow the machine is: one answer at least.
        now = time.monotonic()
        return now < self._end or (not self._outcome.latencies and now < self._end + PATIENCE_SECONDS)

    def _more(self) -> bool:
        self._asked += 1
        return not self._plan.most or self._asked <= self._plan.most

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        return (await loop.create_connection(Connection, "127.0.0.1", self._plan.port))[1]

    async def _ask(self, connection: Connection, mark: str, request: bytes, due: float) -> Connection:
        try:
            status = await connection.ask(request)
        except ConnectionError:
            self._outcome.broken += 1
            return await self._connect_again()
        now = time.monotonic()
        if status != 200:
            self._outcome.refused += 1
        elif self._plan.every:
            self._outcome.sent.append((mark, due, now))
        if status == 200 and due >= self._begin:
            # At a fixed rate only what is answered in time is throughput; a latency counts whenever it ends.
            self._outcome.answered += not self._plan.rate or now <= self._end
            self._outcome.latencies.append((now - due) * 1000)
        return connection

    async def _connect_again(self) -> Connection:
        while True:
            try:
                return await self._connect()
            except OSError:
                await asyncio.sleep(0.02)


if __name__ == "__main__":
    chosen = Plan(**json.load(sys.stdin))
    json.dump(asdict(uvloop.run(Generator(chosen).run())), sys.stdout)
