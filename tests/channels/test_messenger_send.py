"""What is posted to Graph, and what each way it can end means. Against a real server on this machine."""

import asyncio
import hashlib
import hmac
import json
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from structlog.testing import capture_logs

from channels.payloads import PAGE, PSID
from stands.graph import (
    VERSION,
    Answer,
    Call,
    GraphStand,
    echo_of,
    error,
    flood,
    garbage,
    hang,
    html,
    message,
    ok,
    redirect,
    reset,
    sign,
    truncated,
    webhook,
)
from switchboard.channels import File, Outbound, Sent
from switchboard.channels.messenger import Messenger
from switchboard.errors import (
    ChannelBroken,
    DeliveryBusy,
    DeliveryError,
    DeliveryRefused,
    DeliveryUnknown,
    RecipientUnreachable,
    WindowClosed,
)

TOKEN = "EAABwzLixnjYBAtokenOfThePage"
SECRET = "0123456789abcdef0123456789abcdef"
APP = 1517776481860111
REPLY = Outbound(account=PAGE, recipient=PSID, text="We open at 8 👋", metadata="reply:7:1")


def messenger(http: aiohttp.ClientSession, url: str, **changes: Any) -> Messenger:
    values: dict[str, Any] = {
        "app_secret": None,
        "instagram_app_secret": None,
        "verify_token": None,
        "app_id": str(APP),
        "graph_url": url,
        "page_tokens": {PAGE: TOKEN},
        "http": http,
        "timeout_seconds": 10,
    }
    return Messenger(**values | changes)


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def graph() -> AsyncIterator[GraphStand]:
    async with GraphStand() as stand:
        yield stand


async def test_a_message_is_posted_as_graph_wants_it(http: aiohttp.ClientSession, graph: GraphStand) -> None:
    assert await messenger(http, graph.url).send(REPLY) == Sent("m_1")
    [call] = graph.calls
    assert (call.method, call.path, call.query) == ("POST", f"/{VERSION}/{PAGE}/messages", {})
    assert call.headers["Authorization"] == f"Bearer {TOKEN}"
    assert call.json == {
        "recipient": {"id": PSID},
        "messaging_type": "RESPONSE",
        "message": {"text": "We open at 8 👋", "metadata": "reply:7:1"},
    }


async def test_a_persons_late_answer_carries_its_tag(http: aiohttp.ClientSession, graph: GraphStand) -> None:
    late = Outbound(account=PAGE, recipient=PSID, text="Sorry!", metadata="", tag="HUMAN_AGENT")
    await messenger(http, graph.url + "/").send(late)
    assert graph.calls[0].json == {
        "recipient": {"id": PSID},
        "messaging_type": "MESSAGE_TAG",
        "tag": "HUMAN_AGENT",
        "message": {"text": "Sorry!"},
    }


async def test_an_app_secret_proves_the_call(http: aiohttp.ClientSession, graph: GraphStand) -> None:
    await messenger(http, graph.url, app_secret=SECRET).send(REPLY)
    proof = hmac.new(SECRET.encode(), TOKEN.encode(), hashlib.sha256).hexdigest()
    assert graph.calls[0].query == {"appsecret_proof": proof}


async def test_a_file_is_sent_along(http: aiohttp.ClientSession, graph: GraphStand) -> None:
    file = File("menu.png", "image/png", "image", b"\x89PNG")
    assert await messenger(http, graph.url).send(Outbound(PAGE, PSID, "", "reply:7:1", file=file)) == Sent("m_1")
    assert graph.files == [("menu.png", "image/png", b"\x89PNG")]
    assert graph.calls[0].json == {
        "recipient": {"id": PSID},
        "messaging_type": "RESPONSE",
        "message": {"attachment": {"type": "image", "payload": {"is_reusable": False}}, "metadata": "reply:7:1"},
    }


