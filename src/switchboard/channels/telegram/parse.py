"""What an update reports: one `Inbound`, of kind ``unknown`` with its payload if it is not understood.

An update repeats under the same ids, which is how it is stored once; https://core.telegram.org/bots/api#update.
"""

from collections.abc import Callable
from typing import Any

from switchboard.channels import Inbound
from switchboard.channels.document import Cleaner, decode, is_list, is_object, load
from switchboard.channels.fields import Broken, Fields
from switchboard.channels.telegram.message import message_id, read_content, read_customer, read_name

PLATFORM = "telegram"


def parse(body: bytes, bot: str) -> list[Inbound]:
    """What the body reports to the bot with this id."""
    document = load(body)
    if document is None or not is_object(document.value):
        text = decode(body)
        data = {"reason": "the body is no JSON object"} | ({"sanitised": True} if text.encode() != body else {})
        return [Inbound("unknown", PLATFORM, bot, "", None, data=data, raw={"body": text})]
    cleaner = Cleaner(tidy=document.tidy, changed=document.repaired)
    try:
        inbound = _read(Fields(document.value, "", cleaner), bot)
    except Broken as broken:
        raw, reason = cleaner.value(document.value), cleaner.text(str(broken))
        inbound = Inbound("unknown", PLATFORM, bot, "", None, data={"reason": reason}, raw=raw)
    if cleaner.changed:
        inbound.data["sanitised"] = True
    return [inbound]


def _read(update: Fields, bot: str) -> Inbound:
    for key, read in _READERS.items():
        inside = update.child(key)
        if inside is not None:
            return read(inside, bot)
    names = ", ".join(name for name in update.names() if name != "update_id")
    raise Broken(f"not handled: {names[:200] or 'an empty update'}")


def _message(message: Fields, bot: str) -> Inbound:
    customer = read_customer(message)
    text, data = read_content(message)
    reply = message.child("reply_to_message")
    return Inbound(
        "message",
        PLATFORM,
        bot,
        customer,
        message.moment("date"),
        external_id=message_id(bot, customer, message),
        text=text,
        reply_to=message_id(bot, customer, reply) if reply else None,
        data=data,
    )


def _edit(message: Fields, bot: str) -> Inbound:
    customer = read_customer(message)
    text, data = read_content(message)
    at = message.moment("edit_date")
    return Inbound("edit", PLATFORM, bot, customer, at, message_id(bot, customer, message), text, data=data)


def _tap(query: Fields, bot: str) -> Inbound:
    """A tap on a button below a message of ours; it carries no time."""
    message = query.child("message")
    if message is None:
        raise Broken("not handled: a tap on a message that is not in a chat")
    customer = read_customer(message)
    tap, payload = query.identifier("id"), query.text("data")
    title = _title(message, payload)
    data: dict[str, Any] = {"postback": {"title": title, "payload": payload or None}, "callback_query_id": tap}
    if name := read_name(query):
        data["customer_name"] = name
    on = message_id(bot, customer, message)
    return Inbound("postback", PLATFORM, bot, customer, None, f"{bot}:tap:{tap}", title, reply_to=on, data=data)


def _membership(change: Fields, bot: str) -> Inbound:
    """The customer has blocked the bot, or lets it write again."""
    customer = read_customer(change)
    after = change.child("new_chat_member")
    status = after.text("status") if after else ""
    if status not in {"kicked", "member"}:
        raise Broken(f"not handled: my_chat_member {status}")
    kind = "blocked" if status == "kicked" else "unblocked"
    return Inbound(kind, PLATFORM, bot, customer, change.moment("date"))


_READERS: dict[str, Callable[[Fields, str], Inbound]] = {
    "message": _message,
    "edited_message": _edit,
    "callback_query": _tap,
    "my_chat_member": _membership,
}


def _title(message: Fields, payload: str) -> str:
    """What stands on the button that was tapped; its payload if the message does not say."""
    markup = message.child("reply_markup")
    rows = markup.kept().get("inline_keyboard") if markup else None
    buttons = [button for row in (rows if is_list(rows) else []) if is_list(row) for button in row]
    for button in buttons:
        if is_object(button) and button.get("callback_data") == payload and isinstance(button.get("text"), str):
            return button["text"]
    return payload
