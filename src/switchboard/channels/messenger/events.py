"""One event of a webhook as an `Inbound`.

The key of the object decides what it is, https://developers.facebook.com/docs/messenger-platform/reference/webhook-events.
"""

from collections.abc import Callable
from typing import Any

from switchboard.channels import Inbound
from switchboard.channels.document import Cleaner, is_object
from switchboard.channels.fields import Broken, Fields
from switchboard.channels.messenger.envelope import Event, Report, Source, open_envelope, unknown
from switchboard.channels.messenger.message import read_message, read_text

_AROUND = frozenset({"sender", "recipient", "timestamp", "hop_context"})


def read_event(payload: Any, source: Source) -> Inbound:
    """An element of `messaging[]`."""
    cleaner = Cleaner(tidy=source.tidy, changed=source.repaired)
    try:
        if source.fault:
            raise Broken(source.fault)
        event = open_envelope(payload, source, cleaner)
        report = _report(event)
    except Broken as broken:
        return unknown(payload, source, str(broken))
    if cleaner.changed:
        report.data["sanitised"] = True
    return Inbound(
        report.kind,
        source.platform,
        source.account,
        event.customer,
        event.at,
        external_id=report.external_id,
        text=report.text,
        reply_to=report.reply_to,
        data=report.data,
    )


def read_standby(payload: Any, source: Source) -> Inbound:
    """An element of `standby[]`: we may listen, but another app has the conversation."""
    return unknown(payload, source, "standby: another app has this conversation")


def read_change(payload: Any, source: Source) -> Inbound:
    """An element of `changes[]`: for Instagram it may hold an event like those of `messaging[]`, else it is kept."""
    value = payload.get("value") if is_object(payload) else None
    if source.platform == "instagram" and is_object(value) and is_object(value.get("sender")):
        inbound = read_event(value, source)
        return inbound if inbound.kind != "unknown" else unknown(payload, source, inbound.data["reason"])
    return unknown(payload, source, "not handled: changes")


def _report(event: Event) -> Report:
    for key, read in _READERS.items():
        inside = event.fields.child(key)
        if inside is not None:
            return read(event, inside)
    names = ", ".join(name for name in event.fields.names() if name not in _AROUND)
    raise Broken(f"not handled: {names[:200] or 'an empty event'}")


def _postback(event: Event, postback: Fields) -> Report:
    """A tap on a button. The payload comes only to the app that made the button."""
    _by_customer(event, "postback")
    text, data = read_text(postback, "title")
    data["postback"] = {"title": text, "payload": postback.text("payload") if postback.has("payload") else None}
    if referral := postback.child("referral"):
        data["referral"] = referral.kept()
    return Report("postback", data, postback.identifier("mid"), text)


def _reaction(event: Event, reaction: Fields) -> Report:
    _by_customer(event, "reaction")
    action = reaction.text("action")
    if action not in {"react", "unreact"}:
        raise Broken("reaction.action is neither react nor unreact")
    emoji = reaction.text("emoji") or reaction.text("reaction") or None
    return Report("reaction", {"reaction": {"action": action, "emoji": emoji}}, reaction.identifier("mid"))


def _edit(_: Event, edit: Fields) -> Report:
    text, data = read_text(edit, "text")
    times = edit.count("num_edit")
    if times is not None:
        data["num_edit"] = times
    return Report("edit", data, edit.identifier("mid"), text)


def _read(event: Event, read: Fields) -> Report:
    """Messenger says up to when (`watermark`), Instagram up to which message (`mid`)."""
    _by_customer(event, "read")
    return Report("read", _watermark(read, instead="mid"), read.optional_identifier("mid"))


def _delivery(event: Event, delivery: Fields) -> Report:
    _by_customer(event, "delivery")
    data = _watermark(delivery, instead="mids")
    mids = delivery.identifiers("mids")
    if mids:
        data["mids"] = mids
    return Report("delivery", data)


_READERS: dict[str, Callable[[Event, Fields], Report]] = {
    "message": read_message,
    "postback": _postback,
    "reaction": _reaction,
    "message_edit": _edit,
    "read": _read,
    "delivery": _delivery,
}


def _by_customer(event: Event, key: str) -> None:
    if event.ours:
        raise Broken(f"not handled: {key} of the account itself")


def _watermark(fields: Fields, *, instead: str) -> dict[str, Any]:
    watermark = fields.moment("watermark")
    if watermark is None and not fields.has(instead):
        raise Broken(f"neither watermark nor {instead} is there")
    return {} if watermark is None else {"watermark": watermark.isoformat(timespec="milliseconds")}
