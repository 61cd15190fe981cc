"""A `Play` in Gemini's wire: https://ai.google.dev/api/generate-content#method:-models.streamgeneratecontent"""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from stands.plays import Play

_FINISH = {
    "stop": "STOP",
    "length": "MAX_TOKENS",
    "filter": "SAFETY",
    "tool": "STOP",
    "error": "MALFORMED_FUNCTION_CALL",
}
_STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}


def error_body(play: Play) -> dict[str, Any]:
    code = 503 if play.status == 200 else play.status
    return {"error": {"code": code, "status": _STATUS.get(code, "UNKNOWN"), **play.error}}


async def stream(play: Play, body: dict[str, Any]) -> AsyncIterator[bytes | None]:
    """The events of the stream; None resets the connection."""
    for sent, piece in enumerate(play.pieces):
        if play.pause and play.pause_after == sent:
            await play.pause.wait()
        await asyncio.sleep(play.delay)
        yield _chunk(play, body, [{"text": piece}])
    if play.pause and play.pause_after == len(play.pieces):
        await play.pause.wait()
    calls = [{"functionCall": {"name": name, "args": _arguments(pieces)}} for name, pieces in play.tools]
    if calls:
        yield _chunk(play, body, calls)
    if play.ending != "whole":
        for line in _bad_ending(play):
            yield line
        return
    if play.refusal:
        feedback = {"blockReason": "PROHIBITED_CONTENT", "blockReasonMessage": play.refusal}
        yield _line({"promptFeedback": feedback, "usageMetadata": _usage(play), "modelVersion": "m"})
        return
    yield _chunk(play, body, [{"text": ""}], finish=_FINISH.get(play.finish, play.finish))


def _bad_ending(play: Play) -> list[bytes | None]:
    endings: dict[str, list[bytes | None]] = {
        "early": [],
        "cut": [None],
        "error": [_line(error_body(play))],
        "junk": [b'data: {"candidates": [{"con\r\n\r\n'],
        "junk value": [b"data: 42\r\n\r\n"],
    }
    return endings[play.ending]


def _arguments(pieces: tuple[str, ...]) -> Any:
    """Whole and parsed, as this vendor sends them; what is no JSON stays the text it is."""
    raw = "".join(pieces)
    try:
        return json.loads(raw or "{}")
    except ValueError:
        return raw


def _chunk(play: Play, body: dict[str, Any], parts: list[dict[str, Any]], *, finish: str | None = None) -> bytes:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": parts}, "index": 0}
    if finish:
        candidate["finishReason"] = finish
    usage = {} if play.usage == "none" else {"usageMetadata": _usage(play)}
    return _line({"candidates": [candidate], **usage, "modelVersion": f"{body['model']}-001", "responseId": "r1"})


def _usage(play: Play) -> dict[str, Any]:
    """What was thought is counted apart from what was said."""
    asked, answered, cached, reasoned = play.tokens
    return {
        "promptTokenCount": asked,
        "cachedContentTokenCount": cached,
        "candidatesTokenCount": answered - reasoned,
        "thoughtsTokenCount": reasoned,
        "totalTokenCount": asked + answered,
    }


def _line(data: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(data, ensure_ascii=False)}\r\n\r\n".encode()
