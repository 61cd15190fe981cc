"""What happens to every request before a route sees it: an id, a limit on its body, forms read as JSON, a slash less.

Plain ASGI, outermost first: `Requests` (id, log, metrics, headers) → `Bodies` (limit, forms, trailing slash).
"""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl

import orjson
import structlog

from switchboard.errors import Malformed, SwitchboardError, TooLarge
from switchboard.http.problems import problem, route_of
from switchboard.metrics import Metrics

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

BODY_SECONDS = 30.0
"""How long a client may take to send its body."""
LINGER_SECONDS = 2.0
LINGER_BYTES = 8_000_000
"""How long, and how much, a client may go on sending after its body was refused, before it is cut off."""
FORM_FIELDS = 1000
_FORM = b"application/x-www-form-urlencoded"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    # Whatever is answered here is somebody's own: no browser and no proxy keeps a copy of it.
    (b"cache-control", b"no-store"),
]

log = structlog.get_logger()


class Requests:
    """Gives each request an id, answers with it, and logs and counts the outcome, also that of a fault of ours."""

    def __init__(self, app: Application) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        request_id = scope["request_id"] = secrets.token_hex(8)
        if scope["type"] == "websocket":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status: int | None = None

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*_completed(message["headers"]), (b"x-request-id", request_id.encode())]
            await send(message)

        with structlog.contextvars.bound_contextvars(request=request_id):
            try:
                await self._app(scope, receive, answer)
            except Exception as error:
                if status is not None:
                    raise  # half an answer is out: all that is left is to cut the connection
                log.error("unforeseen error", route=route_of(scope), exc_info=error)
                await problem(SwitchboardError(), request_id)(scope, receive, answer)
            finally:
                _note(scope, status or 500, time.perf_counter() - started)


class Bodies:
    """Reads the body within its limits, turns a form into JSON, and takes the slash off the end of the path."""

    def __init__(
        self,
        app: Application,
        max_bytes: int,
        seconds: float = BODY_SECONDS,
        streamed: Mapping[str, int] | None = None,
    ) -> None:
        """``streamed``: paths whose route reads the body itself, as it comes, and at most how many bytes of it."""
        self._app = app
        self._max_bytes = max_bytes
        self._seconds = seconds
        self._streamed = streamed or {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            _take_off_slash(scope)
        if scope["type"] == "http" and (most := self._streamed.get(scope["path"])) is not None:
            await self._app(scope, self._passed(most, receive), send)
            return
        if scope["type"] == "http" and scope["method"] in {"POST", "PUT", "PATCH", "DELETE"}:
            try:
                body = await self._read(scope, receive)
            except SwitchboardError as error:
                await _refuse(error, scope, receive, send)
                return
            try:
                body = _form_as_json(scope, body)
            except SwitchboardError as error:
                await problem(error, scope["request_id"])(scope, receive, send)
                return
            receive = _replay(body, receive)
        await self._app(scope, receive, send)

    async def _read(self, scope: Scope, receive: Receive) -> bytes:
        declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if declared.isdigit() and int(declared) > self._max_bytes:
            raise _too_large(self._max_bytes)
        body = bytearray()
        try:
            async with asyncio.timeout(self._seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise Malformed("The body ended early.")
                    body += message.get("body", b"")
                    if len(body) > self._max_bytes:
                        raise _too_large(self._max_bytes)
                    if not message.get("more_body"):
                        return bytes(body)
        except TimeoutError:
            raise Malformed(f"The body did not arrive within {self._seconds:g} seconds: send it again.") from None

    def _passed(self, most: int, receive: Receive) -> Receive:
        """The body as it comes. Raises `TooLarge` in the route once it is more, `Malformed` where nothing comes."""
        read = 0

        async def limited() -> Message:
            nonlocal read
            try:
                async with asyncio.timeout(self._seconds):
                    message = await receive()
            except TimeoutError:
                raise Malformed(f"Nothing of the body came for {self._seconds:g} seconds: send it again.") from None
            read += len(message.get("body", b""))
            if read > most:
                raise _too_large(most)
            return message

        return limited


def _too_large(most: int) -> TooLarge:
    return TooLarge(f"The body is larger than {most} bytes: send less at a time.")


def _completed(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The headers with those of ours that the answer has not chosen itself."""
    own = {name for name, _ in headers}
    # Where the policy says who may show the page in a frame, the older header would only contradict it.
    if any(name == b"content-security-policy" and b"frame-ancestors" in value for name, value in headers):
        own.add(b"x-frame-options")
    return [*headers, *(header for header in _HEADERS if header[0] not in own)]


def _note(scope: Scope, status: int, seconds: float) -> None:
    route = route_of(scope)
    # A client may call its method what it likes, and every new word would be another counter.
    method = scope["method"] if scope["method"] in _METHODS else "other"
    metrics: Metrics = scope["state"]["metrics"]
    metrics.requests.labels(method, route, status).inc()
    metrics.request_seconds.labels(method, route).observe(seconds)
    log.info("request", method=method, route=route, status=status, ms=round(seconds * 1000, 1))


async def _refuse(error: SwitchboardError, scope: Scope, receive: Receive, send: Send) -> None:
    """Answers although the body is not read, listens a little longer, and hangs up.

    Hanging up at once on somebody who is still sending can take the answer with it (RFC 9112, section 9.6).
    """
    answer = problem(error, scope["request_id"])
    headers = [*answer.raw_headers, (b"connection", b"close")]
    await send({"type": "http.response.start", "status": answer.status_code, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body, "more_body": True})
    dropped = 0
    with suppress(TimeoutError):
        async with asyncio.timeout(LINGER_SECONDS):
            while dropped < LINGER_BYTES:
                message = await receive()
                dropped += len(message.get("body", b""))
                if not message.get("more_body"):
                    break
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def _replay(body: bytes, receive: Receive) -> Receive:
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _take_off_slash(scope: Scope) -> None:
    path: str = scope["path"]
    if len(path) > 1 and path.endswith("/"):
        scope["path"] = path.rstrip("/") or "/"
        scope["slashed"] = True  # for those whose answer has relative links
        if raw := scope.get("raw_path"):
            scope["raw_path"] = raw.rstrip(b"/") or b"/"


def _form_as_json(scope: Scope, body: bytes) -> bytes:
    """A form becomes the JSON object of its fields; a field that is given more than once becomes a list."""
    content_type = next((value for name, value in scope["headers"] if name == b"content-type"), b"")
    if content_type.partition(b";")[0].strip().lower() != _FORM:
        return body
    try:
        pairs = parse_qsl(
            body.decode(),
            keep_blank_values=True,
            strict_parsing=bool(body),
            errors="strict",
            max_num_fields=FORM_FIELDS,
        )
    except ValueError:  # a UnicodeDecodeError is one
        raise Malformed(
            f"The form cannot be read: send name=value pairs in UTF-8, at most {FORM_FIELDS} of them; "
            "send JSON as application/json."
        ) from None
    fields: dict[str, Any] = {}
    for name, value in pairs:
        if name in fields:
            fields[name] = [*fields[name], value] if isinstance(fields[name], list) else [fields[name], value]
        else:
            fields[name] = value
    as_json = orjson.dumps(fields)
    headers = [(n, v) for n, v in scope["headers"] if n not in (b"content-type", b"content-length")]
    headers += [(b"content-type", b"application/json"), (b"content-length", str(len(as_json)).encode())]
    scope["headers"] = headers
    return as_json
