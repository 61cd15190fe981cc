"""Posting to a platform's API once, and knowing how far it came.

Nothing has left until a connection stands: up to there every failure is `DeliveryBusy`. From then on the request may
have arrived, and without an answer that is `DeliveryUnknown`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson
from yarl import URL

from switchboard.channels.document import is_object
from switchboard.errors import DeliveryBusy, DeliveryUnknown, Misconfigured

MAX_ANSWER_BYTES = 64 * 1024
LONGEST_WAIT = 86_400.0
_LONGEST_REASON = 300


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer as it came; ``body`` may have been cut."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def content(self) -> dict[str, Any]:
        """The body's JSON object; empty if it holds none."""
        try:
            value = orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return {}
        return value if is_object(value) else {}


async def post(
    http: aiohttp.ClientSession, url: URL, *, api: str, seconds: float, method: str = "POST", **request: Any
) -> Answer:
    """Asks once and follows no redirect. ``api`` is how errors call the other side; none of them holds ``url``."""
    # half of the time for the connection, so that running out of it there is known to be harmless
    timeout = aiohttp.ClientTimeout(total=seconds, connect=seconds / 2)
    try:
        async with http.request(method, url, allow_redirects=False, timeout=timeout, **request) as response:
            return Answer(response.status, response.headers, await _read(response))
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
        raise DeliveryBusy(f"The {api} cannot be reached: {error or type(error).__name__}") from error
    except TimeoutError as error:
        raise DeliveryUnknown(f"The {api} did not answer within {seconds:g} s.") from error
    except (aiohttp.ClientError, OSError) as error:
        reason = f"The connection broke before the {api} had answered ({type(error).__name__})."
        raise DeliveryUnknown(reason) from None  # some of these carry the request, its token included


def plain(words: object, *, secret: str, otherwise: str) -> str:
    """What the other side says, fit to be shown: printable, short, and without the ``secret`` it may repeat."""
    text = words if isinstance(words, str) and words else otherwise
    text = text.replace(secret, "…") if secret else text
    return "".join(character if character.isprintable() else " " for character in text)[:_LONGEST_REASON]


def number(value: Any) -> int | None:
    """A whole number of a JSON document, or None."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def address(url: str, *, setting: str) -> URL:
    """The address in a setting. Raises `Misconfigured` if it is none."""
    try:
        parsed = URL(url)
    except ValueError:
        parsed = URL()
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise Misconfigured(f"{setting}: {url!r} is no http(s) address")
    return parsed


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """The body; cut off where it is too long, which leaves it unreadable as it should be."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            break
    return bytes(body[:MAX_ANSWER_BYTES])
