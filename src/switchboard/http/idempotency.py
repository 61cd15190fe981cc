"""`Idempotency-Key`: the same request again gets the first answer again, for 24 hours.

Plain ASGI, between `requests.Bodies` and the routes. Answers that say a fault was ours (5xx) are not kept: the request
may be tried again under its key. Of an answer that is told as events only its beginning is: a repeated request goes to
the route again, which knows by the key that it has done this before (`replies.say.name_message`), and tells what came
of it. A file to be saved is not kept at all. Source: draft-ietf-httpapi-idempotency-key-header-07.
"""

import hashlib
from collections.abc import Sequence
from typing import Any, cast

import orjson
import structlog

from switchboard.auth import caller_of
from switchboard.database import Database
from switchboard.errors import Invalid, StillRunning, SwitchboardError, Unauthenticated
from switchboard.http.event_stream import MEDIA_TYPE
from switchboard.http.problems import problem
from switchboard.http.requests import Application, Message, Receive, Scope, Send

LARGEST_KEPT = 1_000_000
"""Bytes of an answer that is kept; a larger one, or one that is no text, is sent and its key forgotten."""
_KEPT_HEADERS = {b"content-type", b"location"}

log = structlog.get_logger()


class Idempotency:
    """Answers a repeated POST with what its first run answered."""

    def __init__(self, app: Application) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"]) if scope["type"] == "http" and scope["method"] == "POST" else {}
        if b"idempotency-key" not in headers:
            await self._app(scope, receive, send)
            return
        try:
            caller = await _identify(scope)
        except Unauthenticated:
            await self._app(scope, receive, send)
            return
        except SwitchboardError as error:
            await problem(error, scope["request_id"])(scope, receive, send)
            return
        await self._once(scope, receive, send, caller, headers[b"idempotency-key"])

    async def _once(self, scope: Scope, receive: Receive, send: Send, caller: str, raw_key: bytes) -> None:
        database = cast(Database, scope["state"]["database"])
        message = await receive()
        try:
            key = _read_key(raw_key)
            request_hash = _hash(scope, message.get("body", b""))
            found = await database.call("begin_request", caller=caller, key=key, request_hash=request_hash)
            _refuse(found)
        except SwitchboardError as error:
            await problem(error, scope["request_id"])(scope, receive, send)
            return
        if found["state"] == "done" and not _is_told(found["headers"]):
            await _repeat(found, send)
            return
        kept = _Kept(database, caller, key)
        answer = _Answer(send, kept)
        try:
            await self._app(scope, _given(message, receive), answer)
        finally:
            await answer.close()


class _Answer:
    """Passes an answer on and keeps it before its end is sent: whoever has it all can rely on hearing it again."""

    def __init__(self, send: Send, kept: "_Kept") -> None:
        self._send = send
        self._kept = kept
        self._status = 500
        self._headers: list[tuple[str, str]] = []
        self._body: bytes | None = b""
        self._complete = False
        self._is_file = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            # A file is made anew: what is not stored anywhere else is not stored here either.
            self._is_file = any(n == b"content-disposition" for n, _ in message["headers"])
            self._headers = [(n.decode(), v.decode()) for n, v in message["headers"] if n in _KEPT_HEADERS]
        elif message["type"] == "http.response.body":
            if self._body is not None and not self._is_file and not _is_told(self._headers):
                whole = self._body + message.get("body", b"")
                self._body = whole if len(whole) <= LARGEST_KEPT else None
            if not message.get("more_body"):
                self._complete = True
                await self._keep()
        await self._send(message)

    async def close(self) -> None:
        """The route is done, or was cut off."""
        if self._complete:
            return
        if _is_told(self._headers):
            # Whether the client has heard it to its end or not: what it asked for is done once.
            await self._keep()
        else:
            await self._kept.forget()

    async def _keep(self) -> None:
        if self._is_file:
            await self._kept.forget()
            return
        try:
            text = None if self._body is None else self._body.decode()
        except UnicodeDecodeError:
            text = None
        if self._status >= 500 or text is None:
            await self._kept.forget()
        else:
            await self._kept.finish(self._status, self._headers, text)


class _Kept:
    """One key in the database. A key that cannot be written now reopens after two minutes by itself."""

    def __init__(self, database: Database, caller: str, key: str) -> None:
        self._database = database
        self._caller = caller
        self._key = key

    async def finish(self, status: int, headers: list[tuple[str, str]], body: str) -> None:
        """Keeps the answer."""
        try:
            await self._database.call(
                "finish_request",
                caller=self._caller,
                key=self._key,
                status=status,
                headers=headers,
                body=body,
            )
        except SwitchboardError as error:
            log.warning("answer of an idempotent request not kept", code=error.code)

    async def forget(self) -> None:
        """Lets the request be tried again under its key."""
        try:
            await self._database.call("forget_request", caller=self._caller, key=self._key)
        except SwitchboardError as error:
            log.warning("key of a failed request not freed", code=error.code)


def _is_told(headers: Sequence[Sequence[str]]) -> bool:
    return any(name == "content-type" and value.startswith(MEDIA_TYPE) for name, value in headers)


async def _identify(scope: Scope) -> str:
    caller = await caller_of(scope)
    # Not the subject alone: tokens of several workspaces may name the same one, and whoever has lost a role must not be
    # told again what it had opened.
    rights = orjson.dumps(caller.as_json(), option=orjson.OPT_SORT_KEYS)
    return f"{caller.subject} {hashlib.sha256(rights).hexdigest()}"


def _read_key(raw: bytes) -> str:
    key = raw.decode("latin-1").strip().strip('"')
    if not 1 <= len(key) <= 255 or not key.isprintable():
        raise Invalid("Idempotency-Key must be 1 to 255 printable characters.")
    return key


def _hash(scope: Scope, body: bytes) -> str:
    query = scope.get("query_string", b"")
    return hashlib.sha256(b"\n".join([scope["method"].encode(), scope["path"].encode(), query, body])).hexdigest()


def _refuse(found: dict[str, Any]) -> None:
    if found["state"] == "different":
        raise Invalid("This Idempotency-Key was used with another request: use a new one.")
    if found["state"] == "running":
        raise StillRunning(retry_after=1)


async def _repeat(found: dict[str, Any], send: Send) -> None:
    headers = [(name.encode(), value.encode()) for name, value in found["headers"]]
    body = found["body"].encode()
    headers += [(b"content-length", str(len(body)).encode()), (b"idempotency-replayed", b"true")]
    await send({"type": "http.response.start", "status": found["status"], "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _given(message: Message, receive: Receive) -> Receive:
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return message

    return again
