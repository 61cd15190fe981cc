"""Passages: short enough to quote, never across a heading, and nothing of the text is lost."""

import re
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from switchboard.knowledge.cut import ENOUGH, LONGEST, OVERLAP, Chunk, cut
from switchboard.knowledge.readers import Section


def test_short_paragraphs_stand_together_and_headings_part_them() -> None:
    sections = [Section(("Shop",), "One.\n\nTwo.\n\nThree."), Section(("Shop", "Returns"), "Four.")]
    assert list(cut(sections)) == [Chunk("Shop", "One.\n\nTwo.\n\nThree."), Chunk("Shop › Returns", "Four.")]


def test_paragraphs_that_are_long_enough_stand_alone() -> None:
    long = "A sentence of some forty characters, truly. " * (ENOUGH // 40)
    assert [chunk.content for chunk in cut([Section((), f"{long.strip()}\n\nShort.")])] == [long.strip(), "Short."]


def test_questions_are_not_joined() -> None:
    pairs = [Section((), f"Q: {number}?\nA: yes", whole=True) for number in range(3)]
    assert [chunk.content for chunk in cut(pairs)] == [pair.text for pair in pairs]


def test_a_long_paragraph_is_cut_between_sentences_and_each_piece_begins_with_the_end_of_the_one_before() -> None:
    sentences = [f"This is sentence number {number} of a long story about tea." for number in range(80)]
    chunks = [chunk.content for chunk in cut([Section((), " ".join(sentences))])]
    assert len(chunks) > 3
    for before, after in pairwise(chunks):
        assert all(sentence + "." in " ".join(sentences) for sentence in after.split(".")[0:1])
        overlap = max(size for size in range(OVERLAP + 1) if before.endswith(after[:size]))
        assert 50 < overlap <= OVERLAP


@given(st.lists(st.text(alphabet="ab .!?\n-", max_size=3_000), max_size=4))
def test_no_passage_is_too_long_or_empty_and_no_word_is_lost(paragraphs: list[str]) -> None:
    text = "\n\n".join(paragraphs)
    chunks = [chunk.content for chunk in cut([Section(("h",), text)])]
    assert all(0 < len(chunk) <= LONGEST and chunk.strip() for chunk in chunks)
    letters = re.sub(r"[^ab]", "", text)
    found = re.sub(r"[^ab]", "", "".join(chunks))
    assert len(found) >= len(letters)
    if len(chunks) == 1:
        assert found == letters
