"""`GET /api/events`: the feed as server-sent events.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import asyncio
from dataclasses import dataclass
from typing import Annotated, cast

import structlog
from fastapi import APIRouter, Header, Query, Request
from prometheus_client import Gauge
from starlette.responses import Response

from switchboard.auth import Auth
from switchboard.errors import Forbidden, Invalid, RateLimited, Unauthenticated, Unavailable
from switchboard.http.problems import refusals
from switchboard.http.requests import Application, Message, Receive, Scope, Send
from switchboard.live.access import Access
from switchboard.live.feed import Feed
from switchboard.live.places import Place
from switchboard.live.stream import Pace, Quiet, Stream
from switchboard.settings import Settings

PATH = "/api/events"
_EXAMPLE = """\
retry: 3120
id: 41

id: 42
event: message.received
data: {"id":42,"type":"message.received","workspace_id":1,"conversation_id":7,"message_id":19,"at":"…","data":{"seq":3}}

"""

router = APIRouter(tags=["live"])
log = structlog.get_logger()


class EventStream(Response):
    """The head of the answer; `Streams` sends the rest."""

    media_type = "text/event-stream"

    def __init__(self) -> None:
        # Without the second header nginx would collect events until it has a page of them.
        super().__init__(headers={"x-accel-buffering": "no"})
        del self.headers["content-length"]


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A stream that was let through, and the place it has taken."""

    stream: Stream
    place: Place
    open_streams: Gauge


class Streams:
    """Plain ASGI, outermost. The whole application decides about a stream and writes the head of its answer; when it is
    done with that, and its memory is free again, the stream goes on here. It is open by the thousand, and each layer
    that stayed would cost its kilobyte."""

    def __init__(self, app: Application) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(PATH):
            await self._app(scope, receive, send)
            return
        prepared = await self._prepare(scope, receive, send)
        if prepared is not None:
            await _stream(prepared, receive, send)

    async def _prepare(self, scope: Scope, receive: Receive, send: Send) -> _Prepared | None:
        """Lets the application answer. A refusal goes out as it is; of a stream only the head does."""
        holder: list[_Prepared] = []
        scope["stream"] = holder

        async def answer(message: Message) -> None:
            if holder and message["type"] == "http.response.body":
                return
            await send(message)

        try:
            await self._app(scope, receive, answer)
        except BaseException:
            for prepared in holder:
                prepared.place.leave()
            raise
        if not holder:
            return None
        # The server keeps the scope for as long as the stream lasts, but nobody looks at most of it again.
        kept = {name: scope[name] for name in ("type", "method", "path", "http_version")}
        scope["headers"].clear()
        scope.clear()
        scope.update(kept)
        return holder[0]


async def _stream(prepared: _Prepared, receive: Receive, send: Send) -> None:
    stream = prepared.stream
    sending = _Sending(stream, send)
    stream.on_wake = sending.wake
    prepared.open_streams.inc()
    try:
        sending.wake()
        # An open stream is nothing but this wait. It ends when the client leaves, and after the end of the answer.
        while (await receive())["type"] != "http.disconnect":
            pass
    finally:
        prepared.open_streams.dec()
        prepared.place.leave()
        stream.close()
        await sending.stop()


class _Sending:
    """Sends what there is, in a task that lasts no longer than that."""

    __slots__ = ("_send", "_stream", "_task")

    def __init__(self, stream: Stream, send: Send) -> None:
        self._stream = stream
        self._send = send
        self._task: asyncio.Task[None] | None = None

    def wake(self) -> None:
        """Something may be there. Whoever is sending already looks once more before it stops."""
        if self._task is None:
            self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Gives up what is being sent."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        try:
            while not isinstance(frame := await self._stream.now(), Quiet):
                body = frame.sse() if frame else b""
                await self._send({"type": "http.response.body", "body": body, "more_body": frame is not None})
                if frame is None:
                    return
            self._task = None
        except Exception:
            log.exception("stream broke off")
            # The answer has an end all the same: without one this would wait for the client to leave.
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})


@router.get(
    PATH,
    status_code=200,
    response_class=EventStream,
    responses={
        200: {"description": "Events, until the stream ends.", "content": {"text/event-stream": {"example": _EXAMPLE}}},
        **refusals(Unauthenticated, Forbidden, Invalid, RateLimited, Unavailable),
    },
)
async def events(
    request: Request,
    authorization: Annotated[str | None, Header(include_in_schema=False)] = None,
    last_event_id: Annotated[
        str | None, Header(description="Go on after this event; without it, from now on.", max_length=100)
    ] = None,
    after: Annotated[
        str | None, Query(description="The same, for those who cannot send the header.", max_length=100)
    ] = None,
    conversation: Annotated[int | None, Query(ge=1, le=2**53, description="Only what happens in this one.")] = None,
    follow: Annotated[bool, Query(description="`false` ends the stream when all is told: for polling.")] = True,
) -> Response:
    """What happens, while it happens: what your token may see, each event once and in order.

    Go on with the `id` of the last event you got. `resync` says that events are missing that are no longer kept: load
    your lists anew. `end` closes the stream with its `reason`; come back after `retry` milliseconds. The same feed is
    at `WS /ws/events`.
    """
    feed = cast(Feed, request.state.feed)
    access = await Access.ask(cast(Auth, request.state.auth), authorization)
    stream = Stream(
        feed,
        access,
        last_event_id=last_event_id if last_event_id is not None else after,
        conversation_id=conversation,
        follow=follow,
        pace=Pace(life=cast(Settings, request.state.settings).stream_seconds),
    )
    await feed.begun()
    holder = cast("list[_Prepared]", request.scope["stream"])
    place = feed.places.take(access.caller.subject)
    holder.append(_Prepared(stream, place, feed.metrics.streams.labels("sse")))
    return EventStream()
