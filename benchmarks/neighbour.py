"""P17: what a workspace feels of another one that floods the installation."""

import asyncio
from contextlib import AsyncExitStack

import asyncpg

from benchmarks import ground, servers
from benchmarks.load import Outcome, Plan
from benchmarks.loading import load
from benchmarks.measure import Figures, Report, Scale, interleave, percentile
from benchmarks.servers import Server

COMPARED = (
    "Two workspaces with a page each on one `switchboard serve`, a model that takes 0.2 s, 16 replies at a time, 8 for"
    " one workspace. The quiet one gets 10 webhooks a second, alone, and then beside the other's 90 a second, of which"
    " the 8 can answer 40: its backlog grows all the while. Every webhook is a new customer's. From sending to the 200,"
    " and from sending to the stored reply, of the quiet one."
)
QUIET_RATE, FLOOD_RATE = 10.0, 90.0
ALONE, BESIDE = "alone", "beside a flood"
_WAITED = """
select extract(epoch from r.finished_at - m.sent_at)::double precision * 1000
from messages m join replies r on r.workspace_id = m.workspace_id and r.conversation_id = m.conversation_id
  and r.outcome in ('answered', 'handed_over')
where m.sender_type = 'user' and m.external_id like $1 || '%'
"""


async def run(scale: Scale) -> Report:
    """The quiet workspace, with and without its neighbour."""
    report = Report("P17", "A noisy neighbour", COMPARED)
    async with AsyncExitStack() as stack:
        cluster = await stack.enter_async_context(ground.cluster())
        dsn = await ground.migrated(cluster)
        model = await stack.enter_async_context(servers.serving(servers.model(DELAY="0.2")))
        address = f"http://127.0.0.1:{model.port}"
        answering = {
            "REPLY_CONCURRENCY": "16",
            "WORKSPACE_CONCURRENCY": "8",
            "OPENAI_BASE_URL": f"{address}/v1",
            "DEFAULT_MODEL": "openai:benchmark-model",
            "FACEBOOK_GRAPH_URL": f"{address}/v23.0",
        }
        ours = await stack.enter_async_context(servers.serving(servers.service(dsn, **answering)))
        await ground.no_quiet_time(dsn)
        await ground.second_page(dsn)
        await _quiet(ours, dsn, 0.5)
        rounds = await interleave(
            {
                ALONE: lambda: _quiet(ours, dsn, _seconds(scale)),
                BESIDE: lambda: _beside(ours, dsn, _seconds(scale)),
            },
            scale.rounds,
        )
    columns = {"ack50": "200 p50, ms", "ack99": "200 p99, ms", "reply50": "reply p50, ms", "reply99": "reply p99, ms"}
    report.tables.append(rounds.table(columns))
    report.raw["rounds"] = rounds.sides
    report.target("p99 of the quiet one's 200", rounds.ratio(BESIDE, ALONE, "ack99"), 1.5)
    report.target("p99 of the quiet one's replies", rounds.ratio(BESIDE, ALONE, "reply99"), 1.5)
    return report


def _seconds(scale: Scale) -> float:
    return 0.3 if scale.smoke else scale.seconds * 3


async def _beside(ours: Server, dsn: str, seconds: float) -> Figures:
    flood = Plan(ours.port, rate=FLOOD_RATE, seconds=seconds + 1, clients=16, customers=0, page=ground.PAGE)
    flooding = asyncio.create_task(load(flood))
    await asyncio.sleep(0.5)
    figures = await _quiet(ours, dsn, seconds)
    await flooding
    # The next round begins with nothing to do; what is still waiting is not worth waiting for.
    await ground.execute(dsn, "update turns set due_at = null where lease_until is null and due_at is not null")
    await ground.until(dsn, "select not exists (select from turns where due_at is not null)")
    return figures


async def _quiet(ours: Server, dsn: str, seconds: float) -> Figures:
    plan = Plan(ours.port, rate=QUIET_RATE, seconds=seconds, clients=4, customers=0, page=ground.QUIET_PAGE, every=True)
    outcome = await load(plan)
    waited = await _waited(dsn, outcome)
    return {
        "ack50": percentile(outcome.latencies, 0.5),
        "ack99": percentile(outcome.latencies, 0.99),
        "reply50": percentile(waited, 0.5),
        "reply99": percentile(waited, 0.99),
    }


async def _waited(dsn: str, outcome: Outcome) -> list[float]:
    """Milliseconds to the reply of every webhook that was acknowledged."""
    prefix = outcome.sent[0][0].partition("_")[0] + "\\_"
    connection = await asyncpg.connect(dsn)
    try:
        async with asyncio.timeout(60):
            while True:
                rows = await connection.fetch(_WAITED, prefix)
                if len(rows) >= len(outcome.sent):
                    return [row[0] for row in rows]
                await asyncio.sleep(0.1)
    finally:
        await connection.close()
