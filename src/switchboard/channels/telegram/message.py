"""What a message holds, whoever sent it where, https://core.telegram.org/bots/api#message."""

from typing import Any

from switchboard.channels.fields import Broken, Fields

MAX_TEXT = 20_000
"""Characters of a text that are kept; Telegram itself allows 4096."""

_FILES = {
    "animation": "video",
    "video_note": "video",
    "video": "video",
    "voice": "audio",
    "audio": "audio",
    "sticker": "image",
    "document": "file",
}
"""Keys that hold a file, and what it is; an animation comes as a document as well and is told by the first."""
_THINGS = ("location", "venue", "contact", "poll", "dice", "game", "story")
"""Keys that hold something to be kept as it is."""


def read_customer(message: Fields) -> str:
    """The id of the private chat, which is that of the person in it. Raises `Broken` for any other chat."""
    chat = message.child("chat")
    if chat is None:
        raise Broken("chat is missing")
    if chat.text("type") != "private":
        raise Broken(f"not answered: a chat of type {chat.text('type') or 'unknown'}, only private ones are")
    return chat.identifier("id")


def message_id(bot: str, chat: str, message: Fields) -> str:
    """An id that is unique for us: Telegram counts the messages of each chat, and each bot has its own chats."""
    return f"{bot}:{chat}:{message.identifier('message_id')}"


def read_name(message: Fields) -> str:
    """The sender's name as they write it; empty if it is not told. Raises `Broken` for a bot."""
    sender = message.child("from")
    if sender is None:
        return ""
    if sender.flag("is_bot"):
        raise Broken("not answered: the sender is a bot")
    return " ".join(filter(None, (sender.text("first_name"), sender.text("last_name"))))[:200]


def read_content(message: Fields) -> tuple[str, dict[str, Any]]:
    """The text, and what else there is. Raises `Broken` for a message that only reports a change of the chat."""
    data: dict[str, Any] = {}
    if name := read_name(message):
        data["customer_name"] = name
    text = message.text("text") or message.text("caption")
    if len(text) > MAX_TEXT:
        text, data["truncated"] = text[:MAX_TEXT], True
    if attachments := _attachments(message):
        data["attachments"] = attachments
    if album := message.optional_identifier("media_group_id"):
        data["album"] = album
    if not text and not attachments:
        around = {"message_id", "from", "chat", "date", "edit_date"}
        names = ", ".join(name for name in message.names() if name not in around)
        raise Broken(f"not handled: {names[:200] or 'an empty message'}")
    return text, data


def _attachments(message: Fields) -> list[dict[str, Any]]:
    if sizes := message.children("photo"):
        return [_file(sizes[-1], "image")]  # the largest is the last
    for key, kind in _FILES.items():
        if file := message.child(key):
            return [_file(file, kind)]
    return [{"type": key, "payload": thing.kept()} for key in _THINGS if (thing := message.child(key))]


def _file(file: Fields, kind: str) -> dict[str, Any]:
    kept: dict[str, Any] = {"type": kind, "file_id": file.identifier("file_id")}
    found = {"title": file.text("file_name"), "content_type": file.text("mime_type"), "bytes": file.count("file_size")}
    return kept | {key: value for key, value in found.items() if value}
