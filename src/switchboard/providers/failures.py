"""What a provider's HTTP error means for us: busy, refused or misconfigured, in words that say what to do.

Statuses mean the same to all vendors; where one has its own code for it, the code is in the tables below. A vendor's
own words are passed on where they explain something, shortened, and never with our key in them.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, cast

from switchboard import clock
from switchboard.errors import ProviderBusy, ProviderError, ProviderMisconfigured, ProviderRefused

MOST_RETRY_AFTER = 600.0
"""Seconds. A server that asks for more is asked again then, so that a wrong clock cannot shut it out for a day."""
MOST_REASON_CHARACTERS = 300

# https://platform.openai.com/docs/guides/error-codes; the account has no money left, so waiting does not help.
_NO_CREDIT = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})
_NO_SUCH_MODEL = frozenset({"model_not_found", "invalid_model"})
# What Ollama and vLLM answer with a 400 when the model, or the server as it was started, knows no tools.
_NO_TOOLS = ("does not support tools", "--enable-auto-tool-choice")
_BUSY = frozenset({408, 409, 425, 429})
_REFUSED = frozenset({400, 413, 422})


@dataclass(frozen=True, slots=True)
class Server:
    """Whom we talk to, and which settings lead there: ``key`` and ``base_url`` are the names of variables."""

    name: str
    key: str
    base_url: str
    secret: str | None = field(repr=False)


def from_status(status: int, body: object, headers: Mapping[str, str], *, model: str, server: Server) -> ProviderError:
    """The error for an HTTP answer that is none of 2xx. ``body``: the vendor's error object, or its text."""
    codes = {str(_field(body, "code")), str(_field(body, "type"))}
    wait = retry_after(headers, clock.now())
    if codes & _NO_CREDIT or (status == 402 and wait is None):
        return ProviderMisconfigured(f"{server.name}: the credit of {server.key}'s account is exhausted.")
    if codes & _NO_SUCH_MODEL or status == 404:
        return ProviderMisconfigured(
            f"{server.name} has no model {shorten(model)!r}, or not for this key:"
            f" check the model's name, {server.key} and {server.base_url}."
        )
    if status in _BUSY or status >= 500 or status == 402:
        return ProviderBusy(f"{server.name} is busy (HTTP {status}).", retry_after=wait)
    if status == 400 and any(words in reason(body, server) for words in _NO_TOOLS):
        return ProviderMisconfigured(
            f"{server.name} offers no tools for {shorten(model)!r}, and without one it cannot hand over to a person:"
            " choose another model or start the server with tools."
        )
    # A 403 can mean that the customer's words were flagged; the key is fine then.
    # https://openrouter.ai/docs/api/reference/errors-and-debugging
    if status in _REFUSED or (status == 403 and _field(_field(body, "metadata"), "flagged_input")):
        return ProviderRefused(f"{server.name} refused the prompt (HTTP {status}): {reason(body, server)}")
    if status == 401:
        what = f"rejects the key: check {server.key}" if server.secret else f"wants a key: set {server.key}"
        return ProviderMisconfigured(f"{server.name} {what}.")
    if status == 403:
        return ProviderMisconfigured(
            f"{server.name} does not let this key use {shorten(model)!r}: check {server.key} ({reason(body, server)})"
        )
    return ProviderMisconfigured(
        f"{server.name} answers no chat completions here (HTTP {status}): check {server.base_url}."
    )


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds to wait as the server asks for, 0 to `MOST_RETRY_AFTER`; None if it does not, or not understandably.

    ``headers``: looked up in lower case. Seconds or a date, RFC 9110 section 10.2.3, or OpenAI's ``retry-after-ms``.
    """
    if (milliseconds := _number(headers.get("retry-after-ms"))) is not None:
        return _within(milliseconds / 1000)
    value = headers.get("retry-after")
    if (seconds := _number(value)) is not None:
        return _within(seconds)
    try:
        date = parsedate_to_datetime(value or "")
    except ValueError:
        return None
    return _within(((date if date.tzinfo else date.replace(tzinfo=UTC)) - now).total_seconds())


def reason(body: object, server: Server) -> str:
    """The vendor's own words about it, for a person to read."""
    said = _field(body, "message") or body
    text = said if isinstance(said, str) and said.strip() else "no reason given"
    return shorten(text.replace(server.secret, "***") if server.secret else text)


def shorten(text: str) -> str:
    """One printable line of at most `MOST_REASON_CHARACTERS`."""
    line = "".join(character if character.isprintable() else " " for character in text[: 2 * MOST_REASON_CHARACTERS])
    line = " ".join(line.split())
    return line if len(line) <= MOST_REASON_CHARACTERS else line[: MOST_REASON_CHARACTERS - 1] + "…"


def _field(body: object, name: str) -> object:
    return cast(dict[str, Any], body).get(name) if isinstance(body, dict) else None


def _number(value: str | None) -> float | None:
    try:
        number = float(value or "")
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _within(seconds: float) -> float:
    return min(max(seconds, 0.0), MOST_RETRY_AFTER)
