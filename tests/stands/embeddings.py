"""An embedding server that is really there: OpenAI's wire, and meanings that a test can foresee.

A text becomes the sum of the directions of its words. Words that `SAME` names together have one direction, so that two
texts can be near in meaning without sharing a word.
"""

import asyncio
import base64
import hashlib
import re
import struct
from types import TracebackType
from typing import Any, Self

from aiohttp import web

SAME = ({"parcel", "shipment", "package", "delivery"}, {"expensive", "cost", "price", "dear"}, {"dog", "pet", "hound"})


class EmbeddingStand:
    """The server. ``numbers``: how many it makes of a text; ``status``: of its next answers."""

    def __init__(self, numbers: int = 64) -> None:
        self.numbers = numbers
        self.status = 200
        self.pause: asyncio.Event | None = None
        self.calls: list[dict[str, Any]] = []
        self.answer: Any = None
        """What it answers instead, if anything."""

    @property
    def url(self) -> str:
        """For OPENAI_BASE_URL."""
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def texts(self) -> list[str]:
        """All that it was told."""
        return [text for call in self.calls for text in call["input"]]

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=50_000_000)
        app.router.add_post("/v1/embeddings", self._serve)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port: int = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    async def _serve(self, request: web.Request) -> web.Response:
        body: dict[str, Any] = await request.json()
        self.calls.append(body)
        if self.pause is not None:
            await self.pause.wait()
        if self.status != 200:
            return web.json_response({"error": {"message": f"no: {body['input']}"}}, status=self.status)
        if self.answer is not None:
            return web.json_response(self.answer)
        data = [
            {"object": "embedding", "index": place, "embedding": self._written(meaning(text, self.numbers), body)}
            for place, text in enumerate(body["input"])
        ]
        tokens = sum(len(text) // 4 for text in body["input"])
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        # In another order than asked: their index says which is which.
        return web.json_response({"object": "list", "data": data[::-1], "model": body["model"], "usage": usage})

    def _written(self, vector: list[float], body: dict[str, Any]) -> Any:
        if body.get("encoding_format") == "base64":
            return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
        return vector


def meaning(text: str, numbers: int) -> list[float]:
    """The sum of the directions of the words."""
    total = [0.001] * numbers
    for word in re.findall(r"[a-z]+", text.lower()):
        word = next((sorted(group)[0] for group in SAME if word in group or word.removesuffix("s") in group), word)
        seed = hashlib.sha256(word.encode()).digest()
        for place in range(4):
            total[(seed[place] + 256 * seed[place + 4]) % numbers] += 1.0 if seed[place + 8] % 2 else -1.0
    return total
