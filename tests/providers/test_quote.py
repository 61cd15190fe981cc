import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from switchboard.providers import Passage
from switchboard.providers.quote import quote

FAQ = """How long does shipping take?
Shipping takes 3 to 5 working days. Express arrives the next day.

Can I return my order?
Yes. Send it back within 30 days, in its box.
"""
HOURS = """# Opening hours

We are open:
- Mon–Fri 9–17
- Sat 10–14

On holidays nobody is here."""
PARKING = "Parking\nThere is a free car park behind the house. It has 20 places, e.g. for vans. Dr. Li parks at No. 5."
WRAPPED = """You can return items within thirty days of the purchase and get your
money back. Refunds are paid within five days. Bring the receipt."""


def said(question: str, *texts: str) -> str:
    return "".join(quote(question, [Passage(at, 1, "t", text, 0.9) for at, text in enumerate(texts)]))


@pytest.mark.parametrize(
    ("question", "text", "answer"),
    [
        ("How long is shipping?", FAQ, "Shipping takes 3 to 5 working days. Express arrives the next day."),
        ("can i return something", FAQ, "Yes. Send it back within 30 days, in its box."),
        ("How fast is express?", FAQ, "Express arrives the next day."),
        ("When are you open?", HOURS, "We are open:\n- Mon–Fri 9–17\n- Sat 10–14"),
        ("how many places are there", PARKING, "It has 20 places, e.g. for vans."),
        ("where does Dr. Li park", PARKING, "Dr. Li parks at No. 5."),
        ("when is the refund paid", WRAPPED, "Refunds are paid within five days."),
        ("thirty days?", WRAPPED, WRAPPED[: WRAPPED.index(" Refunds")]),
        ("Gift wrapping?", "Free returns\nFast delivery\nGift wrapping", "Gift wrapping"),
        ("Do you ship abroad?", "Q: Do you ship abroad? A: Yes, to the EU.\nQ: Cards? A: No.", "Yes, to the EU."),
        ("cards", "Q: Do you ship abroad?\nA: Yes, all over the EU.\nQ: Cards?\nA: Visa.", "Visa."),
        ("Wie lange dauert der Versand?", "Der Versand dauert z. B. in Wien 2 Tage. Rückgabe ist möglich.",
         "Der Versand dauert z. B. in Wien 2 Tage."),
        ("¿Cuánto cuesta el envío?", "El envio cuesta 4,50 €. La tienda abre a las nueve.", "El envio cuesta 4,50 €."),
        ("営業時間は?", "営業時間は9時から5時です。犬も入れます。", "営業時間は9時から5時です。"),
        ("steps to pay", "1. Open the app. 2. Press Pay now. 3. Confirm.", "2. Press Pay now."),
        ("returns", "Do you take returns?", "Do you take returns?"),
        ("", "Only one thing is known here.", "Only one thing is known here."),
    ],
)  # fmt: skip
def test_quotes(question: str, text: str, answer: str):
    assert said(question, text).startswith(answer)


def test_a_question_does_not_bring_in_what_it_does_not_ask_for():
    assert said("How fast is express?", FAQ) == "Express arrives the next day."
    assert said("where does Dr. Li park", PARKING).endswith("No. 5.")
    assert "holidays" not in said("Saturday opening on Sat", HOURS)


def test_two_passages_are_set_apart_and_a_sentence_comes_once():
    text = said("refund", "A refund takes a day.", "A refund takes a day.", "never")
    assert text == "A refund takes a day."
    assert (
        said("refund", "A refund takes a day.", "The refund is free.") == "A refund takes a day.\n\nThe refund is free."
    )


def test_the_better_passage_comes_first():
    passages = [Passage(1, 1, "t", "A refund is slow.", 0.6), Passage(2, 1, "t", "A refund is quick.", 0.9)]
    assert quote("refund", passages)[0] == "A refund is quick."


@given(st.text(max_size=60), st.lists(st.text(max_size=300), max_size=3))
def test_whatever_the_texts_are_only_they_are_quoted(question: str, texts: list[str]):
    pieces = quote(question, [Passage(at, 1, "t", text, 0.9) for at, text in enumerate(texts)])
    assert len(pieces) <= 3
    assert bool(pieces) == any(text.strip() for text in texts[:2])
    for piece in pieces:
        assert piece.strip()
        assert any(piece.strip() in text for text in texts)


@pytest.mark.parametrize("text", ["z. B. ", "a.\n", "word ", "\n", ":\n- a", "a\n\n", "#", "? "])
def test_long_texts_take_no_long_time(text: str):
    began = time.process_time()
    said("word a z", text * (60_000 // len(text)) + "x")
    assert time.process_time() - began < 2
