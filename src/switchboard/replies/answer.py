"""The product on one page: a claimed turn becomes one stored reply, or says why not."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

import structlog

from switchboard import clock
from switchboard.channels import Channel
from switchboard.database import Database
from switchboard.errors import ProviderBusy, ProviderError, Unavailable
from switchboard.failpoints import reach
from switchboard.providers import Passage
from switchboard.providers.registry import Providers
from switchboard.replies.confidence import confidence
from switchboard.replies.draft import Draft, write
from switchboard.replies.prompt import build_prompt, question_of
from switchboard.replies.turn import Turn

MAX_ATTEMPTS = 3
"""How often a turn is tried before a person gets it."""
STORE_AGAIN_SECONDS = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Pauses between attempts to store a finished reply; together less than a lease."""

Moved = Literal["superseded", "taken_over", "lost"]
log = structlog.get_logger()


class MovedOn(Exception):
    """The customer or a person was faster: this reply is no longer wanted."""

    def __init__(self, state: Moved) -> None:
        self.state: Moved = state
        super().__init__(state)


@dataclass(frozen=True, slots=True)
class Desk:
    """What answering needs."""

    database: Database
    providers: Providers
    senders: Mapping[str, Channel]
    model: str


async def answer(turn: Turn, desk: Desk, generate: "Generate") -> str:
    """Answers one turn and returns its outcome, a word of `replies.outcome`, ``retried`` or ``dropped``.

    ``generate`` runs the model's writing and raises `MovedOn` when the reply is not wanted any more.
    """
    started_at = clock.now()
    if turn.attempts > MAX_ATTEMPTS:
        receipt = {"started_at": started_at.isoformat(), "reason": "every attempt to answer was cut short"}
        return await _apologise(turn, desk, receipt)
    if not turn.asked:
        return await _drop(turn, desk)
    passages = await _look_up(turn, desk.database)
    await reach("after_context")
    name = (turn.agent and turn.agent.model) or desk.model
    try:
        provider, model = desk.providers.get(name)
    except ProviderError as error:
        return await _fail(turn, desk, {"started_at": started_at.isoformat()}, error)
    draft = Draft(build_prompt(turn, passages, model))
    typing = asyncio.create_task(_show_typing(turn, desk))
    try:
        await generate(write(draft, provider))
        if draft.done is None or not (draft.text or draft.calls):
            raise ProviderBusy("The model answered nothing.")
        await reach("before_finish")
        receipt = _receipt(desk, name, draft, passages, started_at)
        return await _finish(turn, desk, receipt, confidence(draft.done, passages), draft)
    except MovedOn as moved:
        return await _give_back(turn, desk, _receipt(desk, name, draft, passages, started_at), moved.state)
    except ProviderError as error:
        return await _fail(turn, desk, _receipt(desk, name, draft, passages, started_at), error)
    finally:
        typing.cancel()


class Generate:
    """Runs the writing of one draft so that it can be stopped from outside."""

    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None
        self._moved: Moved | None = None

    def stop(self, moved: Moved) -> None:
        """The reply is not wanted any more; the writing stops at once."""
        self._moved = self._moved or moved
        if self._task is not None:
            self._task.cancel()

    async def __call__(self, writing: Any) -> None:
        """Awaits ``writing``. Raises `MovedOn` when stopped."""
        self._task = asyncio.create_task(writing)
        try:
            if self._moved:
                self._task.cancel()
            await self._task
        except asyncio.CancelledError:
            if self._moved is None:
                self._task.cancel()
                raise
            raise MovedOn(self._moved) from None
        finally:
            self._task = None


async def _look_up(turn: Turn, database: Database) -> list[Passage]:
    question = question_of(turn)
    if not question:
        return []
    rows = await database.call("search_knowledge", workspace_id=turn.workspace_id, query=question)
    return [Passage(**row) for row in rows]


async def _show_typing(turn: Turn, desk: Desk) -> None:
    sender = desk.senders.get(turn.platform)
    if sender is not None:
        await sender.typing(turn.account, turn.recipient)


