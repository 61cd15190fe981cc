"""The names of a conversation's people, in every form in which they are said, and words that only look like them."""

import unicodedata

import pytest

from switchboard.privacy.anonymise import Anonymiser

KEY = b"a key that nobody has but a test"
SAID = {
    "Anna Schmidt": """
        anna|ANNA|Anna|Schmidt|schmidt|Anna Schmidt|Schmidt Anna|Schmidt, Anna|A. Schmidt|A.Schmidt|Anna S.|annaschmidt
        |AnnaSchmidt92|anna_schmidt|anna.schmidt|Annas|Schmidts|Anny|Annie|anna92
        """,
    "Björn Müller": "Bjorn|BJÖRN|Müller|Mueller|Muller|bjo\u0308rn mu\u0308ller|Müllers|B. Mueller",
    "Jean-François Lefèvre": "Jean François|jean-francois|Lefevre|JEAN-FRANÇOIS LEFÈVRE|J.-F. Lefèvre|François",
    "John O'Connor": "O'Connor|O’Connor|OConnor|John O'Connor|john",
    "Łukasz Wójcik": "Lukasz|Łukasza|Łukaszowi|Wojcika|Wójcikiem",
    "Marek Kowalski": "Marka|Markowi|Kowalskiego|Kowalska|Kowalskim",
    "Ayşe Yılmaz": "ayse|AYŞE|Yilmaz|yılmaz|Ayşenin|Yılmazdan",
    "İbrahim Çelik": "ibrahim|IBRAHIM|İBRAHİM|Celik",
    "Иван Петров": "Ивана|Ивану|Иваном|Петрова|Петрову|ПЕТРОВ|иван|Иван Петров",
    "Анна Соколова": "Анны|Анне|Анну|Анной|Соколовой",
    "أحمد الحربي": "أحمد|احمد|الحربي|أَحْمَد|وأحمد|لأحمد",
    "王小明": "王小明|小明|王先生",
    "欧阳娜娜": "欧阳娜娜",
    "田中 太郎": "田中|太郎|田中太郎|田中 太郎",
    "김민수": "김민수|민수|" + unicodedata.normalize("NFD", "김민수"),
    "ΓΙΩΡΓΟΣ Παπαδόπουλος": "Γιώργος|παπαδοπουλος",
    "Ludwig van Beethoven": "Ludwig van Beethoven|Beethoven|Ludwig|L. van Beethoven",
    "María de la Cruz": "María|maria|María de la Cruz",
    "Tom Li": "Tom|Tom Li|T. Li|Li, Tom",
    "आनंद शर्मा": "आनंद|शर्मा",
    "שרה כהן": "שרה|כהן|לשרה",
}
LEFT = {
    "Anna Schmidt": "annually|Hannah|Savannah|Schmidtke|annabelle|A.|s.|Goldschmidt",
    "Mark Will": "mark it as paid|Will you come?|will|Mark my words|the mark",
    "May Rose": "in May|the rose is red|may I|Rose petals",
    "Tom Li": "atom|tomorrow|li|Lithuania|Tomato",
    "Al Can": "Can you?|al dente|Al dente|can",
    "Maria de la Cruz": "de la casa|la|de|cruzar",
    "Petra Novak": "petrol|Petrograd|Petraeus",
    "Иван": "диван|Ивановский",
    "王伟": "伟大|王|国王",
    "李娜": "行李|李|桃李",
    "김민수": "김치|민",
    "": "nobody|Anna",
    "  ": "nobody",
    "@": "@ 5",
    "🌸": "🌸",
    "12345": "12345",
}


def _cases(table: dict[str, str]) -> list[tuple[str, str]]:
    return [(name, form.strip()) for name, forms in table.items() for form in forms.split("|")]


@pytest.mark.parametrize(("name", "said"), _cases(SAID))
@pytest.mark.parametrize("sentence", ["{}", "please ask {} about it", "so: {}, Or not?", "({})"])
def test_a_name_is_found(name: str, said: str, sentence: str) -> None:
    conversation = Anonymiser(KEY).for_people(names=[name, "Zbigniew Q"])
    left = conversation.text(sentence.format(said))
    prefix = said[: said.find(name[:1])] if name[0] in "أש" and said[0] in "ولל" else ""
    assert left == sentence.format(prefix + conversation.name(name))


@pytest.mark.parametrize(("name", "text"), _cases(LEFT))
def test_other_words_are_left(name: str, text: str) -> None:
    assert Anonymiser(KEY).for_people(names=[name]).text(text) == text


@pytest.mark.parametrize(
    ("name", "said", "left"),
    [
        ("Anna", "Anna's bag", "{}'s bag"),
        ("Anna", "Anna’s bag", "{}’s bag"),
        ("Ayşe", "Ayşe'nin çantası", "{}'nin çantası"),
        ("小明", "小明的包", "{}的包"),
        ("김민수", "김민수가 왔어요", "{}가 왔어요"),
        ("田中", "田中さんへ", "{}さんへ"),
        ("Anna Schmidt", "anna.schmidt.berlin", "{}.berlin"),
        ("Mark Weber", "Hi Mark, can you", "Hi {}, can you"),
        ("Mark Weber", "Mark, can you", "{}, can you"),
        ("Rose Martin", "Thanks a lot\nRose", "Thanks a lot\n{}"),
        ("Will Marks", "ask Will Marks", "ask {}"),
        ("Will Marks", "ask will marks", "ask {}"),
        ("Dr. Anna Schmidt", "Dr. Anna Schmidt", "Dr. {}"),
    ],
)
def test_what_stands_around_a_name_stays(name: str, said: str, left: str) -> None:
    conversation = Anonymiser(KEY).for_people(names=[name])
    assert conversation.text(said) == left.format(conversation.name(name))


def test_two_people_are_two() -> None:
    conversation = Anonymiser(KEY).for_people(names=["Anna Schmidt", "Peter Novak"])
    anna, peter = conversation.name("Anna Schmidt"), conversation.name("Peter Novak")
    assert (
        conversation.text("Anna and Peter, Mr Novak and Mrs Schmidt")
        == f"{anna} and {peter}, Mr {peter} and Mrs {anna}"
    )


def test_somebody_of_one_name_is_not_somebody_with_two() -> None:
    conversation = Anonymiser(KEY).for_people(names=["Anna Schmidt", "Anna"])
    assert conversation.text("Anna Schmidt") == conversation.name("Anna Schmidt")


def test_a_name_in_an_address_goes_with_the_address() -> None:
    conversation = Anonymiser(KEY).for_people(names=["Anna Schmidt"])
    assert conversation.text("anna.schmidt@example.org") == conversation.email("anna.schmidt@example.org")
