"""A whole installation to break: Postgres, Facebook, a model and several processes of the service."""

import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from faults.evidence import WITNESS
from faults.fleet import GAVE_UP, Fleet, dying_with_its_parent
from stands.app import APP_SECRET, JWT_SECRET, PAGE, VERIFY_TOKEN, bearer, local_settings, token
from stands.clusters import Cluster, majors
from switchboard.database.migrations import migrate

SERVERS = Path(__file__).with_name("servers.py")
APP_ID = "47110815"
Way = Callable[[Cluster, str], Awaitable[str]]
"""Makes the address at which the service finds a database of a server."""
TURN_LEASE_SECONDS = 1.0
QUIET_SECONDS = 0.05
"""The workspaces' own quiet time, after which a burst counts as over."""


@dataclass
class Server:
    """Facebook or the model, as a process: its address and its control."""

    process: "subprocess.Popen[str]"
    url: str
    control: str

    @classmethod
    def start(cls, role: str, folder: Path, seed: int) -> "Server":
        """Returns when it listens."""
        command = [sys.executable, str(SERVERS), role, str(folder), str(seed)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=dying_with_its_parent())
        assert process.stdout is not None
        url, control = process.stdout.readline().split()
        return cls(process, url, control)

    async def script(self, **wanted: Any) -> None:
        """What it does next, see `servers.py`."""
        async with httpx.AsyncClient() as client:
            (await client.post(f"{self.control}/script", json=wanted)).raise_for_status()

    async def state(self) -> dict[str, int]:
        """What it has seen."""
        async with httpx.AsyncClient() as client:
            found: dict[str, int] = (await client.get(f"{self.control}/state")).json()
            return found

    async def wait_for(self, name: str, count: int, seconds: float = 20) -> None:
        """Returns when its state's ``name`` is ``count`` or more. Raises `TimeoutError`."""
        async with asyncio.timeout(seconds):
            while (await self.state())[name] < count:
                await asyncio.sleep(0.02)

    def stop(self) -> None:
        """Ends it."""
        self.process.terminate()
        self.process.communicate(timeout=10)


@dataclass
class Field:
    """What a trial happens on. `sql` is the superuser's own way to the database, past every proxy."""

    folder: Path
    cluster: Cluster
    database: str
    graph: Server
    model: Server
    fleet: Fleet
    trials: int = field(default=0)

    @asynccontextmanager
    async def sql(self) -> AsyncGenerator[asyncpg.Connection]:
        """A connection as superuser."""
        connection = await asyncpg.connect(self.cluster.dsn(self.database), server_settings={"application_name": "us"})
        try:
            yield connection
        finally:
            await connection.close(timeout=5)

    async def admin(self, method: str, path: str, body: Any = None, *, member: str = "a") -> httpx.Response:
        """A person at the admin panel."""
        headers = bearer(token(local_settings(), subject="anna"))
        async with httpx.AsyncClient(base_url=self.fleet[member].address, timeout=10, headers=headers) as client:
            return await client.request(method, path, json=body)

    async def pass_time(self, *, besides: Sequence[int] = ()) -> int:
        """Moves the end of each claim to send whose holder is gone into the past; answers how many there were.

        A claim lasts a minute, longer than any send. One that has lasted for two seconds here has no holder any more.
        """
        async with self.sql() as sql:
            done = await sql.execute(
                "update deliveries set lease_until = clock_timestamp() where state = 'sending'"
                " and lease_until < clock_timestamp() + interval '58 seconds' and not id = any($1)",
                list(besides),
            )
        return int(done.split()[-1])

    async def baseline(self) -> dict[str, Any]:
        """What must be the same before and after, see `checkers.back_to_baseline`."""
        async with self.sql() as sql:
            row = await sql.fetchrow(
                """select (select count(*) from turns where lease_until is not null) as leases,
                (select count(*) from deliveries where state = 'sending') as sending,
                (select count(*) from pg_stat_activity where datname = current_database()
                  and state like 'idle in transaction%' and application_name <> 'us') as in_transaction"""
            )
        assert row is not None
        # Pools keep what a burst made them open for two minutes; more than their sizes together is a leak.
        connections = await self._connections()
        allowed = 20 * len(self.fleet.members)
        files = len([file for file in self.folder.rglob("*") if file.suffix in {".tmp", ".part"}])
        return {
            **dict(row),
            "connections": max(0, connections - allowed),
            "files": files,
            "ended": self.fleet.said(GAVE_UP),
            "memory": self.fleet.memory(),
        }

    async def quiet(self, acked: set[str], *, seconds: float = 40) -> float:
        """Waits until nothing is due, leased, ready or on its way, in the service and around it; how long that took.

        What was acknowledged but is not stored yet is waited for as long as anything changes; whether it came is for
        the checkers to say, and so is what is still open when the time is over.
        """
        began = time.monotonic()
        changed, last = began, None
        while time.monotonic() - began < seconds:
            with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
                now = await self._open(acked)
                if now != last:
                    changed, last = time.monotonic(), now
                busy = now["turns"] or now["deliveries"] or now["unsorted"] or now["echoes"]
                if not busy and (not now["missing"] or time.monotonic() - changed > 3):
                    break
                if now["sending"]:
                    await self.pass_time()
            await asyncio.sleep(0.05)
        return time.monotonic() - began

    async def _open(self, acked: set[str]) -> dict[str, int]:
        async with self.sql() as sql:
            row = await sql.fetchrow(
                """select
                (select count(*) from turns where due_at is not null or lease_until is not null) as turns,
                (select count(*) from deliveries where state in ('ready', 'sending')) as deliveries,
                (select count(*) from deliveries where state = 'sending') as sending,
                (select count(*) from inbox where sorted_at is null) as unsorted,
                cardinality($1::text[]) - (select count(distinct external_id) from messages
                  where external_id = any($1::text[]) and sender_type = 'user') as missing""",
                list(acked),
            )
        assert row is not None
        return {**dict(row), "echoes": (await self.graph.state())["pending"]}

    async def _connections(self) -> int:
        async with self.sql() as sql:
            return int(
                await sql.fetchval(
                    "select count(*) from pg_stat_activity where datname = current_database()"
                    " and application_name <> 'us'"
                )
            )


