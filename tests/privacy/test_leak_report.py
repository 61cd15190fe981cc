"""The report: what was replaced, what is still suspected, and nothing of the contents."""

from switchboard.privacy.anonymise import Anonymiser

KEY = b"a key that nobody has but a test"


def test_it_counts_by_kind_over_a_whole_export() -> None:
    anonymiser = Anonymiser(KEY)
    for name in ("Anna Schmidt", "Peter Novak"):
        conversation = anonymiser.for_people(names=[name])
        conversation.name(name)
        conversation.text(f"{name} has anna@example.org and 4111111111111111")
        conversation.text("nothing")
    assert anonymiser.report().told() == {
        "texts": 4,
        "changed": 2,
        "replaced": {"card": 2, "email": 2, "name": 4},
        "suspected": {},
    }


def test_it_tells_what_a_careful_reader_would_stop_at() -> None:
    anonymiser = Anonymiser(KEY, keep_suspects=True)
    conversation = anonymiser.for_people(names=["Katharina Novak"])
    left = conversation.text("Katherina said 4111 1111 1111 1112, or anna@home, or [at] me")
    assert left == "Katherina said 4111 1111 1111 1112, or anna@home, or [at] me"
    assert anonymiser.report().told()["suspected"] == {"at_sign": 2, "digits": 1, "name": 1}
    assert sorted(anonymiser.report().suspects) == [
        ("at_sign", "[at]"),
        ("at_sign", "anna@home,"),
        ("digits", "4111 1111 1111 1112"),
        ("name", "Katherina"),
    ]


def test_it_holds_no_contents_unless_asked() -> None:
    anonymiser = Anonymiser(KEY)
    anonymiser.for_people(names=["Katharina"]).text("Katherina 1234567890123")
    assert anonymiser.report().suspected == {"name": 1, "digits": 1}
    assert anonymiser.report().suspects == []
    assert "Kath" not in repr(anonymiser.report())


def test_a_detector_that_is_off_is_seen() -> None:
    """What the first look would have found, the second does: the report is what tells that something is wrong."""
    text = "anna@example.org, 4111111111111111, +4915123456789"
    anonymiser = Anonymiser(KEY, kinds={"ip"})
    anonymiser.for_people().text(text)
    assert anonymiser.report().suspected == {"at_sign": 1, "digits": 2}
    whole = Anonymiser(KEY)
    whole.for_people().text(text)
    assert whole.report().suspected == {}


def test_dates_times_and_ids_of_programs_are_not_suspected() -> None:
    anonymiser = Anonymiser(KEY)
    conversation = anonymiser.for_people(names=["Anna"])
    conversation.text(
        "12.03.2024 10:30, 2024-01-15 09:00, 550e8400-e29b-41d4-a716-446655440000, order 12345678, v1.2.3"
    )
    assert anonymiser.report().suspected == {}
