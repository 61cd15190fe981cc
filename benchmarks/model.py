"""A model that answers at once, or after DELAY seconds, in OpenAI's wire; it remembers when it was asked what.
With FAIL it answers 500.

With GAP it writes like a real one, a piece every GAP seconds and PIECES of them (20).

`GET /calls` tells [last words of the customer, when they came on the monotonic clock] of every call, and forgets them.
"""

import asyncio
import json
import os
import time

from aiohttp import web

ANSWER = ["We open at nine", " and close at five", ", every day but Sunday."]


def stream(model: str, answer: list[str] = ANSWER) -> bytes:
    """The whole answer: its pieces, its end, and what it cost."""
    envelope = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": model}
    deltas = [{"role": "assistant", "content": ""}, *({"content": piece} for piece in answer)]
    choices = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    choices.append({"index": 0, "delta": {}, "finish_reason": "stop"})
    chunks = [{**envelope, "choices": [choice], "usage": None} for choice in choices]
    usage = {"prompt_tokens": 300, "completion_tokens": 20, "total_tokens": 320}
    chunks.append({**envelope, "choices": [], "usage": usage})
    lines = [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks]
    return "".join([*lines, "data: [DONE]\n\n"]).encode()


class Model:
    """Its routes."""

    def __init__(self, delay: float, gap: float, pieces: int, *, fails: bool) -> None:
        self._delay = delay
        self._fails = fails
        self._gap = gap
        words = [f"word {number} " for number in range(pieces)]
        self._lines = stream("benchmark-model", words).split(b"\n\n")[:-1]
        self._calls: list[tuple[str, float]] = []
        self._sends = 0
        self._prompt: list[dict[str, str]] = []
        self._answer = stream("benchmark-model")

    async def complete(self, request: web.Request) -> web.StreamResponse:
        """`POST /v1/chat/completions`, streamed."""
        came = time.monotonic()
        asked = json.loads(await request.read())
        self._prompt = asked["messages"]
        self._calls.append((self._prompt[-1]["content"], came))
        if self._delay:
            await asyncio.sleep(self._delay)
        if self._fails:
            return web.json_response({"error": {"message": "no", "type": "server_error"}}, status=500)
        if self._gap:
            return await self._write(request)
        return web.Response(body=self._answer, content_type="text/event-stream")

    async def _write(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for line in self._lines:
            await response.write(line + b"\n\n")
            await asyncio.sleep(self._gap)
        return response

    async def act(self, _: web.Request) -> web.Response:
        """The Graph API: takes every message."""
        self._sends += 1
        return web.json_response({"recipient_id": "1", "message_id": f"m_{self._sends}"})

    async def prompt(self, _: web.Request) -> web.Response:
        """The messages of the last call."""
        return web.json_response(self._prompt)

    async def ready(self, _: web.Request) -> web.Response:
        """It has started."""
        return web.Response()

    async def calls(self, _: web.Request) -> web.Response:
        """What was asked since the last time."""
        told, self._calls = self._calls, []
        return web.json_response(told)


if __name__ == "__main__":
    told = (float(os.environ.get(name, "0")) for name in ("DELAY", "GAP"))
    here = Model(*told, int(os.environ.get("PIECES", "20")), fails=bool(os.environ.get("FAIL")))
    app = web.Application(client_max_size=50_000_000)
    app.router.add_post("/v1/chat/completions", here.complete)
    app.router.add_get("/health/ready", here.ready)
    app.router.add_post("/v23.0/{page}/messages", here.act)
    app.router.add_get("/prompt", here.prompt)
    app.router.add_get("/calls", here.calls)
    web.run_app(app, host="127.0.0.1", port=int(os.environ["PORT"]), access_log=None, print=None)
