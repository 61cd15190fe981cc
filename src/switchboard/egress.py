"""The way out to addresses that others have given us: one function, which reaches nothing but what it may.

https only, to hosts on a list; every address that the name resolves to must be public, and the connection goes to an
address that was checked, so that a second answer of the name server changes nothing. A redirect is another address and
is checked like the first. Size, time and number of redirects are bounded; nothing is unpacked.
"""

import asyncio
import ipaddress
import socket
from dataclasses import dataclass

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import DefaultResolver
from yarl import URL

from switchboard.errors import FetchRefused, Misconfigured, Unavailable

SECONDS = 60.0
REDIRECTS = 3
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_GONE = frozenset({400, 401, 403, 404, 405, 410, 451})


@dataclass(frozen=True, slots=True)
class Allowed:
    """Where to: ``hosts`` and what is below them over https, and whole ``origins`` that the operator vouches for."""

    hosts: tuple[str, ...]
    origins: tuple[URL, ...]

    @classmethod
    def of(cls, words: str, *, setting: str) -> "Allowed":
        """From words such as `fbcdn.net http://mirror.internal:8080`. Raises `Misconfigured`."""
        hosts, origins = list[str](), list[URL]()
        for word in words.split():
            if "://" not in word:
                hosts.append(word.lower().strip("."))
                continue
            try:
                origins.append(URL(word).origin())
            except ValueError:
                raise Misconfigured(f"{setting}: {word!r} is neither a host nor an address.") from None
        return cls(tuple(hosts), tuple(origins))


class Egress:
    """Fetches from addresses that are not ours. ``resolver`` is for tests; closes with `close`."""

    def __init__(self, allowed: Allowed, *, resolver: AbstractResolver | None = None, seconds: float = SECONDS) -> None:
        """``seconds``: for a whole file, redirects included."""
        self._allowed = allowed
        self._seconds = seconds
        self._guarded = _session(_Guard(resolver or DefaultResolver()))
        self._plain = _session(None)

    async def fetch(self, url: str, *, max_bytes: int, trusted: bool = False) -> bytes:
        """The body of what is at ``url``; ``trusted`` if the address comes from our settings.

        Raises `FetchRefused` if it is not to be had, or not taken, and `Unavailable` if it may be later. No text of an
        error holds the address, which may hold a token.
        """
        try:
            async with asyncio.timeout(self._seconds):
                return await self._follow(_parsed(url), max_bytes, trusted=trusted)
        except TimeoutError:
            raise Unavailable(f"The file did not arrive within {self._seconds:g} s.") from None
        except (aiohttp.ClientError, OSError) as error:
            if isinstance(refused := _refusal(error), FetchRefused):
                raise refused from None
            raise Unavailable(f"The file could not be fetched ({type(error).__name__}).") from None

    async def close(self) -> None:
        """Gives back the connections."""
        await self._guarded.close()
        await self._plain.close()

    async def _follow(self, url: URL, max_bytes: int, *, trusted: bool) -> bytes:
        for _ in range(REDIRECTS + 1):
            session = self._plain if trusted or url.origin() in self._allowed.origins else self._checked(url)
            async with session.get(url, allow_redirects=False) as answer:
                if answer.status in {301, 302, 303, 307, 308} and not trusted:
                    url = _parsed(answer.headers.get("Location", ""), base=url)
                    continue
                return await _body(answer, max_bytes)
        raise FetchRefused(f"The address leads on more than {REDIRECTS} times.")

    def _checked(self, url: URL) -> aiohttp.ClientSession:
        host = (url.host or "").lower().rstrip(".")
        if url.scheme != "https" or url.port != 443 or url.user is not None or url.password is not None:
            raise FetchRefused("The address is no plain https address.")
        if not any(host == one or host.endswith(f".{one}") for one in self._allowed.hosts):
            raise FetchRefused("The address is not one of the platform's.")
        return self._guarded


class _Guard(AbstractResolver):
    """Resolves names, and refuses those that lead anywhere but to the public internet."""

    def __init__(self, resolver: AbstractResolver) -> None:
        self._resolver = resolver

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        if not all(is_public(one["host"]) for one in found):
            raise _PrivateAddress
        return found

    async def close(self) -> None:
        await self._resolver.close()


class _PrivateAddress(OSError):
    pass


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the public internet, also the one hidden in an IPv6 address."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv6Address):
        hidden = parsed.ipv4_mapped or parsed.sixtofour or (parsed.teredo[1] if parsed.teredo else None)
        if parsed in _NAT64:
            hidden = ipaddress.IPv4Address(int(parsed) & 0xFFFFFFFF)
        if hidden is not None:
            return is_public(str(hidden))
    return parsed.is_global and not parsed.is_multicast


async def _body(answer: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    if answer.status in _GONE:
        raise FetchRefused(f"The platform does not give the file out any more (HTTP {answer.status}).")
    if answer.status != 200:
        raise Unavailable(f"The platform does not give the file out now (HTTP {answer.status}).")
    if answer.headers.get("Content-Encoding", "identity") != "identity":
        raise FetchRefused("The file came packed, which nobody asked for.")
    body = bytearray()
    async for chunk in answer.content.iter_any():
        body += chunk
        if len(body) > max_bytes:
            raise FetchRefused(f"The file is larger than {max_bytes // 1_000_000} MB.")
    return bytes(body)


def _refusal(error: BaseException | None) -> FetchRefused | None:
    """What the guard said, which aiohttp wraps."""
    while error is not None:
        if isinstance(error, _PrivateAddress) or isinstance(getattr(error, "os_error", None), _PrivateAddress):
            return FetchRefused("The address leads into a private network.")
        error = error.__cause__
    return None


def _parsed(url: str, base: URL | None = None) -> URL:
    try:
        parsed = URL(url, encoded=base is None) if base is None else base.join(URL(url))
    except ValueError:
        parsed = URL()
    if not parsed.host or parsed.scheme not in {"http", "https"} or not url:
        raise FetchRefused("The address is none.")
    return parsed


def _session(guard: AbstractResolver | None) -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(resolver=guard, use_dns_cache=False, limit=8)
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        headers={"Accept-Encoding": "identity", "User-Agent": "Switchboard"},
        trust_env=False,
    )
