"""P13: what an open stream costs the process that holds it."""

import asyncio
import gc
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from stands.app import JWT_SECRET, bearer, local_settings, token
from stands.pooler import database_environment
from stands.service import Service

STREAMS = 2000
MOST_KIB = {"sse": 12, "websocket": 40}


def resident(pid: int) -> int:
    """KiB of memory that the process has."""
    found = re.search(r"^VmRSS:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found
    return int(found[1])


@pytest.mark.parametrize("form", ["sse", "websocket"])
async def test_two_thousand_streams_cost_little_each(
    database_url: str, sql: asyncpg.Connection, form: str, record_property: Callable[[str, object], None]
) -> None:
    with Service(
        **database_environment(database_url),
        JWT_SECRET=JWT_SECRET,
        REPLY_CONCURRENCY="0",
        STREAMS_PER_CALLER="0",
        RATE_LIMIT_CALLER="0",
        LOG_LEVEL="error",
    ) as service:
        head = ask(service.address, form)
        pid: int = service.terminal._process.pid
        # The first ones stay, so that nothing that they gave back is counted as memory of the others.
        opened = await asyncio.gather(*(connect(service.address, head) for _ in range(500)))
        await asyncio.sleep(1)
        before = resident(pid)
        for _ in range(STREAMS // 20):
            opened += await asyncio.gather(*(connect(service.address, head) for _ in range(20)))
        await asyncio.sleep(1)
        each = (resident(pid) - before) / STREAMS
        workspace = await sql.fetchval("select id from workspaces order by id limit 1")
        await sql.execute("select write_event($1, 1, null, 'x', '{}')", workspace)
        async with asyncio.timeout(20):
            for reader, _ in opened:
                await reader.readuntil(b'"type":"x"')
        for _, writer in opened:
            writer.transport.abort()
        with suppress(ConnectionError):
            await asyncio.sleep(0.1)
        gc.collect()
    record_property(f"KiB for each of {STREAMS}, {form}", each)
    assert each <= MOST_KIB[form]


def ask(address: str, form: str) -> bytes:
    """The head of a request for a stream, as a small client sends it."""
    authorization = bearer(token(local_settings()))["authorization"]
    lines = [f"host: {urlsplit(address).netloc}", f"authorization: {authorization}"]
    if form == "sse":
        lines.insert(0, "GET /api/events HTTP/1.1")
    else:
        lines.insert(0, "GET /ws/events HTTP/1.1")
        lines += ["upgrade: websocket", "connection: Upgrade", "sec-websocket-version: 13"]
        lines += ["sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ=="]
    return "\r\n".join([*lines, "", ""]).encode()


async def connect(address: str, head: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    url = urlsplit(address)
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    writer.write(head)
    first = await reader.readuntil(b"\r\n\r\n")
    assert first.split()[1] in (b"200", b"101"), first
    await reader.readuntil(b"retry")
    return reader, writer
