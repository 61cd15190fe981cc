"""Each kind of value, as people write it, and what looks like it and is none."""

import pytest

from switchboard.privacy.anonymise import Anonymiser, ConversationAnonymiser
from switchboard.privacy.pseudonyms import KINDS, PSEUDONYM

KEY = b"a key that nobody has but a test"
PRIVATE = {
    "email": [
        "anna@example.org",
        "ANNA.Schmidt+shop@mail.example.co.uk",
        "müller@köln.de",
        "anna%40example.org",
        "anna (at) example dot com",
        "anna [at] mail [dot] example [dot] org",
        "anna at example dot com",
        "anna arroba ejemplo punto es",
        "anna(at)example.com",
        "anna @ example.com",
        "an\u200bna@exam\u200bple.org",
        "anna＠example.org",
        "o'neil@example.org",
    ],
    "phone": [
        "+49 151 23456789",
        "+4915123456789",
        "0049 151 23456789",
        "+44 (0)20 7946 0958",
        "0151 23456789",
        "0151/2345 6789",
        "(212) 736-5000",
        "212-736-5000",
        "06.12.34.56.78",
        "512 345 678",
        "٠٥٠١٢٣٤٥٦٧",
        "０９０-１２３４-５６７８",
        "+90 532 123 45 67",
        "8 912 345 67 89",
        "07911 123456",
        "0 5 3 2 1 2 3 4 5 6 7",
    ],
    "card": [
        "4111 1111 1111 1111",
        "4111-1111-1111-1111",
        "4111111111111111",
        "5555555555554444",
        "3782 822463 10005",
        "６０１１１１１１１１１１１１１７",
        "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
        "41111111\u200b11111111",
    ],
    "iban": [
        "DE89 3704 0044 0532 0130 00",
        "GB29NWBK60161331926819",
        "gb29 nwbk 6016 1331 9268 19",
        "NL91-ABNA-0417-1643-00",
        "FR14 2004 1010 0505 0001 3M02 606",
    ],
    "ip": [
        "192.168.17.4",
        "8.8.4.123",
        "2001:db8::8a2e:370:7334",
        "fe80::1",
        "2001:0db8:85a3:0000:0000:8a2e:0370:7334",
    ],
    "handle": ["@anna.k", "@anna_k92"],
    "national_id": [
        "12345678Z",
        "X1234567L",
        "RSSMRA85T10A562S",
        "2 55 08 14 168 025 38",
        "36 574 261 809",
        "44051401359",
        "390.533.447-05",
        "16.727.230/0001-97",
        "85.07.30-033.28",
        "131052-308T",
        "11010519491231002X",
        "2341 2341 2346",
        "10000000146",
        "943 476 5919",
        "756.9217.0769.85",
        "811218-7219",
        "971013-1220153",
        "rss mra 85t10 a562s",
        "X-1234567-L",
    ],
}
NEAR_MISSES = [
    "anna at example.com",  # somebody is at a place
    "see you at noon dot",
    "4111 1111 1111 1112",
    "4111-1111-1111-1112",
    "1234 5678 9012 3456",
    "DE89 3704 0044 0532 0130 01",
    "GB29NWBK60161331926818",
    "300.168.17.4",
    "version 12.20.33.4",
    "v12.20.33.4",
    "1.2.3.4",
    "10:30:45",
    "a::b",
    "12345678A",
    "X1234567K",
    "RSSMRA85T10A562T",
    "44051401358",
    "390.533.447-06",
    "131052-308U",
    "11010519491231002Y",
    "10000000147",
    "order 1234567890",
    "order 44051401359",
    "Bestellung Nr. 0151 23456789",
    "1234567890",
    "12.03.2024 10:30",
    "2024-01-15",
    "2024-01-15T10:30:00.000Z",
    "01.02.2024",
    "09.00-17.30",
    "€ 1.234,56",
    "123 456 789",
    "1.000.000.000",
    "EAN 4006381333931",
    "ISBN 978-3-16-148410-0",
    "1 234 567,00 zł",
    "0.0012345678",
    "52.520008, 13.404954",
    "550e8400-e29b-41d4-a716-446655440000",
    "SKU-12345678",
    "00340434161094015902",
    "1Z999AA10123456784",
    "tracking RB123456789DE",
    "icon@2x",
    "5 @ 3.50 each",
    "std::vector<int>",
    "https://shop.example/a/b#top",
    "is it here?yes",
    "instagram.com/explore",
    "t.me",
]


@pytest.fixture
def conversation() -> ConversationAnonymiser:
    return Anonymiser(KEY).for_people()


