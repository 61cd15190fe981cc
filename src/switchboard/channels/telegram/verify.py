"""Who may speak: the secret that we gave Telegram with the webhook, in a header of every update.

https://core.telegram.org/bots/api#setwebhook
"""

import hmac
import re
from collections.abc import Mapping

from switchboard.errors import Misconfigured, SignatureInvalid

SECRET_HEADER = "x-telegram-bot-api-secret-token"  # noqa: S105 - the name of a header
_SECRET = re.compile(r"[A-Za-z0-9_-]{1,256}")


def checked(secret: str | None) -> str | None:
    """The secret if Telegram takes it. Raises `Misconfigured` without repeating it."""
    if secret is not None and not _SECRET.fullmatch(secret):
        raise Misconfigured("TELEGRAM_SECRET_TOKEN: only A-Z, a-z, 0-9, _ and -, at most 256 of them.")
    return secret


def check(secret: str | None, headers: Mapping[str, str]) -> None:
    """Raises `SignatureInvalid` unless the header holds the secret."""
    if not secret:
        raise SignatureInvalid("No secret is set, so every update is refused: set TELEGRAM_SECRET_TOKEN.")
    given = next((text for name, text in headers.items() if name.lower() == SECRET_HEADER), "")
    # compare_digest takes text only if it is ASCII; this way the strange is simply another wrong secret
    if not hmac.compare_digest(given.encode("utf-8", "surrogatepass"), secret.encode()):
        raise SignatureInvalid("The secret token does not match TELEGRAM_SECRET_TOKEN.")
