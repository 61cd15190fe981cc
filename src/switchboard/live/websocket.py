"""`WS /ws/events`: the feed over a WebSocket, one JSON text for each event, the same as in `data:` over SSE.

Who cannot send headers with a WebSocket, as browsers cannot, sends its token in a first message. It may send a newer
one later, so that a stream outlives a token.
"""

import asyncio
from typing import cast

from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.websockets import WebSocketState

from switchboard.auth import Auth
from switchboard.errors import Forbidden, Invalid, SwitchboardError, Unauthenticated
from switchboard.http.origins import allows
from switchboard.http.problems import problem, request_id_of
from switchboard.live.access import Access
from switchboard.live.feed import Feed
from switchboard.live.stream import End, Pace, Stream
from switchboard.settings import Settings

HELLO_SECONDS = 10.0
"""How long a client may take for its first message."""
POLICY, AGAIN = 1008, 1013
"""Codes to close with: what was sent does not hold (RFC 6455, section 7.4.1), or come back (IANA's registry)."""
_OVER = frozenset({"unauthenticated", "forbidden", "access_changed", "invalid", "not_found"})

router = APIRouter()


class Hello(BaseModel):
    """What a client may say."""

    model_config = ConfigDict(extra="forbid")

    authorization: str = Field(max_length=9000)
    last_event_id: str | int | None = None
    conversation: int | None = Field(default=None, ge=1, le=2**53)


@router.websocket("/ws/events")
async def events(websocket: WebSocket) -> None:
    """The feed: see `sse.events`."""
    feed, auth = cast(Feed, websocket.state.feed), cast(Auth, websocket.state.auth)
    try:
        _check_origin(websocket)
        if "authorization" in websocket.headers:
            hello = _in_headers(websocket)
            access = await Access.ask(auth, hello.authorization)
            with feed.places.take(access.caller.subject):
                await websocket.accept()
                await _serve(websocket, feed, access, hello)
        else:
            with feed.strangers.take("stranger"):
                await websocket.accept()
                hello = await _first_message(websocket)
                access = await Access.ask(auth, hello.authorization)
            with feed.places.take(access.caller.subject):
                await _serve(websocket, feed, access, hello)
    except SwitchboardError as error:
        await _refuse(websocket, error)
    except WebSocketDisconnect:
        return


async def _serve(websocket: WebSocket, feed: Feed, access: Access, hello: Hello) -> None:
    settings = cast(Settings, websocket.state.settings)
    stream = Stream(
        feed,
        access,
        last_event_id=None if hello.last_event_id is None else str(hello.last_event_id),
        conversation_id=hello.conversation,
        pace=Pace(life=settings.stream_seconds),
    )
    listening = asyncio.create_task(_listen(websocket, access, stream))
    try:
        with feed.metrics.streams.labels("websocket").track_inprogress():
            while frame := await stream.next():
                for text in frame.texts():
                    await websocket.send_text(text)
                if isinstance(frame, End):
                    await websocket.close(POLICY if frame.reason in _OVER else AGAIN, frame.reason)
    finally:
        stream.close()
        listening.cancel()
        await asyncio.wait([listening])


async def _listen(websocket: WebSocket, access: Access, stream: Stream) -> None:
    try:
        while True:
            hello = await _read(websocket)
            if not await access.renew(hello.authorization):
                stream.end("access_changed")
    except WebSocketDisconnect:
        stream.leave()
    except SwitchboardError as error:
        stream.end(error.code)


async def _first_message(websocket: WebSocket) -> Hello:
    try:
        async with asyncio.timeout(HELLO_SECONDS):
            return await _read(websocket)
    except TimeoutError:
        raise Unauthenticated(f"No token came within {HELLO_SECONDS:.0f} seconds.") from None


async def _read(websocket: WebSocket) -> Hello:
    """The next message. Raises `Invalid` for one that is no `Hello`, `WebSocketDisconnect` when there will be none."""
    message = await websocket.receive()
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message["code"])
    try:
        return Hello.model_validate_json(message.get("text") or "")
    except ValidationError:
        raise Invalid('Send {"authorization": "Bearer <token>"}, and nothing else but what /docs names.') from None


def _in_headers(websocket: WebSocket) -> Hello:
    try:
        return Hello(
            authorization=websocket.headers["authorization"],
            last_event_id=websocket.headers.get("last-event-id", websocket.query_params.get("after")),
            conversation=cast("int | None", websocket.query_params.get("conversation")),  # pydantic reads it
        )
    except ValidationError:
        raise Invalid("`conversation` must be a number, and the token no longer than tokens are.") from None


def _check_origin(websocket: WebSocket) -> None:
    settings = cast(Settings, websocket.state.settings)
    origin = websocket.headers.get("origin")
    if not allows(origin, host=websocket.headers.get("host"), origins=settings.origins):
        raise Forbidden("Pages from this origin may not connect: name it in CORS_ORIGINS.")


async def _refuse(websocket: WebSocket, error: SwitchboardError) -> None:
    """Before the handshake a refusal is an HTTP answer like any other; after it, a last message."""
    try:
        if websocket.application_state is WebSocketState.CONNECTING:
            await websocket.send_denial_response(problem(error, request_id_of(websocket.scope)))
            # To uvicorn the handshake is incomplete until the connection is gone, and it would log that as an error.
            await asyncio.sleep(0.05)
        else:
            for text in End(error.code).texts():
                await websocket.send_text(text)
            await websocket.close(POLICY if error.code in _OVER else AGAIN, error.code)
    except WebSocketDisconnect:
        return
