"""P13: nine thousand open streams of the live feed, against a bare server that writes to as many sockets."""

import asyncio
import resource
import sys
import time
from contextlib import AsyncExitStack, suppress
from datetime import timedelta
from typing import cast

import httpx

from benchmarks import ground, servers
from benchmarks.machine import resident_megabytes
from benchmarks.measure import Figures, Report, Rounds, Scale, Spread, interleave, percentile
from benchmarks.servers import Server
from switchboard import clock
from switchboard.auth import make_token

COMPARED = (
    "Streams that one process holds open, each a socket of this process. An event is written (here by SQL; there by a"
    " request) and heard by all: from the first stream that hears it to the 99th of a hundred, so that how the server"
    " came to know does not count. Both readers are the same. The bare server knows no callers, places or rights:"
    " it writes the same bytes to every socket. Memory: what the process grew by from 500 streams to all, for each of"
    " them. *One stalled*: the same with 500 streams, where one more has never read a byte of some thousand events."
)
OURS, BARE, STALLED, FLOWING = "switchboard", "bare asyncio writer", "one stalled", "all read"
SECRET = "a-secret-for-benchmarks-only-of-48-letters-in-all"
FEW = 500


class Reader(asyncio.Protocol):
    """One open stream. It tells when it hears what it listens for."""

    def __init__(self, ears: "Ears", head: bytes) -> None:
        self._ears = ears
        self._head = head
        self.opened = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asks for the stream."""
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(self._head)

    def data_received(self, data: bytes) -> None:
        """Its beginning, or an event. Events are small enough to come in one piece."""
        if not self.opened.done() and b"retry" in data:
            self.opened.set_result(None)
        if self._ears.mark in data:
            self._ears.hears()

    def connection_lost(self, exc: Exception | None) -> None:
        """A stream that ends early is no stream."""
        if not self.opened.done():
            self.opened.set_exception(ConnectionError("the stream was refused"))


class Ears:
    """All streams of one server."""

    def __init__(self, server: Server, head: bytes) -> None:
        self._server = server
        self._head = head
        self.mark = b"nothing yet"
        self.heard: list[float] = []
        self.readers: list[Reader] = []
        self._all = asyncio.Event()

    async def open(self, many: int) -> None:
        """So many more streams."""
        loop = asyncio.get_running_loop()
        for begun in range(0, many, 50):
            made = [
                (await loop.create_connection(lambda: Reader(self, self._head), "127.0.0.1", self._server.port))[1]
                for _ in range(min(50, many - begun))
            ]
            await asyncio.gather(*(reader.opened for reader in made))
            self.readers += made

    async def hear(self, mark: str) -> Figures:
        """From the first that heard ``mark`` to the last but one in a hundred, in milliseconds; to be told by now."""
        async with asyncio.timeout(60):
            await self._all.wait()
        first = min(self.heard)
        return {"p99": (percentile(self.heard, 0.99) - first) * 1000, "all": (max(self.heard) - first) * 1000}

    def listen(self, mark: str) -> None:
        """For what comes next."""
        self.mark, self.heard = mark.encode(), []
        self._all.clear()

    def hears(self) -> None:
        """One more has heard it."""
        self.heard.append(time.perf_counter())
        if len(self.heard) == len(self.readers):
            self._all.set()

    def close(self) -> None:
        """All of them."""
        for reader in self.readers:
            reader.transport.abort()


async def run(scale: Scale) -> Report:
    """Fan-out and memory, then the stalled reader."""
    report = Report("P13", "Nine thousand streams", COMPARED)
    many = scale.some(9_000, 60)
    _let_open(2 * many + 1_000)
    async with AsyncExitStack() as stack:
        cluster = await stack.enter_async_context(ground.cluster())
        dsn = await ground.migrated(cluster)
        ours = await stack.enter_async_context(servers.serving(_service(dsn)))
        bare = await stack.enter_async_context(
            servers.serving(Server((sys.executable, "-m", "benchmarks.bare_streams"), {}))
        )
        here, there = Ears(ours, _head()), Ears(bare, b"GET /stream HTTP/1.1\r\nhost: x\r\n\r\n")
        stack.callback(here.close)
        stack.callback(there.close)
        few = scale.some(FEW, 20)
        await here.open(few)
        before = await _settled(ours)
        rounds_few = await _stalled(here, dsn, ours, scale)
        grown = await _settled(ours)
        await here.open(many - few)
        each = (await _settled(ours) - max(before, grown)) / (many - few)
        await there.open(many)
        rounds = await interleave(
            {OURS: lambda: _told_here(here, dsn), BARE: lambda: _told_there(there, bare)}, scale.rounds
        )
    _tell(report, rounds, rounds_few, each)
    return report


def _tell(report: Report, rounds: Rounds, few: Rounds, each: float) -> None:
    figures = {"p99": "first to 99 %, ms", "all": "first to last, ms"}
    report.tables += [rounds.table(figures), few.table(figures)]
    report.raw |= {"rounds": rounds.sides, "stalled": few.sides, "kib_each": each}
    report.target("memory of each stream", Spread(each, each, each), 12, "KiB")
    report.target("fan-out p99 of the bare writer's", rounds.ratio(OURS, BARE, "p99"), 3)
    report.target("fan-out p99 with one stalled", few.ratio(STALLED, FLOWING, "p99"), 1.05)


async def _told_here(ears: Ears, dsn: str) -> Figures:
    mark = f"x.{time.monotonic_ns()}"
    ears.listen(mark)
    await ground.execute(dsn, f"select write_event((select min(id) from workspaces), 1, null, '{mark}', '{{}}')")
    return await ears.hear(mark)


async def _told_there(ears: Ears, bare: Server) -> Figures:
    mark = f"x.{time.monotonic_ns()}"
    ears.listen(mark)
    async with httpx.AsyncClient() as client:
        await client.get(f"http://127.0.0.1:{bare.port}/tell", params={"mark": mark})
    return await ears.hear(mark)


async def _stalled(ears: Ears, dsn: str, server: Server, scale: Scale) -> Rounds:
    """The fan-out beside a stream that has stopped reading, and without it."""
    times = scale.some(20, 2)

    async def flowing() -> Figures:
        found = [await _told_here(ears, dsn) for _ in range(times)]
        return {name: percentile([each[name] for each in found], 0.5) for name in found[0]}

    async def stalled() -> Figures:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1024)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(_head())
        await asyncio.sleep(0.3)
        many = scale.some(2_000, 20)
        ears.listen("flood.last")
        await ground.execute(
            dsn,
            "select write_event((select min(id) from workspaces), 1, null, 'flood', '{}')"
            f" from generate_series(1, {many})",
            "select write_event((select min(id) from workspaces), 1, null, 'flood.last', '{}')",
        )
        await ears.hear("flood.last")
        try:
            return await flowing()
        finally:
            writer.transport.abort()

    return await interleave({FLOWING: flowing, STALLED: stalled}, scale.rounds)


async def _settled(server: Server) -> float:
    """KiB of memory once nothing more happens."""
    await asyncio.sleep(1)
    return resident_megabytes(server.pid) * 1e6 / 1024


def _service(dsn: str) -> Server:
    return servers.service(
        dsn, JWT_SECRET=SECRET, STREAMS="20000", STREAMS_PER_CALLER="0", LOG_LEVEL="error", TURN_POLL_SECONDS="0.05"
    )


def _head() -> bytes:
    token = make_token(SECRET.encode(), role="admin", subject="bench", ttl=timedelta(hours=2), now=clock.now())
    return f"GET /api/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\r\n".encode()


def _let_open(many: int) -> None:
    """As many files as this process and its children need, where the system allows it."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, max(many, 4_096)), most))
