"""Pairs of question and answer with their context: `{"training_data": […], "metadata": {…}, "manifest": {…}}`."""

from collections.abc import AsyncGenerator, AsyncIterable, Iterable
from typing import Any, BinaryIO

from switchboard.exports.asked import Options
from switchboard.exports.conversation import Conversation, Message, Part
from switchboard.exports.formats.talk import Exchanges
from switchboard.exports.formats.text import lines, object_in, to_json
from switchboard.exports.manifest import Manifest


async def render(parts: AsyncIterable[Part], manifest: Manifest, options: Options) -> AsyncGenerator[bytes]:
    """See `formats.Format`."""
    content, exchanges = manifest.content, Exchanges()
    yield content(b'{"training_data":[')
    between = b"\n"
    async for part in parts:
        out: list[bytes] = []
        for question, answer, context in exchanges.in_part(part):
            out += [between, to_json(_pair(part.conversation, question, answer, context, options))]
            between = b",\n"
            manifest.counts["training_pairs"] += 1
        if out:
            yield content(b"".join(out))
    metadata = {
        "export_timestamp": manifest.watermark_at,
        "total_conversations": manifest.counts["conversations"],
        "total_training_pairs": manifest.counts["training_pairs"],
        "format_version": "1.0",
    }
    manifest.counts["training_pairs"] += 0
    yield content(b'\n],"metadata":' + to_json(metadata) + b"\n")
    yield b',"manifest":' + manifest.close() + b"}\n"


def show(parts: Iterable[Part], options: Options) -> list[dict[str, Any]]:
    """The pairs, as objects."""
    exchanges = Exchanges()
    return [
        _pair(part.conversation, question, answer, context, options)
        for part in parts
        for question, answer, context in exchanges.in_part(part)
    ]


def recount(file: BinaryIO, size: int) -> dict[str, int]:
    """The pairs."""
    return {
        "training_pairs": sum("output" in object_in(line) for line in lines(file, size) if line[:9] == b'{"input":')
    }


def _pair(
    conversation: Conversation, question: str, answer: Message, context: list[dict[str, Any]], options: Options
) -> dict[str, Any]:
    metadata: dict[str, Any] = {"conversation_id": conversation.conversation_id}
    if options.include_metadata:
        metadata |= {"ai_service": answer.service, "ai_model": answer.model}
    return {
        "input": question,
        "output": answer.text,
        "context": context,
        "metadata": {**metadata, "timestamp": answer.timestamp, "conversation_status": conversation.status},
    }
