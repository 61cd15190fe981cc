"""Answers that are told as they come about: server-sent events to one request.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import orjson
import structlog
from starlette.requests import Request
from starlette.responses import Response

from switchboard.errors import SwitchboardError
from switchboard.http.problems import problem, request_id_of
from switchboard.http.requests import Receive, Scope, Send

MEDIA_TYPE = "text/event-stream"
BEAT_SECONDS = 15.0
"""After how long without an event the line is shown to be alive."""
QUIET = b""
"""What a teller yields when there is nothing to tell, so that it can be seen whether a sign of life is due."""
_BEAT = b": alive\n\n"

log = structlog.get_logger()


def wants_events(request: Request) -> bool:
    """Whether the request accepts `text/event-stream`, and says so by name."""
    for accepted in request.headers.get("accept", "").split(","):
        kind, *parameters = (part.strip().lower() for part in accepted.split(";"))
        if kind == MEDIA_TYPE:
            return not any(p.replace(" ", "") in {"q=0", "q=0.0", "q=0.00", "q=0.000"} for p in parameters)
    return False


def event(name: str, data: Any) -> bytes:
    """One event; ``data`` as JSON in one line."""
    return b"event: %s\ndata: %s\n\n" % (name.encode(), orjson.dumps(data))


class EventAnswer(Response):
    """Sends what ``telling`` yields until it ends or the client has left. An error is told as an event, and is the end.

    ``telling`` is closed in any case; whatever it waits for must not depend on that.
    """

    media_type = MEDIA_TYPE

    def __init__(self, telling: AsyncGenerator[bytes], beat_seconds: float = BEAT_SECONDS) -> None:
        # Without the second header nginx would collect events until it has a page of them.
        super().__init__(headers={"x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._telling = telling
        self._beat_seconds = beat_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        sending = asyncio.create_task(self._send(request_id_of(scope), send))
        leaving = asyncio.create_task(_gone(receive))
        try:
            await asyncio.wait([sending, leaving], return_when=asyncio.FIRST_COMPLETED)
        finally:
            sending.cancel()
            leaving.cancel()
            await asyncio.wait([sending, leaving])
        if not sending.cancelled() and (error := sending.exception()):
            raise error

    async def _send(self, request_id: str, send: Send) -> None:
        last = time.monotonic()
        async with aclosing(self._safely(request_id)) as telling:
            async for body in telling:
                if not body and time.monotonic() - last < self._beat_seconds:
                    continue
                await send({"type": "http.response.body", "body": body or _BEAT, "more_body": True})
                last = time.monotonic()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _safely(self, request_id: str) -> AsyncGenerator[bytes]:
        async with aclosing(self._telling) as telling:
            try:
                async for body in telling:
                    yield body
            except SwitchboardError as error:
                yield _problem(error, request_id)
            except Exception:
                log.exception("answer broke off")
                yield _problem(SwitchboardError(), request_id)


def _problem(error: SwitchboardError, request_id: str) -> bytes:
    return b"event: error\ndata: %s\n\n" % bytes(problem(error, request_id).body)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
