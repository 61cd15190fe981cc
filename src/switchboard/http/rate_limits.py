"""How much one caller, one customer of theirs and one workspace may ask for in a minute.

Counted by `limits` with a sliding window, in this process or, when `BROKER_URL` is Redis, for all processes together.
When Redis does not answer, requests pass: a limit is no reason for an outage. Webhooks and `/health` are never counted.

Sources: draft-ietf-httpapi-ratelimit-headers-10 (`RateLimit`, `RateLimit-Policy`), and -06 for the three headers that
clients know from before.
"""

import asyncio
import time
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from math import ceil
from typing import Any, Literal, cast

import structlog
from fastapi import Request
from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from limits.errors import StorageError

from switchboard.auth import Caller, caller_of
from switchboard.errors import RateLimited, SwitchboardError
from switchboard.http.problems import problem
from switchboard.http.requests import Application, Message, Receive, Scope, Send
from switchboard.metrics import Metrics
from switchboard.settings import Settings

Policy = Literal["caller", "customer", "workspace", "chat-address", "chat-workspace"]

HEADERS = ("ratelimit", "ratelimit-policy", "ratelimit-limit", "ratelimit-remaining", "ratelimit-reset")
WINDOW_SECONDS = 60
REDIS_SECONDS = 0.25
CONNECTIONS = 32
AWAY_SECONDS = 2.0
"""How long Redis is not asked after it did not answer, so that not every request waits for it."""
_UNLIMITED = frozenset({"webhook", "webhooks", "health"})
_WORDS: dict[Policy, str] = {
    "caller": "with this token",
    "customer": "for this customer",
    "workspace": "for this workspace",
    "chat-address": "to begin a chat from this address",
    "chat-workspace": "to begin a chat with this business",
}

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Standing:
    """Where somebody is in one window: ``reset`` is in seconds from now."""

    policy: Policy
    limit: int
    remaining: int
    reset: int
    passed: bool


class RateLimits:
    """Counts, and says who has had enough."""

    def __init__(self, settings: Settings, metrics: Metrics, *, redis_seconds: float = REDIS_SECONDS) -> None:
        """Opens nothing yet. ``redis_seconds``: how long Redis may take before a request passes without it."""
        self._redis_seconds = redis_seconds
        given: dict[Policy, int] = {
            "caller": settings.rate_limit_caller,
            "customer": settings.rate_limit_customer,
            "workspace": settings.rate_limit_workspace,
            "chat-address": settings.rate_limit_chat_address,
            "chat-workspace": settings.rate_limit_chat_workspace,
        }
        self._items: dict[Policy, RateLimitItemPerMinute] = {
            name: RateLimitItemPerMinute(most, namespace=name) for name, most in given.items() if most
        }
        self._pool = _open_pool(settings, redis_seconds)
        # The storage's annotations know settings of a pool only, not the pool.
        options: dict[str, Any] = {"connection_pool": self._pool}
        self._limiter = SlidingWindowCounterRateLimiter(
            MemoryStorage()
            if self._pool is None
            else RedisStorage(
                "async+redis://",
                wrap_exceptions=True,
                implementation="redispy",
                key_prefix="switchboard:limits",
                **options,
            )
        )
        self._metrics = metrics
        self._away_until = 0.0

    @property
    def counts(self) -> bool:
        """Whether there is any limit at all."""
        return bool(self._items)

    async def hit(self, *keys: tuple[Policy, str]) -> list[Standing]:
        """Counts one request for each key and says where each of them is now; nothing for policies without a limit."""
        wanted: list[tuple[Policy, str]] = [(policy, key) for policy, key in keys if policy in self._items]
        if not wanted or time.monotonic() < self._away_until:
            return []
        try:
            async with asyncio.timeout(self._redis_seconds):
                return await self._count(wanted)
        except (StorageError, TimeoutError, OSError) as error:
            self._away_until = time.monotonic() + AWAY_SECONDS
            self._metrics.rate_limits.labels("all", "not_counted").inc()
            log.warning("rate limits not counted", reason=type(error).__name__, seconds=AWAY_SECONDS)
            return []

    async def close(self) -> None:
        """Gives back the connections to Redis."""
        if self._pool is not None:
            await self._pool.aclose()

    async def _count(self, wanted: Sequence[tuple[Policy, str]]) -> list[Standing]:
        counted: list[tuple[Policy, str]] = []
        passed = True
        for policy, key in wanted:
            passed = await self._limiter.hit(self._items[policy], key)
            self._metrics.rate_limits.labels(policy, "passed" if passed else "limited").inc()
            counted.append((policy, key))
            if not passed:
                break  # what is refused for one reason is not counted for another
        windows = await asyncio.gather(*(self._limiter.get_window_stats(self._items[p], key) for p, key in counted))
        standings: list[Standing] = []
        for (policy, _), window in zip(counted, windows, strict=True):
            refused = not passed and policy == counted[-1][0]
            remaining = 0 if refused else window.remaining
            reset = max(1, ceil(window.reset_time - time.time()))
            standings.append(Standing(policy, self._items[policy].amount, remaining, reset, not refused))
        return standings


