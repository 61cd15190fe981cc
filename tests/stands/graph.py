"""A stand-in for Meta: the Graph API on a free port of this machine, and the webhooks Meta would send.

It speaks the real wire: `POST /v23.0/{page}/messages` with a bearer token. What it answers is scripted per call; the
rest of the time it accepts. Every call is kept, and written to a file with fsync before it is answered, so that no
killed process can make the stand forget a send.
"""

import asyncio
import hashlib
import hmac
import json
import os
import socket
import struct
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from aiohttp import web

VERSION = "v23.0"


@dataclass(frozen=True, slots=True)
class Call:
    """One request as it arrived; ``number`` counts from 1, ``json`` is empty if the body was no JSON object."""

    number: int
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    json: dict[str, Any]
    at: float

    @property
    def page(self) -> str:
        return self.path.split("/")[2]

    @property
    def is_message(self) -> bool:
        return "message" in self.json

    @property
    def recipient(self) -> str:
        return self.json["recipient"]["id"]


@dataclass(frozen=True, slots=True)
class Answer:
    """How the stand treats one call. ``accepted``: whether Meta would deliver the message, heard of or not."""

    how: Literal["answer", "reset", "hang", "cut", "flood"]
    accepted: bool = False
    status: int = 200
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


def ok() -> Answer:
    """`{"recipient_id", "message_id": "m_<n>"}`; what every call gets that nothing else was scripted for."""
    return Answer("answer", accepted=True)


def error(
    code: int,
    subcode: int | None = None,
    *,
    status: int = 400,
    message: str = "Scripted",
    headers: Mapping[str, str] | None = None,
    **extra: Any,
) -> Answer:
    """An error in Graph's form."""
    content: dict[str, Any] = {"message": message, "type": "OAuthException", "code": code, "fbtrace_id": "Atrace"}
    content |= extra | ({} if subcode is None else {"error_subcode": subcode})
    body = json.dumps({"error": content}).encode()
    return Answer("answer", status=status, body=body, headers={"Content-Type": "application/json", **(headers or {})})


def reset(*, accepted: bool = False) -> Answer:
    """The request is read, then the connection is reset."""
    return Answer("reset", accepted=accepted)


def hang(*, accepted: bool = False) -> Answer:
    """No answer until the stand closes or `GraphStand.release` is called."""
    return Answer("hang", accepted=accepted)


def truncated(*, accepted: bool = True) -> Answer:
    """A 200 that ends in the middle of its JSON."""
    return Answer("cut", accepted=accepted)


def flood() -> Answer:
    """A 200 that never ends."""
    return Answer("flood", accepted=True)


def html(status: int = 502) -> Answer:
    """What a proxy in between says."""
    return Answer("answer", status=status, body=b"<html>Bad gateway</html>", headers={"Content-Type": "text/html"})


def garbage(body: bytes = b"\x00 not json") -> Answer:
    """A 200 that says nothing."""
    return Answer("answer", accepted=True, body=body, headers={"Content-Type": "application/json"})


def redirect(location: str) -> Answer:
    """A 307, which a client that follows redirects would repeat the POST to."""
    return Answer("answer", status=307, body=b"", headers={"Location": location})


OnSend = Callable[[Call, str], Awaitable[None]]
"""Called with each accepted message and its id before it is answered; for delivering its echo."""


