"""What goes wrong at a provider means for us: busy, refused or misconfigured, in words that say what to do.

Statuses mean the same to all vendors; where one has its own code or words for it, they are in the tables below. A
vendor's own words are passed on where they explain something, shortened, and never with our key in them.
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

# The account has no money left, so waiting does not help. https://platform.openai.com/docs/guides/error-codes and
# https://docs.claude.com/en/api/errors; the words come with a plain 400 (Anthropic) or 429 (Gemini).
_NO_CREDIT = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "billing_error"})
_NO_CREDIT_WORDS = ("credit balance is too low", "credits are depleted", "insufficient balance")
# Gemini answers 400 to a wrong key. https://ai.google.dev/gemini-api/docs/troubleshooting
_BAD_KEY = frozenset({"API_KEY_INVALID", "API_KEY_EXPIRED", "invalid_api_key", "authentication_error"})
_NO_SUCH_MODEL = frozenset({"model_not_found", "invalid_model"})
# What Ollama and vLLM answer with a 400 when the model, or the server as it was started, knows no tools.
_NO_TOOLS = ("does not support tools", "--enable-auto-tool-choice")
_RATE_LIMIT = frozenset({"rate_limit_error", "rate_limit_exceeded", "rate_limited", "RESOURCE_EXHAUSTED", "429"})
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
    """The error for an HTTP answer that is none of 2xx. ``body``: the vendor's object, or its text."""
    error = _error(body)
    codes = _codes(error)
    why = reason(error, server)
    wait = retry_after(headers, clock.now())
    if _no_credit(codes, why) or (status == 402 and wait is None):
        failure = _exhausted(server)
    elif codes & _NO_SUCH_MODEL or status == 404:
        failure = ProviderMisconfigured(
            f"{server.name} has no model {shorten(model)!r}, or not for this key:"
            f" check the model's name, {server.key} and {server.base_url}."
        )
    elif status in _BUSY or status >= 500 or status == 402:
        fault = "limit" if status in {402, 429} else "server"
        wait = _retry_delay(error) if wait is None else wait
        failure = ProviderBusy(f"{server.name} is busy (HTTP {status}).", fault=fault, retry_after=wait)
    elif status == 401 or codes & _BAD_KEY:
        what = f"rejects the key: check {server.key}" if server.secret else f"wants a key: set {server.key}"
        failure = ProviderMisconfigured(f"{server.name} {what}.", fault="key")
    else:
        failure = _of_the_request(status, error, model, why, server)
    failure.turned_away = True
    return failure


def _of_the_request(status: int, error: object, model: str, why: str, server: Server) -> ProviderError:
    if status == 400 and any(words in why for words in _NO_TOOLS):
        return ProviderMisconfigured(
            f"{server.name} offers no tools for {shorten(model)!r}, and without one it cannot hand over to a person:"
            " choose another model or start the server with tools."
        )
    # A 403 can mean that the customer's words were flagged; the key is fine then.
    # https://openrouter.ai/docs/api/reference/errors-and-debugging
    flagged = status == 403 and _field(_field(error, "metadata"), "flagged_input")
    # Where a Gemini key may not be used at all, in some country or without billing, the prompt is not to blame.
    if flagged or (status in _REFUSED and "FAILED_PRECONDITION" not in _codes(error)):
        fault = "filter" if flagged else "prompt"
        return ProviderRefused(f"{server.name} refused the prompt (HTTP {status}): {why}", fault=fault)
    if status in {400, 403}:
        return ProviderMisconfigured(
            f"{server.name} does not let this key use {shorten(model)!r}: check {server.key} ({why})"
        )
    return ProviderMisconfigured(
        f"{server.name} answers no chat completions here (HTTP {status}): check {server.base_url}."
    )


def broken_off(event: object, server: Server) -> ProviderError:
    """The error for an error object in the middle of a stream."""
    error = _error(event)
    codes, why = _codes(error), reason(error, server)
    if _no_credit(codes, why):
        return _exhausted(server)
    fault = "limit" if codes & _RATE_LIMIT else "server"
    return ProviderBusy(f"{server.name} broke off its answer: {why}", fault=fault)


def _exhausted(server: Server) -> ProviderError:
    return ProviderMisconfigured(f"{server.name}: the credit of {server.key}'s account is exhausted.", fault="credit")


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
    said = _field(body, "message") or _field(body, "detail") or body
    text = said if isinstance(said, str) and said.strip() else "no reason given"
    return shorten(text.replace(server.secret, "***") if server.secret else text)


def shorten(text: str) -> str:
    """One printable line of at most `MOST_REASON_CHARACTERS`."""
    line = "".join(character if character.isprintable() else " " for character in text[: 2 * MOST_REASON_CHARACTERS])
    line = " ".join(line.split())
    return line if len(line) <= MOST_REASON_CHARACTERS else line[: MOST_REASON_CHARACTERS - 1] + "…"


def _error(body: object) -> object:
    """What is wrong, wherever in the body it lies: most wrap it, Mistral does not, Gemini sometimes in a list."""
    found = next(iter(cast(list[object], body)), None) if isinstance(body, list) else body
    return _field(found, "error") or found


def _codes(error: object) -> set[str]:
    """Every word the vendors have for it: OpenAI's code, Anthropic's type, Gemini's status and reasons."""
    reasons = [_field(detail, "reason") for detail in _details(error)]
    return {str(word) for word in (*(_field(error, name) for name in ("code", "type", "status")), *reasons)}


def _no_credit(codes: set[str], why: str) -> bool:
    return bool(codes & _NO_CREDIT) or any(words in why.lower() for words in _NO_CREDIT_WORDS)


def _retry_delay(error: object) -> float | None:
    """Gemini's way to say when: ``{"retryDelay": "17s"}`` among the details."""
    for detail in _details(error):
        delay = _field(detail, "retryDelay")
        if isinstance(delay, str) and (seconds := _number(delay.removesuffix("s"))) is not None:
            return _within(seconds)
    return None


def _details(error: object) -> list[object]:
    details = _field(error, "details")
    return cast(list[object], details) if isinstance(details, list) else []


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
