"""P12: the statistics of a workspace with ten million messages, against those of one with ten thousand."""

import time
from contextlib import AsyncExitStack
from dataclasses import dataclass

import asyncpg

from benchmarks import archive, ground
from benchmarks.measure import Figures, Report, Scale, interleave, percentile
from switchboard.database import Database
from switchboard.database.postgres import open_postgres

COMPARED = (
    "`usage_stats` and `chat_analytics` of one workspace, of 30 days and of a year, as an admin asks for them through"
    " the direct transport: the call over one connection, without HTTP. Every second message has a call in the ledger,"
    " spread over a year, with four models, two purposes and four outcomes. The events of so many messages are counted"
    " into days already, those of no message are left. *Customers* asks for the ten dearest as well."
)
SMALL = 10_000
ADMIN = {"subject": "benchmark", "admin": True, "roles": {}}
BATCH = 50_000
_CALLS = """
insert into usage (
  workspace_id, at, day, conversation_id, customer_id, platform, purpose, outcome, provider, model, input_tokens,
  output_tokens, cost, latency_ms, first_token_ms
)
select $1::bigint, m.sent_at, (m.sent_at at time zone 'utc')::date, m.conversation_id, m.conversation_id, 'messenger',
  case when m.id % 10 = 0 then 'embedding' else 'reply' end,
  (array['answered', 'answered', 'answered', 'superseded', 'failed', 'handed_over'])[1 + m.id % 6],
  'openai', 'model-' || m.id % 4, 500 + m.id % 700, 50 + m.id % 300,
  case when m.id % 13 <> 0 then (500 + m.id % 700) * 0.00000015 end, 200 + m.id % 3000, 100 + m.id % 900
from messages m where m.workspace_id = $1::bigint and m.sender_type = 'bot'
"""
_ACTIVITY = """
insert into activity_days
select m.workspace_id, (m.sent_at at time zone 'utc')::date, 'messenger',
  case m.sender_type when 'user' then 'message.received' else 'reply.answered' end, count(*),
  sum(case m.sender_type when 'user' then 0 else 1000 + m.id % 3000 end),
  count_times(array_agg(1000 + m.id % 3000) filter (where m.sender_type <> 'user')), 0
from messages m where m.workspace_id = $1::bigint group by 1, 2, 3, 4
"""


@dataclass(frozen=True)
class Ledger:
    """A filled database."""

    database: Database
    workspace: int

    async def measure(self, function: str, times: int, **arguments: int) -> Figures:
        """Milliseconds of a page."""
        taken: list[float] = []
        for _ in range(times):
            began = time.perf_counter()
            await self.database.call(function, caller=ADMIN, workspace_id=self.workspace, **arguments)
            taken.append((time.perf_counter() - began) * 1000)
        return {"p50": percentile(taken, 0.5), "p95": percentile(taken, 0.95)}

    async def difference(self, dsn: str) -> float:
        """By how many dollars the statistics of a year are off what adding up the ledger gives."""
        connection = await asyncpg.connect(dsn)
        try:
            return float(
                await connection.fetchval(
                    "select abs((usage_stats($1, $2, 365, 0) -> 'totals' ->> 'cost')::numeric - ("
                    " select coalesce(sum(cost), 0) from usage where workspace_id = $2 and day > current_date - 365))",
                    '{"admin": true}',
                    self.workspace,
                )
            )
        finally:
            await connection.close()


async def run(scale: Scale) -> Report:
    """Both pages of both workspaces, of a month and of a year."""
    report = Report("P12", "The statistics of a large workspace", COMPARED)
    times = scale.some(100, 2)
    async with AsyncExitStack() as stack:
        cluster = await stack.enter_async_context(ground.cluster())
        began, ledgers, off = time.monotonic(), list[Ledger](), 0.0
        for messages in (min(SMALL, scale.messages), scale.messages):
            dsn = await ground.migrated(cluster)
            workspace = await archive.fill(dsn, messages)
            await fill(dsn, workspace)
            database = await open_postgres(dsn, pool_size=2, timeout=60)
            stack.push_async_callback(database.close)
            ledgers.append(Ledger(database, workspace))
            off = max(off, await ledgers[-1].difference(dsn))
        filled = time.monotonic() - began
        sides = {
            f"{name}, {size}": lambda a=ledger, f=function, w=arguments: a.measure(f, times, **w)
            for name, (function, arguments) in {
                "usage, 30 days": ("usage_stats", {"days": 30, "customers": 0}),
                "usage, 30 days, customers": ("usage_stats", {"days": 30, "customers": 10}),
                "usage, a year": ("usage_stats", {"days": 365, "customers": 0}),
                "analytics, 30 days": ("chat_analytics", {"days": 30}),
                "analytics, a year": ("chat_analytics", {"days": 365}),
            }.items()
            for size, ledger in zip(("small", "large"), ledgers, strict=True)
        }
        for measure in sides.values():
            await measure()
        rounds = await interleave(sides, scale.rounds)
    table = rounds.table({"p50": "p50, ms", "p95": "p95, ms"})
    table.head[0] = f"small: {SMALL:,} messages, large: {scale.messages:,}"
    report.tables.append(table)
    report.raw["rounds"] = rounds.sides
    for name in ("usage, 30 days", "analytics, 30 days"):
        report.target(f"p50, {name}, large", rounds.spread(f"{name}, large", "p50"), 5.0, "ms")
        report.target(f"p50, {name}, large of small", rounds.ratio(f"{name}, large", f"{name}, small", "p50"), 2.0)
    report.notes.append(f"Off the ledger by {off:g} dollars. Making the rows and rolling them up took {filled:.0f} s.")
    return report


async def fill(dsn: str, workspace: int) -> None:
    """A call for every answer, rolled up."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("set session_replication_role = replica")
        await connection.execute(_CALLS, workspace)
        await connection.execute(_ACTIVITY, workspace)
        await connection.execute("vacuum (analyze) usage")
        await connection.execute("select rebuild_usage('-infinity', 'infinity')")
        while await connection.fetchval("select (roll_up_usage($1) ->> 'more')::boolean", BATCH):
            await connection.execute("vacuum usage_tail")
        for table in ("usage_days", "usage_times", "usage_customers", "activity_days"):
            await connection.execute(f"vacuum (analyze) {table}")
    finally:
        await connection.close()
