"""Chat fine-tuning examples, one a line: `{"messages": [{"role": "user", "content": "…"}, …]}`.

As OpenAI takes them: https://platform.openai.com/docs/guides/supervised-fine-tuning. The last line is the manifest.
"""

from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Iterator
from typing import Any, BinaryIO

from switchboard.exports.asked import Options
from switchboard.exports.conversation import Part
from switchboard.exports.formats.talk import role_of
from switchboard.exports.formats.text import lines, object_in, to_json
from switchboard.exports.manifest import Manifest

LONGEST = 100
"""Messages in an example, give or take one exchange; what comes after them is another."""


async def render(parts: AsyncIterable[Part], manifest: Manifest, options: Options) -> AsyncGenerator[bytes]:
    """See `formats.Format`."""
    examples = _Examples()
    manifest.counts["examples"] += 0
    async for part in parts:
        out = b""
        for example in examples.in_part(part):
            out += to_json(example) + b"\n"
            manifest.counts["examples"] += 1
        if out:
            yield manifest.content(out)
    yield b'{"manifest":' + manifest.close() + b"}\n"


def show(parts: Iterable[Part], options: Options) -> list[dict[str, Any]]:
    """The examples, as objects."""
    examples = _Examples()
    return [example for part in parts for example in examples.in_part(part)]


def recount(file: BinaryIO, size: int) -> dict[str, int]:
    """The examples."""
    return {"examples": sum("messages" in object_in(line) for line in lines(file, size))}


class _Examples:
    """Collects a conversation until it can be told: an example ends with an answer."""

    def __init__(self) -> None:
        self._said: list[dict[str, str]] = []
        self._answered = 0

    def in_part(self, part: Part) -> Iterator[dict[str, Any]]:
        """The examples that are complete with this part."""
        if part.first:
            self._said, self._answered = [], 0
        for message in part.messages:
            role = role_of(message)
            if role is None or (role == "assistant" and not self._said):
                continue
            if role == "user" and self._answered == len(self._said) >= LONGEST:
                yield self._take()
            self._said.append({"role": role, "content": message.text})
            if role == "assistant":
                self._answered = len(self._said)
        if part.last and self._answered:
            yield self._take()

    def _take(self) -> dict[str, Any]:
        example = {"messages": self._said[: self._answered]}
        self._said, self._answered = [], 0
        return example
