"""IBANs: a country, its length and the check digits (ISO 13616), however they are spaced."""

import re
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from typing import Any

from switchboard.privacy.patterns.context import IN_WORD
from switchboard.privacy.spans import Span

_BEGIN = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}[ -]?\d{2}(?=(?:[ .-]?[A-Z0-9]){11})", re.IGNORECASE)
_DIGITS = re.compile(r"\d\d+")
_REST = re.compile(r"[A-Za-z0-9](?:[ .-]?[A-Za-z0-9]){10,33}")
_GOES_ON = re.compile(f"[{IN_WORD}]")
_LETTERS = re.compile(r"[A-Za-z0-9]")


def find(text: str) -> Iterator[Span]:
    """From the country to as many letters and digits as it has; what follows them must be no letter."""
    for digits in _DIGITS.finditer(text):
        start = digits.start()
        if start < 2 or not text[start - 2].isalpha():
            continue
        begin = _BEGIN.match(text, start - 2) or _BEGIN.match(text, max(0, start - 3))
        if begin is None:
            continue
        length = _length(begin[0][:2].upper())
        rest = _REST.match(text, begin.start())
        if rest is None or length == 0:
            continue
        letters = [letter.start() for letter in _LETTERS.finditer(text, begin.start(), rest.end())]
        if len(letters) < length:
            continue
        end = letters[length - 1] + 1
        value = "".join(text[place] for place in letters[:length]).upper()
        if not _GOES_ON.match(text, end) and _adds_up(value):
            yield Span(begin.start(), end, "iban", value)


def _adds_up(value: str) -> bool:
    return int("".join(str(int(letter, 36)) for letter in value[4:] + value[:4])) % 97 == 1


@cache
def _length(country: str) -> int:
    """Characters of its IBANs, after the registry that comes with python-stdnum; 0 for a country without."""
    registry: Any = import_module("stdnum.numdb").get("iban")
    _, properties = registry.info(country)[0]
    return 4 + sum(map(int, re.findall(r"\d+(?=!)", properties["bban"]))) if "bban" in properties else 0
