"""Cutting a text to a channel's limit, where a reader would cut it.

Pure. A part ends, in order of preference, at a paragraph, a line, a sentence or a space, and never inside what a reader
sees as one character (an extended grapheme cluster, https://unicode.org/reports/tr29/).
"""

from collections.abc import Callable
from dataclasses import dataclass

import regex

_GRAPHEME = regex.compile(r"\X")
_BLANK = r"[^\S\u00a0\u202f]"  # a space that may become a line's end: not the no-break ones


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a part may end. ``earliest``: share of the limit before which an end would leave a crumb."""

    pattern: regex.Pattern[str]
    earliest: float


_PLACES = (
    _Place(regex.compile(r"(?=\r?\n[^\S\n]*\n)"), 0.25),
    _Place(regex.compile(r"(?=\r?\n)"), 0.25),
    _Place(regex.compile(rf"(?<![.!?…؟।])[.!?…؟।]++[\"'”’»)\]]*+(?={_BLANK})|[。！？]++[」』”’）]*+"), 0.25),
    _Place(regex.compile(rf"(?={_BLANK})"), 0),  # before a crumb, but a long address stays whole
)


def utf16_units(text: str) -> int:
    """The length in UTF-16 code units: a smiley is two."""
    return len(text) if text.isascii() else len(text) + sum(character > "\uffff" for character in text)


def utf8_bytes(text: str) -> int:
    """The length in bytes of UTF-8: an umlaut is two, a smiley four."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def split_text(text: str, limit: int, units: Callable[[str], int] = utf16_units) -> list[str]:
    """The text in parts of at most ``limit`` ``units``; blank text gives none.

    A text within the limit stays as it is. Otherwise the parts are what the text holds, in order, without the white
    space around the cuts. Only a single grapheme beyond the limit is cut inside. Raises `ValueError` for a limit
    that one character may exceed.
    """
    most = units("\U0001f600")
    if limit < most:
        raise ValueError(f"limit is below {most}, which one character may need")
    if not text or text.isspace():
        return []
    if units(text) <= limit:
        return [text]
    parts: list[str] = []
    start = _after_blanks(text, 0)
    while start < len(text):
        end = _end(text, start, limit, units)
        parts.append(text[start : _before_blanks(text, start, end)])
        start = _after_blanks(text, end)
    return parts


def _end(text: str, start: int, limit: int, units: Callable[[str], int]) -> int:
    """Where the part that begins at ``start`` ends."""
    window = text[start : start + limit + 1]  # a character costs at least one unit: this is more than can fit
    ends = _grapheme_ends(window, limit, units)
    if not ends:
        return start + _most_characters(window, limit, units)
    if start + ends[-1] == len(text):
        return len(text)
    whole = set(ends)
    for place in _PLACES:
        found = [match.end() for match in place.pattern.finditer(window) if match.end() in whole]
        if found and found[-1] >= limit * place.earliest:
            return start + found[-1]
    return start + ends[-1]


def _grapheme_ends(window: str, limit: int, units: Callable[[str], int]) -> list[int]:
    """The ends of the whole graphemes that fit; one that reaches beyond the window never fits."""
    ends: list[int] = []
    total = 0
    for match in _GRAPHEME.finditer(window):
        total += units(match.group())
        if total > limit:
            break
        ends.append(match.end())
    return ends


def _most_characters(window: str, limit: int, units: Callable[[str], int]) -> int:
    count = total = 0
    for character in window:
        total += units(character)
        if total > limit:
            break
        count += 1
    return count


def _after_blanks(text: str, start: int) -> int:
    end = start
    while end < len(text) and text[end].isspace():
        end += 1
    return end - 1 if end > start and _joined(text, end) else end


def _before_blanks(text: str, start: int, end: int) -> int:
    cut = end
    while cut > start and text[cut - 1].isspace():
        cut -= 1
    return cut + 1 if cut < end and _joined(text, cut) else cut


def _joined(text: str, at: int) -> bool:
    """Whether the characters before and after ``at``, one of them white space, make one grapheme, such as ` ̈`."""
    match = _GRAPHEME.match(text[at - 1 : at + 1]) if 0 < at < len(text) else None
    return match is not None and match.end() == 2
