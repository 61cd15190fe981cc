"""The settings decide which channels there are."""

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from channels import payloads
from channels.payloads import PAGE, PSID
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
    }
    return load(**values | changes)


async def test_messenger_is_sent_to_and_instagram_only_received(http: aiohttp.ClientSession) -> None:
    async with GraphStand() as graph:
        channels = open_channels(whole(facebook_graph_url=graph.url), http)
        assert set(channels.webhooks) == {"messenger", "instagram"}
        assert set(channels.senders) == {"messenger"}
        outbound = Outbound(account=PAGE, recipient=PSID, text="hi", metadata="m")
        assert await channels.senders["messenger"].send(outbound) == Sent("m_1")
        assert graph.calls[0].headers["Authorization"] == "Bearer EAAtoken"


async def test_the_secrets_reach_the_webhooks(http: aiohttp.ClientSession) -> None:
    channels = open_channels(whole(), http)
    body = payloads.body(payloads.IG_TEXT, kind="instagram", account=payloads.IGID)
    channels.webhooks["instagram"].verify(sign(body, INSTAGRAM_SECRET), body)
    channels.webhooks["messenger"].verify(sign(body, SECRET), body)
    assert channels.messenger.handshake("subscribe", "word", "7") == "7"
    assert channels.messenger.app_id == "42"


async def test_without_settings_the_door_is_closed(http: aiohttp.ClientSession) -> None:
    channels = open_channels(load(), http)
    body = payloads.body(payloads.TEXT)
    with pytest.raises(SignatureInvalid):
        channels.webhooks["messenger"].verify(sign(body, ""), body)
    with pytest.raises(SignatureInvalid):
        channels.messenger.handshake("subscribe", "", "7")
    with pytest.raises(ChannelBroken, match="FACEBOOK_PAGE_ACCESS_TOKEN"):
        await channels.senders["messenger"].send(Outbound(account=PAGE, recipient=PSID, text="hi", metadata=""))


async def test_a_wrong_graph_address_is_said_at_start(http: aiohttp.ClientSession) -> None:
    with pytest.raises(Misconfigured, match="FACEBOOK_GRAPH_URL"):
        open_channels(whole(facebook_graph_url="graph.facebook.com"), http)


async def test_messenger_promises_what_a_channel_does(http: aiohttp.ClientSession) -> None:
    channel: Channel = open_channels(whole(), http).messenger
    assert (channel.kind, channel.window.automated, channel.window.people) == ("messenger", 86_400, 7 * 86_400)
    assert [len(part) for part in channel.split("x" * 4001)] == [2000, 2000, 1]
    await channel.close()
    assert not http.closed