def _receipt(desk: Desk, name: str, draft: Draft, passages: Sequence[Passage], started_at: datetime) -> dict[str, Any]:
    """What is kept of an attempt, whatever became of it."""
    usage = draft.usage
    cost = desk.providers.price(name, usage)
    return {
        **asdict(usage),
        "text": draft.text,
        "provider": name.partition(":")[0],
        "model": draft.done.model if draft.done else draft.prompt.model,
        "cost": None if cost is None else str(cost),
        "latency_ms": draft.latency_ms,
        "first_token_ms": draft.first_token_ms,
        "finish_reason": draft.done.finish_reason if draft.done else None,
        "started_at": started_at.isoformat(),
        "sources": [
            {"chunk_id": p.chunk_id, "document_id": p.document_id, "title": p.title, "score": p.score} for p in passages
        ],
    }


async def _finish(turn: Turn, desk: Desk, receipt: dict[str, Any], sure: float, draft: Draft) -> str:
    call = draft.handed_over
    if call is not None:
        receipt["confidence"] = 0.0
        receipt["text"] = draft.text or turn.handover_text
        receipt["reason"] = str(call.arguments.get("reason") or "the assistant asked for a person")[:500]
    else:
        receipt["confidence"] = sure
        if sure < turn.confidence_threshold:
            receipt["requires_human"] = True
            receipt["reason"] = f"confidence {sure:.2f} is below {turn.confidence_threshold:.2f}"
    return await _store(turn, desk, receipt, hand_over=call is not None)


async def _apologise(turn: Turn, desk: Desk, receipt: dict[str, Any]) -> str:
    """Tells the customer that a person will answer, and a person why."""
    return await _store(turn, desk, receipt | {"text": turn.unavailable_text, "confidence": 0.0}, hand_over=True)


async def _store(turn: Turn, desk: Desk, receipt: dict[str, Any], *, hand_over: bool) -> str:
    """Keeps trying while the database is away: the same lease finishes once, and the answer has been paid for."""
    for wait in (*STORE_AGAIN_SECONDS, None):
        try:
            done = await desk.database.call(
                "finish_turn",
                workspace_id=turn.workspace_id,
                conversation_id=turn.conversation_id,
                lease_no=turn.lease_no,
                epoch=turn.epoch,
                seq_in=turn.seq_in,
                reply=receipt,
                parts=_parts(turn, desk, receipt["text"]),
                hand_over=hand_over,
            )
            return str(done["outcome"])
        except Unavailable:
            if wait is None:
                raise
            await asyncio.sleep(wait)
    raise AssertionError("the last attempt returns or raises")


def _parts(turn: Turn, desk: Desk, text: str) -> list[str]:
    """What has to be sent; nothing where a program reads the reply from the API."""
    if turn.account.startswith("workspace:"):
        return []
    sender = desk.senders.get(turn.platform)
    return sender.split(text) if sender else [text]


async def _fail(turn: Turn, desk: Desk, receipt: dict[str, Any], error: ProviderError) -> str:
    # Not its words: a vendor may repeat what it was told. They are kept with the reply, where the conversation is.
    log.warning("reply failed", code=error.code, attempt=turn.attempts)
    receipt["reason"] = error.message[:500]
    if isinstance(error, ProviderBusy) and turn.attempts < MAX_ATTEMPTS:
        wait = min(error.retry_after or 2.0**turn.attempts, 60.0)
        await _give_back(turn, desk, receipt, "failed", retry_seconds=wait)
        return "retried"
    return await _apologise(turn, desk, receipt)


async def _drop(turn: Turn, desk: Desk) -> str:
    """The customer took back all that was not answered yet."""
    await desk.database.call(
        "drop_turn",
        workspace_id=turn.workspace_id,
        conversation_id=turn.conversation_id,
        lease_no=turn.lease_no,
        seq_in=turn.seq_in,
    )
    return "dropped"


async def _give_back(turn: Turn, desk: Desk, receipt: dict[str, Any], outcome: str, retry_seconds: float = 0) -> str:
    await desk.database.call(
        "release_turn",
        workspace_id=turn.workspace_id,
        conversation_id=turn.conversation_id,
        lease_no=turn.lease_no,
        retry_seconds=retry_seconds,
        reply=receipt | {"outcome": outcome, "seq_in": turn.seq_in, "epoch": turn.epoch},
    )
    return outcome
