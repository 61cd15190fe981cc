"""A stand-in for Telegram: the Bot API on a free port of this machine, and the updates Telegram would send.

It speaks the real wire: `POST /bot<token>/<method>` with JSON or a form, `GET /file/bot<token>/<path>`. What it answers
is scripted per message; the rest of the time it accepts. Every call is kept.
"""

import asyncio
import json
import socket
import struct
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from aiohttp import web

TOKEN = "7000000001:AAexampleTokenOfTheBotForTheTests"
BOT = "7000000001"
SECRET = "a-secret-token-for-the-tests-only"
WEBHOOK = "/webhooks/telegram"


@dataclass(frozen=True, slots=True)
class Call:
    """One request: the ``method`` of the API, its fields, and its files by field: (name, type, bytes)."""

    method: str
    fields: dict[str, Any]
    files: dict[str, tuple[str, str, bytes]]
    at: float

    @property
    def is_message(self) -> bool:
        return self.method.startswith("send") and self.method != "sendChatAction"


@dataclass(frozen=True, slots=True)
class Reply:
    """How the stand treats one message."""

    how: Literal["answer", "reset", "hang", "cut"] = "answer"
    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


def refuse(code: int, description: str, **parameters: Any) -> Reply:
    """An error in the Bot API's form."""
    content: dict[str, Any] = {"ok": False, "error_code": code, "description": description}
    return Reply(status=code, body=content | ({"parameters": parameters} if parameters else {}))


def blocked() -> Reply:
    """What a bot hears whom the user has blocked."""
    return refuse(403, "Forbidden: bot was blocked by the user")


def slow_down(seconds: int) -> Reply:
    """The flood limit."""
    return refuse(429, f"Too Many Requests: retry after {seconds}", retry_after=seconds)


def reset() -> Reply:
    """The message is taken, then the connection is reset."""
    return Reply("reset")


def hang() -> Reply:
    """No answer until the stand closes."""
    return Reply("hang")


def cut() -> Reply:
    """A 200 that ends in the middle of its JSON."""
    return Reply("cut")


def html(status: int = 502) -> Reply:
    """What a proxy in between says."""
    return Reply(status=status, body=b"<html>Bad gateway</html>")


