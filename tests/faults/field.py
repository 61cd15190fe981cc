"""A whole installation to break: Postgres, Facebook, a model and several processes of the service."""

import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from faults.environment import QUIET_SECONDS, environment
from faults.evidence import WITNESS
from faults.fleet import Fleet, dying_with_its_parent
from stands.app import bearer, local_settings, token
from stands.clusters import Cluster, majors
from switchboard.database.migrations import migrate

SERVERS = Path(__file__).with_name("servers.py")
LIKE_ANY_SERVER = ("synchronous_commit=on", "autovacuum=on", "max_connections=120", "track_commit_timestamp=on")
Way = Callable[[Cluster, str], Awaitable[str]]
"""Makes the address at which the service finds a database of a server."""


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
        async with _http() as client:
            (await client.post(f"{self.control}/script", json=wanted)).raise_for_status()

    async def state(self) -> dict[str, int]:
        """What it has seen."""
        async with _http() as client:
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
    _storms: Counter[int] = field(default_factory=Counter[int])

    def prefix(self, seed: int) -> str:
        """What the customers of a storm are called, so that they are new ones: by its seed, and how often that came."""
        self._storms[seed] += 1
        return f"s{seed}-{self._storms[seed]}-"

    @asynccontextmanager
    async def sql(self) -> AsyncGenerator[asyncpg.Connection]:
        """A connection as superuser."""
        connection = await asyncpg.connect(self.cluster.dsn(self.database), server_settings={"application_name": "us"})
        try:
            yield connection
        finally:
            await connection.close(timeout=5)

    async def admin(
        self, method: str, path: str, body: Any = None, *, member: str = "a", person: str = "anna"
    ) -> httpx.Response:
        """A person at the admin panel."""
        headers = bearer(token(local_settings(), subject=person))
        async with _http(base_url=self.fleet[member].address, headers=headers) as client:
            return await client.request(method, path, json=body)

    async def pass_time(self) -> int:
        """Moves the end of each claim to send whose holder is gone into the past; answers how many there were.

        A claim lasts a minute, longer than any send. One that has lasted for two seconds here has no holder any more.
        """
        async with self.sql() as sql:
            done = await sql.execute(
                "update deliveries set lease_until = clock_timestamp() where state = 'sending'"
                " and lease_until < clock_timestamp() + interval '58 seconds'"
            )
        return int(done.split()[-1])


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
    cluster = Cluster(majors()[18], (*LIKE_ANY_SERVER, *durability))
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
        told = environment(reached, graph.url, model.url, str(folder / "data"), **env)
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


def _http(**more: Any) -> httpx.AsyncClient:
    # Without certificates, which take longer to read than a call to this machine lasts.
    return httpx.AsyncClient(timeout=10, verify=False, **more)


def log_lines(field: Field, member: str) -> list[dict[str, Any]]:
    """The log of a process, as far as it is JSON."""
    found: list[dict[str, Any]] = []
    for line in field.fleet[member].log.read_text().splitlines():
        with suppress(json.JSONDecodeError):
            found.append(json.loads(line))
    return found
