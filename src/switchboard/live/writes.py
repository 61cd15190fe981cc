"""A request that changed something wakes the feed: its process need not wait until it looks by itself."""

from typing import cast

from switchboard.bell import Bell
from switchboard.http.requests import Application, Message, Receive, Scope, Send

_WRITING = frozenset({"POST", "PUT", "PATCH", "DELETE"})


class Writes:
    """Plain ASGI: rings the bell of the feed when a request that may have written was answered well."""

    def __init__(self, app: Application) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in _WRITING:
            await self._app(scope, receive, send)
            return

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] < 400:
                cast(Bell, scope["state"]["events_bell"]).ring()
            await send(message)

        await self._app(scope, receive, answer)
