"""A `Play` in Mistral's wire, which is OpenAI's with habits of its own: https://docs.mistral.ai/api/#tag/chat

Tokens come with the last choice, whether asked for or not; errors lie open, not inside an `error`; a choice may end
with `model_length` or `error`.
"""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

from stands import llm_openai
from stands.plays import Play


def error_body(play: Play) -> dict[str, Any]:
    return {"object": "error", "type": "error", "param": None, "code": None, **play.error}


async def stream(play: Play, body: dict[str, Any]) -> AsyncIterator[bytes | None]:
    """The lines of the stream; None resets the connection."""
    usage = "none" if play.usage == "none" else "last choice"
    if play.refusal:
        play = replace(play, refusal=None, finish="filter")
    async for line in llm_openai.stream(replace(play, usage=usage), body):
        yield line
