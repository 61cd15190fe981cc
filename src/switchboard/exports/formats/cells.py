"""The columns of tables: one row for each message, one for each conversation."""

from typing import Final

from switchboard.exports.asked import Options
from switchboard.exports.conversation import Conversation, Message

Cell = str | int | None

FORMULA: Final = frozenset("=+-@\t\r\n\0＝＋－＠")
"""What a cell must not begin with: programs that show tables would work it out instead of showing it."""


def conversation_columns(options: Options) -> list[str]:
    """Of the rows that `conversation_cells` gives."""
    return [
        *_about_columns(options),
        "total_messages",
        "ai_message_count",
        "guest_message_count",
        "human_message_count",
        "conversation_duration_minutes",
        "ai_services_used",
        *(["summary"] if options.include_metadata else []),
    ]


def conversation_cells(conversation: Conversation, options: Options) -> list[Cell]:
    """A row for a conversation that was read to its end."""
    return [
        *about_cells(conversation, options),
        conversation.total,
        conversation.counts["ai"],
        conversation.counts["guest"],
        conversation.counts["human"],
        conversation.minutes,
        ", ".join(sorted(conversation.services)),
        *([conversation.summary] if options.include_metadata else []),
    ]


def message_columns(options: Options) -> list[str]:
    """Of the rows that `about_cells` and `message_cells` give together."""
    return [*_about_columns(options), *said_columns(options)]


def _about_columns(options: Options) -> list[str]:
    return [
        "conversation_id",
        "conversation_title",
        "conversation_created_at",
        "conversation_status",
        "guest_id",
        "guest_name",
        "guest_email",
        *(["ip_address"] if options.include_ip_addresses else []),
        *(["channel", "agent"] if options.include_metadata else []),
    ]


def about_cells(conversation: Conversation, options: Options) -> list[Cell]:
    """What is told of a conversation with each of its messages."""
    return [
        conversation.conversation_id,
        conversation.title,
        conversation.created_at,
        conversation.status,
        conversation.guest_id,
        conversation.guest_name,
        conversation.guest_email,
        *([conversation.ip_address] if options.include_ip_addresses else []),
        *([conversation.channel, conversation.agent] if options.include_metadata else []),
    ]


def said_columns(options: Options) -> list[str]:
    """Of the rows that `message_cells` gives; the text is the fifth."""
    return [
        "message_id",
        "sequence_number",
        "timestamp",
        "sender_type",
        "message",
        "reply_to_message_id",
        *(["ai_service", "ai_model", "generated_at", "ratings", "flags"] if options.include_metadata else []),
    ]


TEXT: Final = 4
"""The place of the text in what `message_cells` gives."""


def message_cells(message: Message, options: Options) -> list[Cell]:
    """A row for a message."""
    cells: list[Cell] = [
        message.message_id,
        message.sequence_number,
        message.timestamp,
        message.sender_type,
        message.text,
        message.reply_to,
    ]
    if options.include_metadata:
        cells += [
            message.service,
            message.model,
            message.generated_at,
            ", ".join(str(each["score"]) for each in message.ratings) if message.ratings else None,
            ", ".join(each["flag_type"] for each in message.flags) if message.flags else None,
        ]
    return cells
