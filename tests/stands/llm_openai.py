"""A `Play` in OpenAI's wire: https://platform.openai.com/docs/api-reference/chat-streaming"""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from stands.plays import Play

_FINISH = {"filter": "content_filter", "tool": "tool_calls"}


def error_body(play: Play) -> dict[str, Any]:
    return {"error": {"type": None, "param": None, "code": None, **play.error}}


async def stream(play: Play, body: dict[str, Any]) -> AsyncIterator[bytes | None]:
    """The lines of the stream; None resets the connection."""
    usage = _usage(play, play.tokens[1])
    last_piece = len(play.pieces) - 1 if play.usage == "last piece" else None
    yield _chunk(body, {"role": "assistant", "content": ""})
    for sent, piece in enumerate(play.pieces):
        if play.pause and play.pause_after == sent:
            await play.pause.wait()
        await asyncio.sleep(play.delay)
        running = _usage(play, sent + 1) if play.usage == "every chunk" else None
        yield _chunk(body, {"content": piece}, usage=usage if last_piece == sent else running)
    if play.pause and play.pause_after == len(play.pieces):
        await play.pause.wait()
    if play.refusal:
        yield _chunk(body, {"refusal": play.refusal})
    for index, (name, arguments) in enumerate(play.tools):
        function = {"name": name, "arguments": ""}
        call = {"index": index, "id": f"call_{index}", "type": "function", "function": function}
        yield _chunk(body, {"tool_calls": [call]})
        for piece in arguments:
            await asyncio.sleep(play.delay)
            yield _chunk(body, {"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
    if play.ending != "whole":
        for line in _bad_ending(play):
            yield line
        return
    last = usage if play.usage in {"last choice", "every chunk"} else None
    yield _chunk(body, {}, finish=_FINISH.get(play.finish, play.finish), usage=last)
    options: dict[str, Any] = body.get("stream_options") or {}
    if play.usage == "own chunk" and options.get("include_usage"):
        yield _line({**_envelope(body), "choices": [], "usage": usage})
    yield b"data: [DONE]\n\n"


def _bad_ending(play: Play) -> list[bytes | None]:
    endings: dict[str, list[bytes | None]] = {
        "early": [],
        "cut": [None],
        "error": [_line(error_body(play))],
        "junk": [b'data: {"id": "chatcmpl-1", "choices": [{"del\n\n'],
        "junk value": [b"data: 42\n\n", b'data: {"choices": "none"}\n\n'],
    }
    return endings[play.ending]


def _envelope(body: dict[str, Any]) -> dict[str, Any]:
    # The real one answers with a dated name of the model that was asked for.
    model = f"{body['model']}-2026-03-17"
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": model}


def _chunk(body: dict[str, Any], delta: dict[str, Any], *, finish: str | None = None, usage: Any = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return _line({**_envelope(body), "choices": [choice], "usage": usage})


def _usage(play: Play, answered: int) -> dict[str, Any]:
    asked, _, cached, reasoned = play.tokens
    return {
        "prompt_tokens": asked,
        "completion_tokens": answered,
        "total_tokens": asked + answered,
        "prompt_tokens_details": {"cached_tokens": cached},
        "completion_tokens_details": {"reasoning_tokens": reasoned},
    }


def _line(data: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(data, ensure_ascii=False)}\n\n".encode()
