"""The key `message` of an event: a message, the echo of one of ours, or the news that one was unsent.

https://developers.facebook.com/docs/messenger-platform/reference/webhook-events/messages and …/message-echoes
"""

from typing import Any

from switchboard.channels.fields import Fields
from switchboard.channels.messenger.envelope import Event, Report

MAX_TEXT = 20_000
"""Characters of a text that are kept; Messenger itself allows customers fewer."""

_LINK_ONLY = frozenset({"url", "title"})
_PLAIN = frozenset({"mid", "text"})


def read_message(event: Event, message: Fields) -> Report:
    """An echo carries who sent it (``app_id``) and the mark its sender set (``metadata``)."""
    if message.has_only(_PLAIN) and not event.ours:
        return _read_plain(message)  # as most are: there is nothing else to look for
    echo, mid = message.flag("is_echo") or event.ours, message.identifier("mid")
    if message.flag("is_deleted"):
        return Report("unsend", {}, mid)
    text, data = read_text(message, "text")
    reply = message.child("reply_to")
    data |= _extras(message, reply)
    if echo:
        data |= _sender(message)
    reply_to = reply.optional_identifier("mid") if reply else None
    return Report("echo" if echo else "message", data, mid, text, reply_to)


def read_text(fields: Fields, key: str) -> tuple[str, dict[str, Any]]:
    """A text within `MAX_TEXT`, and the data that says whether it was cut to it."""
    text = fields.text(key)
    return (text, {}) if len(text) <= MAX_TEXT else (text[:MAX_TEXT], {"truncated": True})


def _read_plain(message: Fields) -> Report:
    mid = message.identifier("mid")
    text, data = read_text(message, "text")
    return Report("message", data, mid, text)


def _sender(message: Fields) -> dict[str, Any]:
    found = {"app_id": message.optional_identifier("app_id"), "metadata": message.text("metadata")}
    return {key: value for key, value in found.items() if value}


def _extras(message: Fields, reply: Fields | None) -> dict[str, Any]:
    data: dict[str, Any] = {}
    attachments = message.children("attachments")
    if attachments:
        data["attachments"] = [_attachment(attachment) for attachment in attachments]
    if quick_reply := message.child("quick_reply"):
        data["quick_reply"] = quick_reply.text("payload")
    if sticker := _sticker(message, attachments):
        data["sticker"] = sticker
    if referral := message.child("referral"):
        data["referral"] = referral.kept()
    if reply and (story := reply.child("story")):
        data["story"] = story.kept()
    if message.flag("is_unsupported"):
        data["unsupported"] = True
    return data


def _attachment(attachment: Fields) -> dict[str, Any]:
    """A shared link (`fallback`) has its address at the top, everything else inside `payload`."""
    payload = attachment.child("payload")
    kept: dict[str, Any] = {"type": attachment.text("type") or "unknown"}
    for key in ("url", "title"):
        if value := attachment.text(key) or (payload.text(key) if payload else ""):
            kept[key] = value
    if payload and (rest := payload.kept(without=_LINK_ONLY)):
        kept["payload"] = rest
    return kept


def _sticker(message: Fields, attachments: list[Fields]) -> str | None:
    for attachment in attachments:
        payload = attachment.child("payload")
        if payload and (sticker := payload.optional_identifier("sticker_id")):
            return sticker
    return message.optional_identifier("sticker_id")