VERDICTS: list[tuple[Answer, type[DeliveryError]]] = [
    (error(1, status=500), DeliveryBusy),
    (error(1, 99), DeliveryBusy),
    (error(2, status=500, is_transient=True), DeliveryBusy),
    (error(2), DeliveryBusy),
    (error(4), DeliveryBusy),
    (error(4, status=429), DeliveryBusy),
    (error(613), DeliveryBusy),
    (error(80006), DeliveryBusy),
    (error(80007), DeliveryBusy),
    (error(1200), DeliveryBusy),
    (error(99999, status=503), DeliveryBusy),
    (error(99999, status=429), DeliveryBusy),
    (error(99999, is_transient=True), DeliveryBusy),
    (error(1, 1357046, status=500), DeliveryUnknown),
    (error(10, 2018278), WindowClosed),
    (error(10, 2534022), WindowClosed),
    (error(10, message="(#10) This message is sent outside of allowed window."), WindowClosed),
    (error(100), DeliveryRefused),
    (error(100, 1893061), DeliveryRefused),
    (error(100, message="Length of param message[text] must be less than or equal to 2000"), DeliveryRefused),
    (error(99999), DeliveryRefused),
    (error(99999, status=200), DeliveryRefused),
    (error(551), RecipientUnreachable),
    (error(551, 1545041), RecipientUnreachable),
    (error(100, 2018001), RecipientUnreachable),
    (error(200, 1545041), RecipientUnreachable),
    (error(10, 2018108), RecipientUnreachable),
    (error(190, status=401), ChannelBroken),
    (error(190, 463), ChannelBroken),
    (error(200), ChannelBroken),
    (error(230), ChannelBroken),
    (error(368), ChannelBroken),
    (error(10), ChannelBroken),
    (error(10, 1893063), ChannelBroken),
    (error(100, message="Invalid appsecret_proof provided in the API argument"), ChannelBroken),
    (html(502), DeliveryUnknown),
    (html(500), DeliveryUnknown),
    (html(404), DeliveryUnknown),
    (html(429), DeliveryUnknown),
    (html(200), DeliveryUnknown),
    (garbage(), DeliveryUnknown),
    (garbage(b""), DeliveryUnknown),
    (garbage(b"[]"), DeliveryUnknown),
    (garbage(b'{"recipient_id":"1"}'), DeliveryUnknown),
    (garbage(b'{"recipient_id":"1","message_id":7}'), DeliveryUnknown),
    (garbage(b'{"error":"no"}'), DeliveryUnknown),
    (garbage(b'{"error":{"message":"no code"}}'), DeliveryUnknown),
    (garbage(b'{"message_id":"m_1","padding":"' + b"x" * 70_000 + b'"}'), DeliveryUnknown),
    (truncated(), DeliveryUnknown),
    (reset(), DeliveryUnknown),
    (reset(accepted=True), DeliveryUnknown),
    (redirect("/elsewhere"), DeliveryUnknown),
]


def _named(verdict: tuple[Answer, type[DeliveryError]]) -> str:
    answer, kind = verdict
    shown = (answer.body or b"")[:60].decode("utf-8", "replace").replace('{"error": {"message": "Scripted", ', "")
    return f"{answer.how} {answer.status} {shown} is {kind.__name__}"


@pytest.mark.parametrize(("answer", "kind"), VERDICTS, ids=map(_named, VERDICTS))
async def test_every_answer_has_one_meaning(
    http: aiohttp.ClientSession, graph: GraphStand, answer: Answer, kind: type[DeliveryError]
) -> None:
    graph.script(answer)
    with pytest.raises(DeliveryError) as caught:
        await messenger(http, graph.url).send(REPLY)
    assert type(caught.value) is kind
    assert len(graph.calls) == 1, "posted once, whatever came of it"


async def test_no_answer_in_time_is_unknown(http: aiohttp.ClientSession, graph: GraphStand) -> None:
    graph.script(hang())
    with pytest.raises(DeliveryUnknown, match=r"did not answer within 0\.3 s"):
        await messenger(http, graph.url, timeout_seconds=0.3).send(REPLY)
    assert len(graph.calls) == 1


async def test_an_answer_without_end_is_not_read_to_its_end(http: aiohttp.ClientSession, graph: GraphStand) -> None:
    graph.script(flood())
    with pytest.raises(DeliveryUnknown, match="not in the Graph API's form"):
        await messenger(http, graph.url).send(REPLY)


async def test_a_reset_of_a_kept_connection_is_not_repeated(http: aiohttp.ClientSession, graph: GraphStand) -> None:
    graph.script(ok(), reset())
    channel = messenger(http, graph.url)
    await channel.send(REPLY)
    with pytest.raises(DeliveryUnknown):
        await channel.send(REPLY)
    assert len(graph.calls) == 2


async def test_a_cancelled_send_stays_cancelled(http: aiohttp.ClientSession, graph: GraphStand) -> None:
    graph.script(hang())
    sending = asyncio.create_task(messenger(http, graph.url).send(REPLY))
    await graph.wait_for_sends(1)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending


async def test_a_refused_connection_sent_nothing(http: aiohttp.ClientSession) -> None:
    with socket.socket() as taken:  # bound, not listening: nobody else can answer here
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(DeliveryBusy, match="cannot be reached"):
            await messenger(http, f"http://127.0.0.1:{taken.getsockname()[1]}/{VERSION}").send(REPLY)


