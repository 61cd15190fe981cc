"""What can go wrong at the same time, and who draws it."""

import asyncio
import random
from collections.abc import Sequence

from faults import nemeses
from faults.storm import Nemesis, Storm

EVERYTHING: Sequence[Nemesis] = (
    nemeses.backends_terminated,
    nemeses.restarted,
    nemeses.crashed,
    nemeses.backend_killed,
    nemeses.frozen,
    nemeses.locked("turns"),
    nemeses.locked("inbox"),
    nemeses.long_snapshot,
    nemeses.stopped,
    nemeses.killed,
    nemeses.paused,
    nemeses.facebook_in_trouble,
    nemeses.model_in_trouble,
)
"""What two of happen at once when chance decides."""


def any_two(storm_seed: int) -> tuple[Nemesis, Nemesis]:
    """F60: two different ones, drawn by the seed; not two that both hold the server."""
    dice = random.Random(storm_seed)
    first, second = dice.sample(EVERYTHING, 2)
    holding = {nemeses.restarted, nemeses.crashed, nemeses.frozen}
    while first in holding and second in holding:
        first, second = dice.sample(EVERYTHING, 2)
    return first, second


def together(*all_of: Nemesis) -> Nemesis:
    """All of them at the same time; what one has broken may keep another from its work."""

    async def go(storm: Storm) -> None:
        await asyncio.gather(*(_tolerant(nemesis, storm) for nemesis in all_of))

    return go


async def _tolerant(nemesis: Nemesis, storm: Storm) -> None:
    try:
        await nemesis(storm)
    except Exception as error:  # the database it wanted to harm is away already
        storm.note("nemesis hindered", getattr(nemesis, "__name__", "?"), error=f"{type(error).__name__}: {error}")
