"""P7: how soon an acknowledged webhook reaches the model, and how fast turns are worked off."""

import asyncio
import json
import os
import sys
import time
from contextlib import AsyncExitStack

import aiohttp

from benchmarks import ROOT, ground, servers, talks
from benchmarks.load import Plan
from benchmarks.loading import load
from benchmarks.measure import Figures, Report, Scale, interleave, percentile
from benchmarks.servers import Server
from stands.clusters import Cluster
from switchboard.database import Database
from switchboard.database.postgres import open_postgres

COMPARED = (
    "Pickup: webhooks of new customers at a steady rate, no quiet time; from the moment the sender has its 200 to the"
    " moment the model's server gets the call (`switchboard serve`, one process). *Turns answered*: N turns that are"
    " due already, made so by SQL and not counted, each claimed with its context, looked up, answered by the built-in"
    " provider and finished with message, reply, usage and event (`switchboard work`, one process). *procrastinate*: N"
    " jobs deferred one by one and run, each doing one insert of one row (one process). *Turns alone*: N turns leased"
    " 20 at a time, one insert of one row for each, given back done under their lease: what procrastinate does for its"
    " jobs. All with 16 at a time and 16 connections on the same server."
)
AT_ONCE = 16
ANSWERED, ALONE, JOBS = "turns answered", "turns alone", "procrastinate"


async def run(scale: Scale) -> Report:
    """Pickup, then the three throughputs in turn."""
    report = Report("P7", "From the webhook to the work", COMPARED)
    async with AsyncExitStack() as stack:
        cluster = await stack.enter_async_context(ground.cluster())
        await _pickup(report, cluster, scale)
        many = scale.some(1500, 30)
        kinds: list[str] = []
        rounds = await interleave(
            {
                JOBS: lambda: _jobs(cluster, many, kinds),
                ANSWERED: lambda: _answered(cluster, many),
                ALONE: lambda: _alone(cluster, many),
            },
            scale.rounds,
        )
    report.tables.append(rounds.table({"run": "run/s", "whole": "deferred and run/s"}))
    report.raw["throughput"] = rounds.sides
    for side in (ANSWERED, ALONE):
        report.target(f"{side}, of jobs deferred and run", rounds.ratio(side, JOBS, "whole"), 5, at_least=True)
    report.notes.append(f"procrastinate used psycopg's implementation `{kinds[0]}`.")
    report.notes.append(
        f"Against jobs that are run only: turns answered {rounds.ratio(ANSWERED, JOBS, 'run')} ×, turns alone"
        f" {rounds.ratio(ALONE, JOBS, 'run')} ×."
    )
    return report


async def _pickup(report: Report, cluster: Cluster, scale: Scale) -> None:
    dsn = await ground.migrated(cluster)
    async with AsyncExitStack() as stack:
        model = await stack.enter_async_context(servers.serving(servers.model()))
        answering = {
            "REPLY_CONCURRENCY": str(AT_ONCE),
            "OPENAI_BASE_URL": f"http://127.0.0.1:{model.port}/v1",
            "DEFAULT_MODEL": "openai:benchmark-model",
            "FACEBOOK_GRAPH_URL": f"http://127.0.0.1:{model.port}/v23.0",
        }
        ours = await stack.enter_async_context(servers.serving(servers.service(dsn, **answering)))
        await ground.no_quiet_time(dsn)
        sides = {
            f"{rate} webhooks/s": lambda r=rate: _picked_up(ours, model, r, scale)
            for rate in (5, 50)[-scale.some(2, 1) :]
        }
        rounds = await interleave(sides, scale.rounds)
    report.tables.append(rounds.table({"p50": "pickup p50, ms", "p99": "pickup p99, ms"}))
    report.raw["pickup"] = rounds.sides
    for side in sides:
        report.target(f"pickup p50 at {side}", rounds.spread(side, "p50"), 15, "ms")


async def _picked_up(ours: Server, model: Server, rate: float, scale: Scale) -> Figures:
    seconds = scale.seconds
    sent = (
        await load(
            Plan(ours.port, rate=rate, seconds=seconds, warm_up=scale.warm_up, customers=0, clients=4, every=True)
        )
    ).sent
    calls: dict[str, float] = {}
    async with aiohttp.ClientSession() as http, asyncio.timeout(30):
        while not all(mark in calls for mark, _, _ in sent):
            async with http.get(f"http://127.0.0.1:{model.port}/calls") as told:
                calls |= {text.split()[-1]: at for text, at in await told.json()}
            await asyncio.sleep(0.1)
    waited = [(calls[mark] - answered) * 1000 for mark, _, answered in sent]
    return {"p50": percentile(waited, 0.5), "p99": percentile(waited, 0.99)}


async def _answered(cluster: Cluster, many: int) -> Figures:
    """Turns a second of `switchboard work`, from the first claim to the last commit, by the database's clock."""
    dsn = await _due(cluster, many)
    limits = {"REPLY_CONCURRENCY": str(AT_ONCE), "WORKSPACE_CONCURRENCY": str(AT_ONCE)}
    worker = servers.worker(dsn, **limits)
    worker.start()
    try:
        await ground.until(dsn, "select not exists (select from turns where due_at is not null)")
        rate = await ground.value(
            dsn, "select count(*) / extract(epoch from max(finished_at) - min(started_at)) from replies"
        )
    finally:
        worker.stop()
    return {"run": float(str(rate)), "whole": float(str(rate))}


async def _alone(cluster: Cluster, many: int) -> Figures:
    dsn = await _due(cluster, many)
    await ground.execute(dsn, "create table done (number bigint)", "grant all on done to service_role")
    database = await open_postgres(dsn, pool_size=AT_ONCE, timeout=10)
    try:
        began = time.perf_counter()
        while turns := await database.call("claim_turns", max_turns=20, lease_seconds=30, per_workspace=1000):
            await asyncio.gather(*(_store(database, turn) for turn in turns))
        rate = many / (time.perf_counter() - began)
    finally:
        await database.close()
    return {"run": rate, "whole": rate}


async def _store(database: Database, turn: dict[str, int]) -> None:
    await database.insert("done", [{"number": turn["conversation_id"]}])
    lease = {name: turn[name] for name in ("workspace_id", "conversation_id", "lease_no", "seq_in")}
    await database.call("drop_turn", **lease)


async def _jobs(cluster: Cluster, many: int, kinds: list[str]) -> Figures:
    dsn = cluster.dsn(await cluster.create_database())
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.jobs", str(many), str(AT_ONCE)),
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": dsn, "POOL": str(AT_ONCE)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    out, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"procrastinate ended with {process.returncode}")
    seconds = json.loads(out)
    kinds.append(seconds["implementation"])
    return {"run": many / seconds["run"], "whole": many / (seconds["defer"] + seconds["run"])}


async def _due(cluster: Cluster, many: int) -> str:
    dsn = await ground.migrated(cluster)
    await ground.execute(dsn, "select ensure_workspace('Busy Ltd', 'the assistant', 'Be brief.')")
    await talks.due_turns(dsn, many, mark="due")
    return dsn
