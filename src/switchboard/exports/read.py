"""The source: pages of conversations, one read ahead while the one before is being written out."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from typing import Any

from switchboard.database import Database
from switchboard.errors import SwitchboardError
from switchboard.exports.conversation import Conversation, Part, conversation_of, messages_of

PAGE = 2000
"""Messages in one statement: some milliseconds of it."""
SLICE = 100
"""Messages that are written out without looking up: whoever else the process serves waits no longer than for these."""

Page = Callable[[list[Any] | None], Awaitable[dict[str, Any]]]
"""From the place after which a page begins to `{parts, after}`, see `84_exports.sql`."""


def page_of(
    database: Database,
    caller: dict[str, Any],
    workspace_id: int,
    *,
    filters: dict[str, Any],
    watermark: int,
    options: dict[str, bool],
    max_messages: int = PAGE,
) -> Page:
    """Pages of all conversations that fit."""

    async def page(after: list[Any] | None) -> dict[str, Any]:
        found: dict[str, Any] = await database.call(
            "export_page",
            caller=caller,
            workspace_id=workspace_id,
            filters=filters,
            watermark=watermark,
            options=options,
            after=after,
            max_messages=max_messages,
        )
        return found

    return page


async def read(page: Page) -> AsyncGenerator[Part]:
    """All conversations, in parts of at most `SLICE` messages. Raises the errors of the database."""
    thread, room = _Thread(), SLICE
    async for told in _pages(page):
        for head, messages in told:
            for part in thread.go_on(head, messages):
                yield part
                room -= len(part.messages)
                if room <= 0:
                    room = SLICE
                    await asyncio.sleep(0)
    if part := thread.end():
        yield part


async def _pages(page: Page) -> AsyncGenerator[list[Any]]:
    ahead = asyncio.ensure_future(page(None))
    try:
        while True:
            found = await ahead
            if not found["parts"]:
                return
            ahead = asyncio.ensure_future(page(found["after"]))
            yield found["parts"]
    finally:
        ahead.cancel()
        with suppress(asyncio.CancelledError, SwitchboardError):
            await ahead


class _Thread:
    """The conversation that is being read. Pages end within one; slices always know which is the last."""

    def __init__(self) -> None:
        self._conversation: Conversation | None = None
        self._held: Part | None = None
        self._asked: int | None = None

    def go_on(self, head: dict[str, Any], told: list[list[Any]]) -> list[Part]:
        """The parts that are known to be what they are: the last one is held until it is seen what follows."""
        parts: list[Part] = []
        conversation = self._conversation
        first = False
        if conversation is None or conversation.conversation_id != head["id"]:
            first = True
            parts += [held] if (held := self.end()) else []
            conversation, self._asked = conversation_of(head), None
            self._conversation = conversation
        for place in range(0, len(told), SLICE):
            parts += [self._held] if self._held is not None else []
            messages, self._asked = messages_of(conversation, told[place : place + SLICE], self._asked)
            self._held = Part(conversation, messages, first and place == 0, last=False)
        return parts

    def end(self) -> Part | None:
        """The last part of the conversation."""
        part, self._held = self._held, None
        if part is not None:
            part.last = True
        return part
