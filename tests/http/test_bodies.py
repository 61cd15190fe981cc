"""How much of a body is read, for how long, and what becomes of somebody who sends more, or slower, or nothing."""

import asyncio
import contextlib
import gc
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from stands.app import bearer, local_settings, running_client, serving, signed, token
from switchboard.http.requests import LINGER_BYTES, LINGER_SECONDS, Bodies, Requests
from switchboard.metrics import Metrics
from switchboard.settings import Settings

LIMIT = 100_000


@pytest.fixture
def settings(database_url: str) -> Settings:
    return local_settings(database_url, max_body_bytes=LIMIT)


class Line:
    """A connection on which a test says what it wants, byte by byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, client: httpx.AsyncClient) -> "Line":
        return cls(*await asyncio.open_connection(client.base_url.host, client.base_url.port))

    async def say(self, *parts: bytes) -> None:
        for part in parts:
            self._writer.write(part)
            await self._writer.drain()

    async def hear(self, seconds: float = 10) -> tuple[int, bytes]:
        """Status and body of the next answer."""
        head = await self.hear_head(seconds)
        async with asyncio.timeout(seconds):
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
            return int(head.split(b" ")[1]), await self._reader.readexactly(int(length.split(b":")[1]))

    async def hear_head(self, seconds: float) -> bytes:
        """Status line and headers of the next answer."""
        async with asyncio.timeout(seconds):
            return await self._reader.readuntil(b"\r\n\r\n")

    async def ends(self, seconds: float) -> None:
        """Returns when the other side has hung up; fails if it does not in time, or says something before."""
        async with asyncio.timeout(seconds):
            try:
                assert await self._reader.read() == b""
            except ConnectionResetError:
                return

    def close(self) -> None:
        self._writer.close()


@pytest.fixture
async def line(client: httpx.AsyncClient) -> AsyncIterator[Line]:
    opened = await Line.open(client)
    yield opened
    opened.close()


def head(*headers: str, path: str = "/webhook") -> bytes:
    return "\r\n".join((f"POST {path} HTTP/1.1", "host: x", *headers, "", "")).encode()


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def test_a_body_that_says_it_is_too_large_is_refused_before_it_is_sent(line: Line) -> None:
    await line.say(head(f"content-length: {LIMIT + 1}"))
    status, body = await line.hear(seconds=1)
    assert status == 413
    assert b'"code":"too_large"' in body
    assert str(LIMIT).encode() in body


async def test_a_client_that_waits_for_a_go_ahead_gets_none(line: Line) -> None:
    await line.say(head(f"content-length: {10**15}", "expect: 100-continue"))
    status, _ = await line.hear(seconds=1)
    assert status == 413


async def test_a_body_within_the_limit_gets_its_go_ahead(line: Line) -> None:
    await line.say(head("content-length: 2", "expect: 100-continue"))
    assert await line.hear_head(seconds=2) == b"HTTP/1.1 100 Continue\r\n\r\n"
    await line.say(b"{}")
    assert (await line.hear())[0] == 403


async def test_the_last_byte_that_fits_fits(client: httpx.AsyncClient, line: Line) -> None:
    for size, status in ((LIMIT, 200), (LIMIT + 1, 413)):
        body = b" " * size
        assert (await client.post("/webhook", content=body, headers=signed(body))).status_code == status

        async def pieces(whole: bytes = body) -> AsyncIterator[bytes]:
            yield whole

        assert (await client.post("/webhook", content=pieces(), headers=signed(body))).status_code == status


async def test_an_endless_body_is_cut_off_and_not_kept(client: httpx.AsyncClient, line: Line) -> None:
    await line.say(head("transfer-encoding: chunked"))
    gc.collect()
    before = most = memory()
    sent = 0
    piece = chunk(b"x" * 65_536)
    started = time.monotonic()
    with contextlib.suppress(ConnectionError):
        while time.monotonic() - started < LINGER_SECONDS + 5:
            await line.say(piece)
            sent += len(piece)
            most = max(most, memory())
    assert time.monotonic() - started < LINGER_SECONDS + 3
    assert sent < LIMIT + LINGER_BYTES + 20_000_000  # what the machine's own buffers hold comes on top
    # Client and server are this one process.
    assert most - before < 30_000_000
    assert (await client.get("/health/live")).status_code == 200


async def test_whoever_sends_too_much_still_hears_why(line: Line) -> None:
    await line.say(head("transfer-encoding: chunked"), *[chunk(b"x" * 50_000)] * 10)
    status, body = await line.hear()
    assert status == 413
    assert b"larger than" in body
    await line.say(b"0\r\n\r\n")
    await line.ends(LINGER_SECONDS + 1)


async def test_a_declared_body_that_is_sent_anyway_is_answered_to_a_simple_client(client: httpx.AsyncClient) -> None:
    body = b"x" * (LIMIT * 20)
    answer = await client.post("/webhook", content=body, headers=signed(body))
    assert answer.status_code == 413
    assert answer.headers["connection"] == "close"


async def test_many_tiny_pieces_are_one_body(client: httpx.AsyncClient, line: Line) -> None:
    body = b'{"object": "page", "entry": []}'
    await line.say(head("transfer-encoding: chunked", *(f"{n}: {v}" for n, v in signed(body).items())))
    await line.say(*(chunk(body[place : place + 1]) for place in range(len(body))), b"0\r\n\r\n")
    assert (await line.hear())[0] == 200


async def test_a_body_that_never_ends_does_not_hold_the_service(settings: Settings) -> None:
    """The same middleware with a shorter patience."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        raise AssertionError("the body is not complete")

    patient = Bodies(app, max_bytes=LIMIT, seconds=0.3)

    async def with_state(scope: Any, receive: Any, send: Any) -> None:
        scope.setdefault("state", {})["metrics"] = Metrics()
        await Requests(patient)(scope, receive, send)

    async with serving(with_state) as address, httpx.AsyncClient(base_url=address) as client:
        slow, silent = await Line.open(client), await Line.open(client)
        try:
            await silent.say(head("content-length: 10"))
            await slow.say(head("transfer-encoding: chunked"))
            started = time.monotonic()
            while time.monotonic() - started < 0.25:
                await slow.say(chunk(b"x"))
                await asyncio.sleep(0.05)
            for waiting in (slow, silent):
                status, body = await waiting.hear(seconds=2)
                assert status == 400
                assert b"did not arrive within 0.3 seconds" in body
                await waiting.ends(LINGER_SECONDS + 1)
        finally:
            slow.close()
            silent.close()


