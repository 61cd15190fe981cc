"""The known names of a conversation's people, found in what is said, in whatever form.

Parts of one name that stand side by side are one finding, with the initials beside them: `Schmidt, Anna`, `A. Schmidt`,
`anna_schmidt`. A text without any part costs one search for each of them.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from switchboard.privacy.folding import fold, fold_with_places
from switchboard.privacy.forms import Alone, Form, Person
from switchboard.privacy.pseudonyms import NAME
from switchboard.privacy.spans import Span

_GAP = re.compile(r"[\s.,_'’·・‐‑–-]{0,3}")
_LONGEST_ENDING = 6
_SENTENCE = re.compile(r"(?:^|[.!?…:;•\n。！？¿¡*>-])[\s\"'“„«(]*\Z")
_JOINED = "و ف ب ل ك ال وال بال لل فال كال ول وب ו ה ב ל מ ש כ"
_PREFIXES = frozenset(_JOINED.split())
_INITIALS_BEFORE = re.compile(r"(?<![^\W_])((?:[^\W\d_]\.[ \u00a0]?-?){1,3}|[^\W\d_] )\Z")
_INITIAL_AFTER = re.compile(r",?[ \u00a0]?([^\W\d_])\.(?![^\W_])")


@dataclass(frozen=True, slots=True)
class _Hit:
    """A part of somebody's name in what was written; ``alone`` if it names them without the others."""

    start: int
    end: int
    part: int
    alone: bool


class People:
    """Those who take part in a conversation."""

    def __init__(self, people: Iterable[Person]) -> None:
        self._people = [person for person in people if person.forms]
        stems = {form.stem: None for person in self._people for form in person.forms if form.alone != Alone.NEVER}
        self._stems = tuple(stems)

    @property
    def parts(self) -> tuple[str, ...]:
        """The words of all names, folded."""
        return tuple({part: None for person in self._people for part in person.parts})

    def find(self, text: str) -> list[Span]:
        """Every mention, the longest first."""
        if not self._stems:
            return []
        folded = fold(text)
        for stem in self._stems:
            if stem in folded:
                break
        else:
            return []
        folded, places = fold_with_places(text)
        seen = _Seen(text, folded, places)
        mentions = [span for person in self._people for span in seen.mentions(person)]
        return sorted(mentions, key=lambda span: (span.start - span.end, span.start))


