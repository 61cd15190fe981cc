"""Cutting sections into passages: short enough to quote, long enough to make sense alone. Pure."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from switchboard.knowledge.readers import Section

LONGEST: Final = 1_200
"""Characters of a passage."""
ENOUGH: Final = 400
"""Characters from which a passage is not joined with the next paragraph."""
OVERLAP: Final = 200
"""Characters, in whole sentences, that a passage repeats of the one before where a paragraph had to be cut."""
_PARAGRAPHS = re.compile(r"\n\s*\n")
_SENTENCES = re.compile(r"(?<=[.!?…。！？])\s+|\n(?=\s*(?:[-*•]|\d{1,3}[.)])\s)")


@dataclass(frozen=True, slots=True)
class Chunk:
    """A passage and the headings that lead to it, as one line."""

    heading: str
    content: str


def cut(sections: Iterable[Section]) -> Iterator[Chunk]:
    """The passages of a document, in its order; none crosses a heading."""
    for section in sections:
        heading = " › ".join(section.path)
        paragraphs = [section.text] if section.whole else _PARAGRAPHS.split(section.text)
        for text in _joined(piece for paragraph in paragraphs for piece in _pieces(paragraph.strip())):
            yield Chunk(heading, text)


def _joined(pieces: Iterable[str]) -> Iterator[str]:
    """Neighbours that are short, together."""
    current = ""
    for piece in pieces:
        if current and (len(current) >= ENOUGH or len(current) + len(piece) + 2 > LONGEST):
            yield current
            current = ""
        current = f"{current}\n\n{piece}" if current else piece
    if current:
        yield current


def _pieces(paragraph: str) -> Iterator[str]:
    """A paragraph that is too long, cut between sentences; each piece begins with the last sentences before it."""
    if len(paragraph) <= LONGEST:
        if paragraph:
            yield paragraph
        return
    current: list[str] = []
    length = 0
    for sentence in _sentences(paragraph):
        if current and length + len(sentence) + 1 > LONGEST:
            yield " ".join(current)
            current = _last(current, min(OVERLAP, LONGEST - len(sentence) - 1))
            length = sum(len(kept) + 1 for kept in current)
        current.append(sentence)
        length += len(sentence) + 1
    yield " ".join(current)


def _sentences(paragraph: str) -> Iterator[str]:
    """Sentences; one that is too long is cut after a word, or anywhere where there is none."""
    for sentence in filter(None, (part.strip() for part in _SENTENCES.split(paragraph))):
        rest = sentence
        while len(rest) > LONGEST:
            place = rest.rfind(" ", LONGEST // 2, LONGEST)
            place = place if place > 0 else LONGEST
            yield rest[:place]
            rest = rest[place:].lstrip()
        if rest:
            yield rest


def _last(sentences: list[str], most: int) -> list[str]:
    kept: list[str] = []
    for sentence in reversed(sentences):
        most -= len(sentence) + 1
        if most < 0:
            break
        kept.insert(0, sentence)
    return kept
