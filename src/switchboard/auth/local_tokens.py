"""Tokens this installation signs itself, so that it runs without Supabase: HS256, from and for `switchboard`."""

from datetime import datetime, timedelta
from typing import Any, Literal

import jwt

from switchboard.auth.bearer import refusal
from switchboard.auth.caller import Caller, Role, is_role
from switchboard.auth.signed import is_subject, read_claims, shared_key
from switchboard.clock import Clock
from switchboard.errors import Invalid

NAME = "switchboard"
"""Issuer and audience of our own tokens."""


def make_token(
    secret: bytes,
    *,
    role: Literal["admin"] | Role,
    workspace_id: int | None = None,
    subject: str,
    ttl: timedelta,
    now: datetime,
) -> str:
    """A token for ``subject`` that holds from ``now`` for ``ttl``.

    ``role`` is `admin`, without a workspace, or a role in the workspace ``workspace_id``. There is no list of these
    tokens: one ends when its time is over or the secret is changed. Raises `Invalid` when the two do not go together.
    """
    if (role == "admin") != (workspace_id is None):
        raise Invalid("An admin token has no workspace; a token of any other role needs one.")
    if not is_subject(subject) or ttl <= timedelta(0):
        raise Invalid("A token needs a subject, of at most 200 printable characters, and a time to live.")
    claims: dict[str, Any] = {
        "iss": NAME,
        "aud": NAME,
        "sub": subject,
        "iat": int(now.timestamp()),
        "exp": int((now + ttl).timestamp()),
        "role": role,
    }
    if workspace_id is not None:
        claims["workspace"] = workspace_id
    return jwt.encode(claims, secret, "HS256")


class LocalTokens:
    """Reads what `make_token` made with the same secret."""

    def __init__(self, secret: bytes, clock: Clock) -> None:
        self._key = shared_key("JWT_SECRET", secret)
        self._clock = clock

    def caller(self, token: str) -> Caller:
        """Who the token was made for. Raises `Unauthenticated`."""
        claims = read_claims(token, self._key, issuer=NAME, audience=NAME, now=self._clock())
        subject, role, workspace_id = claims["sub"], claims.get("role"), claims.get("workspace")
        if role == "admin" and workspace_id is None:
            return Caller(subject, admin=True, roles={})
        if is_role(role) and type(workspace_id) is int:
            return Caller(subject, admin=False, roles={workspace_id: role})
        raise refusal()
