"""The loop that claims due turns, keeps their leases alive and hands them to `answer`."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field

import structlog

from switchboard.bell import Bell
from switchboard.errors import SwitchboardError
from switchboard.failpoints import reach
from switchboard.metrics import Metrics
from switchboard.replies.answer import Desk, Generate, answer, preface_of
from switchboard.replies.stopping import cut_off, finished
from switchboard.replies.turn import Turn

HEARTBEAT_SECONDS = 1.0
"""How often a process asks whether its turns are still its own; leases are written every third of their time."""

log = structlog.get_logger()


@dataclass(slots=True)
class _Held:
    turn: Turn
    generate: Generate = field(default_factory=Generate)


class Turns:
    """The turns this process answers, at most ``concurrency`` at a time."""

    def __init__(
        self,
        desk: Desk,
        metrics: Metrics,
        *,
        bell: Bell,
        stored: Bell,
        concurrency: int,
        per_workspace: int,
        lease_seconds: float,
        poll_seconds: float,
    ) -> None:
        """``bell`` is rung when a turn becomes due, ``stored`` is rung by us when a reply is ready to be sent."""
        self._desk = desk
        self._metrics = metrics
        self._bell = bell
        self._stored = stored
        self._concurrency = concurrency
        self._per_workspace = per_workspace
        self._lease_seconds = lease_seconds
        self._poll_seconds = poll_seconds
        self._held: dict[tuple[int, int], _Held] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._drained = asyncio.Event()
        self._ended_claiming = asyncio.Event()

    async def run(self) -> None:
        """Claims and answers until `drain`; a database that is away is waited for."""
        keeping = asyncio.create_task(self._keep_leases())
        try:
            await self._claim()
            self._ended_claiming.set()
            await self._drained.wait()
        finally:
            keeping.cancel()

    async def drain(self, seconds: float) -> None:
        """Claims no more, lets what runs finish for ``seconds``, then stops it and gives the turns back.

        Giving back may take an eighth of ``seconds`` more; a lease that could not be given back ends by itself.
        """
        # A claim under way is not cut off: its turns would stay leased to nobody.
        self._stopping = True
        self._bell.ring()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._ended_claiming.wait()
                await reach("during_drain")
                await finished(self._tasks)
        await cut_off(self._tasks, seconds / 8)
        self._drained.set()

    async def _claim(self) -> None:
        while not self._stopping:
            await reach("before_turn_claim")
            free = self._concurrency - len(self._held)
            claimed = await self._claim_some(free) if free > 0 else []
            for turn in claimed:
                self._start(turn)
            if len(claimed) < free or free <= 0:
                await self._bell.wait(self._poll_seconds)

    async def _claim_some(self, free: int) -> list[Turn]:
        try:
            rows = await self._desk.database.call(
                "claim_turns",
                max_turns=free,
                lease_seconds=self._lease_seconds,
                per_workspace=self._per_workspace,
            )
        except SwitchboardError as error:
            log.warning("no turns claimed", code=error.code)
            await asyncio.sleep(1)
            return []
        return [Turn.model_validate(row) for row in rows]

    def _start(self, turn: Turn) -> None:
        held = self._held[turn.key] = _Held(turn)
        task = asyncio.create_task(self._answer(held))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, held: _Held) -> None:
        turn, outcome = held.turn, "failed"
        voice = self._desk.overheard.begin(turn.conversation_id, turn.seq_in, preface_of(turn))
        self._metrics.turns_held.inc()
        with structlog.contextvars.bound_contextvars(conversation=turn.conversation_id, workspace=turn.workspace_id):
            try:
                await reach("after_turn_claim")
                with self._metrics.reply_seconds.time():
                    outcome = await answer(turn, self._desk, held.generate, voice)
                self._metrics.replies.labels(outcome).inc()
                log.info("turn done", outcome=outcome, attempt=turn.attempts, seq=turn.seq_in)
            except asyncio.CancelledError:
                await self._release(held, 0)
                raise
            except SwitchboardError as error:
                log.warning("turn interrupted", code=error.code, attempt=turn.attempts)
                await self._release(held, 1)
            except Exception:
                # A fault of ours must not silence the customer: the turn is tried again, then a person gets it.
                log.exception("turn failed", attempt=turn.attempts)
                await self._release(held, 2.0**turn.attempts, count=True)
            finally:
                # A lease that ran out may have been claimed anew, by this very process.
                if self._held.get(turn.key) is held:
                    del self._held[turn.key]
                self._metrics.turns_held.dec()
                voice.end(outcome)
                self._stored.ring()
                self._bell.ring()

    async def _release(self, held: _Held, retry_seconds: float, *, count: bool = False) -> None:
        """Gives a turn back and books what was spent on it; if even that fails, its lease ends by itself."""
        turn, receipt = held.turn, held.generate.receipt
        # Nothing else of it: what cannot be stored must not keep the rest from being stored.
        spent = {"attempts": receipt()["attempts"]} if receipt else None
        reply = {"outcome": "failed", "seq_in": turn.seq_in, "epoch": turn.epoch, "reason": "internal error"}
        try:
            await self._desk.database.call(
                "release_turn",
                workspace_id=turn.workspace_id,
                conversation_id=turn.conversation_id,
                lease_no=turn.lease_no,
                retry_seconds=retry_seconds,
                reply=reply if count else None,
                spent=spent,
            )
        except SwitchboardError as error:
            log.warning("turn not released", code=error.code)

    async def _keep_leases(self) -> None:
        while True:
            await asyncio.sleep(min(HEARTBEAT_SECONDS, self._lease_seconds / 3))
            if not self._held:
                continue
            try:
                states = await self._desk.database.call(
                    "renew_turns",
                    held=[self._lease(held.turn) for held in self._held.values()],
                    lease_seconds=self._lease_seconds,
                )
            except SwitchboardError as error:
                log.warning("leases not renewed", code=error.code)
                continue
            for state in states:
                held = self._held.get((state["workspace_id"], state["conversation_id"]))
                if held is not None and state["state"] != "held":
                    held.generate.stop(state["state"])

    @staticmethod
    def _lease(turn: Turn) -> dict[str, int]:
        return {
            "workspace_id": turn.workspace_id,
            "conversation_id": turn.conversation_id,
            "lease_no": turn.lease_no,
            "epoch": turn.epoch,
            "seq_in": turn.seq_in,
        }
