"""The line to Postgres goes silent or loses answers; a pooler stands in it; clocks disagree."""

import json
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio

from faults import nemeses
from faults.field import Field, open_field
from faults.points import strike
from faults.proxy import Line
from faults.storm import Storm, rage
from stands.clusters import Cluster
from stands.pooler import PGBOUNCER, pooling

pytestmark = [pytest.mark.xdist_group("faults-network"), pytest.mark.asyncio(loop_scope="module")]

FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lined() -> AsyncIterator[tuple[Field, Line]]:
    """An installation that reaches its database through a line."""
    async with AsyncExitStack() as stack:
        lines: list[Line] = []

        async def lay(cluster: Cluster, database: str) -> str:
            lines.append(await stack.enter_async_context(Line(cluster.port).listen()))
            return f"postgresql://postgres@127.0.0.1:{lines[0].port}/{database}"

        field = await stack.enter_async_context(open_field(13, working=(), way=lay))
        yield field, lines[0]


async def test_f13_the_line_is_silent(lined: tuple[Field, Line]) -> None:
    field, line = lined
    outcome = await rage(field, nemeses.silent(line), seed=1013, messages=60)
    outcome.raise_if_wrong()
    assert set(outcome.statuses) <= {200, 503}
    assert outcome.unanswered == 0, "every webhook is answered before Meta gives up"


@pytest.mark.parametrize("share", [0.02, 0.1])
async def test_f14_done_and_not_heard(lined: tuple[Field, Line], share: float) -> None:
    field, line = lined
    outcome = await rage(field, nemeses.answers_lost(line, share), seed=1014, messages=100, pause=0.5)
    outcome.raise_if_wrong()
    assert set(outcome.statuses) <= {200, 503}


def needs(program: object, package: str) -> None:
    """Not there is a choice on somebody's machine, and a hole in what we prove anywhere else."""
    if program is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"needs the Debian package {package}")


async def test_f21_behind_a_pooler_in_transaction_mode() -> None:
    needs(PGBOUNCER, "pgbouncer")
    with tempfile.TemporaryDirectory() as folder:
        async with AsyncExitStack() as stack:

            async def through(cluster: Cluster, database: str) -> str:
                port = stack.enter_context(pooling(cluster, Path(folder), connections=6))
                return f"postgresql://postgres@127.0.0.1:{port}/{database}"

            field = await stack.enter_async_context(open_field(21, working=(), way=through, DATABASE_POOLER="true"))
            (await strike(field, "after_send_claim", "kill9", seed=1022)).raise_if_wrong()


async def test_f44_clocks_that_disagree_and_jump() -> None:
    needs(FAKETIME, "libfaketime")
    async with open_field(44) as field:
        dial = field.folder / "clock"
        dial.write_text("+10m")
        # Only what the calendar says: the clock that timeouts go by never jumps on a real machine either.
        calendar = {"FAKETIME_DONT_FAKE_MONOTONIC": "1", "FAKETIME_FORCE_MONOTONIC_FIX": "0"}
        clocks = {
            "b": {"FAKETIME_TIMESTAMP_FILE": str(dial), "FAKETIME_CACHE_DURATION": "1"},
            "w": {"FAKETIME": "-10m"},
        }
        for name, clock in clocks.items():
            await field.fleet[name].kill()
            field.fleet[name].start(LD_PRELOAD=str(FAKETIME), **calendar, **clock)
            await field.fleet[name].ready()

        async def jump(storm: Storm) -> bool:
            await storm.acked(0.4)
            dial.write_text("-50m")
            storm.note("jump", "an hour back")
            return True

        (await rage(field, jump, seed=1044, messages=120, pause=1.0)).raise_if_wrong()
        stamps = {name: _last_stamp(field.fleet[name].log) for name in ("a", "b", "w")}
        assert stamps["b"] < stamps["w"] < stamps["a"], "their clocks did disagree"


def _last_stamp(log: Path) -> str:
    return max(str(json.loads(line)["timestamp"]) for line in log.read_text().splitlines()[-3:] if line.startswith("{"))