@pytest.mark.parametrize(("kind", "value"), [(kind, value) for kind, values in PRIVATE.items() for value in values])
@pytest.mark.parametrize("sentence", ["{}", "Please take {}, thanks.", "这是{}。", "هذا {} شكرا", "({})\n"])
def test_private_values_are_replaced(kind: str, value: str, sentence: str) -> None:
    anonymiser = Anonymiser(KEY)
    left = anonymiser.for_people().text(sentence.format(value))
    before, _, after = sentence.partition("{}")
    assert left.startswith(before)
    assert left.endswith(after)
    assert PSEUDONYM.fullmatch(left[len(before) : len(left) - len(after)]), left
    assert dict(anonymiser.report().replaced) == {kind: 1}


@pytest.mark.parametrize("text", NEAR_MISSES)
@pytest.mark.parametrize("sentence", ["{}", "It was {}, I think.", "是{}。"])
def test_what_only_looks_so_is_left(conversation: ConversationAnonymiser, text: str, sentence: str) -> None:
    assert conversation.text(sentence.format(text)) == sentence.format(text)


@pytest.mark.parametrize(
    "word",
    [
        "BSN 111222333",
        "NIF 123456789",
        "my NHS number is 9434765919",
        "Steuer-ID: 36574261809",
        "fødselsnummer 15108637274",
    ],
)
def test_one_check_digit_counts_after_its_word(conversation: ConversationAnonymiser, word: str) -> None:
    number = "".join(filter(str.isdigit, word))
    assert conversation.text(word).startswith(word.removesuffix(number) + "[national_id_")
    assert conversation.text(number) == number


@pytest.mark.parametrize(
    ("written", "left"),
    [
        ("https://anna:secret@shop.example/a/b", "https://[url]@shop.example/a/b"),
        ("https://shop.example/a?token=abc&page=2.", "https://shop.example/a?token=[url]&page=[url]."),
        ("(https://shop.example/?q=Anna+Schmidt)", "(https://shop.example/?q=[url])"),
        ("www.shop.example/a?e=anna@example.org", "www.shop.example/a?e=[url]"),
        ("shop.example/a#access_token=abc", "shop.example/a#access_token=[url]"),
        ("https://shop.example/?empty=&x=1", "https://shop.example/?empty=&x=[url]"),
        ("https://shop.example/customer/anna@example.org/orders", "https://shop.example/customer/[email]/orders"),
        ("https://t.me/anna_k", "https://t.me/[handle]"),
        ("instagram.com/anna.k/", "instagram.com/[handle]/"),
        ("https://www.linkedin.com/in/anna-schmidt-1", "https://www.linkedin.com/in/[handle]"),
        ("https://instagram.com/p/Cabc", "https://instagram.com/p/Cabc"),
        ("https://wa.me/4915123456789", "https://wa.me/[handle]"),
    ],
)
def test_addresses_keep_host_and_path(conversation: ConversationAnonymiser, written: str, left: str) -> None:
    found = PSEUDONYM.sub(
        lambda match: "[email]" if "@" in match[0] else f"{match[0].split('_')[0]}]", conversation.text(written)
    )
    assert found == left


def test_a_value_is_the_same_pseudonym_however_it_is_written() -> None:
    conversation = Anonymiser(KEY).for_people(phones=["+49 151 23456789"])
    for one, other in [
        ("anna@example.org", "ANNA (at) example dot org"),
        ("+49 151 23456789", "0151 23456789"),
        ("+49 151 23456789", "0049-151-2345-6789"),
        ("4111 1111 1111 1111", "４１１１111111111111"),
        ("DE89 3704 0044 0532 0130 00", "de89370400440532013000"),
        ("@Anna.K", "https://instagram.com/anna.k"),
        ("2001:db8::1", "2001:0DB8:0:0:0:0:0:1"),
    ]:
        assert conversation.text(one) == conversation.text(other).removeprefix("https://instagram.com/")
    assert conversation.text("anna@example.org") == conversation.email(" Anna@Example.org")
    assert (
        conversation.text("0151 23456789")
        == conversation.phone("+4915123456789")
        == conversation.phone("0151-23456789")
    )
    assert conversation.text("@anna.k") == conversation.handle("Anna.K")
    assert conversation.text("192.168.17.4") == conversation.ip_address("192.168.17.4")


def test_fields_have_the_form_of_what_they_were() -> None:
    conversation = Anonymiser(KEY).for_people()
    assert conversation.name("Anna Schmidt").startswith("Guest_")
    assert conversation.identifier("7234567").startswith("guest_")
    assert conversation.email("anna@example.org").endswith("@example.com")
    assert conversation.name("ANNA  SCHMIDT") == conversation.name("Anna Schmidt")
    assert conversation.name("Zoe\u0308") == conversation.name("ZOË")
    assert conversation.identifier("a") != conversation.identifier("A")
    for field in (
        conversation.name,
        conversation.email,
        conversation.identifier,
        conversation.phone,
        conversation.handle,
    ):
        assert field("") == ""
        once = field("0151 23456789")
        assert PSEUDONYM.fullmatch(once)
        assert field(once) == once


