"""A webhook's bytes as JSON values that Postgres can store, whatever the bytes are.

orjson refuses a whole body for one lone surrogate, NaN, 1e999 or deep nesting; jsonb refuses NUL and lone surrogates.
One such message must not cost its neighbours in the batch.
"""

import json
import math
import re
from dataclasses import dataclass
from typing import Any, TypeGuard

import orjson

REPLACEMENT = "\ufffd"
MAX_DEPTH = 64
"""Levels of nesting that are kept; orjson writes at most 254, and what we are sent has fewer than ten."""

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_SMALLEST, _LARGEST = -(2**63), 2**64 - 1


@dataclass(frozen=True, slots=True)
class Document:
    """A body that could be read.

    ``tidy``: no string in it can need replacing. ``repaired``: bytes that are no UTF-8 were replaced before reading.
    """

    value: Any
    tidy: bool
    repaired: bool = False


def load(body: bytes) -> Document | None:
    """The body as JSON, or None if it is none by any reading. Numbers that no jsonb can hold become text."""
    try:
        return Document(orjson.loads(body), tidy=b"\\u0000" not in body)
    except orjson.JSONDecodeError:
        return _load_patiently(body)


def decode(body: bytes) -> str:
    """The body as storable text."""
    return _UNSTORABLE.sub(REPLACEMENT, body.decode("utf-8", "replace"))


def is_object(value: Any) -> TypeGuard[dict[str, Any]]:
    """Whether a JSON value is an object; its keys are text then."""
    return isinstance(value, dict)


def is_list(value: Any) -> TypeGuard[list[Any]]:
    """Whether a JSON value is an array."""
    return isinstance(value, list)


class Cleaner:
    """Makes values storable and remembers whether it had to change any."""

    __slots__ = ("_tidy", "changed")

    def __init__(self, *, tidy: bool, changed: bool = False) -> None:
        self._tidy = tidy
        self.changed = changed

    def text(self, value: str) -> str:
        """The text with NUL and lone surrogates replaced by U+FFFD."""
        if self._tidy:
            return value
        cleaned, replaced = _UNSTORABLE.subn(REPLACEMENT, value)
        self.changed = self.changed or replaced > 0
        return cleaned

    def value(self, value: Any, *, depth: int = 0) -> Any:
        """Any JSON value, cleaned all the way down; what is nested deeper than `MAX_DEPTH` is left out."""
        if isinstance(value, str):
            return self.text(value)
        if is_object(value) or is_list(value):
            if depth >= MAX_DEPTH:
                self.changed = True
                return "nested too deeply"
            if is_object(value):
                return {self.text(key): self.value(item, depth=depth + 1) for key, item in value.items()}
            return [self.value(item, depth=depth + 1) for item in value]
        return value


def _load_patiently(body: bytes) -> Document | None:
    try:
        text, repaired = body.decode("utf-8-sig"), False
    except UnicodeDecodeError:
        text, repaired = body.decode("utf-8-sig", "replace"), True
    try:
        value = json.loads(text, strict=False, parse_int=_integer, parse_float=_number, parse_constant=str)
    except (ValueError, RecursionError):
        return None
    return Document(value, tidy=False, repaired=repaired)


def _integer(digits: str) -> int | str:
    if len(digits) > 20:  # Python itself refuses to convert more than 4,300
        return digits
    number = int(digits)
    return number if _SMALLEST <= number <= _LARGEST else digits


def _number(digits: str) -> float | str:
    number = float(digits)
    return number if math.isfinite(number) else digits