class Limited:
    """Plain ASGI: counts every request of somebody we know, tells them where they are, and refuses what is too much."""

    def __init__(self, app: Application) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].split("/", 2)[1] in _UNLIMITED:
            await self._app(scope, receive, send)
            return
        standings: list[Standing] = []
        scope["rate_limits"] = standings

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start" and standings:
                message["headers"] = [*message["headers"], *_headers(standings)]
            await send(message)

        if caller := await _known(scope):
            standings += await _limits(scope).hit(*_keys(caller))
            try:
                _refuse(standings)
            except RateLimited as error:
                await problem(error, scope["request_id"])(scope, receive, answer)
                return
        await self._app(scope, receive, answer)


async def limit_customer(request: Request, caller: Caller, customer: str) -> None:
    """For routes that know whom their request is about: ``customer`` in the caller's own words.

    Raises `RateLimited`. Callers do not share what they count: nobody can use up the customer of somebody else.
    """
    found = await _limits(request.scope).hit(("customer", f"{caller.subject}/{customer}"))
    cast("list[Standing]", request.scope["rate_limits"]).extend(found)
    _refuse(found)


async def limit_start(request: Request, workspace_id: int | None) -> None:
    """For the one thing that needs no token. Raises `RateLimited`."""
    address = request.client.host if request.client else "unknown"
    keys: list[tuple[Policy, str]] = [
        ("chat-address", _network(address)),
        ("chat-workspace", str(workspace_id or "the only one")),
    ]
    found = await _limits(request.scope).hit(*keys)
    cast("list[Standing]", request.scope["rate_limits"]).extend(found)
    _refuse(found)


def _network(address: str) -> str:
    """Who has one address of IPv6 has all that begin with the same 64 bits."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if found.version == 4:
        return str(found)
    return str(found.ipv4_mapped or ip_network((int(found) >> 64 << 64, 64)))


def _refuse(standings: Sequence[Standing]) -> None:
    for standing in standings:
        if not standing.passed:
            raise RateLimited(
                f"More than {standing.limit} requests a minute {_WORDS[standing.policy]}: "
                f"wait {standing.reset} seconds, then go on.",
                retry_after=standing.reset,
            )


def _keys(caller: Caller) -> list[tuple[Policy, str]]:
    keys: list[tuple[Policy, str]] = [("caller", caller.subject)]
    # A person with several businesses is limited as a person: their requests to one are no burden on the others.
    if not caller.admin and len(caller.roles) == 1:
        keys.append(("workspace", str(next(iter(caller.roles)))))
    return keys


async def _known(scope: Scope) -> Caller | None:
    """Who sends this, or None: those who cannot be told are answered by the route itself."""
    if not _limits(scope).counts:
        return None
    try:
        return await caller_of(scope)
    except SwitchboardError:
        return None


def _limits(scope: MutableMapping[str, Any]) -> RateLimits:
    return cast(RateLimits, scope["state"]["rate_limits"])


def _headers(standings: Sequence[Standing]) -> list[tuple[bytes, bytes]]:
    nearest = min(standings, key=lambda standing: (standing.passed, standing.remaining / standing.limit))
    policies = ", ".join(f'"{s.policy}";q={s.limit};w={WINDOW_SECONDS}' for s in standings)
    where = ", ".join(f'"{s.policy}";r={s.remaining};t={s.reset}' for s in standings)
    values = (where, policies, str(nearest.limit), str(nearest.remaining), str(nearest.reset))
    return [(name.encode(), value.encode()) for name, value in zip(HEADERS, values, strict=True)]


def _open_pool(settings: Settings, seconds: float) -> Any:
    """Connections to Redis, or None where there is none."""
    url = settings.broker_url.get_secret_value() if settings.broker_url else ""
    if not url.startswith(("redis://", "rediss://")):
        return None
    from redis.asyncio import BlockingConnectionPool

    return BlockingConnectionPool.from_url(  # pyright: ignore[reportUnknownMemberType]
        url,
        max_connections=CONNECTIONS,
        timeout=seconds,
        socket_timeout=seconds,
        socket_connect_timeout=seconds,
    )
