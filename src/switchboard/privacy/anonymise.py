"""Anonymising fields and free text, as exports use it. Pure: no clock, no database, nothing kept but counts.

    anonymiser = Anonymiser(key)                          # one for an export; the key is bytes that nobody else has
    anna = anonymiser.for_people(names=["Anna Schmidt"])  # one for a conversation
    anna.name("Anna Schmidt")                             # Guest_4be07d21c99a
    anna.text("Anna's mail is anna@example.org")          # Guest_4be07d21c99a's mail is guest_0c5e…@example.com
    anonymiser.report().told()                            # what was replaced, and what may still be there

The same value is the same pseudonym wherever one key is used, and has nothing in common with it under another key.
What is anonymised stays as it is when it is anonymised again.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final, cast

from switchboard.privacy import forms
from switchboard.privacy.patterns import addresses, emails, handles, ibans, ip_addresses, national_ids, numbers
from switchboard.privacy.patterns.phones import REGIONS, Phones
from switchboard.privacy.people import People
from switchboard.privacy.pseudonyms import (
    EMAIL,
    IDENTIFIER,
    KINDS,
    NAME,
    PSEUDONYM,
    SHIELD,
    Pseudonyms,
    shield,
    unshield,
)
from switchboard.privacy.reading import Reading, read
from switchboard.privacy.report import LeakReport
from switchboard.privacy.spans import Span, settle
from switchboard.privacy.suspect import suspects

_MOST_PASSES: Final = 32
"""What is left after one is looked through again, until nothing is found: two, but for texts made to annoy."""
_SHORTEST_IDENTIFIER: Final = 5
"""Characters; a shorter one would be found in every other number."""
_MOST_REMEMBERED: Final = 10_000
"""Names whose forms are kept: those of a business's people come with every conversation."""
_LEAST_DIGITS: Final = 7
"""Of a message that holds a telephone number, an account or the like."""
_DIGIT = re.compile(r"\d")
_DIGITS = re.compile(r"\d+")


class Anonymiser:
    """One export's pseudonyms and its report.

    ``key``: at least 16 bytes, such as ``secrets.token_bytes(32)``; the same key and input give the same output.
    ``regions``: ISO 3166 codes of where telephone numbers without a country are likely from, likeliest first.
    ``kinds``: what is replaced, all of `KINDS` unless said otherwise. ``keep_suspects``: whether the report holds the
    suspected words as well. Raises `ValueError` for a short key and for unknown kinds. Not for several threads at once.
    """

    def __init__(
        self,
        key: bytes,
        *,
        regions: Iterable[str] = REGIONS,
        kinds: Iterable[str] = KINDS,
        keep_suspects: bool = False,
    ) -> None:
        self.pseudonyms = Pseudonyms(key)
        self.regions = tuple(regions)
        self.kinds = frozenset(kinds)
        self.keep_suspects = keep_suspects
        self._report = LeakReport()
        self._people: dict[str, forms.Person] = {}
        if unknown := self.kinds.difference(KINDS):
            raise ValueError(f"there is no kind {', '.join(sorted(unknown))}; there are {', '.join(KINDS)}")

    def for_people(
        self,
        names: Iterable[str] = (),
        emails: Iterable[str] = (),
        phones: Iterable[str] = (),
        external_ids: Iterable[str] = (),
        handles: Iterable[str] = (),
    ) -> "ConversationAnonymiser":
        """For a conversation whose people are known by these, wherever these stand in its texts."""
        people = [self._person(name) for name in names if name.strip()]
        return ConversationAnonymiser(
            self,
            People(people),
            Phones(phones, self.regions),
            [
                *((value.strip(), EMAIL, _same_email(value)) for value in emails if "@" in value),
                *((value, IDENTIFIER, value) for value in external_ids if len(value) >= _SHORTEST_IDENTIFIER),
                *(
                    (value.lstrip("@"), "handle", _same_handle(value))
                    for value in handles
                    if len(value) >= _SHORTEST_IDENTIFIER
                ),
            ],
        )

    def report(self) -> LeakReport:
        """What was done so far."""
        return self._report

    def _person(self, name: str) -> forms.Person:
        found = self._people.get(name)
        if found is None:
            if len(self._people) >= _MOST_REMEMBERED:
                self._people.clear()
            found = self._people[name] = forms.person(PSEUDONYM.sub("", name))
        return found


