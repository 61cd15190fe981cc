"""What is said aloud is what will be stored, whoever begins to listen when."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from switchboard.replies.overheard import Ear, Ended, Heard, Overheard, Piece, Void

pieces = st.lists(st.text(alphabet="ab \n\t\u00a0\u2003", max_size=4), max_size=12)


async def everything(ear: Ear) -> list[Heard]:
    heard: list[Heard] = []
    while (one := await ear.next(0)) is not None:
        heard.append(one)
    return heard


def text_of(heard: list[Heard]) -> str:
    """What a client shows in the end."""
    text = ""
    for one in heard:
        text = "" if isinstance(one, Void) else text + one.text if isinstance(one, Piece) else text
    return text


@given(said=pieces, preface=st.sampled_from(["", "An AI.\n\n"]), join_at=st.integers(0, 12))
async def test_the_pieces_joined_are_the_stored_text(said: list[str], preface: str, join_at: int) -> None:
    overheard = Overheard()
    early = overheard.listen(1, 1)
    voice = overheard.begin(1, 1, preface)
    late = None
    for at, piece in enumerate(said):
        if at == join_at:
            late = overheard.listen(1, 1)
        voice.say(piece)
    voice.end("answered")
    text = "".join(said).strip()
    for ear in (early, late or overheard.listen(1, 1)):
        heard = await everything(ear)
        assert isinstance(heard[-1], Ended)
        if ear is early or late:
            assert text_of(heard) == (preface + text if text else "")
        assert all(one.text for one in heard if isinstance(one, Piece))


async def test_nobody_hears_the_reply_to_something_earlier() -> None:
    overheard = Overheard()
    voice = overheard.begin(1, seq_in=1)
    ear = overheard.listen(1, seq=2)
    other = overheard.listen(2, seq=1)
    voice.say("We are open.")
    voice.end("superseded")
    assert await everything(ear) == await everything(other) == []
    assert not voice.heard


async def test_a_draft_that_nobody_has_heard_is_begun_again_in_silence() -> None:
    overheard = Overheard()
    voice = overheard.begin(1, 1)
    voice.say("We are op")
    assert not voice.heard
    voice.begin_again()
    ear = overheard.listen(1, 1)
    voice.say("Open.")
    voice.end("answered")
    assert await everything(ear) == [Piece("Open."), Ended()]
    assert voice.heard


@pytest.mark.parametrize("outcome", ["superseded", "taken_over", "retried", "failed", "lost", "left"])
async def test_what_was_heard_and_will_not_be_stored_is_void(outcome: str) -> None:
    overheard = Overheard()
    ear = overheard.listen(1, 1)
    voice = overheard.begin(1, 1)
    voice.say("We are")
    voice.end(outcome)
    assert await everything(ear) == [Piece("We are"), Void(outcome), Ended()]


async def test_who_holds_a_turn_no_longer_is_not_heard_beside_the_one_who_does() -> None:
    overheard = Overheard()
    ear = overheard.listen(1, 1)
    old = overheard.begin(1, 1)
    old.say("We are")
    new = overheard.begin(1, 1)
    old.say(" closed")
    new.say("Open.")
    old.end("lost")
    new.end("answered")
    assert await everything(ear) == [Piece("We are"), Void("lost"), Piece("Open."), Ended()]


async def test_nobody_is_kept_who_has_gone() -> None:
    overheard = Overheard()
    with overheard.listen(1, 1) as ear:
        pass
    voice = overheard.begin(1, 1)
    voice.say("Open.")
    assert not voice.heard
    assert await everything(ear) == []
