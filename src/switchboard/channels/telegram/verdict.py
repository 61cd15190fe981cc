"""What an answer of the Bot API means, https://core.telegram.org/bots/api#making-requests.

Telegram publishes no list of its errors; the descriptions below are those that bots have reported,
https://github.com/TelegramBotAPI/errors.
"""

from typing import Any

from switchboard.channels.document import is_object
from switchboard.channels.post import LONGEST_WAIT, Answer, number, plain
from switchboard.errors import (
    ChannelBroken,
    DeliveryBusy,
    DeliveryError,
    DeliveryRefused,
    DeliveryUnknown,
    RecipientUnreachable,
)

_UNREACHABLE = (
    "chat not found",
    "user not found",
    "user is deactivated",
    "peer_id_invalid",
    "input_user_deactivated",
    "chat_write_forbidden",
    "have no rights to send",
    "upgraded to a supergroup",
)


def understand(answer: Answer, *, token: str) -> Any:
    """The ``result``. Raises what the answer means; no text of an error holds the ``token``."""
    content = answer.content
    if content.get("ok") is True and 200 <= answer.status < 300:
        return content.get("result")
    code = number(content.get("error_code"))
    if content.get("ok") is not False or code is None:
        raise DeliveryUnknown(f"HTTP {answer.status}, but not in the Bot API's form: is TELEGRAM_API_URL right?")
    words = plain(content.get("description"), secret=token, otherwise="The Bot API gives no reason.")
    kind = _kind(code, words.lower())
    raise kind(f"{words} (Telegram error {code})", retry_after=_wait(content) if kind is DeliveryBusy else None)


def _kind(code: int, words: str) -> type[DeliveryError]:
    if code == 429:
        return DeliveryBusy
    if code >= 500:
        return DeliveryUnknown  # it failed over there, and nobody says before or after the message went out
    if code in {401, 404, 409}:
        return ChannelBroken  # the token is wrong or was revoked; 409: another program reads this bot's updates
    if code == 403 or any(known in words for known in _UNREACHABLE):
        return RecipientUnreachable
    return DeliveryRefused


def _wait(content: dict[str, Any]) -> float | None:
    parameters = content.get("parameters")
    seconds = number(parameters.get("retry_after")) if is_object(parameters) else None
    return None if seconds is None else min(max(float(seconds), 0.0), LONGEST_WAIT)
