"""The places at which a process is killed, stopped or frozen, and the nemesis that does it."""

import asyncio
import signal
from contextlib import suppress
from typing import Final, Literal

from faults.environment import TURN_LEASE_SECONDS
from faults.field import Field
from faults.storm import Nemesis, Outcome, Storm, rage
from switchboard.failpoints import PLACES

VICTIM = "b"
Action = Literal["kill9", "term", "stop"]
SIGNALS: Final[dict[Action, signal.Signals]] = {
    "kill9": signal.SIGKILL,
    "term": signal.SIGTERM,
    "stop": signal.SIGSTOP,
}
FROZEN_SECONDS = TURN_LEASE_SECONDS + 0.6
"""Long enough for the lease of a frozen process to end and be taken by another."""
CLAIM_SECONDS = 2.2
"""The same for a claim to send, whose minute `Field.pass_time` moves on after two seconds."""
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
"""The fifteen points that every message passes; those during a migration have tests of their own."""

POINTS: Final = tuple(
    [place for place in PLACES if place != "during_migration"] + [p for p in KILL_POINTS if p not in PLACES]
)
"""All of them, and any place that was named later."""
POLLED = ("before_sort", "before_turn_claim", "before_send_claim")
"""Places that an idle process passes as well, many times a second."""
CLAIMED = ("after_send_claim", DURING_SEND, "after_send")
"""Places at which a claim to send is held."""


def failing(point: str, action: Action, *, most: int = 1) -> Nemesis:
    """The victim is started anew so that it fails at ``point``, and comes back, at most so many times in a storm."""
    return _DuringSend(action, most) if point == DURING_SEND else _At(point, action, most)


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
    def __init__(self, point: str, action: Action, most: int) -> None:
        self._point = point
        self._action = action
        self._most = most

    async def arm(self, storm: Storm) -> None:
        """Starts the victim anew, and it alone will fail."""
        await storm.field.fleet[VICTIM].kill()
        await self._start(storm)

    async def __call__(self, storm: Storm) -> bool:
        while await self._falls(storm):
            storm.falls += 1
            storm.note("fell", self._point)
            await _recover(storm, self._point, self._action)
            # A woken one goes on with what it was at, and would not if it were started anew at once.
            await asyncio.sleep(storm.dice.random() * 0.3 + (self._action == "stop") * 0.4)
            if storm.falls == self._most or storm.sent.is_set():
                break
            await self._start(storm)
        else:
            await storm.field.fleet[VICTIM].kill()
        if not storm.field.fleet[VICTIM].running:
            storm.field.fleet[VICTIM].start()
        storm.note("back", self._point)
        return storm.falls > 0

    async def _start(self, storm: Storm) -> None:
        victim = storm.field.fleet[VICTIM]
        count = storm.dice.randint(20, 60) if self._point in POLLED else storm.dice.randint(1, 3)
        if self._point == "during_drain":
            count = 1
        await victim.kill()
        victim.start(FAIL=f"{self._point}:{self._action}@{count}")
        storm.note("arm", self._point, action=self._action, count=count)
        with suppress(AssertionError):  # fallen already, at a place that idle processes pass
            await victim.ready()

    async def _falls(self, storm: Storm) -> bool:
        """Whether the victim falls, which may take until a little after the last message."""
        victim = storm.field.fleet[VICTIM]
        if self._point == "during_drain":
            await storm.acked(min(0.9, 0.3 + 0.2 * storm.falls))
            victim.signal(signal.SIGTERM)
        patience = 400
        while victim.running and not victim.frozen:
            patience -= storm.sent.is_set()
            if not patience:
                return False
            await asyncio.sleep(0.01)
        return True


class _DuringSend:
    """Only the victim sends, so that it is the one whose message Facebook takes and does not answer."""

    def __init__(self, action: Action, most: int) -> None:
        self._action = action
        self._most = most

    async def __call__(self, storm: Storm) -> bool:
        while not storm.sent.is_set() and storm.falls < self._most:
            if not await self._once(storm):
                break
            storm.falls += 1
        await storm.field.fleet.start()
        return storm.falls > 0

    async def _once(self, storm: Storm) -> bool:
        fleet, graph, victim = storm.field.fleet, storm.field.graph, storm.field.fleet[VICTIM]
        others = [member for member in fleet.members.values() if member is not victim]
        for member in others:
            member.signal(signal.SIGTERM)
        for member in others:
            await member.gone()
        await victim.ready()
        await graph.script(answers=[["hang", {"accepted": True}]])
        try:
            await graph.wait_for("hanging", 1, seconds=4 if storm.sent.is_set() else 10)
        except TimeoutError:  # nothing is left to be sent
            await graph.script(forget=True)
            return False
        victim.signal(SIGNALS[self._action])
        storm.note("fell", DURING_SEND, action=self._action)
        for member in others:
            member.start()
        await _recover(storm, DURING_SEND, self._action)
        await graph.script(release=True)
        if not victim.running:
            victim.start()
        await fleet.start()
        return True


async def _recover(storm: Storm, point: str, action: Action) -> None:
    """Waits until a dead victim is gone; wakes a frozen one when others have had time to take what it held."""
    victim = storm.field.fleet[VICTIM]
    if action != "stop":
        await victim.gone()
        return
    while not victim.frozen:
        await asyncio.sleep(0.005)
    await asyncio.sleep(CLAIM_SECONDS if point in CLAIMED else FROZEN_SECONDS)
    if await storm.field.pass_time():
        await _taken(storm)
    victim.signal(signal.SIGCONT)
    storm.note("woken", point)
    if point == "during_drain":
        await victim.gone()


async def _taken(storm: Storm) -> None:
    """Returns when the others have found the claims that ran out, or a second later."""
    with suppress(TimeoutError):
        async with asyncio.timeout(1), storm.field.sql() as sql:
            while await sql.fetchval(
                "select exists (select from deliveries where state = 'sending' and lease_until < clock_timestamp())"
            ):
                await asyncio.sleep(0.02)
