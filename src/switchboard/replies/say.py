"""A customer says something to a program, and gets the reply in the same request: whole, or as it is written."""

import hashlib
import time
import uuid
from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial

import orjson

from switchboard import clock
from switchboard.auth import Caller
from switchboard.bell import Bell
from switchboard.database import Database, Row
from switchboard.errors import DatabaseUnavailable, DatabaseUnreachable, Unavailable
from switchboard.replies.exchange import Exchange, Question, Saying
from switchboard.replies.overheard import Ear, Overheard, Piece, Void
from switchboard.replies.remember import Memory
from switchboard.replies.untracked import Untracked

REPLY_SECONDS = 60.0
"""How long a request waits for its reply before it answers without."""
AWAY_SECONDS = 5.0
"""How long it goes on waiting after the database went away in the meantime."""
FIRST_LOOK, LONGEST_LOOK = 0.02, 0.25
"""Seconds between two looks for a reply that another process may be writing."""
LISTENING_LOOK = 1.0
"""The same while this process is writing it, and will say when it is done."""
MOST_SESSIONS = 10_000
"""Customers whose session is remembered, for when the database is away."""


@dataclass(frozen=True, slots=True)
class Begun:
    """What was said is kept: ``message`` as the API shows it. ``exchange`` if nothing more is to come.

    ``since``: the memory's mark from before.
    """

    saying: Saying
    message: Row
    since: int
    exchange: Exchange | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """Nothing has come for a while."""


Told = Piece | Void | Waiting | Exchange
"""What is told of a reply while one waits for it; an `Exchange` is the end."""


