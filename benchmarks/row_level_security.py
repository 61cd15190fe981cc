"""P11: what row level security costs somebody who reads through Supabase with their own token."""

import json
import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import asyncpg

from benchmarks import archive, ground
from benchmarks.measure import Figures, Report, Scale, interleave, percentile

COMPARED = (
    "The newest 50 conversations (`conversations`) and the 50 messages of one (`messages`), read as the role"
    " `authenticated` with a member's claims, where the policies choose the rows, and as the owner of the tables with"
    " `where workspace_id =`, where none apply. One connection, prepared statements, without HTTP. *Query*: the"
    " statement alone, role and claims set before. *Request*: begin, role and claims, the statement, commit, each its"
    " own round trip, against the owner's statement alone. *Workspace named*: the member's client says `where"
    " workspace_id =` as well. Four more workspaces hold as many rows each."
)
OTHERS = 4
LIST = "select * from conversations where {} and deleted_at is null order by last_message_at desc, id desc limit 50"
THREAD = "select * from messages where {} and conversation_id = $1 order by seq limit 50"
READS = {"list": LIST, "thread": THREAD}
CLAIMS = "select set_config('role', 'authenticated', true), set_config('request.jwt.claims', $1, true)"


class Reader:
    """Reads as a person, or as the owner."""

    def __init__(self, connection: asyncpg.Connection, workspace: int, person: str) -> None:
        self._connection = connection
        self._workspace = workspace
        self._claims = json.dumps({"sub": person, "role": "authenticated"})

    async def owner(self, read: str, times: int) -> Figures:
        """No policies, but the workspace named."""
        return await self._measure(read, f"workspace_id = {self._workspace}", times)

    async def query(self, read: str, times: int, condition: str = "true") -> Figures:
        """As the person, the statement alone."""
        async with self._connection.transaction():
            await self._connection.fetch(CLAIMS, self._claims)
            return await self._measure(read, condition, times)

    async def named(self, read: str, times: int) -> Figures:
        """The same by a client that names its workspace although it need not."""
        return await self.query(read, times, f"workspace_id = {self._workspace}")

    async def request(self, read: str, times: int) -> Figures:
        """As the person, everything that a request needs."""
        taken: list[float] = []
        for _ in range(times):
            began = time.perf_counter()
            async with self._connection.transaction():
                await self._connection.fetch(CLAIMS, self._claims)
                await self._read(read, "true")
            taken.append((time.perf_counter() - began) * 1000)
        return _figures(taken)

    async def _measure(self, read: str, condition: str, times: int) -> Figures:
        taken: list[float] = []
        for _ in range(times):
            began = time.perf_counter()
            await self._read(read, condition)
            taken.append((time.perf_counter() - began) * 1000)
        return _figures(taken)

    async def _read(self, read: str, condition: str) -> None:
        arguments = [1] if read == "thread" else []
        rows = await self._connection.fetch(READS[read].format(condition), *arguments)
        if not rows:
            raise RuntimeError(f"nothing was read: {read} where {condition}")


def _figures(taken: list[float]) -> Figures:
    return {"p50": percentile(taken, 0.5), "p99": percentile(taken, 0.99)}


async def run(scale: Scale) -> Report:
    """Both reads, three ways."""
    report = Report("P11", "Row level security", COMPARED)
    times = scale.some(300, 3)
    async with AsyncExitStack() as stack:
        cluster = await stack.enter_async_context(ground.cluster())
        dsn = await ground.migrated(cluster)
        workspace = await archive.fill(dsn, scale.some(200_000, 500), each=50)
        for number in range(OTHERS):
            await archive.fill(dsn, scale.some(200_000, 500), each=50, name=f"Other {number} Ltd")
        person = str(uuid.uuid4())
        await ground.execute(
            dsn,
            f"insert into members values ({workspace}, '{person}', 'm@example.com', 'viewer')",
            "analyze",
        )
        connection = await asyncpg.connect(dsn, server_settings={"jit": "off"})
        stack.push_async_callback(connection.close)
        reader = Reader(connection, workspace, person)
        ways: dict[str, Callable[[str, int], Awaitable[Figures]]] = {
            "owner": reader.owner,
            "authenticated, query": reader.query,
            "authenticated, workspace named": reader.named,
            "authenticated, request": reader.request,
        }
        sides = {
            f"{read}, {way}": lambda r=read, m=measure: m(r, times) for read in READS for way, measure in ways.items()
        }
        for measure in sides.values():
            await measure()
        rounds = await interleave(sides, scale.rounds)
    report.tables.append(rounds.table({"p50": "p50, ms", "p99": "p99, ms"}))
    report.raw["rounds"] = rounds.sides
    for read in READS:
        owner = f"{read}, owner"
        for way in ("query", "workspace named"):
            side = f"{read}, authenticated, {way}"
            report.target(f"{read}, {way}: added", rounds.added(side, owner, "p50"), 0.5, "ms")
            report.target(f"{read}, {way}: ratio", rounds.ratio(side, owner, "p50"), 3.5)
        whole = rounds.added(f"{read}, authenticated, request", owner, "p50")
        report.notes.append(f"With the round trips of a whole request, the {read} takes {whole} ms more.")
    return report