class TelegramStand:
    """The Bot API for one bot; `async with TelegramStand() as telegram: ... telegram.url`.

    ``webhook``: what `setWebhook` has set, shown by `getWebhookInfo`. ``files``: what can be fetched, by file id.
    """

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.url = ""
        self.webhook: dict[str, Any] = {"url": "", "has_custom_certificate": False, "pending_update_count": 0}
        self.files: dict[str, bytes] = {}
        self.fetched = 0
        self._scripted: deque[Reply] = deque()
        self._arrived = asyncio.Condition()
        self._released = asyncio.Event()
        self._runner: web.AppRunner | None = None
        self._messages = 100

    async def __aenter__(self) -> Self:
        application = web.Application(client_max_size=60_000_000)
        application.router.add_route("*", "/bot{token}/{method}", self._serve)
        application.router.add_get("/file/bot{token}/{path:.+}", self._give)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        await web.SockSite(self._runner, listener).start()
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._released.set()
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def sends(self) -> list[Call]:
        """The calls that carry a message, without typing and the like."""
        return [call for call in self.calls if call.is_message]

    def called(self, method: str) -> list[Call]:
        """The calls of one method."""
        return [call for call in self.calls if call.method == method]

    def script(self, *replies: Reply) -> None:
        """What the next messages get, one each."""
        self._scripted += replies

    async def wait_for_sends(self, count: int, *, seconds: float = 10) -> list[Call]:
        """Returns the messages as soon as there are ``count``. Raises `TimeoutError`."""
        await self.wait_until(lambda: len(self.sends) >= count, seconds=seconds)
        return self.sends

    async def wait_until(self, true: Callable[[], bool], *, seconds: float = 10) -> None:
        """Returns when a call has made ``true`` so."""
        async with asyncio.timeout(seconds), self._arrived:
            await self._arrived.wait_for(true)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        if request.match_info["token"] != TOKEN:
            return _json(401, {"ok": False, "error_code": 401, "description": "Unauthorized"})
        call = await _read(request)
        async with self._arrived:
            self.calls.append(call)
            self._arrived.notify_all()
        if call.method == "getFile" and call.fields["file_id"] not in self.files:
            return _json(400, {"ok": False, "error_code": 400, "description": "Bad Request: invalid file_id"})
        if not call.is_message:
            return _json(200, {"ok": True, "result": self._result(call)})
        return await self._answer(request, call, self._scripted.popleft() if self._scripted else Reply())

    def _result(self, call: Call) -> Any:
        if call.method == "setWebhook":
            self.webhook |= {"url": call.fields["url"], "allowed_updates": call.fields["allowed_updates"]}
        elif call.method == "getWebhookInfo":
            return self.webhook
        elif call.method == "getFile":
            size = len(self.files[call.fields["file_id"]])
            return {
                "file_id": call.fields["file_id"],
                "file_size": size,
                "file_path": f"photos/{call.fields['file_id']}",
            }
        return True

    async def _answer(self, request: web.Request, call: Call, reply: Reply) -> web.StreamResponse:
        self._messages += 1
        chat = {"id": int(call.fields["chat_id"]), "type": "private"}
        sent = {"ok": True, "result": {"message_id": self._messages, "date": int(time.time()), "chat": chat}}
        if reply.how == "hang":
            await self._released.wait()
        if reply.how in {"reset", "hang"}:
            _reset(request)
            return web.Response()
        if reply.how == "cut":
            whole = json.dumps(sent).encode()
            response = web.StreamResponse(headers={"Content-Length": str(len(whole))})
            await response.prepare(request)
            await response.write(whole[: len(whole) // 2])
            _reset(request)
            return response
        if isinstance(reply.body, bytes):
            return web.Response(status=reply.status, body=reply.body, content_type="text/html")
        return _json(reply.status, sent if reply.body is None else reply.body)

    async def _give(self, request: web.Request) -> web.Response:
        self.fetched += 1
        found = self.files.get(request.match_info["path"].rpartition("/")[2])
        if request.match_info["token"] != TOKEN or found is None:
            return web.Response(status=404)
        return web.Response(body=found, content_type="application/octet-stream")


def signed(secret: str = SECRET) -> dict[str, str]:
    """The headers of an update."""
    return {"X-Telegram-Bot-Api-Secret-Token": secret, "Content-Type": "application/json"}


def update(number: int, **what: Any) -> bytes:
    """An update; Telegram writes JSON escaped to ASCII."""
    return json.dumps({"update_id": number, **what}).encode()


def person(chat: int = 4711, **more: Any) -> dict[str, Any]:
    """A user who is no bot."""
    return {"id": chat, "is_bot": False, "first_name": "Ada", "last_name": "Byron", "language_code": "en", **more}


def said(
    number: int, text: str | None = None, *, chat: int = 4711, at: int | None = None, **more: Any
) -> dict[str, Any]:
    """The `message` of a private chat with message id ``number``; ``at`` in seconds."""
    message: dict[str, Any] = {
        "message_id": number,
        "from": person(chat),
        "chat": {"id": chat, "type": "private", "first_name": "Ada"},
        "date": int(time.time()) if at is None else at,
    }
    return message | ({} if text is None else {"text": text}) | more


def tapped(number: int, payload: str, *, chat: int = 4711, label: str = "Yes please") -> dict[str, Any]:
    """The `callback_query` of a tap on a button below message ``number``."""
    keyboard = {"inline_keyboard": [[{"text": "No", "callback_data": "no"}, {"text": label, "callback_data": payload}]]}
    ours = said(number, "Book a table?", chat=chat, reply_markup=keyboard) | {"from": {"id": 7, "is_bot": True}}
    return {"id": f"tap{number}", "from": person(chat), "message": ours, "chat_instance": "1", "data": payload}


def membership(status: str, *, chat: int = 4711, at: int | None = None) -> dict[str, Any]:
    """The `my_chat_member` that tells that the person blocked the bot (`kicked`) or did not any more (`member`)."""
    bot = {"id": int(BOT), "is_bot": True, "first_name": "Café"}
    return {
        "chat": {"id": chat, "type": "private", "first_name": "Ada"},
        "from": person(chat),
        "date": int(time.time()) if at is None else at,
        "old_chat_member": {"user": bot, "status": "member" if status == "kicked" else "kicked"},
        "new_chat_member": {"user": bot, "status": status},
    }


async def _read(request: web.Request) -> Call:
    fields: dict[str, Any] = {}
    files: dict[str, tuple[str, str, bytes]] = {}
    if request.content_type.startswith("multipart/"):
        for name, value in (await request.post()).items():
            if isinstance(value, web.FileField):
                files[name] = (value.filename, value.content_type, value.file.read())
            else:
                fields[name] = value
    else:
        body = await request.read()
        fields = json.loads(body) if body else dict(request.query)
    return Call(request.match_info["method"], fields, files, time.monotonic())


def _json(status: int, content: Any) -> web.Response:
    return web.json_response(content, status=status)


def _reset(request: web.Request) -> None:
    if request.transport is None:
        return
    connection = request.transport.get_extra_info("socket")
    if connection is not None:  # linger of zero seconds: the kernel sends RST instead of FIN
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    request.transport.abort()
