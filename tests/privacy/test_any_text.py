"""Of any text at all: anonymising twice is anonymising once, ends, and takes time in proportion to the length."""

import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stands.planted import plant
from switchboard.privacy.anonymise import Anonymiser, ConversationAnonymiser
from switchboard.privacy.pseudonyms import shield, unshield

KEY = b"a key that nobody has but a test"
PIECES = """
Anna|anna's|Schmidt,|A.|Müller|王小明|小明|Guest_|guest_|guest_ab0123456789|[phone_ab0123456789]|[card_|
@example.com|@|(at)|dot|anna@example.org|+49 151 23456789|0151|23456789|4111 1111 1111 1111|4111|
1111|DE89|3704 0044 0532 0130 00|192.168.17.4|192.168|.4|2001:db8::1|::|https://|anna:pw@|
shop.example/|?a=1|&b=|=|#|t.me/|instagram.com/anna|12345678Z|44051401359|12.03.2024|1.234,56|tel|
order|%40|\u200b|\ue000|\ud800|\0|\n|é|e\u0301|１２３|٤٥٦|-|.|/|(|)|,|'|ß|İ|ı|ﬁ|가|م||
"""
PEOPLE = {
    "names": ["Anna Schmidt", "Jörg Müller", "王小明", "Will May"],
    "external_ids": ["7234567"],
    "phones": ["+4915123456789"],
}
texts = st.lists(
    st.one_of(
        st.sampled_from([piece.removeprefix("\n") for piece in PIECES.split("|")]),
        st.sampled_from(["", " ", "  "]),
        st.text(st.characters(), max_size=5),
    ),
    max_size=30,
).map("".join)


def _conversation() -> ConversationAnonymiser:
    return Anonymiser(KEY).for_people(**PEOPLE)


@settings(max_examples=200, deadline=None)
@given(texts)
def test_twice_is_once(text: str) -> None:
    conversation = _conversation()
    once = conversation.text(text)
    assert conversation.text(once) == once


@settings(max_examples=200, deadline=None)
@given(texts, texts)
def test_an_address_is_gone_wherever_it_stands(before: str, after: str) -> None:
    left = _conversation().text(f"{before} kim.planted@example.net {after}")
    assert "kim.planted" not in left


@settings(max_examples=200, deadline=None)
@given(texts)
def test_shields_are_taken_away_again(text: str) -> None:
    assert unshield(*shield(text)) == text


def test_twice_is_once_for_what_is_planted() -> None:
    for each in plant(600):
        conversation = Anonymiser(KEY).for_people(names=each.names)
        once = conversation.text(each.text)
        assert conversation.text(once) == once


ANNOYING: dict[str, Callable[[int], str]] = {
    "letters": lambda size: "a" * size,
    "names": lambda size: "anna" * (size // 4),
    "names apart": lambda size: "anna " * (size // 5),
    "names with dots": lambda size: "A.Anna." * (size // 7),
    "signs": lambda size: "@" * size,
    "signs between letters": lambda size: "a@" * (size // 2),
    "signs between dots": lambda size: "a@b." * (size // 4),
    "hidden": lambda size: "a (at) b " * (size // 9),
    "brackets": lambda size: "(" * size,
    "blanks": lambda size: " " * size,
    "digits": lambda size: "1" * size,
    "digits apart": lambda size: "1 " * (size // 2),
    "fours": lambda size: "4111 " * (size // 5),
    "zeros": lambda size: "01 " * (size // 3),
    "pluses": lambda size: "+1" * (size // 2),
    "octets": lambda size: "1." * (size // 2),
    "colons": lambda size: "a:" * (size // 2),
    "ibans": lambda size: "DE89 " * (size // 5),
    "iban's letters": lambda size: "DE89" + "0" * size,
    "slashes": lambda size: "://" * (size // 3),
    "users": lambda size: "://a" * (size // 4),
    "questions": lambda size: "a?" * (size // 2),
    "pairs": lambda size: "?a=1" * (size // 4),
    "long pairs": lambda size: "a?" + "b" * size,
    "pseudonyms": lambda size: "guest_ab0123456789" * (size // 18),
    "marks": lambda size: "e" + "\u0301" * size,
    "invisible": lambda size: "\u200b" * size,
    "shields": lambda size: "\ue000" * size,
    "chinese": lambda size: "王小" * (size // 2),
    "capitals": lambda size: "Ann " * (size // 4),
    "initials": lambda size: "S. " * (size // 3),
    "mails": lambda size: "anna@example.org " * (size // 17),
}


@pytest.mark.parametrize("name", ANNOYING)
def test_time_grows_with_the_length_alone(name: str) -> None:
    """Eight times the text takes about eight times as long; with a square in it, it would be 64 times."""
    small, large = (ANNOYING[name](size) for size in (12_000, 96_000))
    for _ in range(4):
        ratio = _seconds(large) / max(_seconds(small), 0.0005)
        if ratio < 24:
            return
    pytest.fail(f"eight times the text takes {ratio:.0f} times as long")


def test_a_million_characters() -> None:
    text = "Hello, this is Anna Schmidt, write to anna@example.org or call 0151 23456789, order 12345678. " * 10_638
    left = _conversation().text(text)
    assert "Anna" not in left
    assert "anna@" not in left
    assert "23456789," not in left
    assert left.count("order 12345678.") == 10_638


def _seconds(text: str) -> float:
    conversation = _conversation()
    began = time.process_time()
    conversation.text(text)
    return time.process_time() - began
