"""A reply over server-sent events: `message`, then `delta` after `delta`, `sources`, and `done` with what is stored.

`discarded` says that the deltas so far are void. All deltas since then, joined, are the reply that `done` has.
"""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from switchboard.database import Row
from switchboard.http.event_stream import QUIET, event
from switchboard.replies.exchange import Exchange
from switchboard.replies.overheard import Piece, Void
from switchboard.replies.say import Begun, Programs

EVENTS = """\
event: message
data: {"session_id":"7","message":{"id":19,"seq":1,"content":"When are you open?", …}}

event: delta
data: {"text":"We are open"}

event: delta
data: {"text":" from nine to five."}

event: sources
data: {"sources":[{"document_id":3,"chunk_id":9,"title":"Opening hours","score":1.0}]}

event: done
data: {"session_id":"7","answer":"We are open from nine to five.", …}

"""
STREAMED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The answer; with `Accept: text/event-stream` as it is written.",
        "content": {"text/event-stream": {"example": EVENTS}},
    }
}


@dataclass(frozen=True, slots=True)
class Shapes:
    """How an endpoint shows what was said, its sources (None: not at all) and the whole exchange."""

    message: Callable[[Row], Mapping[str, Any]]
    done: Callable[[Exchange], Mapping[str, Any]]
    sources: bool = True


async def tell(programs: Programs, begun: Begun, shapes: Shapes) -> AsyncGenerator[bytes]:
    """The events of one exchange."""
    yield event("message", shapes.message(begun.message))
    heard = ""
    async with aclosing(programs.hear(begun)) as telling:
        async for told in telling:
            if isinstance(told, Piece):
                heard += told.text
                yield event("delta", {"text": told.text})
            elif isinstance(told, Void):
                if heard:
                    yield event("discarded", {"reason": told.reason})
                heard = ""
            elif isinstance(told, Exchange):
                for body in _end(heard, told, shapes):
                    yield body
            else:
                yield QUIET


def _end(heard: str, exchange: Exchange, shapes: Shapes) -> list[bytes]:
    """What is missing of the stored reply, or all of it where something else had been heard."""
    stored = str(exchange.reply["content"]) if exchange.reply else ""
    bodies: list[bytes] = []
    if heard and not stored.startswith(heard):
        bodies.append(event("discarded", {"reason": "replaced"}))
        heard = ""
    if rest := stored[len(heard) :]:
        bodies.append(event("delta", {"text": rest}))
    if shapes.sources and exchange.reply:
        bodies.append(event("sources", {"sources": exchange.reply["metadata"].get("sources", [])}))
    return [*bodies, event("done", shapes.done(exchange))]
