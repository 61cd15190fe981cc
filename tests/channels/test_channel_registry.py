"""The settings decide which channels there are."""

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from channels import payloads
from channels.payloads import PAGE, PSID
from stands import telegram
from stands.graph import GraphStand, sign
from switchboard.channels import Channel, Outbound, Sent
from switchboard.channels.registry import open_channels
from switchboard.errors import ChannelBroken, Misconfigured, SignatureInvalid
from switchboard.settings import Settings, load

SECRET = "0123456789abcdef0123456789abcdef"
INSTAGRAM_SECRET = "fedcba9876543210fedcba9876543210"


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable and no .env of this machine reaches the settings."""
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def whole(**changes: str) -> Settings:
    values = {
        "facebook_app_secret": SECRET,
        "facebook_verify_token": "word",
        "facebook_page_id": PAGE,
        "facebook_page_access_token": "EAAtoken",
        "facebook_app_id": "42",
        "instagram_app_secret": INSTAGRAM_SECRET,
        "instagram_account_id": payloads.IGID,
        "instagram_access_token": "IGAAtoken",
        "instagram_verify_token": "another word",
        "telegram_bot_token": telegram.TOKEN,
        "telegram_secret_token": telegram.SECRET,
    }
    return load(**values | changes)


async def test_each_platform_has_its_sender(http: aiohttp.ClientSession) -> None:
    async with GraphStand() as graph:
        channels = open_channels(whole(facebook_graph_url=graph.url), http)
        assert {name: channel.kind for name, channel in channels.senders.items()} == {
            "messenger": "messenger",
            "instagram": "instagram",
            "telegram": "telegram",
        }
        outbound = Outbound(account=PAGE, recipient=PSID, text="hi", metadata="m")
        assert await channels.senders["messenger"].send(outbound) == Sent("m_1")
        assert graph.calls[0].headers["Authorization"] == "Bearer EAAtoken"


async def test_the_secrets_reach_the_webhooks(http: aiohttp.ClientSession) -> None:
    channels = open_channels(whole(), http)
    body = payloads.body(payloads.IG_TEXT, kind="instagram", account=payloads.IGID)
    for secret in (INSTAGRAM_SECRET, SECRET):
        channels.messenger.verify(sign(body, secret), body)
        channels.senders["instagram"].verify(sign(body, secret), body)
    channels.telegram.verify(telegram.signed(), b"{}")
    assert channels.messenger.handshake("subscribe", "word", "7") == "7"
    assert channels.messenger.handshake("subscribe", "another word", "8") == "8"
    assert channels.messenger.app_id == "42"


async def test_without_settings_the_door_is_closed(http: aiohttp.ClientSession) -> None:
    channels = open_channels(load(), http)
    body = payloads.body(payloads.TEXT)
    with pytest.raises(SignatureInvalid):
        channels.messenger.verify(sign(body, ""), body)
    with pytest.raises(SignatureInvalid):
        channels.telegram.verify(telegram.signed(""), body)
    with pytest.raises(SignatureInvalid):
        channels.messenger.handshake("subscribe", "", "7")
    with pytest.raises(ChannelBroken, match="FACEBOOK_PAGE_ACCESS_TOKEN"):
        await channels.senders["messenger"].send(Outbound(account=PAGE, recipient=PSID, text="hi", metadata=""))
    with pytest.raises(ChannelBroken, match="INSTAGRAM_ACCESS_TOKEN"):
        await channels.senders["instagram"].send(Outbound(account="1", recipient=PSID, text="hi", metadata=""))
    with pytest.raises(ChannelBroken, match="TELEGRAM_BOT_TOKEN"):
        await channels.senders["telegram"].send(Outbound(account="1", recipient=PSID, text="hi", metadata=""))


async def test_a_setting_that_cannot_be_right_is_said_at_start(http: aiohttp.ClientSession) -> None:
    for name, value in {
        "FACEBOOK_GRAPH_URL": "graph.facebook.com",
        "INSTAGRAM_GRAPH_URL": "graph.instagram.com",
        "TELEGRAM_API_URL": "api.telegram.org",
        "TELEGRAM_BOT_TOKEN": "the-token-without-the-id",
        "TELEGRAM_SECRET_TOKEN": "not allowed: blanks",
    }.items():
        with pytest.raises(Misconfigured, match=name) as wrong:
            open_channels(whole(**{name.lower(): value}), http)
        assert "URL" in name or value not in wrong.value.message


async def test_messenger_promises_what_a_channel_does(http: aiohttp.ClientSession) -> None:
    channel: Channel = open_channels(whole(), http).messenger
    assert (channel.kind, channel.window.automated, channel.window.people) == ("messenger", 86_400, 7 * 86_400)
    assert [len(part) for part in channel.split("x" * 4001)] == [2000, 2000, 1]
    await channel.close()
    assert not http.closed


async def test_the_token_decides_where_instagram_is_sent_to(http: aiohttp.ClientSession) -> None:
    async with GraphStand() as graph:
        settings = whole(instagram_access_token="EAApage", facebook_graph_url=graph.url)
        outbound = Outbound(account=payloads.IGID, recipient=payloads.IGSID, text="ciao", metadata="m")
        assert await open_channels(settings, http).senders["instagram"].send(outbound) == Sent("m_1")
        assert graph.calls[0].path == "/v23.0/me/messages"
        assert graph.calls[0].headers["Authorization"] == "Bearer EAApage"
