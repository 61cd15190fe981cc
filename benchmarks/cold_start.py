"""P15: from nothing to the first 200, and what the service keeps in memory."""

import asyncio
import shutil
import tempfile
import time
from pathlib import Path

from benchmarks import ground, servers
from benchmarks.load import Plan
from benchmarks.loading import load
from benchmarks.machine import family_megabytes, resident_megabytes
from benchmarks.measure import Figures, Report, Scale, interleave
from benchmarks.servers import Server
from stands.service import SWITCHBOARD

COMPARED = (
    "`switchboard serve` in an empty folder with no database set, so that the embedded Postgres is made, started and"
    " migrated: from starting the process to the first 200 of `/health/ready`. Then a second start in the same folder,"
    " and a start on a database that is there. Beside it a bare FastAPI application with a pool. Compiled modules are"
    " warm, as after one start. Memory after 1,000 webhooks; what Postgres' processes share is"
    " counted once."
)
FIRST, SECOND, BARE = "embedded, first start", "embedded, second start", "bare FastAPI and pool"
DIRECT, ANSWERING = "on a Postgres", "on a Postgres, answering by the openai SDK"
WEBHOOKS = 1000


async def run(scale: Scale) -> Report:
    """Starts, then memory."""
    report = Report("P15", "Cold start and memory", COMPARED)
    second, webhooks = _folder(), scale.some(WEBHOOKS, 5)
    try:
        async with ground.cluster() as cluster, servers.serving(servers.model()) as model:
            dsn, answering = await ground.migrated(cluster), await ground.migrated(cluster)
            await _embedded(second, 1)
            sides = {
                BARE: lambda: _started(servers.bare(DATABASE_URL=dsn), webhooks),
                DIRECT: lambda: _started(servers.service(dsn), webhooks),
                ANSWERING: lambda: _started(_answering(answering, model), webhooks),
                FIRST: lambda: _first(webhooks),
                SECOND: lambda: _embedded(second, webhooks),
            }
            if scale.smoke:
                del sides[BARE], sides[DIRECT]
            rounds = await interleave(sides, scale.rounds)
    finally:
        shutil.rmtree(second, ignore_errors=True)
    table = rounds.table({"ready": "first 200 after, s", "memory": "service, MB", "postgres": "its Postgres, MB"})
    report.tables.append(table)
    report.raw["rounds"] = rounds.sides
    report.target("embedded store, first start", rounds.spread(FIRST, "ready"), 1.0, "s")
    report.target("embedded store, second start", rounds.spread(SECOND, "ready"), 0.6, "s")
    for side in (SECOND, ANSWERING):
        report.target(f"memory of the service, {side}", rounds.spread(side, "memory"), 120, "MB")
    return report


def _folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="switchboard-benchmark-data-"))
    # An account without rights, which Postgres runs as where root may not make namespaces, has to get through.
    folder.chmod(0o755)
    return folder


async def _first(webhooks: int) -> Figures:
    folder = _folder()
    try:
        return await _embedded(folder, webhooks)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _embedded(folder: Path, webhooks: int) -> Figures:
    env = servers.service_env(None, DATA_DIR=str(folder / "data"), REPLY_CONCURRENCY="16")
    return await _started(Server((SWITCHBOARD, "serve"), env), webhooks, folder / "data" / "postgres" / "cluster")


def _answering(dsn: str, model: Server) -> Server:
    address = f"http://127.0.0.1:{model.port}"
    return servers.service(
        dsn,
        REPLY_CONCURRENCY="16",
        OPENAI_BASE_URL=f"{address}/v1",
        DEFAULT_MODEL="openai:benchmark-model",
        FACEBOOK_GRAPH_URL=f"{address}/v23.0",
    )


async def _started(server: Server, webhooks: int, cluster: Path | None = None) -> Figures:
    began = time.perf_counter()
    server.start()
    try:
        await server.ready()
        ready = time.perf_counter() - began
        if "FACEBOOK_APP_SECRET" in server.env:
            await load(Plan(server.port, clients=4, seconds=30, warm_up=0, most=webhooks))
            await asyncio.sleep(0.3)
        postgres = 0.0
        if cluster is not None:
            postgres = family_megabytes(_postmaster(cluster))
        return {"ready": ready, "memory": resident_megabytes(server.pid), "postgres": postgres}
    finally:
        server.stop()


def _postmaster(cluster: Path) -> int:
    return int((cluster / "postmaster.pid").read_text().split()[0])
