"""Conversations as objects: `{"conversations": […], "manifest": {…}}`, each message on a line of its own."""

from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterable, Iterable
from typing import Any, BinaryIO

from switchboard.exports.asked import Options
from switchboard.exports.conversation import Conversation, Message, Part
from switchboard.exports.formats.text import lines, object_in, to_json
from switchboard.exports.manifest import Manifest


async def render(parts: AsyncIterable[Part], manifest: Manifest, options: Options) -> AsyncGenerator[bytes]:
    """See `formats.Format`."""
    content = manifest.content
    yield content(b'{"conversations":[')
    between = b"\n"
    async for part in parts:
        out: list[bytes] = []
        if part.first:
            out += [between, to_json(_head(part.conversation, options))[:-1], b',"messages":[']
            between = b"\n"
        for message in part.messages:
            out += [between, to_json(_message(message, options))]
            between = b",\n"
        if part.last:
            out += [b"\n],", to_json(_tail(part.conversation))[1:]]
            between = b",\n"
        yield content(b"".join(out))
    yield content(b"\n]\n")
    yield b',"manifest":' + manifest.close() + b"}\n"


def show(parts: Iterable[Part], options: Options) -> list[dict[str, Any]]:
    """The conversations, as objects."""
    shown: dict[int, dict[str, Any]] = {}
    for part in parts:
        conversation = part.conversation
        one = shown.setdefault(conversation.conversation_id, {**_head(conversation, options), "messages": []})
        one["messages"] += [_message(message, options) for message in part.messages]
        one |= _tail(conversation) if part.last else {}
    return list(shown.values())


def recount(file: BinaryIO, size: int) -> dict[str, int]:
    """Conversations, messages, and messages by sender."""
    counts = Counter({"conversations": 0, "messages": 0, "guest": 0, "ai": 0, "human": 0, "system": 0})
    for line in lines(file, size):
        if line.startswith(b'{"conversation_id":'):
            counts["conversations"] += 1
        elif line.startswith(b'{"message_id":'):
            counts["messages"] += 1
            counts[object_in(line)["sender_type"]] += 1
    return dict(counts)


def _head(conversation: Conversation, options: Options) -> dict[str, Any]:
    guest: dict[str, Any] = {
        "guest_id": conversation.guest_id,
        "guest_name": conversation.guest_name,
        "guest_email": conversation.guest_email,
        "anonymized": conversation.anonymized,
    }
    if options.include_ip_addresses:
        guest["ip_address"] = conversation.ip_address
    head: dict[str, Any] = {
        "conversation_id": conversation.conversation_id,
        "conversation_title": conversation.title,
        "created_at": conversation.created_at,
        "status": conversation.status,
        "guest_info": guest,
    }
    if options.include_metadata:
        head["channel"] = conversation.channel
        head["agent"] = {"id": conversation.agent_id, "name": conversation.agent} if conversation.agent_id else None
        head["summary"] = conversation.summary
    return head


def _message(message: Message, options: Options) -> dict[str, Any]:
    told: dict[str, Any] = {
        "message_id": message.message_id,
        "timestamp": message.timestamp,
        "sender_type": message.sender_type,
        "message": message.text,
    }
    if message.sender_type == "ai" and options.include_metadata:
        told["ai_metadata"] = {
            "service": message.service,
            "model": message.model,
            "reply_to_message_id": message.reply_to,
            "generated_at": message.generated_at,
        }
    elif message.reply_to is not None:
        told["reply_to_message_id"] = message.reply_to
    told["sequence_number"] = message.sequence_number
    if not message.heard:
        told["not_delivered"] = True
    if options.include_metadata:
        for name, value in (
            ("attachments", message.attachments),
            ("ratings", message.ratings),
            ("flags", message.flags),
        ):
            if value:
                told[name] = value
    return told


def _tail(conversation: Conversation) -> dict[str, Any]:
    return {
        "ai_services_used": sorted(conversation.services),
        "conversation_metrics": {
            "total_messages": conversation.total,
            "ai_message_count": conversation.counts["ai"],
            "guest_message_count": conversation.counts["guest"],
            "human_message_count": conversation.counts["human"],
            "conversation_duration_minutes": conversation.minutes,
        },
    }
