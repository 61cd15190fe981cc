"""Nothing from outside leads us anywhere but to the public hosts on the list; a canary port counts who gets through."""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from switchboard.egress import Allowed, Egress, is_public
from switchboard.errors import FetchRefused, Misconfigured, Unavailable

PRIVATE = [
    *("127.0.0.1", "127.1.2.3", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1"),
    *("192.0.2.1", "198.18.0.1", "224.0.0.1", "255.255.255.255", "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1"),
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "ff02::1"),
    *("2001:db8::1", "not an address", "", "127.1", "0x7f000001", "2130706433", "0177.0.0.1"),
]
PUBLIC = ["157.240.1.35", "8.8.8.8", "2a03:2880:f12f:83:face:b00c:0:25de", "64:ff9b::808:808", "::ffff:8.8.8.8"]


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_are_known(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_known(address: str) -> None:
    assert is_public(address)


class Names(AbstractResolver):
    """A name server that says what a test wants, each time the next thing."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked.append(host)
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [
            ResolveResult(
                hostname=host,
                host=one,
                port=port,
                family=socket.AF_INET6 if ":" in one else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for one in found
        ]

    async def close(self) -> None:
        pass


class Canary:
    """A server of the private network: whatever reaches it got too far."""

    def __init__(self) -> None:
        self.reached = 0
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.reached += 1
        answers: dict[str, Any] = {
            "/file": lambda: web.Response(body=b"content"),
            "/gone": lambda: web.Response(status=404),
            "/busy": lambda: web.Response(status=503),
            "/packed": lambda: web.Response(body=b"x", headers={"Content-Encoding": "gzip"}),
            "/there": lambda: web.Response(status=302, headers={"Location": "/file"}),
            "/inside": lambda: web.Response(status=302, headers={"Location": "https://169.254.169.254/secrets"}),
            "/round": lambda: web.Response(status=302, headers={"Location": "/round"}),
            "/nowhere": lambda: web.Response(status=302),
        }
        if request.path == "/endless":
            response = web.StreamResponse()
            await response.prepare(request)
            for _ in range(1000):
                await response.write(b"x" * 65_536)
            return response
        if request.path == "/slow":
            await asyncio.sleep(30)
        return answers[request.path]()


@pytest.fixture
async def canary() -> AsyncIterator[Canary]:
    one = Canary()
    application = web.Application()
    application.router.add_get("/{path:.*}", one.handle)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    one.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield one
    await runner.cleanup()


async def fetch(
    url: str, *, words: str = "fbcdn.net", names: Names | None = None, max_bytes: int = 1000, seconds: float = 10
) -> bytes:
    allowed = Allowed.of(words, setting="ATTACHMENT_HOSTS")
    egress = Egress(allowed, resolver=names or Names(["127.0.0.1"]), seconds=seconds)
    try:
        return await egress.fetch(url, max_bytes=max_bytes)
    finally:
        await egress.close()


def tricks(port: int) -> list[str]:
    """Addresses by which others were led into their own networks."""
    inside = [
        *("127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0x7f000001", "0177.0.0.1", "127.1"),
        *("0.0.0.0", "169.254.169.254", "metadata.google.internal", "[64:ff9b::7f00:1]", "127.0.0.1.nip.io"),
        *(
            "evilfbcdn.net",
            "fbcdn.net.evil.example",
            "fbcdn.net@127.0.0.1",
            "127.0.0.1#fbcdn.net",
            "127.0.0.1?fbcdn.net",
        ),
        *("user:pass@fbcdn.net", "fbcdn.net%00.evil.example", "fbcdn.net\\@127.0.0.1", "①②⑦.0.0.1", "127。0。0。1"),
    ]
    made = [f"{scheme}://{host}" for scheme in ("http", "https") for host in inside]
    made += [f"{scheme}://{host.partition('#')[0]}:{port}/file" for scheme in ("http", "https") for host in inside]
    made += [
        "http://fbcdn.net/",
        "ftp://fbcdn.net/x",
        "file:///etc/passwd",
        "gopher://fbcdn.net",
        "//fbcdn.net",
        "x",
        "",
    ]
    return [*made, f"https://fbcdn.net:{port}/file", "https://", "https:///x", "data:text/plain,x", "https://[/", "\0"]


async def test_no_trick_leads_inside(canary: Canary) -> None:
    addresses = tricks(int(canary.url.rpartition(":")[2]))
    assert len(addresses) > 80
    for url in addresses:
        with pytest.raises(FetchRefused):
            await fetch(url)
    assert canary.reached == 0


@pytest.mark.parametrize("address", [one for one in PRIVATE[:20] if one and "%" not in one])
async def test_a_listed_name_that_leads_inside_is_refused(address: str, canary: Canary) -> None:
    for found in ([address], ["157.240.1.35", address]):
        with pytest.raises(FetchRefused, match="private"):
            await fetch("https://scontent.fbcdn.net/x", names=Names(found))
    assert canary.reached == 0


async def test_a_name_that_changes_its_mind_is_asked_once_for_each_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """The address that was checked is the one that is connected to."""
    connected: list[Any] = []

    async def connect(self: Any, sock: socket.socket, address: Any) -> None:
        connected.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(type(asyncio.get_running_loop()), "sock_connect", connect)
    names = Names(["157.240.1.35"], ["127.0.0.1"])
    with pytest.raises(Unavailable):
        await fetch("https://scontent.fbcdn.net/x", names=names)
    with pytest.raises(FetchRefused):
        await fetch("https://scontent.fbcdn.net/x", names=names)
    assert connected == [("157.240.1.35", 443)]
    assert len(names.asked) == 2


async def test_an_origin_that_the_operator_vouches_for_is_fetched_from(canary: Canary) -> None:
    words = f"fbcdn.net {canary.url}"
    assert await fetch(f"{canary.url}/file", words=words) == b"content"
    assert await fetch(f"{canary.url}/there", words=words) == b"content"
    for path in ("inside", "round", "nowhere", "gone", "packed", "endless"):
        with pytest.raises(FetchRefused):
            await fetch(f"{canary.url}/{path}", words=words)
    with pytest.raises(Unavailable):
        await fetch(f"{canary.url}/busy", words=words)


async def test_a_file_may_be_as_large_as_is_said(canary: Canary) -> None:
    assert await fetch(f"{canary.url}/file", words=canary.url, max_bytes=7) == b"content"
    with pytest.raises(FetchRefused, match="larger"):
        await fetch(f"{canary.url}/file", words=canary.url, max_bytes=6)


async def test_slow_is_given_up(canary: Canary) -> None:
    with pytest.raises(Unavailable):
        await fetch(f"{canary.url}/slow", words=canary.url, seconds=0.2)


async def test_what_is_no_origin_is_said_at_start() -> None:
    with pytest.raises(Misconfigured, match="ATTACHMENT_HOSTS"):
        Allowed.of("fbcdn.net ://x", setting="ATTACHMENT_HOSTS")
