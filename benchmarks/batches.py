"""P2: a webhook with 100 and with 1,000 events against one with a single event."""

from contextlib import AsyncExitStack

from benchmarks import ground, servers
from benchmarks.load import Plan
from benchmarks.loading import figures, load
from benchmarks.measure import Figures, Report, Scale, interleave
from benchmarks.servers import Server

COMPARED = (
    "One client sends webhooks with 1, 100 and 1,000 events of the same kind, one after the other, and waits for each"
    " 200; the bare route inserts the same bytes and is the floor. Sorting is switched off: it comes after the 200."
)
BOUNDS = {100: 2.5, 1000: 12.0}


async def run(scale: Scale) -> Report:
    """Medians of the time to 200."""
    report = Report("P2", "Webhooks with many events", COMPARED)
    async with AsyncExitStack() as stack:
        cluster = await stack.enter_async_context(ground.cluster())
        dsn = await ground.migrated(cluster)
        await ground.execute(dsn, servers.BARE_SCHEMA)
        ours = await stack.enter_async_context(servers.serving(servers.unsorted_service(dsn)))
        bare = await stack.enter_async_context(servers.serving(servers.bare(DATABASE_URL=dsn)))

        async def measure(server: Server, path: str, events: int) -> Figures:
            plan = Plan(server.port, path, clients=1, seconds=scale.seconds, warm_up=scale.warm_up, events=events)
            return figures(await load(plan))

        sides = {
            f"{name}, {events:,} event{'s' * (events > 1)}": lambda s=server, p=path, e=events: measure(s, p, e)
            for events in (1, *BOUNDS)
            for name, server, path in (("switchboard", ours, "/webhooks/messenger"), ("bare insert", bare, "/insert"))
        }
        rounds = await interleave(sides, scale.rounds)
    report.tables.append(rounds.table({"p50": "p50, ms", "p99": "p99, ms"}))
    report.raw["rounds"] = rounds.sides
    for events, bound in BOUNDS.items():
        grown = rounds.ratio(f"switchboard, {events:,} events", "switchboard, 1 event", "p50")
        report.target(f"{events:,} events, of one", grown, bound)
        floor = rounds.ratio(f"bare insert, {events:,} events", "bare insert, 1 event", "p50")
        report.notes.append(f"The bare route takes {floor} of its own single insert for {events:,} events.")
    return report
