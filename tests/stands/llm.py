"""A model provider that is really there: a local HTTP server that speaks the vendors' wire and does as it is told.

    async with LlmStand() as llm:
        llm.play(say("We open ", "at nine."), fail(429, retry_after="2"))   # for the next two calls, in order
        ... point OPENAI_BASE_URL at llm.openai_url, MISTRAL_BASE_URL at llm.mistral_url, the others at llm.url ...
        await llm.wait_for(2)
        assert llm.calls[0].body["model"] == "gpt-5.4-mini"

To add a vendor, write its wire as `llm_openai.py` does and add its route to `_WIRES`.
"""

import asyncio
import json
import os
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from stands import llm_anthropic, llm_gemini, llm_mistral, llm_openai
from stands.plays import (
    ANSWER,
    Play,
    babble,
    bomb,
    call_tool,
    cut,
    empty,
    end_early,
    error_in_stream,
    fail,
    flood,
    hang,
    html,
    junk,
    obey,
    say,
    stall,
)

__all__ = [
    "ANSWER",
    "Call",
    "LlmStand",
    "Play",
    "babble",
    "bomb",
    "call_tool",
    "cut",
    "empty",
    "end_early",
    "error_in_stream",
    "fail",
    "flood",
    "hang",
    "html",
    "junk",
    "obey",
    "say",
    "stall",
]

Wire = Callable[[Play, dict[str, Any]], AsyncIterator[bytes | None]]
"""The lines of a stream for a request's body; None resets the connection."""
ErrorBody = Callable[[Play], dict[str, Any]]
_WIRES = (
    ("openai", "/v1/chat/completions", llm_openai),
    ("mistral", "/mistral/v1/chat/completions", llm_mistral),
    ("anthropic", "/v1/messages", llm_anthropic),
    ("gemini", "/v1beta/models/{model}:streamGenerateContent", llm_gemini),
)


@dataclass(frozen=True)
class Call:
    """One request as it came. ``number`` counts from 1; ``at`` is in seconds since the epoch."""

    number: int
    at: float
    vendor: str
    path: str
    headers: dict[str, str]
    body: dict[str, Any]


class LlmStand:
    """The server. ``log``: a file that gets every call as a line of JSON, on disk before the call is answered."""

    def __init__(self, *, log: Path | None = None, default: Play | None = None) -> None:
        self.calls: list[Call] = []
        self.default = default or Play()
        self.sent_pieces = 0
        self.gone = 0
        """Calls whose client hung up before the answer was whole."""
        self._log = log
        self._plays: deque[Play] = deque()
        self._changed = asyncio.Condition()
        self._closing = False

    def play(self, *plays: Play) -> None:
        """What happens in the next calls, in order; the default again after them."""
        self._plays.extend(plays)

    @property
    def openai_url(self) -> str:
        """For OPENAI_BASE_URL."""
        return f"{self.url}/v1"

    @property
    def mistral_url(self) -> str:
        """For MISTRAL_BASE_URL."""
        return f"{self.url}/mistral"

    @property
    def url(self) -> str:
        """For ANTHROPIC_BASE_URL and GEMINI_BASE_URL."""
        return f"http://127.0.0.1:{self.port}"

    async def wait_for(self, calls: int, seconds: float = 10) -> None:
        """Until so many calls have come in all. Raises TimeoutError."""
        await self._until(lambda: len(self.calls) >= calls, seconds)

    async def wait_for_gone(self, clients: int = 1, seconds: float = 10) -> None:
        """Until so many clients have hung up on an unfinished answer. Raises TimeoutError."""
        await self._until(lambda: self.gone >= clients, seconds)

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=50_000_000)
        for vendor, path, wire in _WIRES:
            app.router.add_post(path, self._serve(vendor, wire.stream, wire.error_body))
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port: int = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing = True
        await self._runner.cleanup()

    def _serve(
        self,
        vendor: str,
        wire: Wire,
        error_body: ErrorBody,
    ) -> Callable[[web.Request], Any]:
        async def handle(request: web.Request) -> web.StreamResponse:
            body: dict[str, Any] = await request.json()
            # One vendor names the model in the address.
            body |= request.match_info
            await self._note(vendor, request, body)
            play = self._plays.popleft() if self._plays else self.default
            if play.obedient:
                play = replace(play, pieces=(json.dumps(body, ensure_ascii=False),))
            try:
                return await self._perform(request, play, wire(play, body), error_body)
            except (asyncio.CancelledError, ConnectionError):
                await self._note_gone()
                raise

        return handle

    async def _perform(
        self,
        request: web.Request,
        play: Play,
        wire: AsyncIterator[bytes | None],
        error_body: ErrorBody,
    ) -> web.StreamResponse:
        if play.pause and play.pause_after < 0:
            await play.pause.wait()
        if play.status != 200:
            return web.json_response(error_body(play), status=play.status, headers=play.headers)
        if play.raw is not None:
            return web.Response(body=play.raw, content_type=play.content_type, headers=play.headers)
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        async for data in wire:
            if data is None:
                assert request.transport is not None
                request.transport.abort()
                break
            await response.write(data)
            self.sent_pieces += 1
        return response

    async def _note(self, vendor: str, request: web.Request, body: dict[str, Any]) -> None:
        headers = {name.lower(): value for name, value in request.headers.items()}
        call = Call(len(self.calls) + 1, time.time(), vendor, request.path, headers, body)
        if self._log is not None:
            with self._log.open("a", encoding="utf-8") as file:
                file.write(json.dumps(vars(call), ensure_ascii=False) + "\n")
                file.flush()
                os.fsync(file.fileno())
        async with self._changed:
            self.calls.append(call)
            self._changed.notify_all()

    async def _note_gone(self) -> None:
        if not self._closing:
            async with self._changed:
                self.gone += 1
                self._changed.notify_all()

    async def _until(self, true: Callable[[], bool], seconds: float) -> None:
        async with asyncio.timeout(seconds), self._changed:
            await self._changed.wait_for(true)