class NoNames(AbstractResolver):
    """A name service that knows nobody."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        raise OSError(f"unknown name {host}")

    async def close(self) -> None:
        """There is nothing to close."""


async def test_an_unknown_name_sent_nothing() -> None:
    connector = aiohttp.TCPConnector(resolver=NoNames())
    async with aiohttp.ClientSession(connector=connector) as http:
        with pytest.raises(DeliveryBusy, match="cannot be reached"):
            await messenger(http, "https://graph.facebook.com/v23.0").send(REPLY)


async def test_a_failed_tls_handshake_sent_nothing(http: aiohttp.ClientSession, graph: GraphStand) -> None:
    with pytest.raises(DeliveryBusy, match="cannot be reached"):
        await messenger(http, graph.url.replace("http:", "https:")).send(REPLY)
    assert graph.calls == []


async def test_a_connection_that_does_not_stand_in_time_sent_nothing(http: aiohttp.ClientSession) -> None:
    connected = asyncio.Event()
    done = asyncio.Event()

    async def say_nothing(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.set()
        await done.wait()
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/{VERSION}"
    try:
        with pytest.raises(DeliveryBusy, match="cannot be reached"):
            await messenger(http, url, timeout_seconds=0.4).send(REPLY)
        assert connected.is_set()
    finally:
        done.set()
        server.close()
        await server.wait_closed()


async def test_waiting_too_long_for_a_free_connection_sent_nothing(graph: GraphStand) -> None:
    graph.script(hang())
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as http:
        first = asyncio.create_task(messenger(http, graph.url).send(REPLY))
        await graph.wait_for_sends(1)
        with pytest.raises(DeliveryBusy, match="cannot be reached"):
            await messenger(http, graph.url, timeout_seconds=0.4).send(REPLY)
        assert len(graph.calls) == 1
        first.cancel()
        with suppress(asyncio.CancelledError):
            await first


async def test_a_redirect_is_not_followed(http: aiohttp.ClientSession, graph: GraphStand) -> None:
    async with GraphStand() as elsewhere:
        graph.script(redirect(f"{elsewhere.url}/{PAGE}/messages"))
        with pytest.raises(DeliveryUnknown, match="FACEBOOK_GRAPH_URL"):
            await messenger(http, graph.url).send(REPLY)
        assert elsewhere.calls == []


USAGE = {PAGE: [{"type": "messenger", "call_count": 100, "estimated_time_to_regain_access": 19}]}
WAITS: dict[str, tuple[dict[str, str], float | None]] = {
    "nothing said": ({}, None),
    "Retry-After": ({"Retry-After": "30"}, 30),
    "usage in minutes": ({"X-Business-Use-Case-Usage": json.dumps(USAGE)}, 19 * 60),
    "the longer of both": ({"Retry-After": "30", "X-Business-Use-Case-Usage": json.dumps(USAGE)}, 19 * 60),
    "never more than a day": ({"Retry-After": "999999"}, 86_400),
    "a date": ({"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, None),
    "nonsense": ({"Retry-After": "-1", "X-Business-Use-Case-Usage": '{"1":[null,{}],"2":5}'}, None),
}


@pytest.mark.parametrize(("headers", "seconds"), WAITS.values(), ids=WAITS)
async def test_busy_says_how_long(
    http: aiohttp.ClientSession, graph: GraphStand, headers: dict[str, str], seconds: float | None
) -> None:
    graph.script(error(613, headers=headers))
    with pytest.raises(DeliveryBusy) as caught:
        await messenger(http, graph.url).send(REPLY)
    assert caught.value.retry_after == seconds


async def test_a_reason_says_the_code_and_no_token(http: aiohttp.ClientSession, graph: GraphStand) -> None:
    said = "Malformed access token plain-token or EAAGother12345678?access_token=abc\n\x00" + "x" * 1000
    graph.script(error(190, 460, message=said))
    with pytest.raises(ChannelBroken) as caught:
        await messenger(http, graph.url, page_tokens={PAGE: "plain-token"}).send(REPLY)
    assert caught.value.message.startswith("Malformed access token … or …?access_token=…  xxx")
    assert caught.value.message.endswith("(Graph error 190/460)")
    assert len(caught.value.message) < 400


async def test_no_broken_connection_carries_the_token(http: aiohttp.ClientSession, graph: GraphStand) -> None:
    graph.script(reset())
    with pytest.raises(DeliveryUnknown) as caught:
        await messenger(http, graph.url, app_secret=SECRET).send(REPLY)
    assert TOKEN not in repr(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("tokens", [{}, {"1": TOKEN}, {PAGE: ""}, {PAGE: " "}, {PAGE: "two words"}, {PAGE: "a\nb"}])
async def test_without_a_token_nothing_is_posted(
    http: aiohttp.ClientSession, graph: GraphStand, tokens: dict[str, str]
) -> None:
    with pytest.raises(ChannelBroken, match="FACEBOOK_PAGE_ACCESS_TOKEN"):
        await messenger(http, graph.url, page_tokens=tokens).send(REPLY)
    assert graph.calls == []


async def test_a_line_end_behind_the_token_does_not_matter(http: aiohttp.ClientSession, graph: GraphStand) -> None:
    await messenger(http, graph.url, page_tokens={PAGE: TOKEN + "\n"}).send(REPLY)
    assert graph.calls[0].headers["Authorization"] == f"Bearer {TOKEN}"


async def test_typing_is_shown(http: aiohttp.ClientSession, graph: GraphStand) -> None:
    await messenger(http, graph.url).typing(PAGE, PSID)
    [call] = graph.calls
    assert call.path == f"/{VERSION}/{PAGE}/messages"
    assert call.json == {"recipient": {"id": PSID}, "sender_action": "typing_on"}
    assert graph.sends == []


@pytest.mark.parametrize("answer", [error(190), html(502), reset(), truncated(), hang()], ids=lambda answer: answer.how)
async def test_typing_never_raises(http: aiohttp.ClientSession, graph: GraphStand, answer: Answer) -> None:
    graph.script_actions(answer)
    await messenger(http, graph.url, timeout_seconds=0.3).typing(PAGE, PSID)
    assert len(graph.calls) == 1


async def test_typing_says_quietly_that_it_failed(http: aiohttp.ClientSession) -> None:
    with capture_logs() as logs:
        await messenger(http, f"http://127.0.0.1:1/{VERSION}", page_tokens={}).typing(PAGE, PSID)
    [entry] = logs
    assert (entry["log_level"], entry["event"], entry["account"]) == ("debug", "typing_not_shown", PAGE)


async def test_typing_does_not_wait_for_long(http: aiohttp.ClientSession, graph: GraphStand) -> None:
    graph.script_actions(hang())
    async with asyncio.timeout(8):
        await messenger(http, graph.url, timeout_seconds=60).typing(PAGE, PSID)


async def test_what_was_sent_comes_back_as_our_echo(http: aiohttp.ClientSession) -> None:
    delivered: list[bytes] = []

    async def deliver(call: Call, identifier: str) -> None:
        delivered.append(webhook(call.page, echo_of(call, identifier, app_id=APP)))

    async with GraphStand(on_send=deliver) as graph:
        graph.script(reset(accepted=True))
        channel = messenger(http, graph.url, app_secret=SECRET)
        with pytest.raises(DeliveryUnknown):
            await channel.send(REPLY)
        channel.verify(sign(delivered[0], SECRET), delivered[0])
        [echo] = channel.parse(delivered[0])
    assert (echo.kind, echo.account, echo.customer, echo.external_id) == ("echo", PAGE, PSID, "m_1")
    assert echo.data == {"app_id": channel.app_id, "metadata": REPLY.metadata}


async def test_a_send_is_on_disk_before_it_is_answered(http: aiohttp.ClientSession, tmp_path: Path) -> None:
    log = tmp_path / "graph.jsonl"
    async with GraphStand(log=log) as graph:
        graph.script(hang())
        sending = asyncio.create_task(messenger(http, graph.url).send(REPLY))
        await graph.wait_for(1)
        [line] = [json.loads(line) for line in log.read_text().splitlines()]
        assert (line["number"], line["json"]["message"]["metadata"]) == (1, REPLY.metadata)
        sending.cancel()
        with suppress(asyncio.CancelledError):
            await sending


async def test_waiting_for_calls_that_do_not_come_ends(graph: GraphStand) -> None:
    with pytest.raises(TimeoutError, match="2 sends"):
        await graph.wait_for_sends(2, seconds=0.05)


async def test_a_released_call_is_answered(http: aiohttp.ClientSession, graph: GraphStand) -> None:
    graph.script(hang(accepted=True))
    sending = asyncio.create_task(messenger(http, graph.url).send(REPLY))
    await graph.wait_for_sends(1)
    graph.release()
    assert await sending == Sent("m_1")


async def test_the_stand_writes_webhooks_as_meta_does(http: aiohttp.ClientSession) -> None:
    body = webhook(PAGE, message(PAGE, PSID, "m_5", "Grüß Gott"))
    assert rb"\u00fc" in body
    channel = messenger(http, "https://graph.facebook.com/v23.0", app_secret=SECRET)
    channel.verify(sign(body, SECRET), body)
    assert [(inbound.kind, inbound.text) for inbound in channel.parse(body)] == [("message", "Grüß Gott")]