class _Seen:
    """A text that holds a part of a known name."""

    def __init__(self, text: str, folded: str, places: list[int] | None) -> None:
        self._text, self._folded, self._places = text, folded, places
        self._small = text == text.lower()

    def mentions(self, person: Person) -> Iterator[Span]:
        """Where somebody is named."""
        hits = [hit for form in person.forms if form.alone != Alone.NEVER for hit in self._hits(form)]
        if not hits:
            return
        hits += [hit for form in person.forms if form.alone == Alone.NEVER for hit in self._hits(form)]
        for chain in self._chains(sorted(hits, key=lambda hit: (hit.start, -hit.end))):
            named = [hit for hit in chain if self._counts(person, hit)]
            if not named:
                continue
            missing = _missing(person, {hit.part for hit in named})
            start, end = self._before(chain[0].start, named[0].start, missing), self._after(named[-1].end, missing)
            initials = start < named[0].start or end > named[-1].end
            if initials or any(hit.alone for hit in chain) or len({hit.part for hit in named}) > 1:
                yield Span(start, end, NAME, person.value)

    def _counts(self, person: Person, hit: _Hit) -> bool:
        """Whether a part is more than a particle."""
        return hit.alone or any(form.part == hit.part and form.alone != Alone.NEVER for form in person.forms)

    def _chains(self, hits: Sequence[_Hit]) -> Iterator[list[_Hit]]:
        """Neighbours of different parts."""
        chain: list[_Hit] = []
        for hit in hits:
            if chain and hit.start < chain[-1].end:
                continue
            beside = chain and _GAP.fullmatch(self._text, chain[-1].end, hit.start)
            if beside and hit.part not in [other.part for other in chain]:
                chain.append(hit)
                continue
            if chain:
                yield chain
            chain = [hit]
        if chain:
            yield chain

    def _hits(self, form: Form) -> Iterator[_Hit]:
        at = self._folded.find(form.stem)
        while at >= 0:
            end = at + len(form.stem)
            stop = self._stop(form, at, end)
            if stop is not None:
                start, written = self._written(at, stop)
                yield _Hit(start, written, form.part, self._alone(form, start, written, self._folded[end:stop]))
            at = self._folded.find(form.stem, end)

    def _stop(self, form: Form, at: int, end: int) -> int | None:
        """Where a form that begins at ``at`` ends with its ending; None where it is part of another word."""
        folded = self._folded
        if form.endings is None:
            return (
                end
                if self._places is None or end == len(folded) or self._places[end] != self._places[end - 1]
                else None
            )
        if at and folded[at - 1].isalpha() and not self._prefixed(at):
            return None
        stop = end
        while stop < len(folded) and stop - end <= _LONGEST_ENDING and folded[stop].isalpha():
            stop += 1
        if stop < len(folded) and folded[stop].isalpha():
            return end if folded[end] > "\u2e80" else None
        if folded[end:stop] in form.endings:
            return stop
        return end if stop > end and folded[end] > "\u2e80" and "" in form.endings else None

    def _prefixed(self, at: int) -> bool:
        """Whether what stands before is written as one word with names: in Arabic and Hebrew, or without any spaces."""
        if self._folded[at - 1] > "\u2e80":
            return True
        if not "\u0590" <= self._folded[at - 1] <= "\u06ff":
            return False
        begin = at
        while begin and at - begin < 4 and self._folded[begin - 1].isalpha():
            begin -= 1
        return self._folded[begin:at] in _PREFIXES

    def _written(self, at: int, stop: int) -> tuple[int, int]:
        """The places in what was written, with the marks and digits that belong to it (`anna92`)."""
        text = self._text
        start, end = (at, stop) if self._places is None else (self._places[at], self._places[stop - 1] + 1)
        while end < len(text) and (text[end].isdigit() or (text[end] > "\u00ac" and not fold(text[end]))):
            end += 1
        return start, end

    def _alone(self, form: Form, start: int, end: int, ending: str) -> bool:
        if form.alone == Alone.ALWAYS and (
            form.endings is None or len(form.plain) >= 6 or form.stem + ending == form.plain
        ):
            return True
        if form.alone == Alone.NEVER:
            return False
        first = self._text[start]
        capital = first != first.lower() or first.lower() == first.upper()
        if form.alone == Alone.INSIDE:
            return capital and (form.stem[0] > "\u0590" or self._named_here(start, end))
        return capital or self._small

    def _named_here(self, start: int, end: int) -> bool:
        """Whether a capital is that of a name: inside a sentence, before a comma, or on a line of its own."""
        if not _SENTENCE.search(self._text[max(0, start - 6) : start]):
            return True
        return self._text[end : end + 1] == "," or (
            self._text[max(0, start - 1) : start] in ("", "\n") and self._text[end : end + 1] in ("", "\n")
        )

    def _before(self, chain: int, start: int, missing: set[str]) -> int:
        """Where a finding begins with the initials before it, or before the particles that it begins with."""
        for place in (chain, start):
            found = _INITIALS_BEFORE.search(self._text[max(0, place - 12) : place])
            if missing and found and fold(found[1][0]) in missing and found[1][0] != found[1][0].lower():
                return place - len(found[1])
        return start

    def _after(self, end: int, missing: set[str]) -> int:
        """Where a finding ends with the initial after it."""
        found = _INITIAL_AFTER.match(self._text, end)
        return found.end() if found and fold(found[1]) in missing else end


def _missing(person: Person, named: set[int]) -> set[str]:
    """How the parts begin that a finding lacks; none of a name that is written as one word."""
    return set() if -1 in named else {part[0] for place, part in enumerate(person.parts) if place not in named}
