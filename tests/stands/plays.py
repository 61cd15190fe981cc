"""What a model provider may do in one call, good or bad, in no vendor's words."""

import asyncio
import gzip
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

ANSWER = "We are open from nine to five."


@dataclass(frozen=True)
class Play:
    """What happens in one call.

    ``pieces``: the text, one chunk each, ``delay`` seconds apart. ``tools``: (name, pieces of the arguments).
    ``usage``: where the tokens are reported, if at all. ``finish``: ``stop``, ``length``, ``filter``, ``tool`` or a
    vendor's own word.

    ``status`` other than 200, or a ``raw`` body, is sent instead of a stream. ``ending``: ``early`` is a clean end
    without the end marker, ``cut`` resets the connection, ``error`` is an error object in the stream, ``junk`` half a
    line of JSON, and ``junk value`` a line of JSON that is no object. ``pause``: a gate that the call waits at after
    ``pause_after`` pieces, before its first byte if -1; one that is never opened makes it hang.
    """

    pieces: tuple[str, ...] = (ANSWER,)
    delay: float = 0.0
    tools: tuple[tuple[str, tuple[str, ...]], ...] = ()
    finish: str = "stop"
    refusal: str | None = None
    usage: Literal["own chunk", "last choice", "last piece", "every chunk", "none"] = "own chunk"
    tokens: tuple[int, int, int, int] = (11, 7, 3, 2)
    """Input, output, of the input cached, of the output reasoning."""
    ending: Literal["whole", "early", "cut", "error", "junk", "junk value"] = "whole"
    pause: asyncio.Event | None = None
    pause_after: int = -1
    obedient: bool = False
    status: int = 200
    error: Mapping[str, Any] = field(default_factory=dict[str, Any])
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    raw: bytes | None = None
    content_type: str = "application/json"


def say(*pieces: str, delay: float = 0.0, **more: Any) -> Play:
    """A whole answer in these pieces."""
    return Play(pieces=pieces or (ANSWER,), delay=delay, **more)


def call_tool(name: str, *arguments: str, text: str = "", **more: Any) -> Play:
    """A tool call whose arguments come in these pieces."""
    return Play(pieces=(text,) if text else (), tools=((name, arguments),), finish="tool", **more)


def fail(status: int, message: str = "no", *, retry_after: str | None = None, **error: Any) -> Play:
    """An error status; ``error`` is added to the vendor's error object (``code=``, ``type=``, ``metadata=``)."""
    headers = {"retry-after": retry_after} if retry_after is not None else {}
    return Play(status=status, error={"message": message, **error}, headers=headers)


def html() -> Play:
    """200 with a web page, as a proxy's sign-in."""
    return Play(raw=b"<!doctype html>\n<html><body>data: please sign in</body></html>\n", content_type="text/html")


def empty() -> Play:
    """200 with no body."""
    return Play(raw=b"", content_type="text/event-stream")


def bomb(size: int = 50_000_000) -> Play:
    """200 with a small compressed body that unfolds to ``size`` bytes."""
    body = gzip.compress(b"data: " + b" " * size)
    return Play(raw=body, headers={"content-encoding": "gzip"}, content_type="text/event-stream")


def flood(line: bytes, times: int = 1) -> Play:
    """200 with ``line`` so many times."""
    return Play(raw=line * times, content_type="text/event-stream")


def cut(*pieces: str) -> Play:
    """The connection is reset after these pieces."""
    return Play(pieces=pieces, ending="cut")


def end_early(*pieces: str) -> Play:
    """The stream ends after these pieces as if all were well, without its end marker."""
    return Play(pieces=pieces, ending="early")


def error_in_stream(*pieces: str, message: str = "overloaded") -> Play:
    """An error object after these pieces of a 200 stream."""
    return Play(pieces=pieces, ending="error", error={"message": message, "type": "server_error", "code": "x"})


def junk(*pieces: str) -> Play:
    """A line that is no JSON after these pieces."""
    return Play(pieces=pieces, ending="junk")


def hang(gate: asyncio.Event | None = None) -> Play:
    """Takes the call and sends nothing, until ``gate`` opens."""
    return Play(pause=gate or asyncio.Event())


def stall(*pieces: str, gate: asyncio.Event | None = None, then: tuple[str, ...] = ()) -> Play:
    """Sends these pieces and falls silent, until ``gate`` opens; the rest follows then."""
    return Play(pieces=(*pieces, *then), pause=gate or asyncio.Event(), pause_after=len(pieces))


def babble(characters: int = 1_000_000, piece: int = 1_000) -> Play:
    """An answer that does not end for a long time."""
    return Play(pieces=("x" * piece,) * (characters // piece))


def obey() -> Play:
    """A wholly compromised model: its answer is all that it was told."""
    return Play(obedient=True)
