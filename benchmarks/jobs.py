"""Procrastinate doing what is compared with our turns: `python -m benchmarks.jobs N CONCURRENCY` prints seconds.

{"defer": all jobs put into the queue, one statement each, so many at a time; "run": all of them run, one insert each}
"""

import asyncio
import json
import os
import sys
import time

import procrastinate
import psycopg

connector = procrastinate.PsycopgConnector(
    conninfo=os.environ.get("DATABASE_URL", ""), min_size=4, max_size=int(os.environ.get("POOL", "16"))
)
app = procrastinate.App(connector=connector)


@app.task(name="store")
async def store(number: int) -> None:
    """One insert."""
    await connector.execute_query_async("insert into done (number) values (%(number)s)", number=number)


async def measure(many: int, concurrency: int) -> dict[str, float | str]:
    """Defers and runs ``many`` jobs, ``concurrency`` at a time."""
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        await connector.execute_query_async("create table if not exists done (number bigint)")
        began = time.perf_counter()
        numbers = iter(range(many))

        async def defer() -> None:
            for number in numbers:
                await store.defer_async(number=number)

        await asyncio.gather(*(defer() for _ in range(concurrency)))
        deferred = time.perf_counter()
        await app.run_worker_async(concurrency=concurrency, wait=False, install_signal_handlers=False)
        done = time.perf_counter()
    return {"defer": deferred - began, "run": done - deferred, "implementation": psycopg.pq.__impl__}


if __name__ == "__main__":
    json.dump(asyncio.run(measure(int(sys.argv[1]), int(sys.argv[2]))), sys.stdout)