async def test_a_client_that_hangs_up_leaves_nothing_behind(client: httpx.AsyncClient, settings: Settings) -> None:
    for parts in ([head("content-length: 10"), b"abc"], [head("transfer-encoding: chunked"), chunk(b"x")]):
        gone = await Line.open(client)
        await gone.say(*parts)
        gone.close()
    metrics = await client.get("/metrics", headers=bearer(token(settings)))
    assert metrics.status_code == 200


async def test_a_hundred_waiting_bodies_keep_nobody_from_being_answered(client: httpx.AsyncClient) -> None:
    lines = [await Line.open(client) for _ in range(100)]
    try:
        for waiting in lines:
            await waiting.say(head("content-length: 100"), b"x")
        started = time.monotonic()
        assert (await client.get("/health/ready")).status_code == 200
        assert time.monotonic() - started < 1
    finally:
        for waiting in lines:
            waiting.close()


async def test_the_real_limit_is_the_settings(database_url: str) -> None:
    async with running_client(local_settings(database_url)) as client:
        body = b" " * 1_999_999
        assert (await client.post("/webhook", content=body, headers=signed(body))).status_code == 200


def memory() -> int:
    """Bytes this process holds."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
    except FileNotFoundError:
        return 0  # no Linux: the rest of the test still holds