class ConversationAnonymiser:
    """Anonymises the fields and texts of one conversation. Made by `Anonymiser.for_people`."""

    def __init__(
        self, anonymiser: Anonymiser, people: People, phones: Phones, literals: list[tuple[str, str, str]]
    ) -> None:
        self._anonymiser = anonymiser
        self._people = people if NAME in anonymiser.kinds else People(())
        self._phones = phones
        self._literals = literals
        self._parts = people.parts
        self._report = anonymiser.report()

    def name(self, value: str) -> str:
        """`Guest_…` for a field that holds a name; an empty one stays empty, here and below."""
        return self._field(NAME, value, forms.same(value))

    def email(self, value: str) -> str:
        """`guest_…@example.com`."""
        return self._field(EMAIL, value, _same_email(value))

    def identifier(self, value: str) -> str:
        """`guest_…` for an id on a platform."""
        return self._field(IDENTIFIER, value, value)

    def phone(self, value: str) -> str:
        """`[phone_…]`, the same for a number with and without its country where that is known."""
        return self._field("phone", value, self._phones.same(read(value).text))

    def handle(self, value: str) -> str:
        """`[handle_…]` for a name in a social network, with or without its @."""
        return self._field("handle", value, _same_handle(value))

    def ip_address(self, value: str) -> str:
        """`[ip_…]`."""
        return self._field("ip", value, ip_addresses.same(value))

    def text(self, text: str) -> str:
        """Free text of any characters, with everything in it that is known or looks private replaced."""
        self._report.texts += 1
        left, pseudonyms = shield(text)
        found = False
        for _ in range(_MOST_PASSES):
            spans = self._find(left)
            if not spans:
                break
            found = True
            left, pseudonyms = self._replaced(left, spans, pseudonyms)
        self._suspect(left)
        if not found:
            return text
        self._report.changed += 1
        return unshield(left, pseudonyms)

    def values(self, value: object) -> object:
        """JSON of any depth with its texts anonymised, and numbers that turn out to be cards or the like; keys stay."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {key: self.values(each) for key, each in cast(dict[object, object], value).items()}
        if isinstance(value, list | tuple):
            return [self.values(each) for each in cast(list[object], value)]
        if isinstance(value, int) and not isinstance(value, bool):
            changed = self.text(str(value))
            return value if changed == str(value) else changed
        return value

    def _field(self, kind: str, value: str, same: str) -> str:
        if not value or kind not in self._anonymiser.kinds or PSEUDONYM.fullmatch(value):
            return value
        self._report.replaced[kind] += 1
        return self._anonymiser.pseudonyms.of(kind, same)

    def _find(self, text: str) -> list[Span]:
        """What is to be replaced in a text with shields, in its order."""
        reading = read(text)
        spans = list(self._private(reading))
        if reading.places is not None:
            spans = [Span(*reading.written(span.start, span.end), span.kind, span.value) for span in spans]
        spans += self._people.find(text)
        if not spans:
            return spans
        kinds = self._anonymiser.kinds
        return settle([span for span in spans if span.kind in kinds])

    def _private(self, reading: Reading) -> Iterator[Span]:
        """The patterns that a quick look does not rule out; what comes first wins."""
        text = reading.text
        small = text.lower()
        yield from self._literal(text, small)
        if "=" in text or "://" in text:
            yield from addresses.find(text)
        if "@" in text or "%40" in text:
            yield from emails.find(text)
            yield from handles.find(text)
        if emails.may_hide(small):
            yield from emails.find_hidden(text)
        for hint in handles.HINTS:
            if hint in small:
                yield from handles.find_profiles(text)
                break
        if _DIGIT.search(text):
            yield from self._numeric(text)
        elif text.count(":") > 2:
            yield from ip_addresses.find_six(text)

    def _numeric(self, text: str) -> Iterator[Span]:
        enough = sum(map(len, _DIGITS.findall(text))) >= _LEAST_DIGITS
        if enough:
            yield from ibans.find(text)
            yield from national_ids.find(text)
        if text.count(".") > 2:
            yield from ip_addresses.find(text)
        if text.count(":") > 1:
            yield from ip_addresses.find_six(text)
        if enough:
            yield from numbers.find(text, self._phones)

    def _literal(self, text: str, small: str) -> Iterator[Span]:
        """The known ids, addresses and handles, letter by letter."""
        for written, kind, value in self._literals:
            needle, within = (
                (written.lower(), small) if kind != IDENTIFIER and len(small) == len(text) else (written, text)
            )
            at = within.find(needle)
            while at >= 0:
                end = at + len(needle)
                if not (text[at - 1 : at].isalnum() or text[end : end + 1].isalnum()):
                    yield Span(at, end, kind, value)
                at = within.find(needle, end)

    def _replaced(self, text: str, spans: list[Span], pseudonyms: list[str]) -> tuple[str, list[str]]:
        """The text with a shield for each finding, and all its pseudonyms in their order."""
        before = iter(pseudonyms)
        pieces: list[str] = []
        ordered: list[str] = []
        at = 0
        for span in spans:
            kept = text[at : span.start]
            ordered += [next(before) for _ in range(kept.count(SHIELD))]
            ordered.append(self._anonymiser.pseudonyms.of(span.kind, span.value))
            for _ in range(text.count(SHIELD, span.start, span.end)):
                next(before)
            pieces += [kept, SHIELD]
            at = span.end
            self._report.replaced[span.kind] += 1
        return "".join([*pieces, text[at:]]), [*ordered, *before]

    def _suspect(self, text: str) -> None:
        for kind, words in suspects(read(text).text, self._parts):
            self._report.suspected[kind] += 1
            if self._anonymiser.keep_suspects:
                self._report.suspects.append((kind, words))


def _same_email(value: str) -> str:
    return emails.same(value)


def _same_handle(value: str) -> str:
    return handles.same(value)
