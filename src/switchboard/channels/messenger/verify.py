"""Who may speak: Meta's signature on every webhook, and the handshake when the webhook is set up.

https://developers.facebook.com/docs/messenger-platform/webhooks
"""

import hmac
from collections.abc import Mapping, Sequence

from switchboard.channels.document import is_object, load
from switchboard.errors import Invalid, SignatureInvalid

SIGNATURE_HEADER = "x-hub-signature-256"
MAX_CHALLENGE = 64


class Signatures:
    """The secrets that webhooks may be signed with.

    Instagram's are signed with its own app's secret or with the Facebook app's, depending on the login product;
    Messenger's only with the latter, so that the Instagram secret does not open the door to pages.
    """

    def __init__(self, *, app_secret: str | None, instagram_app_secret: str | None) -> None:
        self._facebook = app_secret.encode() if app_secret else None
        self._instagram = instagram_app_secret.encode() if instagram_app_secret else None

    def check(self, headers: Mapping[str, str], body: bytes) -> None:
        """Raises `SignatureInvalid` unless one of the secrets signed exactly these bytes."""
        if not (self._facebook or self._instagram):
            raise SignatureInvalid("No app secret is set, so every webhook is refused: set FACEBOOK_APP_SECRET.")
        signature = _signature(headers)
        by_facebook = _signed(signature, body, self._facebook)
        by_instagram = _signed(signature, body, self._instagram)
        if not (by_facebook or (by_instagram and _about_instagram(body))):
            raise SignatureInvalid


def handshake(expected: Sequence[str], *, mode: str | None, token: str | None, challenge: str | None) -> str:
    """The challenge, if it may be repeated: ASCII digits only, since it is sent back to whoever asked."""
    given = (token or "").encode("utf-8", "surrogatepass")
    matches = [hmac.compare_digest(given, one.encode()) for one in expected if one]  # all of them
    if not any(matches):
        raise SignatureInvalid("The verify token does not match FACEBOOK_VERIFY_TOKEN.")
    if mode != "subscribe":
        raise Invalid(errors=[{"field": "hub.mode", "message": "must be subscribe"}])
    if not challenge or len(challenge) > MAX_CHALLENGE or not (challenge.isascii() and challenge.isdigit()):
        raise Invalid(errors=[{"field": "hub.challenge", "message": f"must be 1 to {MAX_CHALLENGE} digits"}])
    return challenge


def _signature(headers: Mapping[str, str]) -> bytes:
    value = headers.get(SIGNATURE_HEADER)
    if value is None:
        value = next((text for name, text in headers.items() if name.lower() == SIGNATURE_HEADER), "")
    # compare_digest takes text only if it is ASCII; this way the strange is simply another wrong signature
    return value.encode("utf-8", "surrogatepass")


def _signed(signature: bytes, body: bytes, secret: bytes | None) -> bool:
    if secret is None:
        return False
    expected = b"sha256=" + hmac.digest(secret, body, "sha256").hex().encode()
    return hmac.compare_digest(signature, expected)


def _about_instagram(body: bytes) -> bool:
    document = load(body)
    return document is not None and is_object(document.value) and document.value.get("object") == "instagram"
