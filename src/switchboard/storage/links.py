"""Addresses that show one file to whoever has them, for some minutes: an image in a page carries no token."""

import hmac
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from switchboard.errors import SignatureInvalid

SECONDS = 300
"""How long a link holds."""


class Links:
    """Makes and checks links with a ``secret`` of the installation; ``public_url`` is for those who are elsewhere."""

    def __init__(self, secret: Callable[[], bytes], public_url: str | None) -> None:
        """``secret`` is asked when the first link is made."""
        self._secret = secret
        self._key = b""
        self._public_url = public_url

    def make(self, attachment_id: int, now: datetime) -> str:
        """The path and query of a link that holds for `SECONDS`."""
        expires = int(now.timestamp()) + SECONDS
        return f"/attachments/{attachment_id}?expires={expires}&signature={self._sign(attachment_id, expires)}"

    def make_public(self, attachment_id: int, now: datetime) -> str | None:
        """The whole address, or None if nobody knows under which we are reached."""
        return None if self._public_url is None else self._public_url.rstrip("/") + self.make(attachment_id, now)

    def check(self, attachment_id: int, expires: int, signature: str, now: datetime) -> None:
        """Raises `SignatureInvalid` unless the link is ours and still holds."""
        given = signature.encode("utf-8", "surrogatepass")
        if not hmac.compare_digest(given, self._sign(attachment_id, expires).encode()):
            raise SignatureInvalid("This link is not one of ours: ask for the message again.")
        if now.timestamp() > expires:
            raise SignatureInvalid("This link has expired: ask for the message again.")

    def add(self, messages: Sequence[dict[str, Any]], now: datetime) -> None:
        """Puts a ``link`` to every file in these messages of which we have a copy."""
        for message in messages:
            for one in message["attachments"]:
                if one.get("state") == "stored":
                    one["link"] = self.make(one["id"], now)

    def _sign(self, attachment_id: int, expires: int) -> str:
        self._key = self._key or hmac.digest(self._secret(), b"switchboard attachment links", "sha256")
        return hmac.digest(self._key, f"{attachment_id}:{expires}".encode(), "sha256").hex()
