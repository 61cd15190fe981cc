"""F18: somebody reads from one moment for long, so that no dead row can be removed; the queue must not slow down."""

import time
from contextlib import AsyncExitStack

import asyncpg
import pytest

from faults import nemeses
from faults.field import Field
from faults.storm import rage
from faults.unguarded import Unguarded
from stands.clusters import Cluster

pytestmark = pytest.mark.xdist_group("faults-postgres")

ROUNDS = 40
CUSTOMERS = 15


@pytest.mark.asyncio(loop_scope="session")
async def test_f18_nothing_goes_wrong_under_a_long_snapshot(field: Field) -> None:
    (await rage(field, nemeses.long_snapshot, seed=819, messages=120)).raise_if_wrong()


async def test_f18_the_queue_keeps_its_pace(timed: tuple[Cluster, str]) -> None:
    """Two databases take turns, one of them with the snapshot; at the end each turn has been changed some 160 times."""
    server, template = timed
    names = [await server.create_database(template) for _ in range(2)]
    async with AsyncExitStack() as stack:
        free, held = [await stack.enter_async_context(Unguarded.open(server.dsn(name))) for name in names]
        for shop in (free, held):
            await _round(shop, 0)
        reader = await asyncpg.connect(server.dsn(names[1]))
        stack.push_async_callback(reader.close)
        await reader.execute("begin isolation level repeatable read")
        assert await reader.fetchval("select count(*) from messages") > 0
        for begun in (1, ROUNDS, 2 * ROUNDS):
            ratio = await _paces(free, held, begun)
            print(f"F18 throughput {ratio:.2f} of that without a snapshot")  # noqa: T201
            if ratio >= 0.8:
                break
    for name in names:
        await server.drop_database(name)
    # What slows the queue down does so the more, the more rounds there were; what else the machine does, only once.
    assert ratio >= 0.8


async def _paces(free: Unguarded, held: Unguarded, begun: int) -> float:
    """How fast ``held`` is beside ``free``, in the fastest of the last ten rounds of each."""
    took: dict[str, list[float]] = {"free": [], "held": []}
    for number in range(begun, begun + ROUNDS):
        for name, shop in (("free", free), ("held", held)) if number % 2 else (("held", held), ("free", free)):
            took[name].append(await _round(shop, number))
    last = {name: min(times[-ROUNDS // 4 :]) for name, times in took.items()}
    return last["free"] / last["held"]


async def _round(shop: Unguarded, number: int) -> float:
    """Every customer writes once and is answered, with all the queue does for that; how long it took."""
    began = time.perf_counter()
    for customer in range(CUSTOMERS):
        await shop.hears(f"round {number}", customer=f"u{customer}")
    for turn in await shop.desk.claims(most=CUSTOMERS, per_workspace=CUSTOMERS):
        await shop.desk.finishes(turn)
    while await shop.posts():
        pass
    return time.perf_counter() - began