class GraphStand:
    """The Graph API; `async with GraphStand() as graph: ... graph.url`."""

    def __init__(self, *, log: Path | None = None, on_send: OnSend | None = None) -> None:
        self.calls: list[Call] = []
        self.on_send = on_send
        self.url = ""
        self.subscribed: list[str] = []
        """The fields of `subscribed_apps`."""
        self.files: list[tuple[str, str, bytes]] = []
        """Files that were sent along: name, type, bytes."""
        self.hanging = 0
        """How many calls wait for `release`."""
        self._log = log
        self._scripted: deque[Answer] = deque()
        self._scripted_actions: deque[Answer] = deque()
        self._arrived = asyncio.Condition()
        self._released = asyncio.Event()
        self._accepted = 0
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        application = web.Application()
        application.router.add_route("*", "/{rest:.*}", self._serve)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        await web.SockSite(self._runner, listener).start()
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}/{VERSION}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._released.set()
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def sends(self) -> list[Call]:
        """The calls that carry a message, without typing and the like."""
        return [call for call in self.calls if call.is_message]

    def script(self, *answers: Answer) -> None:
        """What the next messages get, one each, after what is scripted already."""
        self._scripted += answers

    def script_actions(self, *answers: Answer) -> None:
        """The same for calls without a message."""
        self._scripted_actions += answers

    def forget(self) -> None:
        """What was scripted for messages and not used yet is not done."""
        self._scripted.clear()

    def release(self) -> None:
        """Ends what hangs; it is answered as accepted or not answered at all. What hangs later waits for the next."""
        self._released.set()
        self._released = asyncio.Event()

    async def wait_for(self, count: int, *, seconds: float = 10) -> list[Call]:
        """Returns the calls as soon as there are ``count``. Raises `TimeoutError`."""
        await self._wait(lambda: len(self.calls) >= count, f"{count} calls", seconds)
        return self.calls

    async def wait_for_sends(self, count: int, *, seconds: float = 10) -> list[Call]:
        """The same for the calls that carry a message."""
        await self._wait(lambda: len(self.sends) >= count, f"{count} sends", seconds)
        return self.sends

    async def _wait(self, enough: Callable[[], bool], what: str, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds), self._arrived:
                await self._arrived.wait_for(enough)
        except TimeoutError:
            raise TimeoutError(f"waited {seconds:g} s for {what}; arrived: {self.calls}") from None

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        call = await self._record(request)
        if call.path.endswith("/subscribed_apps"):
            return self._subscribe(call)
        scripted = self._scripted if call.is_message else self._scripted_actions
        answer = scripted.popleft() if scripted else ok()
        identifier = await self._accept(call) if answer.accepted else ""
        if answer.how == "hang":
            self.hanging += 1
            await self._released.wait()
            self.hanging -= 1
        if answer.how == "reset" or (answer.how == "hang" and not answer.accepted):
            _reset(request)
        return await self._answer(request, call, answer, identifier)

    def _subscribe(self, call: Call) -> web.Response:
        if call.method == "POST":
            self.subscribed = call.query["subscribed_fields"].split(",")
            return web.json_response({"success": True})
        apps = [{"id": "42", "name": "Desk", "subscribed_fields": self.subscribed}] if self.subscribed else []
        return web.json_response({"data": apps})

    async def _record(self, request: web.Request) -> Call:
        if request.content_type.startswith("multipart/"):
            return await self._record_form(request)
        body = await request.read()
        call = Call(
            number=len(self.calls) + 1,
            method=request.method,
            path=request.path,
            query=dict(request.query),
            headers=dict(request.headers),
            json=json.loads(body) if body else {},
            at=time.monotonic(),
        )
        return await self._keep(call)

    async def _record_form(self, request: web.Request) -> Call:
        """A message with a file: the fields as JSON, the file's bytes in `files`."""
        form = await request.post()
        content: dict[str, Any] = {}
        for name, value in form.items():
            if isinstance(value, web.FileField):
                self.files.append((value.filename, value.content_type, value.file.read()))
            else:
                content[name] = json.loads(str(value)) if str(value).startswith("{") else value
        number, headers = len(self.calls) + 1, dict(request.headers)
        call = Call(number, request.method, request.path, dict(request.query), headers, content, time.monotonic())
        return await self._keep(call)

    async def _keep(self, call: Call) -> Call:
        self._write(call)
        async with self._arrived:
            self.calls.append(call)
            self._arrived.notify_all()
        return call

    def _write(self, call: Call) -> None:
        if self._log is None:
            return
        with self._log.open("a") as file:
            file.write(json.dumps(asdict(call)) + "\n")
            file.flush()
            os.fsync(file.fileno())

    async def _accept(self, call: Call) -> str:
        if not call.is_message:
            return ""
        self._accepted += 1
        identifier = f"m_{self._accepted}"
        if self.on_send is not None:
            await self.on_send(call, identifier)
        return identifier

    async def _answer(self, request: web.Request, call: Call, answer: Answer, identifier: str) -> web.StreamResponse:
        accepted = {"recipient_id": call.recipient} | ({"message_id": identifier} if identifier else {})
        if answer.how == "flood":
            return await _flood(request)
        if answer.how != "cut":
            body = json.dumps(accepted).encode() if answer.body is None else answer.body
            headers = answer.headers or {"Content-Type": "application/json"}
            return web.Response(status=answer.status, body=body, headers=headers)
        whole = json.dumps(accepted).encode()
        response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": str(len(whole))})
        await response.prepare(request)
        await response.write(whole[: len(whole) // 2])
        if request.transport is not None:
            request.transport.close()
        return response


def sign(body: bytes, secret: str) -> dict[str, str]:
    """The headers of a webhook that Meta signed."""
    signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return {"X-Hub-Signature-256": f"sha256={signature}", "Content-Type": "application/json"}


def webhook(page: str, *events: Mapping[str, Any], kind: str = "page", at: int | None = None) -> bytes:
    """A webhook with these events in one entry, written as Meta writes it: escaped to ASCII."""
    now = int(time.time() * 1000) if at is None else at
    return json.dumps({"object": kind, "entry": [{"id": page, "time": now, "messaging": list(events)}]}).encode()


def message(page: str, customer: str, mid: str, text: str, *, at: int | None = None) -> dict[str, Any]:
    """The event of a customer's message; ``at`` in milliseconds."""
    return {
        "sender": {"id": customer},
        "recipient": {"id": page},
        "timestamp": int(time.time() * 1000) if at is None else at,
        "message": {"mid": mid, "text": text},
    }


def echo_of(call: Call, identifier: str, *, app_id: int | None) -> dict[str, Any]:
    """The event that tells of an accepted message; ``app_id`` None is a person in the page's own inbox."""
    content = call.json["message"]
    told = {"mid": identifier, "is_echo": True, **content} | ({} if app_id is None else {"app_id": app_id})
    return {
        "sender": {"id": call.page},
        "recipient": {"id": call.recipient},
        "timestamp": int(time.time() * 1000),
        "message": told,
    }


async def _flood(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    with suppress(ConnectionError):  # the client has had enough
        while True:
            await response.write(b"[" * 65_536)
    return response


def _reset(request: web.Request) -> None:
    transport = request.transport
    if transport is None:
        return
    connection = transport.get_extra_info("socket")
    if connection is not None:  # linger of zero seconds: the kernel sends RST instead of FIN
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
