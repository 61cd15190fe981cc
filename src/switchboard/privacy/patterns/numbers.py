"""Runs of digits, and what they are: a card, somebody's telephone, a number that a state has given, or nothing private.

A run is cut where its groups suggest it: after an order number may stand a telephone number. Only so many groups are
taken together that a million of them take a million times as long as one.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from switchboard.privacy.patterns import cards, national_ids
from switchboard.privacy.patterns.context import IN_WORD, ORDER, PHONE, told
from switchboard.privacy.patterns.phones import LEAST, MOST, Phones
from switchboard.privacy.spans import Span

_RUN = re.compile(rf"\d(?<![{IN_WORD}].)(?:[ ./()-]{{0,3}}\d){{6,}}")
_GROUP = re.compile(r"\d+")
_MOST_GROUPS = 8
_ATTACHED = re.compile(r"\w[-_/]\Z|\d[.,]\Z|[#№$€£¥₺]\s?\Z")
"""What stands before a run that goes on with a product's code, a path, or is an amount of money."""
_TAIL = re.compile(r"[A-Za-z\u00c0-\u024f]|[,.:]\d|-[^\W\d_]|_|%|\s?(?:€|\$|£|¥|₺|zł|EUR|USD|PLN|TL|元|円)(?!\w)")
_ACCOUNT = re.compile(r"[A-Z]{2}\d\d[ -]\Z", re.IGNORECASE)
"""What stands before the rest of an IBAN that is none; it holds what might be anything."""
DATE = re.compile(
    r"(?:\d{4}[./-]\d{1,2}[./-]\d{1,2}|\d{1,2}[./-]\d{1,2}[./-](?:\d{4}|\d\d)|\d{1,2}[.]\d\d ?- ?\d{1,2}[.]\d\d)"
    r"(?!\d|[.-]\d)"
)
_ASIAN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")
_MOST_SPELT = 24
_MOST_DIGITS = 19  # of a card


class _Window(NamedTuple):
    """Neighbouring groups of a run that may be one number."""

    start: int
    end: int
    digits: str
    groups: tuple[int, ...]


def find(text: str, phones: Phones) -> Iterator[Span]:
    """In runs of seven digits and more."""
    asian: bool | None = None
    for run in _RUN.finditer(text):
        if DATE.fullmatch(run[0]) or _ACCOUNT.search(text[max(0, run.start() - 5) : run.start()]):
            continue
        if asian is None:
            asian = _ASIAN.search(text) is not None
        groups = [_Window(*group.span(), group[0], (len(group[0]),)) for group in _GROUP.finditer(text, *run.span())]
        if 1 < len(groups) <= _MOST_SPELT and all(len(group.digits) == 1 for group in groups):
            digits = "".join(group.digits for group in groups)  # digit by digit: `4 1 1 1 …`
            groups = [_Window(groups[0].start, groups[-1].end, digits, (len(digits),))]
        yield from _Run(text, groups, phones, asian).numbers()


class _Run:
    """The numbers of one run."""

    def __init__(self, text: str, groups: list[_Window], phones: Phones, asian: bool) -> None:
        self._text, self._groups, self._phones, self._asian = text, groups, phones, asian

    def numbers(self) -> Iterator[Span]:
        """All of it if that is a number, else what it holds."""
        if len(self._groups) <= _MOST_GROUPS and (whole := self._judged(0, len(self._groups), whole=True)):
            yield whole
            return
        at = 0
        while at < len(self._groups):
            found, used = self._from(at)
            if found:
                yield found
            at += used

    def _from(self, at: int) -> tuple[Span | None, int]:
        """The longest number that begins with a group, and how many groups that takes."""
        if dated := DATE.match(self._text, self._groups[at].start):
            return None, max(1, sum(group.start < dated.end() for group in self._groups[at : at + 6]))
        most = min(_MOST_GROUPS, len(self._groups) - at) if self._may_begin(at) else 1
        for used in range(most, 0, -1):
            if used < len(self._groups) and (found := self._judged(at, used, whole=False)):
                return found, used
        return None, 1

    def _may_begin(self, at: int) -> bool:
        """Whether several groups from here may be a number though more stand around them."""
        group = self._groups[at]
        if self._text[group.start] == "0" or self._text[group.start - 1 : group.start] in ("+", "("):
            return True
        return len(group.digits) == 4 and len(self._groups) - at > 2

    def _judged(self, at: int, used: int, *, whole: bool) -> Span | None:
        window = self._window(at, used)
        if not LEAST <= len(window.digits) <= _MOST_DIGITS:
            return None
        if (whole or window.groups in cards.GROUPS or used == 1) and cards.is_card(window.digits):
            return Span(window.start, window.end, "card", window.digits)
        if known := self._phones.known(window.digits):
            return Span(self._opened(window.start, window.end), window.end, "phone", known)
        return self._phone(window, whole=whole)

    def _phone(self, window: _Window, *, whole: bool) -> Span | None:
        text, opened = self._text, self._opened(window.start, window.end)
        plus = "+" in text[opened : window.start]
        value: str | None = None
        if not plus and (_ATTACHED.search(text[max(0, opened - 2) : opened]) or _TAIL.match(text, window.end)):
            return None
        if plus or window.digits.startswith("00"):
            value = self._phones.international(_without_zero(text[window.start : window.end], plus))
        words = told(text, opened)
        if value is None and len(window.groups) == 1 and national_ids.is_bare(window.digits, words):
            return Span(window.start, window.end, "national_id", window.digits)
        if value is None and words != ORDER and len(window.digits) <= MOST:
            value = self._nationally(window, words, whole=whole)
        return Span(opened, window.end, "phone", value) if value else None

    def _nationally(self, window: _Window, words: str | None, *, whole: bool) -> str | None:
        if DATE.match(self._text, window.start) or self._text.startswith("0.", window.start):
            return None
        bracket = "(" in self._text[self._opened(window.start, window.end) : window.start]
        if whole or window.digits.startswith("0") or bracket or len(window.groups) == 1:
            found = self._phones.by_form(window.digits, window.groups, bracket, self._asian)
            if found or words != PHONE:
                return found
        return self._phones.by_words(window.digits) if words == PHONE and whole else None

    def _window(self, at: int, used: int) -> _Window:
        if used == 1:
            return self._groups[at]
        groups = self._groups[at : at + used]
        digits = [group.digits for group in groups]
        return _Window(groups[0].start, groups[-1].end, "".join(digits), tuple(map(len, digits)))

    def _opened(self, start: int, end: int) -> int:
        """Where the plus and the bracket before a number begin; a bracket that it does not close is not its own."""
        opened = start
        while opened > max(0, start - 3) and self._text[opened - 1] in "(+":
            opened -= 1
        while self._text[opened] == "(" and self._text.count("(", opened, end) > self._text.count(")", opened, end):
            opened += 1
        return opened


def _without_zero(written: str, plus: bool) -> str:
    """The digits after the plus; a zero in brackets, as in +44 (0)20, is not dialled."""
    digits = re.sub(r"\D", "", written.replace("(0)", ""))
    return digits if plus else digits[2:]
