"""P1: acknowledging one signed webhook, durably, against a bare route that does one insert of the same bytes."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from benchmarks import ground, servers
from benchmarks.load import Plan
from benchmarks.loading import figures, load
from benchmarks.measure import Figures, Report, Rounds, Scale, Table, interleave
from benchmarks.servers import Server
from stands.supabase import SupabaseServer

COMPARED = (
    "A signed webhook with one event, answered 200 when it is durable (`switchboard serve`, one process, log to"
    " /dev/null) against a bare FastAPI route (uvicorn, uvloop, httptools, no log, 4 connections like the service's own"
    " for webhooks) that inserts the same bytes by asyncpg into a table with no index but its key."
)
OURS, SORTED, BARE, EMPTY = "acknowledged, not sorted", "as it runs, sorting beside it", "bare insert", "empty route"
REST, BARE_REST = "as it runs, supabase-py", "bare insert, supabase-py"
COLUMNS = {"rate": "requests/s", "p50": "p50, ms", "p99": "p99, ms", "cpu": "CPU of the process, ms/request"}
OFFERED = (250, 500, 1000, 1500, 2000, 3000, 4000)
Side = Callable[[], Awaitable[Figures]]


def side(server: Server, path: str, scale: Scale, *, clients: int) -> Side:
    """One side of the comparison: the same load on this server."""

    async def measure() -> Figures:
        before = server.cpu
        outcome = await load(Plan(server.port, path, clients=clients, seconds=scale.seconds, warm_up=scale.warm_up))
        answered = len(outcome.latencies) * (1 + scale.warm_up / scale.seconds)  # the warm-up used the processor, too
        return figures(outcome) | {"cpu": (server.cpu - before) * 1000 / answered}

    return measure


async def run(scale: Scale) -> Report:
    """Direct transport at 1 and 16 clients, then supabase-py, then throughput and p99 over offered load."""
    report = Report("P1", "Acknowledging a webhook", COMPARED)
    async with AsyncExitStack() as stack:
        cluster = await stack.enter_async_context(ground.cluster())
        dsn = await ground.migrated(cluster)
        await ground.execute(dsn, servers.BARE_SCHEMA)
        unsorted_dsn = await ground.migrated(cluster)
        sorted_ = await stack.enter_async_context(servers.serving(servers.service(dsn)))
        alone = await stack.enter_async_context(servers.serving(servers.unsorted_service(unsorted_dsn)))
        bare = await stack.enter_async_context(servers.serving(servers.bare(DATABASE_URL=dsn)))
        for clients in (16, 1)[: scale.some(2, 1)]:
            sides = {
                BARE: side(bare, "/insert", scale, clients=clients),
                OURS: side(alone, "/webhooks/messenger", scale, clients=clients),
                SORTED: side(sorted_, "/webhooks/messenger", scale, clients=clients),
                EMPTY: side(bare, "/empty", scale, clients=clients),
            }
            _tell(report, await interleave(sides, scale.rounds), clients)
        await _over_load(report, scale, {"bare": (bare, "/insert"), "switchboard": (sorted_, "/webhooks/messenger")})
    await _by_rest(report, scale)
    return report


def _tell(report: Report, rounds: Rounds, clients: int) -> None:
    table = rounds.table(COLUMNS)
    table.head[0] = f"{clients} client{'s' * (clients > 1)}"
    report.tables.append(table)
    report.raw[f"{clients} clients"] = rounds.sides
    for name, word in ((OURS, "alone"), (SORTED, "with sorting")):
        if clients > 1:
            report.target(f"throughput, {word}", rounds.ratio(name, BARE, "rate"), 0.75, at_least=True)
            report.target(f"p99 at {clients} clients, {word}", rounds.ratio(name, BARE, "p99"), 1.5)
        else:
            report.target(f"p50 at 1 client, {word}", rounds.ratio(name, BARE, "p50"), 1.3)
    if clients > 1:
        busy = rounds.spread(EMPTY, "generator")
        report.notes.append(f"The load generator itself used {busy} of a core for the empty route.")
        slower = rounds.ratio(SORTED, OURS, "rate")
        used = rounds.added(SORTED, OURS, "cpu")
        report.notes.append(
            f"Sorting in the same process costs {used} ms of processor for each webhook; under full load that leaves"
            f" {slower} of the rate without it."
        )


async def _over_load(report: Report, scale: Scale, sides: dict[str, tuple[Server, str]]) -> None:
    table = Table(["offered, requests/s", *(f"{name}: answered/s, p99 ms" for name in sides)])
    for offered in OFFERED[: scale.some(len(OFFERED), 1)]:
        row = [f"{offered:,}"]
        for name, (server, path) in sides.items():
            plan = Plan(server.port, path, clients=64, seconds=scale.seconds, warm_up=scale.warm_up, rate=offered)
            found = figures(await load(plan))
            report.plot.setdefault(name, []).append([offered, found["rate"], found["p99"]])
            row.append(f"{found['rate']:,.0f}, {found['p99']:,.1f}")
        table.rows.append(row)
    report.tables.append(table)


async def _by_rest(report: Report, scale: Scale) -> None:
    """The same over Supabase's REST API, from a server that speaks it on this machine."""
    rest = SupabaseServer()
    try:
        async with AsyncExitStack() as stack:
            cluster = await stack.enter_async_context(ground.cluster())
            dsn = await ground.migrated(cluster)
            await ground.execute(dsn, servers.BARE_SCHEMA)
            project = stack.enter_context(rest.project(dsn))
            keys = {
                "SUPABASE_URL": project.url,
                "SUPABASE_SERVICE_ROLE_KEY": project.service_key,
                "SUPABASE_ANON_KEY": project.anon_key,
                "DATABASE_TIMEOUT_SECONDS": "10",
            }
            ours = await stack.enter_async_context(servers.serving(servers.service(None, **keys)))
            bare = await stack.enter_async_context(servers.serving(servers.bare(**keys)))
            sides = {
                BARE_REST: side(bare, "/rest", scale, clients=4),
                REST: side(ours, "/webhooks/messenger", scale, clients=4),
            }
            rounds = await interleave(sides, scale.rounds)
    finally:
        rest.stop()
    table = rounds.table(COLUMNS)
    table.head[0] = "4 clients, REST"
    report.tables.append(table)
    report.raw["rest"] = rounds.sides
    report.target("throughput, supabase-py", rounds.ratio(REST, BARE_REST, "rate"), 0.75, at_least=True)
    report.target("p50, supabase-py", rounds.ratio(REST, BARE_REST, "p50"), 1.3)
    report.target("p99, supabase-py", rounds.ratio(REST, BARE_REST, "p99"), 1.5)
