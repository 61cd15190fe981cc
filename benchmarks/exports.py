"""P8: exports in every format, in rows per second, against `copy (select row_to_json(…))` of the same rows."""

import asyncio
import json
import os
import resource
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import asyncpg

from benchmarks import archive, ground
from benchmarks.measure import Figures, Report, Scale, interleave

COMPARED = (
    "The whole of `switchboard.exports.build.write` in a process of its own: source, hiding, format, hash and manifest,"
    " with the bytes thrown away; not HTTP. Rows are messages, six to a conversation, of 130 letters. *copy* is"
    " `copy (select row_to_json(m) from messages m where workspace_id = …) to stdout` through asyncpg, thrown away as"
    " well, in the same round. `raw` is `anonymize: false`. *First* is until the first bytes, *peak* the most memory"
    " the process ever had, imports included."
)
SMALL = 10_000
EACH = 6
LARGEST = 1_000_000
FORMATS = ("json", "jsonl", "ml", "csv", "xlsx")
_BOUNDS = {"json": 0.7, "jsonl": 0.7, "ml": 0.7, "csv": 0.6}
ADMIN = {"subject": "benchmark", "admin": True, "roles": {}}
_TEXTS = """
update messages set provider = case sender_type when 'bot' then 'mistral' end,
  model = case sender_type when 'bot' then 'large' end,
  content = rpad('Message ' || seq || ' about the order that has not come yet, if it ever will, ', 130, 'as before; ')
where workspace_id = $1
"""


async def run(scale: Scale) -> Report:
    """Every format at every size, raw, and JSON with everybody hidden."""
    report = Report("P8", "Exports", COMPARED)
    largest = min(scale.messages, int(os.environ.get("EXPORTED", LARGEST // 10)))
    sizes = sorted({min(SMALL, largest), largest})
    async with AsyncExitStack() as stack:
        cluster = await stack.enter_async_context(ground.cluster())
        found: dict[str, Any] = {}
        for size in sizes:
            dsn = await ground.migrated(cluster)
            workspace = await archive.fill(dsn, size, each=EACH)
            await _prepare(dsn, workspace)
            sides = {f"copy, {size:,}": lambda d=dsn, w=workspace: _copy(d, w)}
            for name in FORMATS:
                sides[f"{name}, raw, {size:,}"] = lambda d=dsn, w=workspace, n=name: _export(d, w, n, "raw")
            sides[f"json, anonymised, {size:,}"] = lambda d=dsn, w=workspace: _export(d, w, "json", "hidden")
            rounds = await interleave(sides, max(1, min(scale.rounds, 3)))
            found |= rounds.sides
            table = rounds.table({"rate": "rows/s", "first": "first, ms", "peak": "peak, MB", "size": "MB"})
            table.head[0] = f"{size:,} messages"
            report.tables.append(table)
            for name, bound in _BOUNDS.items() if size == sizes[-1] else ():
                ratio = rounds.ratio(f"{name}, raw, {size:,}", f"copy, {size:,}", "rate")
                report.target(f"rows/s, {name} of copy, {size:,}", ratio, bound, at_least=True)
            if size == sizes[-1]:
                hidden = rounds.ratio(f"json, anonymised, {size:,}", f"copy, {size:,}", "rate")
                report.target(f"rows/s, json anonymised of copy, {size:,}", hidden, 0.15, at_least=True)
                sheets = rounds.spread(f"xlsx, raw, {size:,}", "rate")
                report.target(f"rows/s, xlsx, {size:,}", sheets, 100_000, "rows/s", at_least=True)
                report.target(f"first byte, json, {size:,}", rounds.spread(f"json, raw, {size:,}", "first"), 300, "ms")
        _flat(report, found, sizes)
        report.raw["rounds"] = found
    return report


def _flat(report: Report, found: dict[str, list[Figures]], sizes: list[int]) -> None:
    """Memory at the largest size of that at the smallest, for each format."""
    from benchmarks.measure import Rounds

    if len(sizes) < 2:
        return
    for name in FORMATS:
        both = Rounds({str(size): found[f"{name}, raw, {size:,}"] for size in sizes})
        report.target(
            f"peak memory, {name}, {sizes[-1]:,} of {sizes[0]:,}", both.ratio(*map(str, reversed(sizes)), "peak"), 1.1
        )


async def _prepare(dsn: str, workspace: int) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("set session_replication_role = replica")
        await connection.execute(_TEXTS, workspace)
        await connection.execute("vacuum (full, analyze) messages")
        await connection.execute("checkpoint")
    finally:
        await connection.close()


async def _copy(dsn: str, workspace: int) -> Figures:
    connection = await asyncpg.connect(dsn)
    size, began, first = 0, time.perf_counter(), 0.0

    async def take(chunk: bytes) -> None:
        nonlocal size, first
        first = first or time.perf_counter() - began
        size += len(chunk)

    try:
        done = await connection.copy_from_query(
            "select row_to_json(m) from messages m where workspace_id = $1", workspace, output=take
        )
    finally:
        await connection.close()
    seconds = time.perf_counter() - began
    return {"rate": int(done.split()[-1]) / seconds, "first": first * 1000, "peak": 0.0, "size": size / 1e6}


async def _export(dsn: str, workspace: int, name: str, mode: str) -> Figures:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.exports", dsn, str(workspace), name, mode),
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[1],
    )
    out, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"exporting {name} failed")
    found: Figures = json.loads(out)
    return found


async def _one(dsn: str, workspace: int, name: str, mode: str) -> Figures:
    from switchboard.database.postgres import open_postgres
    from switchboard.exports.asked import Asked
    from switchboard.exports.build import begin, write
    from switchboard.settings import Settings

    database = await open_postgres(dsn, pool_size=2, timeout=30)
    asked = Asked.model_validate({"format": name, "anonymize": mode == "hidden"})
    size, messages, first = 0, 0, 0.0

    def watch(counts: Any) -> None:
        nonlocal messages
        messages = counts["messages"]

    # The first call asks for the signatures of functions; a service does so once in its life.
    await database.call("export_settled", running="1")
    began = time.perf_counter()
    export = await begin(
        database, Settings.model_construct(openai_servers=None), ADMIN, workspace, asked, "export.begun"
    )
    async for chunk in write(export, watch):
        first = first or time.perf_counter() - began
        size += len(chunk)
    seconds = time.perf_counter() - began
    await database.close()
    return {
        "rate": messages / seconds,
        "first": first * 1000,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "size": size / 1e6,
    }


if __name__ == "__main__":
    import uvloop

    given, number, wanted, how = sys.argv[1:]
    sys.stdout.write(json.dumps(uvloop.run(_one(given, int(number), wanted, how))))
