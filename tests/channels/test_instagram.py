"""Instagram: sent to as Messenger is, by its own limits, addresses and proofs."""

import hashlib
import hmac
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.payloads import IGID, IGSID
from stands.graph import VERSION, GraphStand, error
from switchboard.channels import File, Outbound, Sent
from switchboard.channels.instagram import Instagram
from switchboard.channels.split import utf8_bytes
from switchboard.errors import ChannelBroken, RecipientUnreachable, WindowClosed

OWN_TOKEN = "IGAAtokenOfTheAccount"
PAGE_TOKEN = "EAABtokenOfThePage"
SECRET, INSTAGRAM_SECRET = "0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"
REPLY = Outbound(account=IGID, recipient=IGSID, text="Apriamo alle 8", metadata="our mark")
PNG = File("menu.png", "image/png", "image", b"\x89PNG", link="https://desk.example/attachments/1?signature=x")


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def graph() -> AsyncIterator[GraphStand]:
    async with GraphStand() as stand:
        yield stand


def instagram(http: aiohttp.ClientSession, url: str = "http://127.0.0.1:9", **changes: Any) -> Instagram:
    values: dict[str, Any] = {
        "app_secret": SECRET,
        "instagram_app_secret": INSTAGRAM_SECRET,
        "graph_url": url,
        "account_tokens": {IGID: OWN_TOKEN},
        "http": http,
    }
    return Instagram(**values | changes)


async def test_a_message_carries_no_mark_of_ours(http: aiohttp.ClientSession, graph: GraphStand) -> None:
    assert await instagram(http, graph.url).send(REPLY) == Sent("m_1")
    (call,) = graph.calls
    assert (call.method, call.path) == ("POST", f"/{VERSION}/me/messages")
    assert call.headers["Authorization"] == f"Bearer {OWN_TOKEN}"
    assert call.json == {
        "recipient": {"id": IGSID},
        "messaging_type": "RESPONSE",
        "message": {"text": "Apriamo alle 8"},
    }


@pytest.mark.parametrize(("token", "secret"), [(OWN_TOKEN, INSTAGRAM_SECRET), (PAGE_TOKEN, SECRET)])
async def test_the_proof_is_made_with_the_secret_of_the_tokens_app(
    http: aiohttp.ClientSession, graph: GraphStand, token: str, secret: str
) -> None:
    await instagram(http, graph.url, account_tokens={IGID: token}).send(REPLY)
    proof = hmac.new(secret.encode(), token.encode(), hashlib.sha256).hexdigest()
    assert graph.calls[0].query == {"appsecret_proof": proof}


async def test_a_file_is_fetched_from_us_by_its_link(http: aiohttp.ClientSession, graph: GraphStand) -> None:
    await instagram(http, graph.url).send(Outbound(IGID, IGSID, "", "m", file=PNG))
    assert graph.calls[0].json["message"] == {"attachment": {"type": "image", "payload": {"url": PNG.link}}}
    without = File("menu.png", "image/png", "image", b"\x89PNG")
    with pytest.raises(ChannelBroken, match="PUBLIC_URL"):
        await instagram(http, graph.url).send(Outbound(IGID, IGSID, "", "m", file=without))
    assert len(graph.calls) == 1


async def test_refusals_mean_what_they_mean_on_messenger(http: aiohttp.ClientSession, graph: GraphStand) -> None:
    graph.script(error(10, 2534022), error(551), error(190))
    for expected in (WindowClosed, RecipientUnreachable, ChannelBroken):
        with pytest.raises(expected):
            await instagram(http, graph.url).send(REPLY)


@given(st.text(min_size=1, max_size=2500))
async def test_parts_fit_in_bytes_and_lose_nothing(text: str) -> None:
    async with aiohttp.ClientSession() as session:
        parts = instagram(session).split(text)
    assert all(utf8_bytes(part) <= 1000 for part in parts)
    assert "".join("".join(parts).split()) == "".join(text.split())


async def test_umlauts_are_two_bytes_and_smileys_four(http: aiohttp.ClientSession) -> None:
    channel = instagram(http)
    assert [len(part) for part in channel.split("a" * 1001)] == [1000, 1]
    assert [len(part) for part in channel.split("ä" * 501)] == [500, 1]
    assert [len(part) for part in channel.split("😀" * 251)] == [250, 1]


@pytest.mark.parametrize(
    ("token", "fields"),
    [
        (OWN_TOKEN, "messages,messaging_postbacks,messaging_seen,message_reactions"),
        (PAGE_TOKEN, "messages,messaging_postbacks"),
    ],
)
async def test_the_app_is_subscribed_to_the_account(
    http: aiohttp.ClientSession, graph: GraphStand, token: str, fields: str
) -> None:
    channel = instagram(http, graph.url, account_tokens={IGID: token})
    assert (await channel.status(None)).problems
    await channel.connect("https://desk.example")
    assert graph.calls[-1].query["subscribed_fields"] == fields
    assert graph.calls[-1].path == f"/{VERSION}/me/subscribed_apps"
    status = await channel.status(None)
    assert (status.account, status.problems) == (IGID, ())
    graph.subscribed = ["messages"]
    assert "messaging_postbacks" in (await channel.status(None)).problems[0]
