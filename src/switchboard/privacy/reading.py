"""A text as its reader sees it: `４１１１`, `٤١١١` and `4​111` with something invisible inside are all 4111.

Pure. Patterns look at the reading; what they find is replaced in the text itself, so places lead back.
"""

import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from itertools import chain

INVISIBLE = re.compile(
    r"[\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\u20e3\ufe00-\ufe0f\ufeff]"
)
"""What takes no room: zero-width and soft ones, marks of direction, and what makes a digit a key or a picture."""
_LOOKALIKES = (range(0xFF01, 0xFF5F), range(0xFE50, 0xFE6C), range(0x1D400, 0x1D800), range(0x2460, 0x249C))
_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212"
_BLANKS = "\u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"


@dataclass(frozen=True, slots=True)
class Reading:
    """``text`` as read; ``places``: the place of each of its characters in what was written, None if none has moved."""

    text: str
    places: list[int] | None = None

    def written(self, start: int, end: int) -> tuple[int, int]:
        """Where in what was written the characters from ``start`` to before ``end`` stand; ``end`` > ``start``."""
        if self.places is None:
            return start, end
        return self.places[start], self.places[end - 1] + 1


def read(text: str) -> Reading:
    """The reading of a text of any characters."""
    if text.isascii():
        return Reading(text)
    if not _odd().search(text):
        return Reading(text)
    seen = text.translate(_table())
    if not INVISIBLE.search(seen):
        return Reading(seen)
    places = [place for place, character in enumerate(seen) if not INVISIBLE.match(character)]
    return Reading(INVISIBLE.sub("", seen), places)


@cache
def _odd() -> re.Pattern[str]:
    """Whatever is read otherwise than it is written; most texts hold none of it."""
    basic = "".join(chr(code) for code in _table() if code < 0x10000)
    # A set of characters beyond the basic plane is looked through one by one: all of them are odd enough.
    return re.compile(f"[{basic}\U00010000-\U0001fbff{INVISIBLE.pattern[1:]}")


@cache
def _table() -> dict[int, str]:
    """One character for one: digits of every script, full-width and mathematical letters, dashes and blanks."""
    table = {ord(dash): "-" for dash in _DASHES} | {ord(blank): " " for blank in _BLANKS}
    for code in chain.from_iterable(_LOOKALIKES):
        plain = unicodedata.normalize("NFKC", chr(code))
        if len(plain) == 1 and plain.isascii():
            table[code] = plain
    for code in range(0x80, 0x1FC00):
        digit = unicodedata.digit(chr(code), None)
        if digit is not None and unicodedata.category(chr(code)) == "Nd":
            table[code] = str(digit)
    return table
