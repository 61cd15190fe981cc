"""The places at which a process is killed, stopped or frozen, and the nemesis that does it."""

import asyncio
import signal
from contextlib import suppress
from typing import Final, Literal

from faults.field import TURN_LEASE_SECONDS, Field
from faults.storm import Nemesis, Outcome, Storm, rage
from switchboard.failpoints import PLACES

VICTIM = "b"
Action = Literal["kill9", "term", "stop"]
FROZEN_SECONDS = TURN_LEASE_SECONDS + 0.6
"""Long enough for the lease of a frozen process to end and be taken by another."""
DURING_SEND: Final = "during_send"
"""Not a place in the code: Facebook has the message and has not answered yet."""

KILL_POINTS: Final = {
    "after_body_read": "K1",
    "before_inbox_commit": "K2",
    "after_inbox_commit": "K3",
    "before_sort": "K4",
    "before_turn_claim": "K4",
    "after_turn_claim": "K5",
    "after_context": "K6",
    "before_first_chunk": "K7",
    "mid_stream": "K8",
    "before_finish": "K9",
    "before_send_claim": "K10",
    "after_send_claim": "K11",
    DURING_SEND: "K12",
    "after_send": "K13",
    "after_mark_delivered": "K14",
    "during_drain": "K15",
}
"""The fifteen points that every message passes; those during a migration have a test of their own."""

POINTS: Final = tuple(
    [place for place in PLACES if place != "during_migration"] + [p for p in KILL_POINTS if p not in PLACES]
)
"""All of them, and any place that was named later."""
POLLED = ("before_sort", "before_turn_claim", "before_send_claim")
"""Places that an idle process passes as well."""


def failing(point: str, action: Action) -> Nemesis:
    """The victim is started anew so that it fails at ``point``, comes back, and is joined by the others again."""
    return _during_send if point == DURING_SEND else _At(point, action)


async def strike(there: Field, point: str, action: Action, *, seed: int, patience: float = 2) -> Outcome:
    """A storm in which the victim does fall: on a busy machine others may do all the work before it comes that far.

    Answers the first storm with a violation, the first in which it fell, or the last of three.
    """
    for again in (0, 1000):
        outcome = await rage(there, failing(point, action), seed=seed + again, patience=patience)
        if outcome.happened or outcome.violations:
            return outcome
    return await rage(there, failing(point, action), seed=seed + 2000, patience=patience)


class _At:
    def __init__(self, point: str, action: Action) -> None:
        self._point = point
        self._action = action

    async def arm(self, storm: Storm) -> None:
        """Starts the victim anew, and it alone will fail."""
        victim = storm.field.fleet[VICTIM]
        count = storm.dice.randint(40, 80) if self._point in POLLED else storm.dice.randint(1, 3)
        if self._point == "during_drain":
            count = 1
        await victim.kill()
        victim.start(FAIL=f"{self._point}:{self._action}@{count}")
        with suppress(AssertionError):  # fallen already, at a place that idle processes pass
            await victim.ready()
        storm.note("arm", self._point, action=self._action, count=count)

    async def __call__(self, storm: Storm) -> bool:
        victim = storm.field.fleet[VICTIM]
        if self._point == "during_drain":
            await storm.acked(0.4)
            victim.signal(signal.SIGTERM)
        happened = await self._happened(storm)
        storm.note("fell", self._point)
        if victim.frozen:
            await asyncio.sleep(FROZEN_SECONDS)
            await storm.field.pass_time()
            victim.signal(signal.SIGCONT)
            if self._point == "during_drain":
                await victim.gone()
        elif not victim.running or self._action == "term":
            await victim.gone()
        if not happened:
            await victim.kill()
        if not victim.running:
            await asyncio.sleep(storm.dice.random() * 0.3)
            victim.start()
        storm.note("back", self._point)
        return happened

    async def _happened(self, storm: Storm) -> bool:
        """Whether the victim fell, which may take until a little after the last message."""
        victim = storm.field.fleet[VICTIM]
        patience = 400
        while victim.running and not victim.frozen:
            patience -= storm.sent.is_set()
            if not patience:
                return False
            await asyncio.sleep(0.01)
        return True


async def _during_send(storm: Storm) -> bool:
    """Only the victim is there, so that it is the one whose message Facebook takes and does not answer."""
    fleet, graph = storm.field.fleet, storm.field.graph
    for name, member in fleet.members.items():
        if name != VICTIM:
            await member.kill()
    before = (await graph.state())["sends"]
    await graph.script(answers=[["hang", {"accepted": True}]])
    await fleet[VICTIM].ready()
    await graph.wait_for("sends", before + 1)
    await fleet[VICTIM].kill()
    storm.note("fell", DURING_SEND)
    await graph.script(release=True)
    await fleet.start()
    return True
