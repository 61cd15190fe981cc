"""What every channel keeps, over HTTP and on both transports: forged, repeated, batched, echoed, unreachable."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from functools import partial

import aiohttp
import pytest

from stands.app import local_settings, rest_settings
from stands.graph import Call
from stands.platforms import SETTINGS, Bot, Meta, deliver, platform
from stands.shop import open_shop
from stands.telegram import TelegramStand, membership, slow_down, tapped
from switchboard.channels import Channel
from switchboard.channels.registry import open_channels
from switchboard.database import Database
from switchboard.knowledge.put import put_document
from switchboard.settings import Settings

HOURS = "We are open Monday to Saturday from 8:00 to 18:00."


@pytest.fixture(params=["postgres", "postgrest"])
def way(request: pytest.FixtureRequest) -> tuple[Database, Callable[..., Settings]]:
    """A database and settings that lead to it."""
    database: Database = request.getfixturevalue(request.param)
    if request.param == "postgres":
        return database, partial(local_settings, request.getfixturevalue("database_url"))
    return database, partial(rest_settings, request.getfixturevalue("supabase"))


@pytest.fixture
async def one(
    request: pytest.FixtureRequest, way: tuple[Database, Callable[..., Settings]]
) -> AsyncIterator[Meta | Bot]:
    """A service with all channels connected, seen from one platform; its AI says `HOURS` or hands over."""
    database, make = way
    async with TelegramStand() as api, open_shop(make, telegram_api_url=api.url, **SETTINGS) as shop:
        await database.update("workspaces", {"quiet_seconds": 0}, where={"id": 1})
        await put_document(database, 1, "Opening hours", HOURS)
        yield platform(request.param, shop, api)


everywhere = pytest.mark.parametrize("one", ["messenger", "instagram", "telegram"], indirect=True)
with_echoes = pytest.mark.parametrize("one", ["messenger", "instagram"], indirect=True)
on_telegram = pytest.mark.parametrize("one", ["telegram"], indirect=True)
on_instagram = pytest.mark.parametrize("one", ["instagram"], indirect=True)


async def states(database: Database) -> list[str]:
    return [str(row["state"]) for row in await database.select("deliveries", order=["id"])]


@everywhere
async def test_a_question_is_answered_where_it_was_asked(one: Meta | Bot) -> None:
    assert await deliver(one, one.said(1, "When are you open on Saturday?")) == [200]
    reply = await one.shop.until_message(sender_type="bot", delivery_state="sent")
    assert (reply["content"], one.sent()) == (HOURS, [("4711", HOURS)])
    conversation = await one.shop.conversation()
    assert (conversation["platform"], conversation["user_id"], conversation["status"]) == (one.wire, "4711", "active")


@everywhere
async def test_what_is_forged_leaves_no_trace(one: Meta | Bot, way: tuple[Database, object]) -> None:
    assert await deliver(one, one.said(1, "let me in"), forged=True) == [403]
    assert await way[0].select("inbox") == []
    assert await way[0].select("customers") == []


@everywhere
async def test_what_is_repeated_is_stored_once(one: Meta | Bot, way: tuple[Database, object]) -> None:
    (body,) = one.bodies([one.said(1, "When are you open on Saturday?")])
    await asyncio.gather(*(one.shop.client.post(one.address, content=body, headers=one.signed(body)) for _ in range(8)))
    await one.shop.until_message(sender_type="bot", delivery_state="sent")
    await deliver(one, one.said(1, "When are you open on Saturday?"))
    await one.shop.until(partial(_sorted, way[0]))
    assert [message["sender_type"] for message in await one.shop.messages()] == ["user", "bot"]
    assert len(one.sent()) == 1


@everywhere
async def test_many_at_once_keep_their_order_and_their_customers(one: Meta | Bot, way: tuple[Database, object]) -> None:
    events = [one.said(number, f"line {number}", customer=str(100 + number % 3)) for number in range(30)]
    assert set(await deliver(one, *events)) == {200}
    await one.shop.until(partial(_sorted, way[0]))
    customers = {row["id"]: row["external_id"] for row in await way[0].select("customers")}
    found: dict[str, list[str]] = {}
    for conversation in await way[0].select("conversations"):
        said = await way[0].select(
            "messages", where={"conversation_id": conversation["id"], "sender_type": "user"}, order=["seq"]
        )
        found[customers[conversation["customer_id"]]] = [row["content"] for row in said]
    assert found == {str(100 + rest): [f"line {n}" for n in range(30) if n % 3 == rest] for rest in range(3)}


@everywhere
async def test_a_customer_who_cannot_be_reached_is_tried_once(one: Meta | Bot, way: tuple[Database, object]) -> None:
    one.be_unreachable()
    await deliver(one, one.said(1, "When are you open on Saturday?"))
    reply = await one.shop.until_message(sender_type="bot", delivery_state="failed")
    assert reply["delivery_reason"]
    assert reply["requires_human"] is True
    (delivery,) = await way[0].select("deliveries")
    assert (delivery["state"], delivery["attempts"], len(one.sent())) == ("failed", 1, 1)


@everywhere
async def test_a_send_of_unknown_outcome_is_never_repeated(one: Meta | Bot, way: tuple[Database, object]) -> None:
    one.fall_silent()
    await deliver(one, one.said(1, "When are you open on Saturday?"))
    reply = await one.shop.until_message(sender_type="bot", delivery_state="unknown")
    assert reply["requires_human"] is True, "a person is shown"
    await asyncio.sleep(0.3)
    assert (await states(way[0]), len(one.sent())) == (["unknown"], 1)


@with_echoes
async def test_an_echo_settles_what_was_unknown(one: Meta, way: tuple[Database, object]) -> None:
    one.fall_silent()
    await deliver(one, one.said(1, "When are you open on Saturday?"))
    await one.shop.until_message(sender_type="bot", delivery_state="unknown")
    mark = one.api.sends[0].json["message"].get("metadata")
    for _ in range(2):
        await deliver(one, one.echo("m_1", HOURS, mark=mark))
    await one.shop.until_message(sender_type="bot", delivery_state="sent")
    assert [message["sender_type"] for message in await one.shop.messages()] == ["user", "bot"]
    assert (await one.shop.conversation())["handler"] == "ai"


@with_echoes
async def test_an_echo_faster_than_the_answer_is_no_person(one: Meta, way: tuple[Database, object]) -> None:
    async def tell_first(call: Call, mid: str) -> None:
        content = call.json["message"]
        await deliver(one, one.echo(mid, content["text"], mark=content.get("metadata")))
        await one.shop.until(partial(_sorted, way[0]))

    one.api.on_send = tell_first
    await deliver(one, one.said(1, "When are you open on Saturday?"))
    await one.shop.until_message(sender_type="bot", delivery_state="sent")
    (delivery,) = await way[0].select("deliveries")
    assert (delivery["state"], delivery["external_id"]) == ("sent", "m_1")
    assert [message["sender_type"] for message in await one.shop.messages()] == ["user", "bot"]
    assert (await one.shop.conversation())["handler"] == "ai", "our own echo is no takeover"


@with_echoes
async def test_a_person_on_the_platform_takes_over(one: Meta, way: tuple[Database, object]) -> None:
    await deliver(one, one.said(1, "When are you open on Saturday?"))
    await one.shop.until_message(sender_type="bot", delivery_state="sent")
    await deliver(one, one.echo("m_anna", "Anna here, hello!"))
    await one.shop.until_message(sender_type="human")
    assert (await one.shop.conversation())["handler"] == "human"
    await deliver(one, one.said(2, "When are you open on Saturday?"))
    await one.shop.until(partial(_sorted, way[0]))
    await asyncio.sleep(0.3)
    assert len(one.sent()) == 1


@on_instagram
async def test_who_has_read_one_has_read_those_before(one: Meta) -> None:
    await deliver(one, one.said(1, "When are you open on Saturday?"))
    await one.shop.until_message(sender_type="bot", delivery_state="sent")
    await deliver(one, one.said(2, "When are you open on Saturday?"))
    await one.shop.until_message(sender_type="bot", seq=4, delivery_state="sent")
    read = {"read": {"mid": "m_2"}}
    await deliver(one, {key: value for key, value in one.said(3, "").items() if key != "message"} | read)
    await one.shop.until_message(seq=4, delivery_state="read")
    await one.shop.until_message(seq=2, delivery_state="read")


@on_instagram
async def test_what_is_unsent_is_marked_and_not_doubled(one: Meta) -> None:
    await deliver(one, one.said(1, "When are you open on Saturday?"))
    await one.shop.until_message(sender_type="bot", delivery_state="sent")
    await deliver(one, one.said(1, "", is_deleted=True))

    async def unsent() -> bool:
        return (await one.shop.messages())[0]["unsent_at"] is not None

    await one.shop.until(unsent)
    assert len(await one.shop.messages()) == 2


@on_telegram
async def test_the_flood_limit_is_waited_for(one: Bot, way: tuple[Database, object]) -> None:
    one.telegram.script(slow_down(4))
    await deliver(one, one.said(1, "When are you open on Saturday?"))
    first, second = await one.telegram.wait_for_sends(2, seconds=15)
    assert second.at - first.at > 3.9
    await one.shop.until_message(sender_type="bot", delivery_state="sent")
    (delivery,) = await way[0].select("deliveries")
    assert (delivery["state"], delivery["attempts"]) == ("sent", 2)


@on_telegram
async def test_a_long_flood_limit_is_not_cut_short(one: Bot, way: tuple[Database, object]) -> None:
    one.telegram.script(slow_down(3000))
    await deliver(one, one.said(1, "When are you open on Saturday?"))

    async def put_off() -> bool:
        return [row["reason"] for row in await way[0].select("deliveries")] not in ([], [None])

    await one.shop.until(put_off)
    (delivery,) = await way[0].select("deliveries")
    wait = datetime.fromisoformat(delivery["next_at"]) - datetime.now(UTC)
    assert (delivery["state"], wait > timedelta(seconds=2900)) == ("ready", True)


@on_telegram
async def test_an_edit_changes_what_was_said(one: Bot) -> None:
    await deliver(one, one.said(1, "When are you open on Saturday?"))
    await one.shop.until_message(sender_type="bot", delivery_state="sent")
    for _ in range(2):
        await deliver(one, {"edited_message": one.said(1, "And on Sunday?")["message"] | {"edit_date": 1_762_941_300}})

    async def edited() -> bool:
        return (await one.shop.messages())[0]["content"] == "And on Sunday?"

    await one.shop.until(edited)
    first = (await one.shop.messages())[0]
    assert [edit["before"] for edit in first["metadata"]["edits"]] == ["When are you open on Saturday?"]


@on_telegram
async def test_a_tap_is_answered_and_acknowledged(one: Bot) -> None:
    await deliver(one, {"callback_query": tapped(9, "hours", label="When are you open on Saturday?")})
    await one.shop.until_message(sender_type="bot", delivery_state="sent")
    await one.telegram.wait_until(lambda: bool(one.telegram.called("answerCallbackQuery")))
    assert one.sent() == [("4711", HOURS)]
    assert (await one.shop.conversation())["customer_name"] == "Ada Byron"


@on_telegram
async def test_a_customer_who_blocks_the_bot_is_shown_until_they_are_back(one: Bot) -> None:
    await deliver(one, one.said(1, "When are you open on Saturday?"))
    await one.shop.until_message(sender_type="bot", delivery_state="sent")

    async def unreachable() -> bool:
        return (await one.shop.conversation())["customer_unreachable_since"] is not None

    async def reachable() -> bool:
        return not await unreachable()

    await deliver(one, {"my_chat_member": membership("kicked")})
    await one.shop.until(unreachable)
    await deliver(one, {"my_chat_member": membership("member")})
    await one.shop.until(reachable)


@on_telegram
async def test_groups_are_kept_and_not_answered(one: Bot, way: tuple[Database, object]) -> None:
    group = one.said(1, "When are you open on Saturday?")["message"] | {"chat": {"id": -100, "type": "supergroup"}}
    assert await deliver(one, {"message": group}) == [200]
    await one.shop.until(partial(_sorted, way[0]))
    (kept,) = await way[0].select("inbox")
    assert "supergroup" in kept["unhandled"][0]["reason"]
    assert await way[0].select("conversations") == []


@everywhere
async def test_it_is_a_channel(one: Meta | Bot) -> None:
    async with aiohttp.ClientSession() as http:
        channel: Channel = open_channels(one.shop.settings, http).senders[one.platform]
        assert (channel.kind, channel.accounts) == (one.platform, [one.account])
        assert channel.split("") == []


async def _sorted(database: Database) -> bool:
    return await database.select("inbox", where={"sorted_at": None}) == []
