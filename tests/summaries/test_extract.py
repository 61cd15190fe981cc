"""Without a model a summary is made of the conversation's own sentences, and of nothing else."""

import string

from hypothesis import given
from hypothesis import strategies as st

from switchboard.summaries.claimed import Spoken
from switchboard.summaries.extract import MOST_CHARACTERS, MOST_LINES, extract


def said(*texts: str, sender: str = "user", first: int = 1) -> list[Spoken]:
    return [
        Spoken.model_validate({"seq": first + at, "sender_type": sender, "content": text})
        for at, text in enumerate(texts)
    ]


def test_a_short_conversation_is_told_whole_in_its_language() -> None:
    talk = [*said("Wo ist mein Paket?"), *said("Unterwegs.", sender="bot", first=2)]
    talk += said("Ich kümmere mich darum.", sender="human", first=3)
    assert extract("", talk) == "Q: Wo ist mein Paket?\nA: Unterwegs.\nP: Ich kümmere mich darum."


def test_what_is_spoken_of_most_stays_and_how_it_began_and_ends() -> None:
    parcel = [f"My parcel number {n} has not arrived" for n in range(8)]
    chatter = [f"{word} {word}" for word in ("lovely", "weather", "today", "indeed", "anyway", "sure", "fine")]
    told = extract("", said("Hello there", *chatter, *parcel, "Goodbye then"))
    assert told.startswith("Q: Hello there\n")
    assert told.endswith("\nQ: Goodbye then")
    assert told.count("parcel") >= 7


def test_the_one_before_is_gone_on_with() -> None:
    first = extract("", said("Where is my parcel?"))
    told = extract(first, said("It has arrived, thank you", first=2))
    assert told == "Q: Where is my parcel?\nQ: It has arrived, thank you"


def test_notes_of_the_system_and_blank_messages_are_left_out() -> None:
    assert extract("", [*said("We are closed", sender="system"), *said("  ", first=2)]) == ""


texts = st.lists(st.text(string.printable + "äß。？", max_size=600), max_size=60)


@given(texts, texts)
def test_it_never_grows_and_says_only_what_was_said(earlier: list[str], later: list[str]) -> None:
    told = extract(extract("", said(*earlier)), said(*later, first=100))
    lines = told.splitlines()
    assert len(lines) <= MOST_LINES
    joined = [" ".join(text.split()) for text in [*earlier, *later]]
    for line in lines:
        assert len(line) <= MOST_CHARACTERS + 3
        words = line.removeprefix("Q:").strip().removesuffix("…")
        assert any(text.startswith(words) for text in joined), line
