"""Supabase's public signing keys: fetched when they are needed, kept, and fetched again when they may have changed.

https://supabase.com/docs/guides/auth/jwts#verifying-a-jwt-from-supabase: the endpoint lists the keys in use, standing
by and previously used; Supabase's edge answers for it with what it saw up to 10 minutes ago.
"""

import asyncio
from datetime import datetime, timedelta
from typing import Any, cast

import aiohttp
import orjson
import structlog
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt import PyJWTError
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from switchboard.auth.signed import Key
from switchboard.clock import Clock
from switchboard.errors import Unavailable

FRESH = timedelta(minutes=10)
"""How long keys are used without asking: a key that was removed is refused after this at the latest."""
LAST_GOOD = timedelta(hours=24)
"""How long keys are used while the endpoint does not answer."""
UNKNOWN_PAUSE = timedelta(minutes=1)
"""Least time between two fetches for the sake of a key id nobody knows: tokens cost nothing to make up."""
FAILURE_PAUSE = timedelta(seconds=5)
"""Least time between a fetch that failed and the next."""
DOWN = timedelta(minutes=1)
"""How long after a failure the endpoint counts as down."""

_DEADLINE = aiohttp.ClientTimeout(total=3)
_MAX_BYTES = 65_536

log = structlog.get_logger(__name__)


class SigningKeys:
    """The keys of one project by their id (`kid`). Callers who need a fetch at the same time share one."""

    def __init__(self, url: str, http: aiohttp.ClientSession, clock: Clock) -> None:
        self._url = url
        self._http = http
        self._clock = clock
        self._keys: dict[str, Key] = {}
        self._fetched_at: datetime | None = None
        self._failed_at: datetime | None = None
        self._unknown_at: datetime | None = None
        self._fetch: asyncio.Task[None] | None = None

    async def find(self, kid: str) -> Key | None:
        """The key of that id, or None when the project has none. Raises `Unavailable` when that cannot be known."""
        asked = await self._refresh_stale()
        key = self._held(kid)
        if key is None and not asked and await self._refresh_for_unknown():
            key = self._held(kid)
        if key is None and self._failed_at is not None:
            raise Unavailable("Sign-in cannot be checked right now: try again shortly.", retry_after=5)
        return key

    async def close(self) -> None:
        """Gives up the fetch that is under way, if any."""
        if self._fetch is not None:
            self._fetch.cancel()
            await asyncio.gather(self._fetch, return_exceptions=True)

    async def _refresh_stale(self) -> bool:
        """Fetches keys that are no longer fresh; whether this call waited for it."""
        if self._younger(self._fetched_at, FRESH):
            return False
        fetch = self._fetch or (None if self._younger(self._failed_at, FAILURE_PAUSE) else self._start())
        # While the endpoint is down nobody waits for it who can go on with the last good keys.
        if fetch is None or (self._younger(self._failed_at, DOWN) and self._younger(self._fetched_at, LAST_GOOD)):
            return False
        await asyncio.shield(fetch)
        return True

    async def _refresh_for_unknown(self) -> bool:
        """Fetches because of an id not seen before, unless that was done lately; whether this call waited for it."""
        fetch = self._fetch
        if fetch is None:
            if self._younger(self._unknown_at, UNKNOWN_PAUSE):
                return False
            self._unknown_at = self._clock()
            fetch = self._start()
        await asyncio.shield(fetch)
        return True

    def _held(self, kid: str) -> Key | None:
        return self._keys.get(kid) if self._younger(self._fetched_at, LAST_GOOD) else None

    def _start(self) -> asyncio.Task[None]:
        self._fetch = asyncio.create_task(self._fetch_keys())
        return self._fetch

    async def _fetch_keys(self) -> None:
        asked_at = self._clock()
        try:
            self._keys = read_keys(await self._body())
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            self._failed_at = self._clock()
            log.warning("signing_keys.fetch_failed", url=self._url, reason=_reason(error), kept=len(self._keys))
        else:
            self._fetched_at, self._failed_at = asked_at, None
        finally:
            self._fetch = None

    async def _body(self) -> bytes:
        # A redirect would let whoever can cause one choose our keys.
        async with self._http.get(
            self._url, timeout=_DEADLINE, allow_redirects=False, raise_for_status=False
        ) as response:
            if response.status != 200:
                raise ValueError(f"status {response.status}")
            body = bytearray()
            async for chunk in response.content.iter_chunked(16_384):
                body += chunk
                if len(body) > _MAX_BYTES:
                    raise ValueError(f"more than {_MAX_BYTES} bytes")
            return bytes(body)

    def _younger(self, moment: datetime | None, age: timedelta) -> bool:
        # A clock that was set back must not make old keys young.
        return moment is not None and timedelta(0) <= self._clock() - moment < age


def read_keys(body: bytes) -> dict[str, Key]:
    """The usable keys of a JSON Web Key Set (RFC 7517) by their id. Raises `ValueError` when it is none.

    A key we cannot use (another type, another purpose, too short, damaged) is left out: it must not take the others
    with it.
    """
    document: Any = orjson.loads(body)
    listed: Any = cast("dict[str, Any]", document).get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        raise ValueError("no key set")
    keys: dict[str, Key] = {}
    for entry in cast("list[Any]", listed):
        if isinstance(entry, dict):
            jwk = cast("dict[str, Any]", entry)
            kid, key = jwk.get("kid"), _read_key(jwk)
            if isinstance(kid, str) and key is not None:
                keys[kid] = key
    return keys


def _read_key(jwk: dict[str, Any]) -> Key | None:
    """The key with the algorithm that its own type allows; shared secrets (`oct`) are never taken from the network."""
    operations = jwk.get("key_ops", ["verify"])
    if jwk.get("use", "sig") != "sig" or not isinstance(operations, list) or "verify" not in operations:
        return None
    try:
        match jwk:
            case {"kty": "EC", "crv": "P-256", "x": str(x), "y": str(y)} if jwk.get("alg", "ES256") == "ES256":
                point = ECAlgorithm.from_jwk({"kty": "EC", "crv": "P-256", "x": x, "y": y})
                return Key("ES256", point) if isinstance(point, EllipticCurvePublicKey) else None
            case {"kty": "RSA", "n": str(n), "e": str(e)} if jwk.get("alg", "RS256") == "RS256":
                modulus = RSAAlgorithm.from_jwk({"kty": "RSA", "n": n, "e": e})
                if isinstance(modulus, RSAPublicKey) and modulus.key_size >= 2048:
                    return Key("RS256", modulus)
            case _:
                pass
    except (PyJWTError, ValueError):
        return None
    return None


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, ValueError) else type(error).__name__