class Programs:
    """Where programs speak for their users: tracked while the database is there, from memory while it is away."""

    def __init__(
        self, database: Database, memory: Memory, untracked: Untracked, bell: Bell, overheard: Overheard
    ) -> None:
        """``bell`` is rung when an answer is due; what this process then writes is ``overheard``."""
        self._database = database
        self._memory = memory
        self._untracked = untracked
        self._bell = bell
        self._overheard = overheard
        self._sessions: OrderedDict[tuple[int, str], int] = OrderedDict()

    async def say(self, saying: Saying) -> Begun:
        """Keeps what was said in a conversation.

        Raises `NotFound`, `Forbidden`, `Conflict` and `Invalid` as the database does, and `Unavailable` when neither
        it nor this process could take the message.
        """
        return await self._begin(saying, partial(self._add, saying))

    async def ask(self, question: Question) -> Begun:
        """The same in the customer's session, which is found or opened."""
        place = (question.workspace_id, question.customer_id)
        saying = Saying(
            question.caller, self._sessions.get(place, 0), question.content, question.external_id, question.at_once
        )
        begun = await self._begin(saying, partial(self._ask, question))
        self._sessions[place] = begun.saying.conversation_id
        self._sessions.move_to_end(place)
        if len(self._sessions) > MOST_SESSIONS:
            self._sessions.popitem(last=False)
        return begun

    async def finish(self, begun: Begun) -> Exchange:
        """The exchange. Its reply is None if it does not come in time or a person has to give it."""
        async with aclosing(self.hear(begun)) as telling:
            async for told in telling:
                if isinstance(told, Exchange):
                    return told
        raise AssertionError("an exchange is the end")

    async def hear(self, begun: Begun) -> AsyncGenerator[Told]:
        """The reply as it is written, then the `Exchange` with what was stored. Every second at least something.

        What comes after a `Void` begins anew. Whoever stops listening changes nothing about the reply.
        """
        if begun.exchange is not None:
            yield begun.exchange
            return
        found: Row = {"reply": None, "handler": begun.message["handler"], "waiting": begun.message["handler"] == "ai"}
        waits = begun.message["handler"] == "ai" and not begun.saying.at_once
        # What was said before may have its reply, whoever has the conversation by now.
        if waits or begun.message.get("repeated"):
            with self._overheard.listen(begun.saying.conversation_id, begun.message["seq"]) as ear:
                async with aclosing(self._follow(begun, ear)) as following:
                    async for told in following:
                        if isinstance(told, Piece | Void | Waiting):
                            yield told
                        else:
                            found = told
        reply: Row | None = found["reply"]
        self._memory.heard(begun.message, reply, found["handler"], begun.since)
        yield Exchange(
            begun.message,
            reply,
            tracked=True,
            handler=found["handler"],
            handed_over=reply is not None and reply["outcome"] == "handed_over",
            waiting=reply is None and found["waiting"],
        )

    async def _begin(self, saying: Saying, store: Callable[[], Awaitable[Row]]) -> Begun:
        if await self._untracked.comes_first(saying):
            return self._untold(saying, await self._untracked.answer(saying))
        since = self._memory.now
        try:
            message = await store()
        except DatabaseUnreachable:
            if not self._untracked.can_answer(saying):
                raise
            return self._untold(saying, await self._untracked.answer(saying))
        except DatabaseUnavailable:
            if not self._untracked.knows(saying):
                raise
            # It may be stored, and somebody else may be answering it.
            return self._untold(saying, await self._untracked.keep(saying))
        self._bell.ring()
        return Begun(replace(saying, conversation_id=message["conversation_id"]), message, since)

    def _untold(self, saying: Saying, exchange: Exchange) -> Begun:
        return Begun(saying, exchange.message, 0, exchange)

    async def _add(self, saying: Saying) -> Row:
        return await self._database.call(
            "add_user_message",
            caller=saying.caller.as_json(),
            conversation_id=saying.conversation_id,
            content=saying.content,
            external_id=saying.external_id,
        )

    async def _ask(self, question: Question) -> Row:
        return await self._database.call(
            "ask_in_session",
            caller=question.caller.as_json(),
            workspace_id=question.workspace_id,
            customer_id=question.customer_id,
            content=question.content,
            external_id=question.external_id,
            agent_id=question.agent_id,
        )

    async def _follow(self, begun: Begun, ear: Ear) -> AsyncGenerator[Piece | Void | Waiting | Row]:
        """What is heard, and at last what the database says: the reply, or that none will come, or is there in time."""
        deadline = time.monotonic() + REPLY_SECONDS
        # Only what was said before can have been answered already.
        look, pause, found = bool(begun.message.get("repeated")), FIRST_LOOK, None
        while time.monotonic() < deadline:
            if not look:
                heard = await ear.next(LISTENING_LOOK if ear.listening else pause)
                if isinstance(heard, Piece | Void):
                    yield heard
                    continue
                if heard is None:
                    yield Waiting()
                    pause = min(pause * 1.5, LONGEST_LOOK)
            look = False
            try:
                found = await self._find_reply(begun)
            except Unavailable:
                # The message is stored: whoever comes back later finds its reply, and nobody makes another.
                deadline = min(deadline, time.monotonic() + AWAY_SECONDS)
            else:
                done = found is None or found["reply"] is not None or not found["waiting"]
                if done or begun.saying.at_once:
                    break
        if found is not None:
            yield found

    async def _find_reply(self, begun: Begun) -> Row | None:
        return await self._database.call(
            "find_reply",
            caller=begun.saying.caller.as_json(),
            conversation_id=begun.saying.conversation_id,
            seq=begun.message["seq"],
        )


def name_message(
    caller: Caller, place: int | str, content: str, *, key: str | None = None, nonce: str | None = None
) -> str:
    """A name for one message said in ``place``, a conversation or the customer of one.

    The same again for a request that is repeated under its Idempotency-Key on the same day (keys are kept for 24 hours
    and may be used for something new after that, hence the day), and for ever for one with the same client nonce.
    """
    if nonce is not None:
        told = [caller.subject, place, nonce]
        return f"nonce:{hashlib.sha256(orjson.dumps(told)).hexdigest()}"
    if key is None:
        return f"api:{uuid.uuid4().hex}"
    told = [caller.as_json(), place, content, key, clock.now().date().isoformat()]
    return f"key:{hashlib.sha256(orjson.dumps(told, option=orjson.OPT_SORT_KEYS)).hexdigest()}"
