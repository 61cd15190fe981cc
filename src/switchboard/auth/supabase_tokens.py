"""People who signed in through Supabase Auth.

What is in their tokens: https://supabase.com/docs/guides/auth/jwt-fields
"""

from dataclasses import dataclass
from typing import Any, cast

import aiohttp

from switchboard.auth.bearer import refusal
from switchboard.auth.signed import Header, Key, read_claims, shared_key
from switchboard.auth.signing_keys import SigningKeys
from switchboard.clock import Clock
from switchboard.settings import Settings

AUDIENCE = "authenticated"


@dataclass(frozen=True, slots=True)
class Person:
    """``subject``: the id of the person in Supabase Auth; ``admin``: of this installation."""

    subject: str
    admin: bool


class SupabaseTokens:
    """Reads the access tokens of one Supabase project."""

    def __init__(self, url: str, settings: Settings, http: aiohttp.ClientSession, clock: Clock) -> None:
        """``url``: `SUPABASE_URL`. Raises `Misconfigured` for a `SUPABASE_JWT_SECRET` that cannot be used."""
        self._issuer = f"{url.rstrip('/')}/auth/v1"
        self._keys = SigningKeys(f"{self._issuer}/.well-known/jwks.json", http, clock)
        self._legacy: Key | None = None
        if settings.supabase_jwt_secret is not None:
            secret = settings.supabase_jwt_secret.get_secret_value().encode()
            self._legacy = shared_key("SUPABASE_JWT_SECRET", secret)
        self._clock = clock

    async def person(self, token: str, header: Header) -> Person:
        """Who signed in. Raises `Unauthenticated`, or `Unavailable` when the signing keys cannot be had."""
        key = await self._key(header)
        if key is None:
            raise refusal()
        claims = read_claims(token, key, issuer=self._issuer, audience=AUDIENCE, now=self._clock())
        if not _is_personal(claims):
            raise refusal()
        return Person(claims["sub"], admin=_is_admin(claims))

    async def close(self) -> None:
        """Gives up the fetch of keys that is under way, if any."""
        await self._keys.close()

    async def _key(self, header: Header) -> Key | None:
        # The header chooses the door. The key behind it brings its own algorithm, and that is the one which counts.
        if header.algorithm == "HS256":
            return self._legacy
        if header.algorithm in {"ES256", "RS256"} and header.kid:
            return await self._keys.find(header.kid)
        return None


def _is_personal(claims: dict[str, Any]) -> bool:
    """Whether a person uses the token directly.

    `service_role` and `anon` are keys, not people. A token with a `client_id` is in the hands of another application
    the person once signed in to (https://supabase.com/docs/guides/auth/oauth-server/token-security): nobody agreed
    to its working here.
    """
    return claims.get("role") == "authenticated" and not claims.get("client_id")


def _is_admin(claims: dict[str, Any]) -> bool:
    # `app_metadata` is written by the project's owner alone; `user_metadata` by the person.
    metadata = claims.get("app_metadata")
    return isinstance(metadata, dict) and cast("dict[str, Any]", metadata).get("switchboard_role") == "admin"
