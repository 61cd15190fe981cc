"""A text is cut where a reader would cut it, and nothing of it is lost."""

import time

import pytest
import regex
from hypothesis import example, given, settings
from hypothesis import strategies as st

from switchboard.channels.split import split_text

FAMILY = "👨‍👩‍👧‍👦"
FLAG = "🇦🇹"
SPACES = ["", " ", "  ", "\n", "\n\n", "\r\n", "\t", "\u00a0", " \u0308"]
ENDS = [". ", "! ", "? ", "。", "」", ".)", "…"]
MARKS = ["\u200d", "\u0301", "e\u0301", "\u0600", FAMILY, FLAG, "🇦", "👍🏽", "क्षि", "각"]
PIECES = st.sampled_from([*SPACES, *ENDS, *MARKS, "a", "Wort", "https://example.com/a?b=c", "x" * 30])
TEXTS = st.lists(PIECES, max_size=60).map("".join) | st.text(max_size=200)


def units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def places(text: str, parts: list[str]) -> list[tuple[int, int]]:
    """Where each part stands, with nothing but white space in between."""
    found: list[tuple[int, int]] = []
    at = 0
    for part in parts:
        start = text.index(part, at)
        assert not text[at:start].strip()
        at = start + len(part)
        found.append((start, at))
    assert not text[at:].strip()
    return found


@settings(max_examples=400)
@given(TEXTS, st.integers(2, 60))
@example("a" * 11, 10)
@example("🇦🇹" * 20, 7)
@example(" \u0308" * 20, 3)
@example("\u0600 " * 20, 3)
def test_every_part_fits_and_nothing_is_lost(text: str, limit: int) -> None:
    parts = split_text(text, limit)
    assert all(0 < units(part) <= limit and part.strip() for part in parts)
    assert bool(parts) == bool(text.strip())
    cuts = {place for span in places(text, parts) for place in span}
    longest = max((units(grapheme) for grapheme in regex.findall(r"\X", text)), default=0)
    if longest <= limit:
        assert cuts <= {0, *(match.end() for match in regex.finditer(r"\X", text))}


@pytest.mark.parametrize("text", ["", " ", "\n\n\t", "\u00a0"])
def test_a_blank_text_has_no_parts(text: str) -> None:
    assert split_text(text, 10) == []


@pytest.mark.parametrize("text", ["x" * 2000, "😀" * 1000, "  leading and trailing \n"])
def test_a_text_within_the_limit_stays_as_it_is(text: str) -> None:
    assert split_text(text, 2000) == [text]


def test_a_smiley_counts_twice() -> None:
    assert split_text("😀" * 1001, 2000) == ["😀" * 1000, "😀"]


PREFERENCES = {
    "paragraph": ("One two. Three\nfour.\n\nFive six seven eight.", ["One two. Three\nfour.", "Five six seven eight."]),
    "line": ("One two. Three four\nfive six seven eight", ["One two. Three four", "five six seven eight"]),
    "sentence": ("One two three. Four five six seven eight", ["One two three.", "Four five six seven eight"]),
    "question in quotes": ('He asks: "Open?" Four five six seven', ['He asks: "Open?"', "Four five six seven"]),
    "Chinese sentence": ("我们八点开门。" * 5, ["我们八点开门。" * 4, "我们八点开门。"]),
    "space": ("one two three four five six seven eight", ["one two three four five six", "seven eight"]),
    "no-break space": (
        "one two three four five 1\u00a0000\u00a0000 €",
        ["one two three four five", "1\u00a0000\u00a0000 €"],
    ),
    "decimal point": ("it costs about three times 3.50 or so", ["it costs about three times", "3.50 or so"]),
    "long address": ("see https://example.com/a/b/c", ["see https://example.com/a/b/c"]),
    "address after a crumb": ("ok see https://example.com/a/b/c/d", ["ok see", "https://example.com/a/b/c/d"]),
    "one word": ("a" * 65, ["a" * 30, "a" * 30, "a" * 5]),
}


@pytest.mark.parametrize(("text", "parts"), PREFERENCES.values(), ids=PREFERENCES)
def test_the_best_place_is_taken(text: str, parts: list[str]) -> None:
    assert split_text(text, 30) == parts


def test_a_place_too_early_is_not_taken() -> None:
    assert split_text("Hi.\n\nOne two three four five six seven", 30)[0] == "Hi.\n\nOne two three four five"


@pytest.mark.parametrize("grapheme", [FAMILY, FLAG, "👍🏽", "e\u0301", "क्षि"])
def test_no_grapheme_is_torn(grapheme: str) -> None:
    parts = split_text(grapheme * 300, 50)
    assert all(part == grapheme * (len(part) // len(grapheme)) for part in parts)
    assert "".join(parts) == grapheme * 300


def test_a_combining_bomb_ends() -> None:
    bomb = "a" + "\u0301" * 50_000
    parts = split_text(bomb, 2000)
    assert "".join(parts) == bomb
    assert all(units(part) <= 2000 for part in parts)


@pytest.mark.parametrize("piece", ["x", "!", "。", " \u0308", "😀", "\n \n", "a b", '."', "\u200d"])
def test_a_long_text_takes_time_in_proportion(piece: str) -> None:
    text = (piece * 100_000)[:100_000] + "x"
    started = time.process_time()
    split_text(text, 2000)
    assert time.process_time() - started < 3


def test_a_limit_no_character_fits_is_refused() -> None:
    with pytest.raises(ValueError, match="limit"):
        split_text("x", 1)
