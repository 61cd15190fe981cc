"""A process dies, is stopped or freezes at any point of a message's way: nothing is lost, nothing is said twice."""

import pytest

from faults.field import Field
from faults.points import KILL_POINTS, POINTS, strike
from switchboard.failpoints import PLACES

pytestmark = pytest.mark.xdist_group("faults-points")

STOPPED = ("after_inbox_commit", "mid_stream", "after_send_claim", "during_drain")
FROZEN = ("after_turn_claim", "mid_stream", "before_finish", "after_send_claim")
"""Where a lease or a claim is held: who wakes up later must find that it is no longer theirs."""


def test_every_point_has_a_place() -> None:
    assert set(KILL_POINTS) - {"during_send"} <= set(PLACES)
    assert len(set(KILL_POINTS.values())) == 15
    assert set(POINTS) == set(KILL_POINTS), "a place that was named later is one of K1 to K15"


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("point", POINTS)
async def test_killed(field: Field, point: str) -> None:
    (await strike(field, point, "kill9", seed=100 + POINTS.index(point))).raise_if_wrong()


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("point", STOPPED)
async def test_stopped(field: Field, point: str) -> None:
    (await strike(field, point, "term", seed=200 + POINTS.index(point))).raise_if_wrong()


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("point", FROZEN)
async def test_frozen_and_woken(field: Field, point: str) -> None:
    (await strike(field, point, "stop", seed=300 + POINTS.index(point), patience=1)).raise_if_wrong()
