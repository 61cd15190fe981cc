"""A line between the service and Postgres that can go silent, and lose the answer to what was done."""

import asyncio
import random
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from stands.clusters import free_port

_DONE = b"Z\x00\x00\x00\x05I"
"""ReadyForQuery outside of a transaction, the end of an answer to a statement that is committed.

https://www.postgresql.org/docs/current/protocol-message-formats.html
"""


@dataclass
class Line:
    """Forwards to ``target``, a port of this machine. ``lost`` counts answers that were dropped after a commit."""

    target: int
    port: int = field(default_factory=free_port)
    lost: int = 0
    _open: asyncio.Event = field(default_factory=asyncio.Event)
    _share: float = 0.0
    _dice: random.Random = field(default_factory=random.Random)
    _writers: set[asyncio.StreamWriter] = field(default_factory=set[asyncio.StreamWriter])

    @asynccontextmanager
    async def listen(self) -> "AsyncGenerator[Line]":
        """Forwards while inside."""
        self._open.set()
        server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        try:
            yield self
        finally:
            self._open.set()
            server.close()
            self.cut()

    def silence(self) -> None:
        """Half open: connections stand, new ones are taken, and nothing arrives on either side."""
        self._open.clear()

    def resume(self) -> None:
        """What was held back arrives."""
        self._open.set()

    def lose(self, share: float, seed: int) -> None:
        """From now on this share of the answers is lost, each with its connection. Zero ends it."""
        self._share, self._dice = share, random.Random(seed)

    def cut(self) -> None:
        """Ends every connection."""
        for writer in self._writers:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream: asyncio.StreamWriter | None = None
        self._writers.add(writer)
        with suppress(OSError):
            await self._open.wait()
            answers, upstream = await asyncio.open_connection("127.0.0.1", self.target)
            self._writers.add(upstream)
            both = [self._forward(reader, upstream, answer=False), self._forward(answers, writer, answer=True)]
            tasks = [asyncio.create_task(work) for work in both]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for end in filter(None, (writer, upstream)):
            self._writers.discard(end)
            end.close()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answer: bool) -> None:
        asked = 0
        while data := await reader.read(65_536):
            await self._open.wait()
            asked += 1
            # Not the greeting: what is lost shall be the answer to a statement.
            if answer and asked > 3 and data.endswith(_DONE) and self._dice.random() < self._share:
                self.lost += 1
                return
            writer.write(data)
            await writer.drain()
