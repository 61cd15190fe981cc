"""Webhook events as Meta's pages show them, for more than one test.

https://developers.facebook.com/docs/messenger-platform/reference/webhook-events and
https://developers.facebook.com/documentation/business-messaging/instagram-messaging/webhooks
"""

import json
from typing import Any

PAGE = "682498302938465"
PSID = "5213412341234123"
IGID = "17841400000000001"
IGSID = "9211111111111111"
AT = 1_762_941_285_123
AT_ISO = "2025-11-12T09:54:45.123000+00:00"
MID = "m_1457764197618:41d102a3e1ae206a38"


def event(sender: str | int = PSID, recipient: str | int = PAGE, **rest: Any) -> dict[str, Any]:
    """One element of `messaging[]`, from the customer to the page unless told otherwise."""
    return {"sender": {"id": sender}, "recipient": {"id": recipient}, "timestamp": AT, **rest}


def message(**rest: Any) -> dict[str, Any]:
    """The customer's message with these fields beside its mid."""
    return event(message={"mid": MID, **rest})


def body(*events: Any, kind: Any = "page", account: Any = PAGE, key: str = "messaging") -> bytes:
    """A webhook with one entry, in the escaped form that Meta signs."""
    return json.dumps({"object": kind, "entry": [{"id": account, "time": AT, key: list(events)}]}).encode()


TEXT = message(text="Grüß Gott 👋")
IMAGE = message(attachments=[{"type": "image", "payload": {"url": "https://scontent.xx.fbcdn.net/v/image.jpg"}}])
STICKER = message(
    attachments=[
        {"type": "sticker", "payload": {"url": "https://scontent.xx.fbcdn.net/s.png", "sticker_id": 369239263}}
    ]
)
FALLBACK = message(
    text="https://example.com/menu",
    attachments=[{"type": "fallback", "title": "Menu", "url": "https://example.com/menu", "payload": None}],
)
TEMPLATE = message(
    attachments=[{"type": "template", "payload": {"product": {"elements": [{"id": "4523", "title": "Espresso"}]}}}]
)
QUICK_REPLY = message(text="Yes", quick_reply={"payload": "BOOK_TABLE"})
REPLY = message(text="this one", reply_to={"mid": "m_earlier", "is_self_reply": False})
AD_REFERRAL = message(
    text="Hi", referral={"ref": "spring", "source": "ADS", "type": "OPEN_THREAD", "ad_id": "6045246247433"}
)
POSTBACK = event(
    postback={
        "mid": MID,
        "title": "Get started",
        "payload": "START",
        "referral": {"ref": "shop", "source": "SHORTLINK", "type": "OPEN_THREAD"},
    }
)
REACTION = event(reaction={"reaction": "love", "emoji": "❤️", "action": "react", "mid": MID})
EDIT = event(message_edit={"mid": MID, "text": "I meant Tuesday", "num_edit": 2})
READ = event(read={"watermark": AT - 1000})
DELIVERY = {
    "sender": {"id": PSID},
    "recipient": {"id": PAGE},
    "delivery": {"mids": ["m_ours_1", "m_ours_2"], "watermark": AT},
}
ECHO = event(
    PAGE,
    PSID,
    message={"mid": MID, "is_echo": True, "app_id": 1517776481860111, "metadata": "reply:7:1", "text": "We open at 8."},
)
ECHO_OF_INBOX = event(
    PAGE, PSID, message={"mid": MID, "is_echo": True, "app_id": 263902037430900, "text": "Anna here."}
)
REFERRAL = event(referral={"ref": "shop", "source": "SHORTLINK", "type": "OPEN_THREAD"})
OPTIN = event(optin={"type": "notification_messages", "payload": "NEWS"})
PASS_THREAD = event(pass_thread_control={"new_owner_app_id": "263902037430900", "metadata": "help"})
ACCOUNT_LINKING = event(account_linking={"status": "linked", "authorization_code": "code"})

IG_TEXT = event(IGSID, IGID, message={"mid": MID, "text": "Ciao"})
IG_STORY_REPLY = event(
    IGSID,
    IGID,
    message={"mid": MID, "text": "nice", "reply_to": {"story": {"url": "https://lookaside.fbsbx.com/s", "id": "17"}}},
)
IG_UNSEND = event(IGSID, IGID, message={"mid": MID, "is_deleted": True})
IG_READ = event(IGSID, IGID, read={"mid": "m_ours_1"})
IG_ECHO = event(IGID, IGSID, message={"mid": MID, "text": "We open at 8.", "is_echo": True})
IG_REACTION_GONE = event(IGSID, IGID, reaction={"mid": MID, "action": "unreact"})
IG_UNSUPPORTED = event(IGSID, IGID, message={"mid": MID, "is_unsupported": True})
IG_TEST_BUTTON = {
    "field": "messages",
    "value": {
        "sender": {"id": "12334"},
        "recipient": {"id": "23245"},
        "timestamp": "1527459824",
        "message": {"mid": "random_mid", "text": "random_text"},
    },
}
IG_COMMENT = {
    "field": "comments",
    "value": {"id": "17865799348089039", "from": {"id": IGSID, "username": "bob"}, "text": "Lovely"},
}

EVENTS = [
    *(TEXT, IMAGE, STICKER, FALLBACK, TEMPLATE, QUICK_REPLY, REPLY, AD_REFERRAL, POSTBACK, REACTION, EDIT, READ),
    *(DELIVERY, ECHO, ECHO_OF_INBOX, REFERRAL, OPTIN, PASS_THREAD, ACCOUNT_LINKING, IG_TEXT, IG_STORY_REPLY, IG_UNSEND),
    *(IG_READ, IG_ECHO, IG_REACTION_GONE, IG_UNSUPPORTED, IG_TEST_BUTTON, IG_COMMENT),
]
