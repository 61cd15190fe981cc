"""What may go to the database: JSON-shaped values, checked in one place so that both transports refuse the same."""

import math
from collections.abc import Mapping
from typing import Any, cast

import orjson

from switchboard.errors import Invalid

_DATA = ("surrogates not allowed", "64-bit", "Recursion limit")
"""Parts of orjson's messages that speak of what somebody sent; everything else is a mistake in this program."""


def encode(value: object) -> bytes:
    """The value as JSON; times, dates and UUIDs become text.

    Raises `Invalid` for what JSON or Postgres cannot hold (NaN, infinity, lone surrogates, NUL characters, integers
    beyond 64 bits) and `TypeError` for objects that have no business here.
    """
    try:
        text = orjson.dumps(value)
    except orjson.JSONEncodeError as error:
        if any(part in str(error) for part in _DATA):
            raise Invalid(f"A value cannot be stored: {error}.") from error
        raise
    # orjson writes NaN and infinity as null, and a NUL as \u0000: only then is there anything to look for.
    if (b"null" in text or b"\\u0000" in text) and not _is_storable(value):
        raise Invalid("A value cannot be stored: it holds a NUL character or a number that is not finite.")
    return text


def plain(value: Any) -> Any:
    """The value with nothing in it but what JSON has; raises like `encode`."""
    return orjson.loads(encode(value))


decode = orjson.loads
"""JSON text to a value. Numbers with a point or exponent are floats, others are integers."""


def _is_storable(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, str):
        return "\0" not in value
    if isinstance(value, Mapping):
        pairs = cast("Mapping[object, object]", value)
        return all(_is_storable(key) and _is_storable(item) for key, item in pairs.items())
    if isinstance(value, list | tuple):
        return all(_is_storable(item) for item in cast("list[object]", value))
    return True
