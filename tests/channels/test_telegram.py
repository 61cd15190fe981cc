"""Telegram: who may speak, what an update says, what is posted, and what each way it can end means."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stands import telegram as stand
from stands.telegram import BOT, SECRET, TOKEN, Reply, TelegramStand, membership, refuse, said, tapped, update
from switchboard.channels import File, Inbound, Outbound, Sent
from switchboard.channels.split import utf16_units
from switchboard.channels.telegram import Telegram
from switchboard.channels.telegram.parse import parse
from switchboard.errors import (
    ChannelBroken,
    DeliveryBusy,
    DeliveryError,
    DeliveryRefused,
    DeliveryUnknown,
    Misconfigured,
    RecipientUnreachable,
    SignatureInvalid,
)

CHAT = "4711"
REPLY = Outbound(account=BOT, recipient=CHAT, text="We open at 8 👋", metadata="mark")
PNG = File("menu.png", "image/png", "image", b"\x89PNG\r\n\x1a\n rest")


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def api() -> AsyncIterator[TelegramStand]:
    async with TelegramStand() as opened:
        yield opened


def channel(http: aiohttp.ClientSession, url: str = "http://127.0.0.1:9", **changes: Any) -> Telegram:
    values: dict[str, Any] = {"bot_token": TOKEN, "secret_token": SECRET, "api_url": url, "http": http}
    return Telegram(**values | {"timeout_seconds": 5} | changes)


def read(**what: Any) -> Inbound:
    (inbound,) = parse(update(1, **what), BOT)
    return inbound


# Who may speak -----------------------------------------------------------------------------------------------------


async def test_only_the_secret_opens_the_door(http: aiohttp.ClientSession) -> None:
    telegram = channel(http)
    telegram.verify(stand.signed(), b"{}")
    telegram.verify({"x-telegram-bot-api-secret-token": SECRET}, b"{}")
    for wrong in ("", SECRET[:-1], SECRET + "x", SECRET.upper(), "é\udcff", TOKEN):
        with pytest.raises(SignatureInvalid):
            telegram.verify({"X-Telegram-Bot-Api-Secret-Token": wrong}, b"{}")
    with pytest.raises(SignatureInvalid):
        telegram.verify({}, b"{}")


async def test_without_a_secret_the_door_is_closed(http: aiohttp.ClientSession) -> None:
    for secret in (None, ""):
        with pytest.raises((SignatureInvalid, Misconfigured)):
            channel(http, secret_token=secret).verify(stand.signed(""), b"{}")


# What an update says -------------------------------------------------------------------------------------------------


def test_a_message() -> None:
    assert read(message=said(12, "Grüß Gott 👋", at=1_762_941_285)) == Inbound(
        "message",
        "telegram",
        BOT,
        CHAT,
        datetime(2025, 11, 12, 9, 54, 45, tzinfo=UTC),
        external_id=f"{BOT}:{CHAT}:12",
        text="Grüß Gott 👋",
        data={"customer_name": "Ada Byron"},
    )


def test_a_reply_names_what_it_answers() -> None:
    assert read(message=said(12, "yes", reply_to_message=said(9, "?"))).reply_to == f"{BOT}:{CHAT}:9"


def test_an_edit_names_the_message_it_changes() -> None:
    inbound = read(edited_message=said(12, "I meant Tuesday", edit_date=1_762_941_300))
    assert (inbound.kind, inbound.external_id, inbound.text) == ("edit", f"{BOT}:{CHAT}:12", "I meant Tuesday")
    assert inbound.at == datetime(2025, 11, 12, 9, 55, tzinfo=UTC)


def test_a_tap_says_what_stands_on_the_button() -> None:
    inbound = read(callback_query=tapped(9, "book"))
    assert (inbound.kind, inbound.text, inbound.external_id) == ("postback", "Yes please", f"{BOT}:tap:tap9")
    assert inbound.data["postback"] == {"title": "Yes please", "payload": "book"}
    assert (inbound.data["callback_query_id"], inbound.reply_to) == ("tap9", f"{BOT}:{CHAT}:9")


@pytest.mark.parametrize(("status", "kind"), [("kicked", "blocked"), ("member", "unblocked")])
def test_blocking_is_told(status: str, kind: str) -> None:
    inbound = read(my_chat_member=membership(status))
    assert (inbound.kind, inbound.customer) == (kind, CHAT)


SIZES = [{"file_id": "small", "file_size": 9}, {"file_id": "large", "file_size": 99}]
DOCUMENT = {"file_id": "d1", "file_name": "bill.pdf", "mime_type": "application/pdf", "file_size": 7}


@pytest.mark.parametrize(
    ("media", "kept"),
    [
        ({"photo": SIZES}, {"type": "image", "file_id": "large", "bytes": 99}),
        (
            {"document": DOCUMENT},
            {"type": "file", "file_id": "d1", "title": "bill.pdf", "content_type": "application/pdf", "bytes": 7},
        ),
        ({"voice": {"file_id": "v"}}, {"type": "audio", "file_id": "v"}),
        ({"animation": {"file_id": "a"}, "document": {"file_id": "a"}}, {"type": "video", "file_id": "a"}),
        ({"location": {"latitude": 1.5}}, {"type": "location", "payload": {"latitude": 1.5}}),
    ],
)
def test_what_comes_with_a_message(media: dict[str, Any], kept: dict[str, Any]) -> None:
    inbound = read(message=said(12, caption="look", **media))
    assert (inbound.kind, inbound.text, inbound.data["attachments"]) == ("message", "look", [kept])


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ({"message": said(1, "hi") | {"chat": {"id": -5, "type": "group"}}}, "a chat of type group"),
        ({"message": said(1, "hi") | {"from": {"id": 1, "is_bot": True}}}, "the sender is a bot"),
        ({"message": said(1, pinned_message={})}, "pinned_message"),
        ({"message": said(1)}, "an empty message"),
        ({"channel_post": {}}, "channel_post"),
        ({"message": "text"}, "message is no object"),
        ({"message": {}}, "chat is missing"),
        ({"my_chat_member": membership("left")}, "my_chat_member left"),
        ({"callback_query": {"id": "1", "from": {"id": 1}}}, "not in a chat"),
        ({}, "an empty update"),
    ],
)
def test_what_is_not_answered_is_kept_with_the_reason(what: dict[str, Any], reason: str) -> None:
    inbound = read(**what)
    assert (inbound.kind, inbound.account, inbound.raw) == ("unknown", BOT, {"update_id": 1, **what})
    assert reason in inbound.data["reason"]


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff\x00", b"[" * 20_000, b'{"message": NaN'])
def test_no_body_is_too_strange(body: bytes) -> None:
    (inbound,) = parse(body, BOT)
    assert inbound.kind == "unknown"
    json.dumps(inbound.raw)


def test_what_no_database_holds_is_replaced_and_said() -> None:
    body = update(1, message=said(1, "NUL HALF")).replace(b"NUL", b"\\u0000").replace(b"HALF", b"\\ud83d")
    (inbound,) = parse(body, BOT)
    assert (inbound.text, inbound.data["sanitised"]) == ("\ufffd \ufffd", True)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*said(1, "x"), "id"]), inner, max_size=4)
    ),
    max_leaves=15,
)


@given(st.dictionaries(st.sampled_from(["message", "edited_message", "callback_query", "my_chat_member", "x"]), JSON))
def test_no_update_breaks_the_reader(what: dict[str, Any]) -> None:
    assert len(parse(json.dumps(what).encode(), BOT)) == 1


# What is posted ------------------------------------------------------------------------------------------------------


async def test_a_text_is_posted_as_it_is(http: aiohttp.ClientSession, api: TelegramStand) -> None:
    assert await channel(http, api.url).send(REPLY) == Sent(f"{BOT}:{CHAT}:101")
    (call,) = api.calls
    assert (call.method, call.fields) == ("sendMessage", {"chat_id": CHAT, "text": "We open at 8 👋"})


@pytest.mark.parametrize(
    ("content_type", "method", "field"),
    [
        ("image/png", "sendPhoto", "photo"),
        ("video/mp4", "sendVideo", "video"),
        ("audio/mpeg", "sendAudio", "audio"),
        ("application/pdf", "sendDocument", "document"),
    ],
)
async def test_a_file_is_sent_along(
    http: aiohttp.ClientSession, api: TelegramStand, content_type: str, method: str, field: str
) -> None:
    file = File("menu", content_type, "file", b"content")
    sent = await channel(http, api.url).send(Outbound(BOT, CHAT, "", "mark", file=file))
    assert sent == Sent(f"{BOT}:{CHAT}:101")
    (call,) = api.calls
    assert (call.method, call.fields, call.files) == (
        method,
        {"chat_id": CHAT},
        {field: ("menu", content_type, b"content")},
    )


async def test_typing_and_taps_are_courtesies(http: aiohttp.ClientSession, api: TelegramStand) -> None:
    telegram = channel(http, api.url)
    await telegram.typing(BOT, CHAT)
    telegram.acknowledge(read(callback_query=tapped(9, "book")))
    telegram.acknowledge(read(message=said(1, "no tap")))
    await api.wait_until(lambda: len(api.calls) == 2)
    assert [(call.method, call.fields) for call in api.calls] == [
        ("sendChatAction", {"chat_id": CHAT, "action": "typing"}),
        ("answerCallbackQuery", {"callback_query_id": "tap9"}),
    ]
    away = channel(http)
    await away.typing(BOT, CHAT)
    away.acknowledge(read(callback_query=tapped(9, "book")))
    await away.close()
    await telegram.close()


VERDICTS: list[tuple[Reply, type[DeliveryError]]] = [
    (stand.blocked(), RecipientUnreachable),
    (refuse(403, "Forbidden: user is deactivated"), RecipientUnreachable),
    (refuse(403, "Forbidden: bot can't initiate conversation with a user"), RecipientUnreachable),
    (refuse(400, "Bad Request: chat not found"), RecipientUnreachable),
    (refuse(400, "Bad Request: PEER_ID_INVALID"), RecipientUnreachable),
    (refuse(400, "Bad Request: message is too long"), DeliveryRefused),
    (refuse(400, "Bad Request: message text is empty"), DeliveryRefused),
    (refuse(413, "Request Entity Too Large"), DeliveryRefused),
    (stand.slow_down(3), DeliveryBusy),
    (refuse(401, "Unauthorized"), ChannelBroken),
    (refuse(404, "Not Found"), ChannelBroken),
    (refuse(409, "Conflict: terminated by other getUpdates request"), ChannelBroken),
    (refuse(500, "Internal Server Error"), DeliveryUnknown),
    (refuse(502, "Bad Gateway"), DeliveryUnknown),
    (stand.html(502), DeliveryUnknown),
    (stand.html(200), DeliveryUnknown),
    (Reply(body={"ok": True}), DeliveryUnknown),
    (Reply(body={"ok": True, "result": {}}), DeliveryUnknown),
    (Reply(body={"ok": False}), DeliveryUnknown),
    (Reply(body=[]), DeliveryUnknown),
    (stand.reset(), DeliveryUnknown),
    (stand.cut(), DeliveryUnknown),
]


@pytest.mark.parametrize(("reply", "error"), VERDICTS, ids=lambda value: str(getattr(value, "body", "") or value)[:60])
async def test_what_each_answer_means(
    http: aiohttp.ClientSession, api: TelegramStand, reply: Reply, error: type[DeliveryError]
) -> None:
    api.script(reply)
    with pytest.raises(DeliveryError) as raised:
        await channel(http, api.url).send(REPLY)
    assert type(raised.value) is error
    assert len(api.sends) == 1, "nothing here tries again"


async def test_the_flood_limit_says_how_long(http: aiohttp.ClientSession, api: TelegramStand) -> None:
    api.script(stand.slow_down(37))
    with pytest.raises(DeliveryBusy) as busy:
        await channel(http, api.url).send(REPLY)
    assert busy.value.retry_after == 37


async def test_silence_is_unknown_and_a_closed_port_is_not(http: aiohttp.ClientSession, api: TelegramStand) -> None:
    api.script(stand.hang())
    with pytest.raises(DeliveryUnknown):
        await channel(http, api.url, timeout_seconds=0.3).send(REPLY)
    with pytest.raises(DeliveryBusy):
        await channel(http).send(REPLY)


async def test_the_token_is_in_no_error(http: aiohttp.ClientSession, api: TelegramStand) -> None:
    outcomes = [refuse(400, f"Bad Request: {TOKEN} is odd"), stand.reset(), stand.html(), stand.cut(), stand.hang()]
    api.script(*outcomes)
    telegram = channel(http, api.url, timeout_seconds=0.5)
    for sender in (*[telegram] * len(outcomes), channel(http), channel(http, "http://nowhere.invalid")):
        with pytest.raises(DeliveryError) as error:
            await sender.send(REPLY)
        told = f"{error.value!r} {error.value.__cause__!r} {error.value.message}"
        assert TOKEN not in told
        assert TOKEN.partition(":")[2] not in told


async def test_another_bots_messages_are_not_sent(http: aiohttp.ClientSession, api: TelegramStand) -> None:
    with pytest.raises(ChannelBroken, match="42"):
        await channel(http, api.url).send(Outbound("42", CHAT, "x", ""))
    assert api.calls == []


@given(st.text(min_size=1, max_size=9000))
async def test_parts_fit_and_lose_nothing(text: str) -> None:
    async with aiohttp.ClientSession() as session:
        parts = channel(session).split(text)
    assert all(utf16_units(part) <= 4096 for part in parts)
    assert "".join("".join(parts).split()) == "".join(text.split())


async def test_a_smiley_is_two_units(http: aiohttp.ClientSession) -> None:
    assert [len(part) for part in channel(http).split("😀" * 4097)] == [2048, 2048, 1]


# Files and the webhook -----------------------------------------------------------------------------------------------


async def test_a_file_is_located_by_its_id(http: aiohttp.ClientSession, api: TelegramStand) -> None:
    api.files["large"] = b"bytes"
    found = await channel(http, api.url).locate(BOT, {"file_id": "large"})
    assert found.trusted
    assert TOKEN not in repr(found)
    async with http.get(found.url) as answer:
        assert await answer.read() == b"bytes"
    with pytest.raises(DeliveryRefused):
        await channel(http, api.url).locate(BOT, {"url": "http://169.254.169.254/"})


async def test_the_webhook_is_set_and_looked_at(http: aiohttp.ClientSession, api: TelegramStand) -> None:
    telegram = channel(http, api.url)
    assert (await telegram.status("https://desk.example")).problems
    await telegram.connect("https://desk.example/")
    (call,) = api.called("setWebhook")
    assert (call.fields["url"], call.fields["secret_token"]) == ("https://desk.example/webhooks/telegram", SECRET)
    assert "my_chat_member" in call.fields["allowed_updates"]
    assert (await telegram.status("https://desk.example")).problems == ()
    assert "elsewhere" in (await telegram.status("https://other.example")).problems[0]
    api.webhook |= {"pending_update_count": 3, "last_error_message": f"403 {TOKEN}", "allowed_updates": ["message"]}
    problems = " ".join((await telegram.status(None)).problems)
    assert "edited_message" in problems
    assert "403 …" in problems
    assert TOKEN not in problems


async def test_a_webhook_without_a_secret_is_not_set(http: aiohttp.ClientSession, api: TelegramStand) -> None:
    with pytest.raises(Misconfigured, match="TELEGRAM_SECRET_TOKEN"):
        await channel(http, api.url, secret_token=None).connect("https://desk.example")
    await asyncio.sleep(0)
    assert api.calls == []
