"""A `Play` in Anthropic's wire: https://docs.claude.com/en/docs/build-with-claude/streaming"""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from stands.plays import Play

_STOP = {"stop": "end_turn", "length": "max_tokens", "filter": "refusal", "tool": "tool_use"}
_KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}


def error_body(play: Play) -> dict[str, Any]:
    kind = "overloaded_error" if play.status == 200 else _KINDS.get(play.status, "api_error")
    return {"type": "error", "error": {"type": kind, **play.error}, "request_id": "req_1"}


async def stream(play: Play, body: dict[str, Any]) -> AsyncIterator[bytes | None]:
    """The events of the stream; None resets the connection."""
    yield _event("message_start", message=_message(play, body))
    yield _event("ping")
    index = 0
    if play.pieces:
        yield _event("content_block_start", index=0, content_block={"type": "text", "text": ""})
    for sent, piece in enumerate(play.pieces):
        if play.pause and play.pause_after == sent:
            await play.pause.wait()
        await asyncio.sleep(play.delay)
        yield _event("content_block_delta", index=0, delta={"type": "text_delta", "text": piece})
    if play.pause and play.pause_after == len(play.pieces):
        await play.pause.wait()
    if play.pieces:
        yield _event("content_block_stop", index=0)
        index = 1
    for at, (name, arguments) in enumerate(play.tools, index):
        block = {"type": "tool_use", "id": f"toolu_{at}", "name": name, "input": {}}
        yield _event("content_block_start", index=at, content_block=block)
        for piece in arguments:
            await asyncio.sleep(play.delay)
            yield _event("content_block_delta", index=at, delta={"type": "input_json_delta", "partial_json": piece})
        yield _event("content_block_stop", index=at)
    if play.ending != "whole":
        for line in _bad_ending(play):
            yield line
        return
    yield _event("message_delta", delta=_last(play), usage=_usage(play))
    yield _event("message_stop")


def _bad_ending(play: Play) -> list[bytes | None]:
    endings: dict[str, list[bytes | None]] = {
        "early": [],
        "cut": [None],
        "error": [f"event: error\ndata: {json.dumps(error_body(play))}\n\n".encode()],
        "junk": [b'event: content_block_delta\ndata: {"type": "content_block_del\n\n'],
        "junk value": [b"event: message_delta\ndata: 42\n\n"],
    }
    return endings[play.ending]


def _message(play: Play, body: dict[str, Any]) -> dict[str, Any]:
    usage = {**_usage(play), "output_tokens": 1} if play.usage != "none" else {}
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": f"{body['model']}-20260317",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }


def _last(play: Play) -> dict[str, Any]:
    details = {"type": "refusal", "category": None, "explanation": play.refusal} if play.refusal else None
    stop = "refusal" if play.refusal else _STOP.get(play.finish, play.finish)
    return {"stop_reason": stop, "stop_sequence": None, "stop_details": details}


def _usage(play: Play) -> dict[str, Any]:
    """Its input is without what came from the cache, unlike everybody else's."""
    if play.usage == "none":
        return {}
    asked, answered, cached, reasoned = play.tokens
    return {
        "input_tokens": asked - cached,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": cached,
        "output_tokens": answered,
        "output_tokens_details": {"thinking_tokens": reasoned},
    }


def _event(kind: str, **more: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **more}, ensure_ascii=False)}\n\n".encode()
