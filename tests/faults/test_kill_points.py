"""A process dies, is stopped or freezes at any point of a message's way: nothing is lost, nothing is said twice."""

import pytest

from faults.field import Field
from faults.points import KILL_POINTS, POINTS, SIGNALS, Action, strike
from switchboard.failpoints import PLACES

PATIENCE_SECONDS = {"kill9": 2.0, "term": 2.0, "stop": 1.0}
EVERY = [
    pytest.param(point, action, marks=pytest.mark.xdist_group(f"faults-points-{place % 2}"), id=f"{point}-{action}")
    for place, point in enumerate(POINTS)
    for action in SIGNALS
]


def test_every_point_has_a_place() -> None:
    assert set(KILL_POINTS) - {"during_send"} <= set(PLACES)
    assert len(set(KILL_POINTS.values())) == 15
    assert set(POINTS) == set(KILL_POINTS), "a place that was named later is one of K1 to K15"


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize(("point", "action"), EVERY)
async def test_a_process_falls(field: Field, point: str, action: Action) -> None:
    seed = 100 * (1 + POINTS.index(point)) + list(SIGNALS).index(action)
    (await strike(field, point, action, seed=seed, patience=PATIENCE_SECONDS[action])).raise_if_wrong()
