"""P16: how long acknowledging stands still over a restart of Postgres, and who answers when a worker is killed."""

import asyncio
import signal
import time
from contextlib import AsyncExitStack
from itertools import pairwise

import aiohttp

from benchmarks import ground, servers
from benchmarks.load import Plan
from benchmarks.loading import load
from benchmarks.measure import Figures, Report, Scale, Spread, Table, interleave
from benchmarks.servers import Server
from stands.clusters import Cluster
from switchboard.settings import Settings

COMPARED = (
    "Gap: the longest time without a 200 while webhooks come at a steady rate and Postgres is restarted (`fast`),"
    " against the restart itself; the same without a restart beside it. Reply: a worker is killed (SIGKILL) while its"
    " model writes, another is started at that moment; from the kill to the stored reply, with a model that takes"
    " 0.5 s."
)
RATE = 50.0
SHORT_LEASE = 3.0
DEFAULT_LEASE = float(Settings.model_fields["turn_lease_seconds"].default)
RESTARTED, UNTOUCHED = "restarted", "left alone"


async def run(scale: Scale) -> Report:
    """Restarts, then kills."""
    report = Report("P16", "Recovery", COMPARED)
    async with AsyncExitStack() as stack:
        cluster = await stack.enter_async_context(ground.cluster())
        dsn = await ground.migrated(cluster)
        ours = await stack.enter_async_context(servers.serving(servers.service(dsn)))
        rounds = await interleave(
            {
                RESTARTED: lambda: _gap(cluster, ours, dsn, scale, restart=True),
                UNTOUCHED: lambda: _gap(cluster, ours, dsn, scale, restart=False),
            },
            scale.rounds,
        )
        report.tables.append(
            rounds.table(
                {"gap": "longest gap, s", "restart": "restart, s", "lost": "acknowledged and lost", "failed": "not 200"}
            )
        )
        report.raw["restart"] = rounds.sides
        longer = [each["gap"] - each["restart"] for each in rounds.sides[RESTARTED]]
        report.target("gap beyond the restart", Spread.of(longer), 1.0, "s")
        await _kills(report, cluster, scale)
    return report


async def _gap(cluster: Cluster, ours: Server, dsn: str, scale: Scale, *, restart: bool) -> Figures:
    seconds = 0.6 if scale.smoke else 5.0
    plan = Plan(ours.port, rate=RATE, seconds=seconds, warm_up=scale.warm_up, clients=8, customers=0, every=True)
    loading = asyncio.create_task(load(plan))
    await asyncio.sleep(0.3 + scale.warm_up + seconds / 3)
    took = 0.0
    if restart:
        began = time.monotonic()
        # It blocks this loop, which has nothing else to do: the load is a process of its own.
        cluster.restart()
        took = time.monotonic() - began
    outcome = await loading
    answered = sorted(at for _, _, at in outcome.sent)
    gap = max(later - earlier for earlier, later in pairwise(answered))
    lost = await _lost(dsn, [mark for mark, _, _ in outcome.sent])
    return {"gap": gap, "restart": took, "lost": lost, "failed": outcome.refused + outcome.broken}


async def _lost(dsn: str, marks: list[str], seconds: float = 20) -> float:
    """How many of what was acknowledged are no messages when all that waits has been brought in."""
    prefix = marks[0].partition("_")[0] + "\\_"
    deadline = time.monotonic() + seconds
    while True:
        query = "select count(*) from messages where external_id like $1 || '%'"
        missing = len(marks) - int(str(await ground.value(dsn, query, prefix)))
        if missing <= 0 or time.monotonic() > deadline:
            return float(max(missing, 0))
        await asyncio.sleep(0.1)


async def _kills(report: Report, cluster: Cluster, scale: Scale) -> None:
    table = Table(["lease, s", "kill to reply, s"])
    leases = [0.5] if scale.smoke else [SHORT_LEASE] * scale.rounds + [DEFAULT_LEASE]
    found: dict[float, list[float]] = {}
    for lease in leases:
        found.setdefault(lease, []).append(await _killed(cluster, lease))
    for lease, seconds in found.items():
        spread = Spread.of(seconds)
        table.rows.append([f"{lease:g}", str(spread)])
        beyond = Spread.of([each - lease for each in seconds])
        report.target(f"kill to reply beyond a lease of {lease:g} s", beyond, 10, "s")
    report.tables.append(table)
    report.raw["kills"] = {f"{lease:g}": seconds for lease, seconds in found.items()}


async def _killed(cluster: Cluster, lease: float) -> float:
    dsn = await ground.migrated(cluster)
    async with AsyncExitStack() as stack:
        model = await stack.enter_async_context(servers.serving(servers.model(DELAY="0.5")))
        address = f"http://127.0.0.1:{model.port}"
        answering = {
            "REPLY_CONCURRENCY": "4",
            "TURN_LEASE_SECONDS": f"{lease:g}",
            "OPENAI_BASE_URL": f"{address}/v1",
            "DEFAULT_MODEL": "openai:benchmark-model",
            "FACEBOOK_GRAPH_URL": f"{address}/v23.0",
        }
        ours = await stack.enter_async_context(servers.serving(servers.service(dsn)))
        await ground.no_quiet_time(dsn)
        first, second = servers.worker(dsn, **answering), servers.worker(dsn, **answering)
        stack.callback(second.stop)
        first.start()
        try:
            await load(Plan(ours.port, clients=1, seconds=5, warm_up=0, most=1))
            await _asked(model)
        finally:
            first.stop(signal.SIGKILL)
        began = time.monotonic()
        second.start()
        await ground.until(dsn, "select exists (select from replies where outcome = 'answered')", seconds=lease + 60)
        return time.monotonic() - began


async def _asked(model: Server) -> None:
    """Returns when the model is writing."""
    async with aiohttp.ClientSession() as http, asyncio.timeout(30):
        while True:
            async with http.get(f"http://127.0.0.1:{model.port}/calls") as told:
                if await told.json():
                    return
            await asyncio.sleep(0.01)
