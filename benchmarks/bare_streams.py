"""The least that tells many: streams that are open, and one write to each. Only what P13 is compared with.

`GET /tell?mark=m` writes one event that holds ``m`` to every other connection.
"""

import asyncio
import os
from typing import ClassVar, cast
from urllib.parse import parse_qs, urlsplit

import uvloop

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\nretry: 1000\n\n"
EVENT = 'id: 1\nevent: message\ndata: {"id":1,"type":"%s","workspace_id":1,"conversation_id":1,"data":{}}\n\n'


class Stream(asyncio.Protocol):
    """One connection: a stream, or the one that says what is told."""

    everyone: ClassVar[set["Stream"]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps it."""
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """The request, which comes in one piece."""
        path = urlsplit(data.split(b" ", 2)[1].decode())
        if path.path == "/health/ready":
            self.transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            self.transport.close()
        elif path.path == "/tell":
            event = (EVENT % parse_qs(path.query)["mark"][0]).encode()
            for each in self.everyone:
                each.transport.write(event)
            self.transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            self.transport.close()
        else:
            self.everyone.add(self)
            self.transport.write(HEAD)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forgets it."""
        self.everyone.discard(self)


async def main() -> None:
    """Serves until it is ended."""
    server = await asyncio.get_running_loop().create_server(Stream, "127.0.0.1", int(os.environ["PORT"]), backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