def environment(dsn: str, graph: str, model: str, **more: str) -> dict[str, str]:
    """What a process of the service is told."""
    return {
        "DATABASE_URL": dsn,
        "DATA_DIR": "data",
        "JWT_SECRET": JWT_SECRET,
        "LOG_FORMAT": "json",
        "SHUTDOWN_SECONDS": "3",
        "REPLY_CONCURRENCY": "6",
        "WORKSPACE_CONCURRENCY": "64",
        "TURN_LEASE_SECONDS": str(TURN_LEASE_SECONDS),
        "TURN_POLL_SECONDS": "0.05",
        "FACEBOOK_APP_SECRET": APP_SECRET,
        "FACEBOOK_VERIFY_TOKEN": VERIFY_TOKEN,
        "FACEBOOK_PAGE_ID": PAGE,
        "FACEBOOK_PAGE_ACCESS_TOKEN": "a-page-token-for-the-tests-only",
        "FACEBOOK_APP_ID": APP_ID,
        "FACEBOOK_GRAPH_URL": graph,
        "OPENAI_API_KEY": "a-key-for-the-tests",
        "OPENAI_BASE_URL": model,
        "DEFAULT_MODEL": "openai:gpt-5.4-mini",
        **more,
    }


@asynccontextmanager
async def open_field(
    seed: int,
    *,
    serving: Sequence[str] = ("a", "b"),
    working: Sequence[str] = ("w",),
    durable: bool = False,
    way: Way | None = None,
    **env: str,
) -> AsyncGenerator[Field]:
    """Everything started and ready. ``durable``: Postgres waits for the disk. ``way``: how the service reaches it."""
    folder = Path(tempfile.mkdtemp(prefix="switchboard-field-"))
    # A server that crashes, on a machine that does not, needs no more than this; the disk is for `durable`.
    durability = ("fsync=on", "full_page_writes=on") if durable else ()
    cluster = Cluster(majors()[18], ("track_commit_timestamp=on", "synchronous_commit=on", *durability))
    servers: list[Server] = []
    fleet = Fleet({})
    try:
        cluster.start()
        name = await cluster.create_database()
        await migrate(cluster.dsn(name))
        await cluster.execute(WITNESS, name)
        graph, model = Server.start("graph", folder, seed), Server.start("llm", folder, seed)
        servers += [graph, model]
        reached = await way(cluster, name) if way else cluster.dsn(name)
        told = environment(reached, graph.url, model.url, **env)
        fleet = Fleet.of(folder, told, serving=serving, working=working)
        await fleet.start()
        await cluster.execute(f"update workspaces set quiet_seconds = {QUIET_SECONDS}", name)
        await graph.script(hooks=[f"{address}/webhook" for address in fleet.addresses])
        yield Field(folder, cluster, name, graph, model, fleet)
    finally:
        await fleet.kill()
        for server in servers:
            server.stop()
        cluster.destroy()
        shutil.rmtree(folder, ignore_errors=True)


def log_lines(field: Field, member: str) -> list[dict[str, Any]]:
    """The log of a process, as far as it is JSON."""
    found: list[dict[str, Any]] = []
    for line in field.fleet[member].log.read_text().splitlines():
        with suppress(json.JSONDecodeError):
            found.append(json.loads(line))
    return found
