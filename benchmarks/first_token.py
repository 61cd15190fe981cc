"""P5: the first words of an answer, told as they are written, against the vendor's SDK alone."""

import asyncio
import json
import random
import time
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import aiohttp

from benchmarks import ground, servers
from benchmarks.measure import Figures, Report, Scale, interleave, percentile
from benchmarks.servers import Server
from switchboard import clock
from switchboard.auth import make_token
from switchboard.providers.wire import open_client

COMPARED = (
    "50 clients at once, each with a session of its own: `POST sessions/{id}/send` with `Accept: text/event-stream`,"
    " from before the request to its first `delta`, through `switchboard serve` on Postgres (message stored, turn"
    " claimed, knowledge looked up, prompt built, model asked). Against"
    " `AsyncOpenAI.chat.completions.create(stream=True)` with the same prompt, to its first piece of text. Both from"
    " one process and to one model, which begins after 0.25 s and writes a piece every 50 ms, 20 of them; every stream"
    " is read to its end, then its client begins the next one."
)
SDK, OURS = "openai SDK alone", "switchboard, send/ told as events"
STREAMS = 50
SECRET = "a-secret-for-benchmarks-only-of-48-letters-in-all"
QUESTION = "Hello! When do you open tomorrow, and is there parking?"
BEGINS_AFTER, GAP, PIECES = 0.25, 0.05, 20


class Ours:
    """Clients of the service."""

    def __init__(self, server: Server, http: aiohttp.ClientSession) -> None:
        self._server = server
        self._http = http
        self.sessions: list[str] = []
        token = make_token(
            SECRET.encode(), role="support", workspace_id=1, subject="bench", ttl=timedelta(hours=2), now=clock.now()
        )
        self._headers = {"authorization": f"Bearer {token}", "accept": "text/event-stream"}

    async def open(self, many: int) -> None:
        """So many sessions."""
        for number in range(many):
            body = {"user_id": f"u{number}", "workspace": 1}
            url = f"http://127.0.0.1:{self._server.port}/api/conversations"
            async with self._http.post(url, json=body, headers=self._headers) as answer:
                self.sessions.append(str((await answer.json())["id"]))

    async def ask(self, client: int) -> float:
        """One stream; seconds to its first text."""
        url = f"http://127.0.0.1:{self._server.port}/api/v1/ai/sessions/{self.sessions[client]}/send"
        began, first, ended = time.perf_counter(), 0.0, b""
        async with self._http.post(url, json={"message": QUESTION}, headers=self._headers) as answer:
            async for line in answer.content:
                if line.startswith(b"event:"):
                    ended = line
                    if not first and line == b"event: delta\n":
                        first = time.perf_counter() - began
        if ended != b"event: done\n":
            raise RuntimeError(f"a stream ended with {ended!r}")
        return first


class Alone:
    """Clients of the SDK."""

    def __init__(self, base_url: str, messages: list[Any]) -> None:
        import openai

        self._client = openai.AsyncOpenAI(
            api_key="none", base_url=base_url, max_retries=0, http_client=open_client(patience=8)
        )
        self._messages = messages

    async def ask(self, _: int) -> float:
        """One stream; seconds to its first text."""
        began, first = time.perf_counter(), 0.0
        stream = await self._client.chat.completions.create(
            model="benchmark-model", messages=self._messages, stream=True, stream_options={"include_usage": True}
        )
        async for chunk in stream:
            if not first and chunk.choices and chunk.choices[0].delta.content:
                first = time.perf_counter() - began
        return first

    async def close(self) -> None:
        """Gives back the connections."""
        await self._client.close()


async def measure(side: Ours | Alone, clients: int, seconds: float) -> Figures:
    """``clients`` at once for so long; those that came together have drawn apart before anything counts."""
    length = BEGINS_AFTER + GAP * PIECES
    began = time.monotonic()
    taken: list[float] = []

    async def client(number: int) -> None:
        await asyncio.sleep(random.uniform(0, length))
        while time.monotonic() - began < seconds + 2 * length:
            counts = time.monotonic() - began > length
            first = await side.ask(number)
            if counts:
                taken.append(first * 1000)

    await asyncio.gather(*(client(number) for number in range(clients)))
    return {"p50": percentile(taken, 0.5), "p99": percentile(taken, 0.99), "streams": float(len(taken))}


async def run(scale: Scale) -> Report:
    """The same streams with us and without us."""
    report = Report("P5", "The first words of an answer", COMPARED)
    clients = scale.some(STREAMS, 2)
    async with AsyncExitStack() as stack:
        cluster = await stack.enter_async_context(ground.cluster())
        dsn = await ground.migrated(cluster)
        model = await stack.enter_async_context(
            servers.serving(servers.model(DELAY=str(BEGINS_AFTER), GAP=str(GAP), PIECES=str(PIECES)))
        )
        address = f"http://127.0.0.1:{model.port}"
        service = servers.service(
            dsn,
            JWT_SECRET=SECRET,
            DEFAULT_MODEL="openai:benchmark-model",
            OPENAI_BASE_URL=f"{address}/v1",
            OPENAI_API_KEY="none",
            REPLY_CONCURRENCY=str(STREAMS + 14),
            WORKSPACE_CONCURRENCY=str(STREAMS + 14),
        )
        server = await stack.enter_async_context(servers.serving(service))
        http = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
        ours = Ours(server, http)
        await ours.open(clients)
        await ours.ask(0)
        async with http.get(f"{address}/prompt") as response:
            messages = json.loads(await response.read())
        alone = Alone(f"{address}/v1", messages)
        stack.push_async_callback(alone.close)
        seconds = max(scale.seconds, 0.2)
        for side in (alone, ours):
            await measure(side, clients, 0.1)
        rounds = await interleave(
            {
                SDK: lambda: measure(alone, clients, seconds),
                OURS: lambda: measure(ours, clients, seconds),
            },
            scale.rounds,
        )
    report.tables.append(rounds.table({"p50": "first text, p50, ms", "p99": "p99, ms", "streams": "streams"}))
    report.raw["rounds"] = rounds.sides
    report.target("added p50", rounds.added(OURS, SDK, "p50"), 2.0, "ms")
    report.target("added p99", rounds.added(OURS, SDK, "p99"), 5.0, "ms")
    return report
