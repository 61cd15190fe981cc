"""Tokens of a web page's visitors: each opens one conversation, and nothing else.

HS256 with a key of their own, made from the secret that all processes of the installation share, so that they also work
where people sign in through Supabase. Their header names the door (`kid`), which keeps Supabase's HS256 tokens apart.
"""

import hmac
from collections.abc import Callable
from datetime import datetime, timedelta

import jwt

from switchboard.auth.bearer import refusal
from switchboard.auth.caller import Caller, Guest
from switchboard.auth.local_tokens import NAME
from switchboard.auth.signed import Key, read_claims, shared_key
from switchboard.clock import Clock

KID = "guest"
AUDIENCE = "switchboard-guest"
LIFE = timedelta(hours=24)


class GuestTokens:
    """Makes and reads them."""

    def __init__(self, secret: Callable[[], bytes], clock: Clock) -> None:
        """``secret`` is asked when the first token is made or read."""
        self._secret = secret
        self._clock = clock
        self._made: Key | None = None

    def make(self, guest: Guest) -> tuple[str, datetime]:
        """A token that holds from now for `LIFE`, and when it ends."""
        now = self._clock()
        claims = {
            "iss": NAME,
            "aud": AUDIENCE,
            "sub": subject_of(guest),
            "iat": int(now.timestamp()),
            "exp": int((now + LIFE).timestamp()),
            "workspace": guest.workspace_id,
            "conversation": guest.conversation_id,
        }
        key = self._key.material
        return jwt.encode(claims, key, "HS256", headers={"kid": KID}), now + LIFE  # type: ignore[arg-type]

    def caller(self, token: str) -> Caller:
        """Whose token it is. Raises `Unauthenticated`."""
        claims = read_claims(token, self._key, issuer=NAME, audience=AUDIENCE, now=self._clock())
        workspace_id, conversation_id = claims.get("workspace"), claims.get("conversation")
        if type(workspace_id) is not int or type(conversation_id) is not int:
            raise refusal()
        guest = Guest(workspace_id, conversation_id)
        return Caller(subject_of(guest), admin=False, roles={}, guest=guest)

    @property
    def _key(self) -> Key:
        if self._made is None:
            digest = hmac.digest(self._secret(), b"switchboard guest tokens", "sha256")
            self._made = shared_key("JWT_SECRET", digest)
        return self._made


def subject_of(guest: Guest) -> str:
    """What a guest is called where callers are counted and named."""
    return f"guest:{guest.conversation_id}"
