"""The product on one page: a claimed turn becomes one stored reply, or says why not."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any, Literal

import structlog

from switchboard import clock
from switchboard.channels import Channel
from switchboard.database import Database
from switchboard.errors import ProviderBusy, ProviderError, Unavailable
from switchboard.failpoints import reach
from switchboard.knowledge.retrieve import Knowledge
from switchboard.providers import Passage, Prompt, storable
from switchboard.providers.registry import Providers
from switchboard.replies.confidence import confidence
from switchboard.replies.draft import Draft, write
from switchboard.replies.loop import is_loop
from switchboard.replies.models import Models
from switchboard.replies.overheard import Overheard, Voice
from switchboard.replies.prompt import build_prompt, question_of
from switchboard.replies.turn import Turn

MAX_ATTEMPTS = 3
"""How often a turn is tried before a person gets it."""
MOST_WAIT_SECONDS = 60.0
"""For models that are busy; a customer who would have to wait for longer hears at once that a person will answer."""
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
    """What answering needs; ``model`` is the installation's."""

    database: Database
    models: Models
    senders: Mapping[str, Channel]
    model: str
    knowledge: Knowledge | None = None
    overheard: Overheard = field(default_factory=Overheard)


async def answer(turn: Turn, desk: Desk, generate: "Generate", voice: Voice | None = None) -> str:
    """Answers one turn, or leaves it to people, and returns its outcome: a word of `replies.outcome`, ``retried`` or
    ``dropped``.

    ``generate`` runs the model's writing and raises `MovedOn` when the reply is not wanted any more; ``voice`` is told
    of it as it comes.
    """
    started_at = clock.now()
    if not turn.automatic:
        return await _leave(turn, desk)
    if turn.attempts > MAX_ATTEMPTS:
        receipt = {"started_at": started_at.isoformat(), "reason": "every attempt to answer was cut short"}
        return await _apologise(turn, desk, receipt)
    if not turn.asked:
        return await _drop(turn, desk)
    if is_loop(turn):
        receipt = {"started_at": started_at.isoformat(), "reason": "every answer is answered at once, as by a machine"}
        return await _apologise(turn, desk, receipt)
    question = question_of(turn)
    knowledge = desk.knowledge or Knowledge(desk.database)
    passages = await _look_up(knowledge, turn, question)
    await reach("after_context")
    # Beside the model: who waits for its first word does not wait for a note.
    noting = asyncio.create_task(
        knowledge.note(turn.workspace_id, turn.conversation_id, turn.seq_in, question, passages)
    )
    name = turn.model or desk.model
    try:
        providers = desk.models.of(turn, name)
        provider, model = providers.get(name)
    except ProviderError as error:
        await noting
        return await _fail(turn, desk, {"started_at": started_at.isoformat()}, error)
    draft = Draft(_prompt(turn, passages, model, voice), voice)
    generate.receipt = receipt = partial(receipt_of, turn, providers, name, draft, passages, started_at)
    typing = asyncio.create_task(_show_typing(turn, desk))
    try:
        await generate(write(draft, provider))
        await noting
        done = draft.whole()
        await reach("before_finish")
        return await _finish(turn, desk, receipt(), confidence(done, passages), draft)
    except MovedOn as moved:
        return await _give_back(turn, desk, receipt(), moved.state)
    except ProviderError as error:
        return await _fail(turn, desk, receipt(), error)
    finally:
        typing.cancel()
        await noting


async def _look_up(knowledge: Knowledge, turn: Turn, question: str) -> list[Passage]:
    if not question:
        return []
    return await knowledge.find(turn.workspace_id, question, turn.conversation_id, documents=turn.documents)


def preface_of(turn: Turn) -> str:
    """What stands before the first answer, so that the customer knows who writes."""
    return "" if turn.disclosed else f"{turn.config.disclosure_text}\n\n"


def _prompt(turn: Turn, passages: Sequence[Passage], model: str, voice: Voice | None) -> Prompt:
    prompt = build_prompt(turn, passages, model)
    return prompt if voice is None else replace(prompt, shown=lambda: voice.heard)


class Generate:
    """Runs the writing of one draft so that it can be stopped from outside.

    ``receipt``: what is to be kept of it as far as it has come, for whoever has to clear up after a failure of ours.
    """

    def __init__(self) -> None:
        self.receipt: Callable[[], dict[str, Any]] | None = None
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


