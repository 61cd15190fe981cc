"""The chat goes on while the database is away: answers from memory, kept on the local disk until they can be stored.

Nothing is answered twice for it: only what the database was certainly not asked is answered here, the reply is on the
disk before it is shown, and `store_exchange` stores both once. What may have been stored already is kept unanswered,
and answered when the database is back.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol
from weakref import WeakValueDictionary

import orjson
import structlog

from switchboard import clock
from switchboard.bell import Bell
from switchboard.errors import DatabaseUnavailable, ProviderError, Unavailable
from switchboard.knowledge.retrieve import passage_of
from switchboard.metrics import Metrics
from switchboard.providers import Passage
from switchboard.providers.quote import share
from switchboard.replies.answer import Desk, judge, receipt_of
from switchboard.replies.confidence import confidence
from switchboard.replies.draft import Draft, write
from switchboard.replies.exchange import Exchange, Saying, shown_message, shown_reply
from switchboard.replies.prompt import build_prompt, question_of
from switchboard.replies.remember import Known, Memory
from switchboard.replies.turn import Turn
from switchboard.workspaces.hours import BusinessHours

ANSWER_SECONDS = 60.0
"""How long a request waits for an untracked reply, its place in the line included."""
LOOK_SECONDS = 0.3
"""How long the database has to say that it is back, and who has a conversation."""
GIVEN = 1000
"""Exchanges that are told again when their key comes again."""

log = structlog.get_logger()


class Spool(Protocol):
    """Where calls of the database wait; see `switchboard.inbox.spool`."""

    async def occupied(self) -> bool:
        """Whether anything waits."""
        ...

    async def add(self, function: str, arguments: bytes) -> None:
        """Puts a call to the end, durably. Raises `Unavailable` when there is no room or the disk fails."""
        ...


@dataclass(slots=True)
class _Made:
    """A reply as far as it has come: what it cost, whether it may be shown, what it was written knowing."""

    receipt: dict[str, Any] | None = None
    covers: list[str | int] = field(default_factory=list[str | int])
    hand_over: bool = False
    outcome: Literal["answered", "failed", "taken_over"] = "failed"

    @property
    def reply(self) -> dict[str, Any] | None:
        """The receipt, if it is one of a reply that may be shown."""
        return self.receipt if self.outcome == "answered" else None


class Untracked:
    """The conversations one process goes on with by itself."""

    def __init__(
        self, desk: Desk, memory: Memory, spool: Spool, metrics: Metrics, *, bell: Bell, concurrency: int
    ) -> None:
        """``bell`` is rung when something was put into the spool; ``concurrency``: replies at the same time."""
        self._desk = desk
        self._memory = memory
        self._spool = spool
        self._metrics = metrics
        self._bell = bell
        self._places = asyncio.Semaphore(concurrency)
        self._locks: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()
        self._queued: set[int] = set()
        self._given: OrderedDict[str, Exchange] = OrderedDict()

    def knows(self, saying: Saying) -> bool:
        """Whether the caller may speak here, as far as is known without the database."""
        known = self._memory.recall(saying.conversation_id)
        return known is not None and saying.caller.allows(known.workspace_id, "support")

    def can_answer(self, saying: Saying) -> bool:
        """Whether `answer` would: the caller may speak, and the AI is known to have the conversation."""
        return self.knows(saying) and self._memory.is_answerable(saying.conversation_id)

    async def comes_first(self, saying: Saying) -> bool:
        """Whether the database is not to be asked.

        Either something of this conversation is on its way there, which this must not overtake, or anything is, and
        the database is still away, and there is an answer without it.
        """
        if not self.knows(saying):
            return False
        lock = self._locks.get(saying.conversation_id)
        if lock is not None and lock.locked():
            return True
        if not await self._spool.occupied():
            self._queued.clear()
            return False
        if saying.conversation_id in self._queued:
            return True
        return self.can_answer(saying) and await self._handler_now(saying) is None

    async def answer(self, saying: Saying) -> Exchange:
        """Answers from memory. Raises `Unavailable` when neither disk nor memory can take it: nothing was shown then.

        Without a reply the message alone is kept: nobody waits for one, a person has the conversation, it is closed
        or the AI switched off, the provider failed, or the database is back and will have it answered.
        """
        async with self._lock(saying.conversation_id):
            if given := self._given.get(saying.external_id):
                return given
            made = _Made()
            if self._memory.is_answerable(saying.conversation_id) and not saying.at_once:
                made = _Made() if await self._handler_now(saying) else await self._make(saying)
            return await self._put(saying, made)

    async def keep(self, saying: Saying) -> Exchange:
        """Keeps the message without a reply: the database may have it, and its answer on the way. Raises as above."""
        async with self._lock(saying.conversation_id):
            return await self._put(saying, _Made())

    def _lock(self, conversation_id: int) -> asyncio.Lock:
        """One after the other, so that the second message is answered knowing the first and its reply."""
        return self._locks.setdefault(conversation_id, asyncio.Lock())

    async def _make(self, saying: Saying) -> _Made:
        turn = self._context(saying)[1]
        made = _Made(covers=_waiting(turn["turn"]))
        try:
            asked = _next_turn(turn["turn"], _line(turn["turn"], "user", saying.content, saying.external_id))
            if asked.automatic:
                async with asyncio.timeout(ANSWER_SECONDS), self._places:
                    await self._write(asked, _scored(asked, turn["passages"]), made)
        except (ProviderError, TimeoutError) as error:
            # Not its words, which may repeat what the customer said.
            log.warning("untracked reply failed", reason=getattr(error, "code", "took too long"))
        except Exception:
            # A fault of ours must not lose what the customer said.
            log.exception("untracked reply failed in a way nobody foresaw")
        taken = not self._memory.is_answerable(saying.conversation_id)
        if made.reply and (taken or await self._handler_now(saying) == "human"):
            made.outcome = "taken_over"
        return made

    async def _handler_now(self, saying: Saying) -> str | None:
        """Who has the conversation, ``gone`` without one; None if the database does not say so at once: it is away."""
        known = self._context(saying)[0]
        where = {"workspace_id": known.workspace_id, "id": saying.conversation_id}
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                rows = await self._desk.database.select("conversations", columns=["handler"], where=where, limit=1)
        except (Unavailable, TimeoutError):
            return None
        if rows and rows[0]["handler"] == "human":
            self._memory.silence(saying.conversation_id)
        return str(rows[0]["handler"]) if rows else "gone"

    async def _write(self, turn: Turn, passages: Sequence[Passage], made: _Made) -> None:
        name = turn.model or self._desk.model
        providers = self._desk.models.of(turn, name)
        provider, model = providers.get(name)
        draft, started_at = Draft(build_prompt(turn, passages, model)), clock.now()
        try:
            await write(draft, provider)
            done = draft.whole()
        finally:
            made.receipt = receipt_of(turn, providers, name, draft, passages, started_at)
        made.hand_over = judge(turn, made.receipt, confidence(done, passages), draft)
        made.receipt["sent_at"] = clock.now().isoformat()
        made.outcome = "answered"

    async def _put(self, saying: Saying, made: _Made) -> Exchange:
        """On the disk first, then into memory, then it may be shown."""
        known, context = self._context(saying)
        said, reply = _line(context["turn"], "user", saying.content, saying.external_id), made.reply
        exchange = {
            "workspace_id": known.workspace_id,
            "conversation_id": saying.conversation_id,
            "external_id": saying.external_id,
            "content": saying.content,
            "sent_at": said["sent_at"],
            "covers": made.covers,
            "reply": reply,
            "hand_over": made.hand_over,
            "spent": None if reply or not made.receipt else {**made.receipt, "outcome": made.outcome},
        }
        await self._spool.add("store_exchange", orjson.dumps({"exchange": exchange}))
        self._queued.add(saying.conversation_id)
        self._bell.ring()
        lines = [said] if reply is None else [said, _line(context["turn"], "bot", reply["text"], after=1)]
        self._memory.add(saying.conversation_id, *lines, reply=reply)
        if reply and made.hand_over:
            self._memory.silence(saying.conversation_id)
        return self._show(saying, known, exchange)

    def _context(self, saying: Saying) -> tuple[Known, dict[str, Any]]:
        """What is known. Raises `DatabaseUnavailable` when it has been forgotten since somebody looked."""
        known = self._memory.recall(saying.conversation_id)
        if known is None:
            raise DatabaseUnavailable
        return known, orjson.loads(known.context)

    def _show(self, saying: Saying, known: Known, exchange: Mapping[str, Any]) -> Exchange:
        reply = exchange["reply"]
        customer = orjson.loads(known.context)["turn"]["recipient"]
        shown = Exchange(
            message=shown_message(saying, exchange["sent_at"], known.handler, customer),
            reply=shown_reply(saying, reply, exchange["hand_over"]) if reply else None,
            tracked=False,
            handler="human" if reply and exchange["hand_over"] else known.handler,
            handed_over=bool(reply) and exchange["hand_over"],
            waiting=reply is None and known.handler == "ai",
        )
        self._metrics.replies.labels("untracked" if reply else "kept").inc()
        log.info(
            "answered untracked" if reply else "message kept untracked",
            conversation=saying.conversation_id,
            workspace=known.workspace_id,
        )
        self._given[saying.external_id] = shown
        if len(self._given) > GIVEN:
            self._given.popitem(last=False)
        return shown


def _line(turn: Mapping[str, Any], sender: str, content: str, external_id: str = "", after: int = 0) -> dict[str, Any]:
    """A line of the transcript that the database has not seen: behind all that is known."""
    seqs = [turn["seq_in"], *(line["seq"] for line in turn["transcript"])]
    return {
        "id": 0,
        "external_id": external_id,
        "seq": max(seqs) + 1 + after,
        "sender_type": sender,
        "content": content,
        "sent_at": clock.now().isoformat(),
        "attachments": 0,
    }


def _next_turn(turn: Mapping[str, Any], line: Mapping[str, Any]) -> Turn:
    """The turn with one more line; whether it is open is asked of the clock here, for nobody else is there to ask."""
    hours, closed = turn["config"]["business_hours"], None
    if hours is not None:
        closed = BusinessHours.of_kept(hours).closed_since(clock.now())
    config = turn["config"] | {"closed_since": closed}
    transcript = [*turn["transcript"], line]
    return Turn.model_validate({**turn, "config": config, "transcript": transcript, "seq_in": line["seq"]})


def _waiting(turn: Mapping[str, Any]) -> list[str | int]:
    """The customer's messages that had no reply yet: those a reply to the next one is written knowing."""
    waiting = (line for line in turn["transcript"] if line["sender_type"] == "user" and line["seq"] > turn["seq_done"])
    return [line["id"] or line["external_id"] for line in waiting]


def _scored(turn: Turn, passages: Sequence[dict[str, Any]]) -> list[Passage]:
    """What was found for an earlier question, by what it is worth for this one."""
    question = question_of(turn)
    found = [replace(one, score=share(question, f"{one.title}\n{one.text}")) for one in map(passage_of, passages)]
    return sorted((passage for passage in found if passage.score > 0), key=lambda passage: -passage.score)
