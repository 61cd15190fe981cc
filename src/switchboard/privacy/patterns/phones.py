"""Telephone numbers: international ones by their plus, national ones by their form or the words before them.

Google's plans of all countries (`phonenumbers`) have the last word. The first number that needs them loads them.
"""

import re
from collections.abc import Iterable
from functools import cache
from importlib import import_module
from typing import Any

REGIONS = (
    "DE",
    "GB",
    "FR",
    "ES",
    "IT",
    "PT",
    "BR",
    "PL",
    "TR",
    "SA",
    "EG",
    "AE",
    "CN",
    "JP",
    "US",
    "NL",
    "CH",
    "AT",
    "IN",
    "MX",
)
"""Where a number without a country may be from, likeliest first; the countries of known numbers come before."""
LEAST, MOST = 7, 15
"""Digits of a number (ITU-T E.164 has the most)."""
_TRUNK = frozenset(("DE", "GB", "FR", "TR", "NL", "JP", "SA", "EG", "AE", "CH", "AT", "IT", "CN", "IN"))
"""Where long-distance numbers begin with 0."""
_SHAPES: dict[tuple[int, ...], tuple[str, ...]] = {
    (3, 3, 4): ("US", "IT", "IN"),
    (3, 7): ("IT",),
    (3, 3, 3): ("ES", "PT", "PL"),
    (3, 2, 2, 2): ("ES", "PL", "TR"),
    (2, 3, 2, 2): ("PL",),
    (3, 4, 4): ("CN",),
    (2, 5, 4): ("BR",),
    (2, 4, 4): ("BR", "MX"),
    (5, 5): ("IN",),
    (3, 3, 2, 2): ("TR", "IT"),
    (1, 3, 3, 2, 2): ("RU",),
}
"""Groups of digits, and where numbers without a leading 0 are written so."""


class Phones:
    """What counts as a number in one conversation: its own numbers, and those of where they are from."""

    def __init__(self, known: Iterable[str] = (), regions: tuple[str, ...] = REGIONS) -> None:
        self._given = tuple(filter(None, known))
        self._regions = regions
        self._tails: dict[str, str] | None = None

    def known(self, digits: str) -> str | None:
        """The known number that such digits are, with or without its country: in E.164."""
        if not self._given:
            return None
        if self._tails is None:
            self._learn()
        bare = digits.lstrip("0")
        tails = self._tails or {}
        return tails.get(bare) if len(bare) >= LEAST else None

    def international(self, digits: str) -> str | None:
        """In E.164 what was written after a plus or 00, if such a number is possible."""
        return _international(digits)

    def by_form(self, digits: str, groups: tuple[int, ...], bracket: bool, asian: bool) -> str | None:
        """In E.164 a national number that looks like one: a leading 0, an area in brackets, or its country's groups."""
        if digits.startswith("0"):
            return _national(digits, self._ordered(_TRUNK), mobile=len(groups) == 1)
        if bracket:
            return _national(digits, self._ordered(("US", "BR")), mobile=False)
        if asian and len(digits) == 11 and len(groups) == 1:
            return _national(digits, ("CN",), mobile=True)
        # Three times three digits are any large number, unless they are a mobile's.
        return _national(digits, _SHAPES[groups], mobile=groups == (3, 3, 3)) if groups in _SHAPES else None

    def by_words(self, digits: str) -> str:
        """What the words before call a number: in E.164 if it is one anywhere, else its digits."""
        return _national(digits, self._ordered(self._regions), mobile=False) or digits

    def same(self, number: str) -> str:
        """The form in which numbers are compared."""
        digits = re.sub(r"\D", "", number)
        found = self.known(digits)
        if found is None and number.lstrip().startswith(("+", "00")):
            found = _international(digits.lstrip("0"))
        return found or _national(digits, self._ordered(self._regions), mobile=False) or digits

    def _ordered(self, among: Iterable[str]) -> tuple[str, ...]:
        return tuple(region for region in self._regions if region in among)

    def _learn(self) -> None:
        self._tails = {}
        for written in self._given:
            digits = re.sub(r"\D", "", written).lstrip("0")
            found = _parse("+" + digits, None) if written.lstrip().startswith(("+", "00")) else None
            if found is not None:
                region = _library().region_code_for_number(found)
                if region:
                    self._regions = (region, *(each for each in self._regions if each != region))
                self._tails[str(found.national_number)] = _e164(found)
            national = _national(re.sub(r"\D", "", written), self._regions, mobile=False)
            self._tails.setdefault(digits, _e164(found) if found else national or digits)


def _international(digits: str) -> str | None:
    found = _parse("+" + digits, None) if LEAST <= len(digits) <= MOST else None
    return _e164(found) if found is not None and _library().is_possible_number(found) else None


def _national(digits: str, regions: Iterable[str], *, mobile: bool) -> str | None:
    """In the first of ``regions`` where it is valid, and one of a mobile if that is asked for."""
    if not LEAST <= len(digits) <= MOST:
        return None
    library = _library()
    for region in regions:
        found = _parse(digits, region)
        if found is None or not library.is_valid_number_for_region(found, region):
            continue
        if not mobile or library.number_type(found) in (
            library.PhoneNumberType.MOBILE,
            library.PhoneNumberType.FIXED_LINE_OR_MOBILE,
        ):
            return _e164(found)
    return None


def _parse(digits: str, region: str | None) -> Any:
    library = _library()
    try:
        return library.parse(digits, region)
    except library.NumberParseException:
        return None


def _e164(number: Any) -> str:
    return _library().format_number(number, _library().PhoneNumberFormat.E164)


@cache
def _library() -> Any:
    return import_module("phonenumbers")
