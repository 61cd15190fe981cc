"""Clients of the live feed that write down what they are told."""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit


@dataclass
class Sse:
    """One event of a stream as a browser would hand it on; `id` and `retry` alone are frames without data."""

    event: str = "message"
    id: str | None = None
    retry: int | None = None
    data: Any = None


@dataclass
class Log:
    """What a client has got over all of its connections, and where it would go on."""

    last: str | None = None
    ids: list[int] = field(default_factory=list[int])
    events: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    resyncs: int = 0
    ends: list[str] = field(default_factory=list[str])

    def note(self, frame: Sse) -> None:
        """Writes a frame down."""
        if frame.id is not None:
            self.last = frame.id
        if frame.event == "resync":
            self.resyncs += 1
        elif frame.event == "end":
            self.ends.append(frame.data["reason"])
        elif frame.data is not None:
            self.ids.append(frame.data["id"])
            self.events.append(frame.data)


class Connection:
    """One SSE connection on a bare socket: nothing between the test and the wire."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.status = 0

    async def frame(self) -> Sse | None:
        """The next frame, or None at the end of the stream."""
        frame, seen = Sse(), False
        while True:
            try:
                line = await self._line()
            except (asyncio.IncompleteReadError, ConnectionError):
                return None
            if line is None:
                return None
            if not line:
                if seen:
                    return frame
                continue
            seen = True
            name, _, value = line.partition(": ")
            if name == "data":
                frame.data = json.loads(value)
            elif name == "retry":
                frame.retry = int(value)
            else:
                setattr(frame, name, value)

    def cut(self) -> None:
        """Ends it as a network does: without a word."""
        self.writer.transport.abort()

    async def _line(self) -> str | None:
        """A line of the body. Chunks of HTTP may end anywhere, but ours hold whole frames."""
        while True:
            raw = await self.reader.readuntil(b"\n")
            line = raw.decode().rstrip("\r\n")
            if raw.endswith(b"\r\n"):  # the size of a chunk, or its end; our own lines end with \n alone
                if line == "0":
                    return None
                continue
            return line


@asynccontextmanager
async def connected(address: str, headers: Mapping[str, str], query: str = "") -> AsyncGenerator[Connection]:
    """An open stream; its answer's head is read."""
    url = urlsplit(address)
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    connection = Connection(reader, writer)
    try:
        lines = [f"GET /api/events{query} HTTP/1.1", f"host: {url.netloc}", *(f"{n}: {v}" for n, v in headers.items())]
        writer.write("\r\n".join([*lines, "", ""]).encode())
        head = await reader.readuntil(b"\r\n\r\n")
        connection.status = int(head.split()[1])
        yield connection
    finally:
        connection.cut()


async def until(log: Log, count: int, seconds: float = 20) -> None:
    """Returns when the client has got so many events."""
    async with asyncio.timeout(seconds):
        while len(log.ids) < count:
            await asyncio.sleep(0.005)


async def listen(connection: Connection, log: Log) -> None:
    """Writes down everything until the stream ends."""
    while (frame := await connection.frame()) is not None:
        log.note(frame)