async def _show_typing(turn: Turn, desk: Desk) -> None:
    sender = desk.senders.get(turn.platform)
    if sender is not None:
        await sender.typing(turn.account, turn.recipient)


def receipt_of(
    turn: Turn, providers: Providers, name: str, draft: Draft, passages: Sequence[Passage], started_at: datetime
) -> dict[str, Any]:
    """What is kept of a draft, whatever became of it: who wrote it, and every call to a model until then.

    Its tokens are those of the model that wrote it, its cost is that of all calls: what the ledger has for it.
    """
    call = draft.call
    provider, model = (call.provider, call.model) if call else name.split(":", 1)
    prices = [providers.price(f"{one.provider}:{one.model}", one.usage) for one in draft.attempts]
    priced = list(zip(draft.attempts, prices, strict=True))
    return {
        **asdict(draft.usage),
        "text": draft.text,
        # Where no call was made, because every model was left alone, there is nothing to book.
        "provider": provider if call or not draft.attempts else None,
        "model": draft.done.model if draft.done else model,
        "prompt_version": turn.prompt_version,
        "agent_id": turn.agent.id if turn.agent else None,
        "agent_prompt_version": turn.agent.prompt_version if turn.agent else None,
        "cost": _sum([one.cost(price) for one, price in priced if one.outcome != "skipped"]),
        "attempts": [one.told(price) for one, price in priced],
        "latency_ms": draft.latency_ms,
        "first_token_ms": draft.first_token_ms,
        "finish_reason": draft.done.finish_reason if draft.done else None,
        "started_at": started_at.isoformat(),
        "sources": [
            {"chunk_id": p.chunk_id, "document_id": p.document_id, "title": p.title, "score": p.score} for p in passages
        ],
    }


def _sum(costs: Sequence[Decimal | None]) -> str | None:
    """What all calls cost together; with one of unknown price among them, nobody knows."""
    known = [cost for cost in costs if cost is not None]
    return str(sum(known, Decimal(0))) if known and len(known) == len(costs) else None


async def _finish(turn: Turn, desk: Desk, receipt: dict[str, Any], sure: float, draft: Draft) -> str:
    return await _store(turn, desk, receipt, hand_over=judge(turn, receipt, sure, draft))


def judge(turn: Turn, receipt: dict[str, Any], sure: float, draft: Draft) -> bool:
    """Writes into the receipt of a finished draft whether a person is needed, and why; whether it hands over."""
    call = draft.handed_over
    if draft.text and not turn.disclosed:
        receipt["text"] = preface_of(turn) + draft.text
        receipt["disclosed"] = True
    if call is not None:
        receipt["confidence"] = 0.0
        receipt["text"] = receipt["text"] or turn.handover_text
        # A person has just given back this very question: they are shown that it waits, but not handed it in a circle.
        receipt["requires_human"] = True
        receipt["reason"] = storable(str(call.arguments.get("reason") or "the assistant asked for a person"))[:500]
        return not turn.just_handed_back
    receipt["confidence"] = sure
    if sure < turn.confidence_threshold:
        receipt["requires_human"] = True
        receipt["reason"] = f"confidence {sure:.2f} is below {turn.confidence_threshold:.2f}"
    return False


async def _leave(turn: Turn, desk: Desk) -> str:
    """Closed, or switched off: says so where that is due, and tells people. What is due, the database decides."""
    text = turn.config.out_of_hours_text if _can_be_told(turn, desk) else ""
    done = await desk.database.call(
        "leave_turn",
        workspace_id=turn.workspace_id,
        conversation_id=turn.conversation_id,
        lease_no=turn.lease_no,
        epoch=turn.epoch,
        seq_in=turn.seq_in,
        text=text,
        parts=_parts(turn, desk, text),
    )
    return str(done["outcome"])


def _can_be_told(turn: Turn, desk: Desk) -> bool:
    return turn.account.startswith("workspace:") or turn.platform in desk.senders


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
    receipt["reason"] = storable(error.message)[:500]
    wait = error.retry_after or 2.0**turn.attempts
    if isinstance(error, ProviderBusy) and turn.attempts < MAX_ATTEMPTS and wait <= MOST_WAIT_SECONDS:
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
