"""Conversations on their way from a source to a format, in parts: a long one is never held whole."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

SENDERS: Final = {"user": "guest", "bot": "ai", "human": "human", "system": "system"}
"""Stored and exported names of those who speak."""


@dataclass(slots=True)
class Message:
    """What was said. The fields are in the order in which `exported_messages` tells them; times are ISO 8601 in UTC."""

    message_id: int
    timestamp: str
    sender_type: str
    text: str
    sequence_number: int
    service: str | None
    model: str | None
    reply_to: int | None
    generated_at: str | None
    heard: bool
    """Whether it reached the other side, and was not taken back."""
    attachments: list[str] | None
    ratings: list[dict[str, Any]] | None
    flags: list[dict[str, Any]] | None
    correction: dict[str, Any] | None


@dataclass(slots=True)
class Conversation:
    """One conversation and its guest, without what was said."""

    conversation_id: int
    title: str | None
    created_at: str
    status: str
    guest_id: str
    guest_name: str | None
    guest_email: str | None
    guest_phone: str | None
    ip_address: str | None
    channel: str
    agent_id: int | None
    agent: str | None
    summary: str | None
    anonymized: bool = False
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SENDERS.values(), 0))
    """Messages by sender; all of them, and the times and services with them, once the last part is there."""
    services: set[str] = field(default_factory=set[str])
    first_at: str | None = None
    last_at: str | None = None

    @property
    def total(self) -> int:
        """Messages of all senders."""
        return sum(self.counts.values())

    @property
    def minutes(self) -> int:
        """From the first message to the last one."""
        if self.first_at is None or self.last_at is None:
            return 0
        return round(
            (datetime.fromisoformat(self.last_at) - datetime.fromisoformat(self.first_at)).total_seconds() / 60
        )


@dataclass(slots=True)
class Part:
    """Some messages of a conversation. Of each conversation one part is the first and one the last."""

    conversation: Conversation
    messages: list[Message]
    first: bool
    last: bool


def utc(time: str) -> str:
    """A time as Postgres writes it in UTC, with a Z."""
    return time.replace("+00:00", "Z")


def conversation_of(head: dict[str, Any]) -> Conversation:
    """From what `exported_parts` says of it."""
    return Conversation(
        conversation_id=head["id"],
        title=head["title"],
        created_at=utc(head["created_at"]),
        status=head["status"],
        guest_id=head["guest_id"],
        guest_name=head["name"],
        guest_email=head["email"],
        guest_phone=head["phone"],
        ip_address=head["ip"],
        channel=head["channel"],
        agent_id=head["agent_id"],
        agent=head["agent"],
        summary=head["summary"],
    )


def messages_of(
    conversation: Conversation, told: list[list[Any]], asked: int | None
) -> tuple[list[Message], int | None]:
    """The messages, counted into their conversation; ``asked`` is the last message of the guest before and after them.

    An answer of the AI is one to what the guest said last, unless the channel says to which.
    """
    said: list[Message] = []
    counts, services = conversation.counts, conversation.services
    for one in told:
        message = Message(*one)
        message.timestamp = message.timestamp.replace("+00:00", "Z")
        sender = message.sender_type = SENDERS[message.sender_type]
        counts[sender] += 1
        if sender == "guest":
            asked = message.message_id
        elif sender == "ai":
            message.generated_at = utc(message.generated_at) if message.generated_at else None
            if message.reply_to is None:
                message.reply_to = asked
            if message.service:
                services.add(message.service)
        said.append(message)
    if said:
        conversation.first_at = conversation.first_at or said[0].timestamp
        conversation.last_at = said[-1].timestamp
    return said, asked