def test_known_ids_and_addresses_are_found_in_texts() -> None:
    conversation = Anonymiser(KEY).for_people(
        emails=["anna@localhost"], external_ids=["7234567890123456", "U-81"], handles=["@real_anna"]
    )
    assert conversation.text("id 7234567890123456!") == f"id {conversation.identifier('7234567890123456')}!"
    assert conversation.text("ANNA@localhost") == conversation.email("anna@localhost")
    assert conversation.text("I am real_anna there") == f"I am {conversation.handle('real_anna')} there"
    assert conversation.text("U-81 and 99723456789012345600") == "U-81 and 99723456789012345600"  # too short; a part


def test_keys_make_pseudonyms_that_have_nothing_in_common() -> None:
    text = "Anna, anna@example.org, +4915123456789, 4111111111111111, 192.168.17.4"
    seen: set[str] = set()
    for key in (b"k" * 16, b"l" * 16, b"k" * 17):
        conversation = Anonymiser(key).for_people(names=["Anna"])
        assert conversation.text(text) == Anonymiser(key).for_people(names=["Anna"]).text(text)
        made = set(PSEUDONYM.findall(conversation.text(text)))
        assert len(made) == 5
        assert not made & seen
        seen |= made


def test_a_value_of_two_kinds_has_two_pseudonyms() -> None:
    conversation = Anonymiser(KEY).for_people()
    assert conversation.name("a")[6:] != conversation.identifier("a")[6:] != conversation.handle("a")[8:-1]


def test_a_key_has_at_least_sixteen_bytes() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        Anonymiser(b"k" * 15)


def test_kinds_can_be_left_out() -> None:
    text = "Anna: anna@example.org, 192.168.17.4"
    assert Anonymiser(KEY, kinds=()).for_people(names=["Anna"]).text(text) == text
    assert (
        Anonymiser(KEY, kinds={"ip"}).for_people(names=["Anna"]).text(text).startswith("Anna: anna@example.org, [ip_")
    )
    assert Anonymiser(KEY, kinds={"ip"}).for_people().name("Anna") == "Anna"
    with pytest.raises(ValueError, match="no kind name_"):
        Anonymiser(KEY, kinds={"name_"})


@pytest.mark.parametrize("kind", sorted(PRIVATE))
def test_each_detector_can_be_missed(kind: str) -> None:
    """With a kind switched off its values stand: it is that detector that finds them, and these tests see it fail."""
    conversation = Anonymiser(KEY, kinds=set(KINDS) - {kind}).for_people()
    assert any(conversation.text(value) == value for value in PRIVATE[kind])


def test_json_is_anonymised_to_its_depth(conversation: ConversationAnonymiser) -> None:
    left = conversation.values(
        {"a": ["anna@example.org", {"b": 4111111111111111}], "n": 5, "t": True, "f": 1.5, "z": None}
    )
    assert left == {
        "a": [conversation.email("anna@example.org"), {"b": conversation.text("4111111111111111")}],
        "n": 5,
        "t": True,
        "f": 1.5,
        "z": None,
    }


@pytest.mark.parametrize(
    "text", ["", " ", "\0", "\ud800", "\ue000", "a\ue000b", "\ue000\ue000", "\udcff@\udcff", "🙂" * 10]
)
def test_any_characters_come_through(conversation: ConversationAnonymiser, text: str) -> None:
    assert conversation.text(text) == text
    assert (
        conversation.text(f"{text} anna@example.org {text}")
        == f"{text} {conversation.email('anna@example.org')} {text}"
    )


@pytest.mark.parametrize(
    "text",
    [
        "Guest_0123456789ab",
        "guest_ab0123456789@example.com",
        "[phone_ab0123456789]",
        "xguest_ab0123456789y",
        "[url_a00000000000]",
    ],
)
def test_pseudonyms_are_left(text: str) -> None:
    conversation = Anonymiser(KEY).for_people(names=["Guest", "Phone", "Url"], external_ids=["guest", "ab0123456789"])
    assert conversation.text(f"so {text} it is") == f"so {text} it is"


def test_what_imitates_a_pseudonym_is_not_left() -> None:
    """Twelve digits without a letter could be anybody's number, and no pseudonym of ours is so."""
    conversation = Anonymiser(KEY).for_people(phones=["+491512345678"])
    assert "1512345678" not in conversation.text("Guest_ 491512345678")
    assert not PSEUDONYM.search("Guest_491512345678")
    assert all(PSEUDONYM.fullmatch(conversation.identifier(str(number))) for number in range(3_000))
