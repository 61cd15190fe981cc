"""What a process remembers of the conversations it has just talked in, to answer them while the database is away."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import orjson
import structlog

from switchboard.auth import Caller
from switchboard.database import Database, Row
from switchboard.errors import SwitchboardError

FRESH_SECONDS = 900.0
"""How long after the database last said so a conversation counts as the AI's."""
REFRESH_SECONDS = 60.0
"""How often one conversation is read anew at most; in between, what is said is added to what is known."""
ANSWERED_SECONDS = 10.0
"""After which a reply that nobody waited for is expected to be there."""
MOST = 10_000
MOST_BYTES = 64_000_000
"""Conversations and bytes of their JSON; those that were silent for longest leave first."""
MOST_LINES, MOST_CHARACTERS = 40, 16_000
"""Of one transcript: a little more than a prompt takes."""
AT_ONCE = 2
"""Reads at a time: remembering must not keep connections from those who wait."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Known:
    """One conversation; times in seconds of the memory's clock. ``context`` is JSON as `remember_conversation` has it.

    Lines that the database has not seen carry their ``external_id`` and the id 0.
    """

    workspace_id: int
    handler: Literal["ai", "human"]
    confirmed_at: float
    read_at: float
    changed_at: float
    context: bytes


class Memory:
    """At most ``most`` conversations of one process. Nobody who asks it ever waits for the database."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.monotonic, most: int = MOST) -> None:
        self._database = database
        self._most = most
        self._clock = clock
        self._known: OrderedDict[int, Known] = OrderedDict()
        self._bytes = 0
        self._changes = 0
        self._changed: OrderedDict[int, int] = OrderedDict()
        self._reads: dict[int, asyncio.Task[None]] = {}
        self._reading = asyncio.Semaphore(AT_ONCE)

    @property
    def now(self) -> int:
        """A mark in time for `heard`: people's changes after it count more than what was heard since."""
        return self._changes

    def recall(self, conversation_id: int) -> Known | None:
        """What is known, however old."""
        return self._known.get(conversation_id)

    def is_answerable(self, conversation_id: int) -> bool:
        """Whether the AI handled it when last heard of, and that is not too long ago."""
        known = self._known.get(conversation_id)
        return known is not None and known.handler == "ai" and self._clock() - known.confirmed_at < FRESH_SECONDS

    def people_act(self, caller: Caller, conversation_id: int) -> None:
        """A person does something with it, or tries to: until the database says otherwise it is theirs."""
        known = self._known.get(conversation_id)
        if known is None or caller.allows(known.workspace_id, "support"):
            self.silence(conversation_id)

    def silence(self, conversation_id: int) -> None:
        """The AI has it no longer."""
        self._changes += 1
        self._changed[conversation_id] = self._changes
        self._changed.move_to_end(conversation_id)
        if len(self._changed) > self._most:
            self._changed.popitem(last=False)
        if known := self._known.get(conversation_id):
            self._known[conversation_id] = replace(known, handler="human")

    def heard(self, message: Row, reply: Row | None, handler: str, since: int) -> None:
        """After a tracked exchange: the stored message, its reply if it is there, and who has the conversation now."""
        conversation_id = int(message["conversation_id"])
        if self._changed.get(conversation_id, 0) > since:
            return
        if handler != "ai":
            self.silence(conversation_id)
            return
        known = self._known.get(conversation_id)
        if known is not None and known.handler == "ai":
            context, now = orjson.loads(known.context), self._clock()
            # A gap: somebody else has been told something in between.
            read_at = known.read_at if message["seq"] <= _last_seq(context["turn"]) + 1 else float("-inf")
            _add(context["turn"], _line(message))
            if reply is not None:
                _add(context["turn"], _line(reply), answered=message["seq"])
                context["turn"]["disclosed"] |= reply["metadata"].get("disclosed", False)
            known = replace(known, confirmed_at=now, changed_at=now, read_at=read_at, context=_packed(context))
            self._put(conversation_id, known)
        wait = 0.0 if reply is not None else ANSWERED_SECONDS
        self._read_soon(message["workspace_id"], conversation_id, wait)

    def add(self, conversation_id: int, *lines: Mapping[str, Any], reply: Mapping[str, Any] | None) -> None:
        """What was said untracked, as lines of the transcript, and the receipt if the last of them is a reply.

        To be read anew once the database has it.
        """
        known = self._known.get(conversation_id)
        if known is None:
            return
        context = orjson.loads(known.context)
        for line in lines:
            _add(context["turn"], line)
        if reply is not None:
            context["turn"]["seq_done"] = context["turn"]["seq_in"]
            context["turn"]["disclosed"] |= reply.get("disclosed", False)
        self._put(
            conversation_id,
            replace(known, read_at=float("-inf"), changed_at=self._clock(), context=_packed(context)),
        )

    async def close(self) -> None:
        """Gives up what is being read."""
        tasks = list(self._reads.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _read_soon(self, workspace_id: int, conversation_id: int, wait: float) -> None:
        if conversation_id in self._reads:
            return
        known = self._known.get(conversation_id)
        if known is not None and known.handler == "ai":
            due_in = REFRESH_SECONDS - (self._clock() - known.read_at)
            if due_in > 0 and not wait:
                return
            wait = max(wait, due_in)
        task = asyncio.create_task(self._read(workspace_id, conversation_id, wait))
        self._reads[conversation_id] = task
        task.add_done_callback(lambda _: self._reads.pop(conversation_id, None))

    async def _read(self, workspace_id: int, conversation_id: int, wait: float) -> None:
        await asyncio.sleep(wait)
        async with self._reading:
            changes, asked_at = self._changes, self._clock()
            try:
                found = await self._database.call(
                    "remember_conversation", workspace_id=workspace_id, conversation_id=conversation_id
                )
            except SwitchboardError as error:
                log.info("conversation not remembered", code=error.code, conversation=conversation_id)
                return
        known = self._known.get(conversation_id)
        if self._changed.get(conversation_id, 0) > changes or (known is not None and known.changed_at > asked_at):
            return
        if found is None or not found["open"]:
            self._forget(conversation_id)
            return
        context = _packed({"turn": found["turn"], "passages": found["passages"]})
        self._put(conversation_id, Known(workspace_id, found["handler"], asked_at, asked_at, asked_at, context))

    def _put(self, conversation_id: int, known: Known) -> None:
        self._forget(conversation_id)
        self._known[conversation_id] = known
        self._bytes += len(known.context)
        while (
            len(self._known) > self._most or self._bytes > MOST_BYTES or self._is_old(next(iter(self._known.values())))
        ):
            self._forget(next(iter(self._known)))

    def _forget(self, conversation_id: int) -> None:
        known = self._known.pop(conversation_id, None)
        if known is not None:
            self._bytes -= len(known.context)

    def _is_old(self, known: Known) -> bool:
        # What was said in an outage longer than that is still needed, to keep its order.
        return self._clock() - max(known.confirmed_at, known.changed_at) > FRESH_SECONDS


def _line(row: Row) -> dict[str, Any]:
    names = ("id", "seq", "sender_type", "content")
    return {**{name: row[name] for name in names}, "sent_at": row["timestamp"], "attachments": len(row["attachments"])}


def _last_seq(turn: Mapping[str, Any]) -> int:
    return turn["transcript"][-1]["seq"] if turn["transcript"] else 0


def _add(turn: dict[str, Any], line: Mapping[str, Any], *, answered: int | None = None) -> None:
    lines: list[Mapping[str, Any]] = turn["transcript"]
    if not line["id"] or line["id"] not in {one["id"] for one in lines}:
        lines.append(line)
        lines.sort(key=lambda one: one["seq"])
    if line["sender_type"] == "user":
        turn["seq_in"] = max(turn["seq_in"], line["seq"])
    if answered is not None:
        turn["seq_done"] = max(turn["seq_done"], answered)


def _packed(context: dict[str, Any]) -> bytes:
    """As JSON, with the newest lines that fit and at least the last."""
    lines: list[Mapping[str, Any]] = context["turn"]["transcript"][-MOST_LINES:]
    length = sum(len(line["content"]) for line in lines)
    while len(lines) > 1 and length > MOST_CHARACTERS:
        length -= len(lines[0]["content"])
        lines = lines[1:]
    context["turn"]["transcript"] = lines
    return orjson.dumps(context)
