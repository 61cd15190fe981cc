"""Preferred and rejected answers, one pair a line, as OpenAI takes them for preference tuning.

`{"input": {"messages": […]}, "preferred_output": […], "non_preferred_output": […]}`, see
https://platform.openai.com/docs/guides/direct-preference-optimization. The last line is the manifest.
"""

from collections.abc import AsyncGenerator, AsyncIterable, Iterable
from typing import Any, BinaryIO

from switchboard.exports.asked import Options
from switchboard.exports.conversation import Part
from switchboard.exports.formats.text import lines, object_in, to_json
from switchboard.exports.manifest import Manifest

_ROLES = {"user": "user", "bot": "assistant", "human": "assistant"}


async def render(parts: AsyncIterable[Part], manifest: Manifest, options: Options) -> AsyncGenerator[bytes]:
    """See `formats.Format`."""
    manifest.counts["pairs"] += 0
    async for part in parts:
        if told := _pairs(part):
            manifest.counts["pairs"] += len(told)
            yield manifest.content(b"".join(to_json(pair) + b"\n" for pair in told))
    yield b'{"manifest":' + manifest.close() + b"}\n"


def show(parts: Iterable[Part], options: Options) -> list[dict[str, Any]]:
    """The pairs, as objects."""
    return [pair for part in parts for pair in _pairs(part)]


def recount(file: BinaryIO, size: int) -> dict[str, int]:
    """The pairs."""
    return {"pairs": sum("preferred_output" in object_in(line) for line in lines(file, size))}


def _pairs(part: Part) -> list[dict[str, Any]]:
    return [_pair(message.correction) for message in part.messages if message.correction]


def _pair(correction: dict[str, Any]) -> dict[str, Any]:
    said = [
        {"role": _ROLES[each["sender_type"]], "content": each["content"]}
        for each in correction["context"]
        if each["sender_type"] in _ROLES
    ]
    return {
        "input": {"messages": [*said, {"role": "user", "content": correction["question"]}]},
        "preferred_output": [{"role": "assistant", "content": correction["better_answer"]}],
        "non_preferred_output": [{"role": "assistant", "content": correction["answer"]}],
    }
