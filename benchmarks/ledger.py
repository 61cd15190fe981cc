"""P21: a year of ten million calls to models: what people look at, and counting one day of a million calls."""

import resource
import time
from contextlib import AsyncExitStack
from pathlib import Path

import asyncpg

from benchmarks import ground
from benchmarks.measure import Figures, Report, Scale, Spread, interleave, percentile
from switchboard.database import Database
from switchboard.database.postgres import open_postgres
from switchboard.usage.roll_up import roll_up

COMPARED = (
    "`usage_stats` as `/api/usage/summary/` asks for it and a page of `model_performance`, of 30 days and of a year,"
    " through the direct transport: the call over one connection, without HTTP. The ledger of the workspace has ten"
    " million calls, made by SQL and rolled up, spread evenly over a year: four models, two purposes, six outcomes,"
    " three platforms. Then one more day of a million calls is counted as upkeep does it, in statements of 5,000."
)
ADMIN = {"subject": "benchmark", "admin": True, "roles": {}}
BATCH = 1_000_000
_CALLS = """
insert into usage (
  workspace_id, at, day, platform, purpose, outcome, provider, model, input_tokens, output_tokens, cost, latency_ms,
  first_token_ms
)
select $1::bigint, at, (at at time zone 'utc')::date, (array['messenger', 'telegram', 'web'])[1 + n % 3],
  case when n % 10 = 0 then 'embedding' else 'reply' end,
  (array['answered', 'handed_over', 'superseded', 'taken_over', 'lost', 'failed'])[
    case when n % 7 < 5 then 1 else 1 + n % 6 end
  ],
  'openai', 'model-' || n % 4, 500 + n % 700, 50 + n % 300, case when n % 13 <> 0 then (500 + n % 700) * 0.00000015 end,
  200 + n * 7 % 3000, 100 + n * 3 % 900
from generate_series($2::bigint, $3::bigint) n
cross join lateral (select now() - $5 * interval '1 day' - n * $4::float8 * interval '1 second' as at) moment
"""


async def run(scale: Scale) -> Report:
    """The pages in turn, then the day."""
    report = Report("P21", "A year of the ledger", COMPARED)
    calls, day, times = scale.messages, max(1_000, scale.messages // 10), scale.some(60, 2)
    async with AsyncExitStack() as stack:
        cluster = await stack.enter_async_context(ground.cluster())
        dsn = await ground.migrated(cluster)
        began = time.monotonic()
        workspace = await _fill(dsn, calls)
        filled = time.monotonic() - began
        database = await open_postgres(dsn, pool_size=1, timeout=120)
        stack.push_async_callback(database.close)

        async def ask(function: str, **arguments: int) -> Figures:
            taken: list[float] = []
            for _ in range(times):
                began = time.perf_counter()
                await database.call(function, caller=ADMIN, workspace_id=workspace, **arguments)
                taken.append((time.perf_counter() - began) * 1000)
            return {"p50": percentile(taken, 0.5), "p95": percentile(taken, 0.95)}

        sides = {
            "summary, 30 days": lambda: ask("usage_stats", days=30, customers=0),
            "summary, a year": lambda: ask("usage_stats", days=365, customers=0),
            "performance, 30 days": lambda: ask("model_performance", days=30),
            "performance, a year": lambda: ask("model_performance", days=365),
        }
        for measure in sides.values():
            await measure()
        rounds = await interleave(sides, scale.rounds)
        await _due(dsn, workspace, day)
        counted = await _count(database, dsn, day)
        off = await _difference(dsn, workspace)
    report.tables.append(rounds.table({"p50": "p50, ms", "p95": "p95, ms"}))
    report.raw["rounds"] = rounds.sides | {"a day": [counted]}
    for name in ("summary, a year", "performance, a year"):
        report.target(f"p95, {name}", rounds.spread(name, "p95"), 100, "ms")
    report.target(f"counting a day of {day:,} calls", Spread.of([counted["seconds"]]), 10, "s")
    report.notes.append(
        f"{calls:,} calls; making and counting them took {filled:.0f} s. While the day was counted the database's"
        f" session took at most {counted['first']:.1f} MB of its own in the first tenth and {counted['last']:.1f} MB in"
        f" the last; our process grew by {counted['grown']:.1f} MB. Off the ledger by {off:g} calls or dollars."
    )
    return report


async def _fill(dsn: str, calls: int) -> int:
    """A workspace with a year of calls, rolled up."""
    connection = await asyncpg.connect(dsn)
    try:
        workspace = await connection.fetchval("insert into workspaces (name) values ('Ledger Ltd') returning id")
        await connection.execute("set session_replication_role = replica")
        for first in range(0, calls, BATCH):
            last = min(calls, first + BATCH) - 1
            await connection.execute(_CALLS, workspace, first, last, 31_449_600 / calls, 0)
        await connection.execute("vacuum (analyze) usage")
        await connection.execute("select rebuild_usage('-infinity', 'infinity')")
        while await connection.fetchval("select (roll_up_usage(200000) ->> 'more')::boolean"):
            await connection.execute("vacuum usage_tail")
        for table in ("usage_tail", "usage_days", "usage_times"):
            await connection.execute(f"vacuum (analyze) {table}")
        return int(workspace)
    finally:
        await connection.close()


async def _due(dsn: str, workspace: int, calls: int) -> None:
    """One more day of calls, which wait to be counted as they do after they are booked."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(_CALLS, workspace, 0, calls - 1, 0.0, 400)
        await connection.execute(
            "insert into usage_tail (workspace_id, usage_id)"
            " select workspace_id, id from usage where day < current_date - 390"
        )
        await connection.execute("vacuum (analyze) usage_tail")
    finally:
        await connection.close()


async def _count(database: Database, dsn: str, day: int) -> Figures:
    """Seconds for the day, and megabytes the session holds on the way. Raises `RuntimeError` if calls are missing."""
    await ground.execute(
        dsn,
        "create function benchmark_pid() returns jsonb language sql as 'select to_jsonb(pg_backend_pid())'",
        "grant execute on function benchmark_pid() to service_role",
    )
    pid = await database.call("benchmark_pid")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    took, held, total = 0.0, list[float](), 0
    began = time.perf_counter()
    while done := (await database.call("roll_up_usage", max_rows=5_000))["calls"]:
        total += done
        took += time.perf_counter() - began
        held.append(_own_memory(pid))
        began = time.perf_counter()
    if total != day or await roll_up(database):
        raise RuntimeError(f"{total} of {day} calls were counted")
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    tenth = max(1, len(held) // 10)
    return {"seconds": took, "first": max(held[:tenth]), "last": max(held[-tenth:]), "grown": grown}


def _own_memory(pid: int) -> float:
    """Megabytes of a process that it shares with nobody."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) / 1024
    return 0.0


async def _difference(dsn: str, workspace: int) -> float:
    """By how much the days are off what adding up the ledger gives."""
    query = (
        "select abs((select sum(calls) from usage_days where workspace_id = $1) - (select count(*) from usage))"
        " + abs((select sum(cost) from usage_days where workspace_id = $1) - (select sum(cost) from usage))"
    )
    return float(str(await ground.value(dsn, query, workspace)))
