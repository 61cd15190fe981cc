"""What an answer of the Graph API means for the message.

Sources: https://developers.facebook.com/docs/messenger-platform/error-codes (Messenger),
https://developers.facebook.com/docs/graph-api/guides/error-handling (all of Graph).
"""

import re
from collections.abc import Mapping
from typing import Any

from switchboard.channels import Sent
from switchboard.channels.document import is_list, is_object
from switchboard.channels.post import LONGEST_WAIT, Answer, number, plain
from switchboard.errors import (
    ChannelBroken,
    DeliveryBusy,
    DeliveryError,
    DeliveryRefused,
    DeliveryUnknown,
    RecipientUnreachable,
    WindowClosed,
)

_TOKEN_LIKE = re.compile(r"\b(?:EAA|IGA|IGQ)[A-Za-z0-9_\-]{8,}|(?<=access_token=)[^&\s]+")

_BY_SUBCODE: Mapping[tuple[int, int], type[DeliveryError]] = {
    (1, 1357046): DeliveryUnknown,  # "Received invalid JSON reply", and yet Meta's page says the messages were sent
    (10, 2018278): WindowClosed,
    (10, 2018065): WindowClosed,  # the same in earlier versions
    (10, 2534022): WindowClosed,  # the same on Instagram
    (10, 2018108): RecipientUnreachable,  # "This person isn't receiving messages from you right now"
    (100, 2018001): RecipientUnreachable,  # "No matching user found"
    (200, 1545041): RecipientUnreachable,  # "This person isn't available right now"
}
_BY_CODE: Mapping[int, type[DeliveryError]] = {
    **dict.fromkeys(range(200, 300), ChannelBroken),  # every kind of missing permission, 230 among them
    **dict.fromkeys(range(80_000, 80_015), DeliveryBusy),  # rate limits by product
    1: DeliveryBusy,
    2: DeliveryBusy,  # may also mean that the customer blocked the page; Meta does not tell
    4: DeliveryBusy,
    10: ChannelBroken,  # 1893063 is a restricted page; without a subcode a permission is missing
    17: DeliveryBusy,
    32: DeliveryBusy,
    100: DeliveryRefused,
    102: ChannelBroken,
    190: ChannelBroken,
    341: DeliveryBusy,
    368: ChannelBroken,
    551: RecipientUnreachable,
    613: DeliveryBusy,
    1200: DeliveryBusy,
}


def judge(answer: Answer, *, token: str) -> Sent:
    """Graph's id for the message. Raises what the answer means; no text of an error holds the ``token``."""
    identifier = understand(answer, token=token).get("message_id")
    if isinstance(identifier, str) and identifier:
        return Sent(identifier)
    raise _no_graph(answer)


def understand(answer: Answer, *, token: str) -> dict[str, Any]:
    """What Graph answers when all is well; raises as `judge` does."""
    content = answer.content
    error = content.get("error")
    if is_object(error) and (code := number(error.get("code"))) is not None:
        subcode = number(error.get("error_subcode"))
        kind = _kind(answer.status, error, code, subcode)
        retry_after = _retry_after(answer.headers) if kind is DeliveryBusy else None
        raise kind(_reason(error, code, subcode, token), retry_after=retry_after)
    if 200 <= answer.status < 300 and content:
        return content
    raise _no_graph(answer)


def _no_graph(answer: Answer) -> DeliveryUnknown:
    return DeliveryUnknown(f"HTTP {answer.status}, but not in the Graph API's form: is FACEBOOK_GRAPH_URL right?")


def _kind(status: int, error: dict[str, Any], code: int, subcode: int | None) -> type[DeliveryError]:
    message = str(error.get("message", "")).lower()
    if subcode is not None and (code, subcode) in _BY_SUBCODE:
        return _BY_SUBCODE[code, subcode]
    if code == 10 and "outside of allowed window" in message:
        return WindowClosed
    if code == 100 and "appsecret_proof" in message:
        return ChannelBroken  # FACEBOOK_APP_SECRET belongs to another app: no message will pass
    if code in _BY_CODE:
        return _BY_CODE[code]
    if error.get("is_transient") is True or status == 429 or status >= 500:
        return DeliveryBusy
    return DeliveryRefused


def _reason(error: dict[str, Any], code: int, subcode: int | None, token: str) -> str:
    said = _TOKEN_LIKE.sub("…", str(error.get("message") or "").replace(token, "…"))
    words = plain(said, secret=token, otherwise="The Graph API gives no reason.")
    return f"{words} (Graph error {code}{'' if subcode is None else f'/{subcode}'})"


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, from `Retry-After` or from the page's usage (`estimated_time_to_regain_access`, in minutes).

    https://developers.facebook.com/docs/graph-api/overview/rate-limiting
    """
    given = headers.get("Retry-After", "")
    waits = [float(given)] if given.isascii() and given.isdigit() and len(given) < 10 else []
    usage_header = headers.get("X-Business-Use-Case-Usage", "")
    for usages in Answer(0, {}, usage_header.encode()).content.values():
        for usage in usages if is_list(usages) else []:
            minutes = number(usage.get("estimated_time_to_regain_access")) if is_object(usage) else None
            waits += [minutes * 60.0] if minutes else []
    return min(max(waits), LONGEST_WAIT) if waits else None
