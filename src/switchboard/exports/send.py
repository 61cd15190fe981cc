"""A file as an answer: sent as it is made, cut off where it breaks, and given up when nobody takes it any more."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import structlog
from starlette.responses import Response

from switchboard.http.requests import Receive, Scope, Send

log = structlog.get_logger()


class FileAnswer(Response):
    """Sends what ``making`` yields. An error is raised after all, so that the server cuts the connection.

    ``making`` is closed in any case; of a file that was cut nobody can think that it is whole: it never got its end.
    """

    def __init__(self, making: AsyncGenerator[bytes], *, media_type: str, file_name: str) -> None:
        # The second header: nginx would collect some of it first. Both names are ASCII.
        super().__init__(
            media_type=media_type,
            headers={"content-disposition": f'attachment; filename="{file_name}"', "x-accel-buffering": "no"},
        )
        del self.headers["content-length"]
        self._making = making

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
        sending = asyncio.create_task(self._send(send))
        leaving = asyncio.create_task(_gone(receive))
        try:
            await asyncio.wait([sending, leaving], return_when=asyncio.FIRST_COMPLETED)
        finally:
            sending.cancel()
            leaving.cancel()
            await asyncio.wait([sending, leaving])
        if sending.cancelled():
            log.info("an export was given up: nobody takes it any more")
        elif error := sending.exception():
            raise error

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async with aclosing(self._making) as making:
            async for chunk in making:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
                # Sending does not wait while there is room: whoever else is served gets a turn all the same.
                await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
