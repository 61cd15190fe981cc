"""The formats by themselves: whatever text there is comes back as it was, in parts of any size, within their limits."""

import csv
import io
import json
import zipfile
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import openpyxl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from switchboard.exports.asked import Options
from switchboard.exports.conversation import Conversation, Message, Part
from switchboard.exports.formats import FORMATS
from switchboard.exports.formats import xlsx as sheets
from switchboard.exports.formats.cells import FORMULA
from switchboard.exports.formats.csv import guarded
from switchboard.exports.formats.jsonl import LONGEST
from switchboard.exports.formats.talk import CONTEXT_LETTERS, CONTEXT_MESSAGES
from switchboard.exports.formats.xlsx import clean, pieces
from switchboard.exports.manifest import Manifest
from switchboard.exports.verify import verify

RAW = Options(anonymize=False)
AWKWARD = [
    "",
    " ",
    "=1+1",
    "+49 30 1234",
    "-1",
    "@anna",
    "\tx",
    "\r=x",
    "＝1",
    "＋1",
    "－1",
    "＠x",
    "\0=1",
    "a\0b",
    'say "hi"',
    "a,b;c\r\nd\ne",
    "<b>&amp;</b>]]>",
    "_x0041_ and _x",
    "\u202egnp.exe",
    "👩‍👩‍👧‍👦 e\u0301",
    "{{7*7}} ${x} %s",
    "#manifest",
    '","',
    "\ud800 alone",
    "\ufffe\uffff\x0b\x1b",
    "مرحبا שלום",
    ',"manifest":{}',
]


def parts_of(
    *talks: Sequence[str], size: int = 100, senders: Sequence[str] = ("guest", "ai"), **about: Any
) -> list[Part]:
    """Conversations with these texts, in parts of ``size``."""
    parts: list[Part] = []
    number = 0
    for which, texts in enumerate(talks, 1):
        conversation = Conversation(
            **{
                "conversation_id": which,
                "title": None,
                "created_at": "2026-03-01T10:00:00Z",
                "status": "active",
                "guest_id": f"guest-{which}",
                "guest_name": None,
                "guest_email": None,
                "guest_phone": None,
                "ip_address": None,
                "channel": "web",
                "agent_id": None,
                "agent": None,
                "summary": None,
                **about,
            }
        )
        said: list[Message] = []
        for place, text in enumerate(texts):
            number += 1
            sender = senders[place % len(senders)]
            bot = sender == "ai"
            said.append(
                Message(
                    *(number, f"2026-03-01T10:{place % 60:02}:00Z", sender, text, place + 1),
                    *("mistral" if bot else None, "large" if bot else None, number - 1 if bot else None),
                    *("2026-03-01T10:00:00Z" if bot else None, True, None, None, None, None),
                )
            )
            conversation.counts[sender] += 1
        conversation.services = {"mistral"}
        conversation.first_at = conversation.last_at = "2026-03-01T10:00:00Z"
        cut = [said[place : place + size] for place in range(0, len(said), size)] or [[]]
        parts += [Part(conversation, each, n == 0, n == len(cut) - 1) for n, each in enumerate(cut)]
    return parts


async def written(name: str, parts: list[Part], options: Options = RAW, **more: Any) -> bytes:
    """The file of these parts."""
    watermark = {"message_id": 9, "at": "2026-03-02T00:00:00Z"}
    manifest = Manifest({"format": name, "filters": {}, "options": options.model_dump(), "watermark": watermark})

    async def given() -> AsyncGenerator[Part]:
        for part in parts:
            yield part

    chunks = FORMATS[name].render(manifest.counting(given()), manifest, options, **more)
    return b"".join([chunk async for chunk in chunks])


texts = st.one_of(st.sampled_from(AWKWARD), st.text(max_size=40))
talks = st.lists(st.lists(texts, min_size=1, max_size=12), min_size=1, max_size=4)
anything = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def stored(text: str) -> str:
    """What of a text UTF-8 can hold."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


@anything
@given(talks, st.integers(1, 5))
async def test_json_gives_back_every_text(said: list[list[str]], size: int) -> None:
    content = await written("json", parts_of(*said, size=size))
    found = json.loads(content)
    assert [[each["message"] for each in one["messages"]] for one in found["conversations"]] == [
        [stored(text) for text in one] for one in said
    ]
    assert content == await written("json", parts_of(*said)), "the same bytes, however it was read"
    assert verify(io.BytesIO(content)).valid


@anything
@given(talks, st.integers(1, 5))
async def test_csv_gives_back_every_text_and_no_formula(said: list[list[str]], size: int) -> None:
    content = await written("csv", parts_of(*said, size=size))
    head, *rows, _ = csv.reader(io.StringIO(content.decode(), newline=""), strict=True)
    cells = [row[head.index("message")] for row in rows]
    assert cells == [str(guarded(text)).encode("utf-8", "replace").decode() for one in said for text in one]
    assert not any(cell[:1] in FORMULA for row in rows for cell in row if cell)
    assert content == await written("csv", parts_of(*said))
    assert verify(io.BytesIO(content)).valid


@settings(max_examples=25, deadline=None)
@given(talks, st.integers(1, 5))
async def test_xlsx_gives_back_every_text_that_xml_can_hold(said: list[list[str]], size: int) -> None:
    content = await written("xlsx", parts_of(*said, size=size))
    book = openpyxl.load_workbook(io.BytesIO(content))
    head, *rows = book["Messages"].iter_rows()
    place = [cell.value for cell in head].index("message")
    assert [unescaped(row[place].value or "") for row in rows] == [clean(text) for one in said for text in one]
    assert {cell.data_type for sheet in book for row in sheet.iter_rows() for cell in row} <= {"s", "n", "inlineStr"}
    assert content == await written("xlsx", parts_of(*said))
    assert verify(io.BytesIO(content)).valid


def unescaped(text: str) -> str:
    return text.replace("_x005F_", "_")


@pytest.mark.parametrize("letter", sorted(FORMULA))
async def test_every_beginning_of_a_formula_is_taken_off(letter: str) -> None:
    assert guarded(letter + "1") == "'" + letter + "1"
    content = await written("csv", parts_of([letter + "1"], title=letter + "2", guest_name=letter + "3"))
    _, row, _ = csv.reader(io.StringIO(content.decode(), newline=""), strict=True)
    assert sum(cell.startswith("'" + letter) for cell in row) == 3


async def test_no_part_of_a_workbook_leads_anywhere() -> None:
    content = await written("xlsx", parts_of(AWKWARD, ['=HYPERLINK("http://evil.example")', "https://evil.example"]))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        for name in archive.namelist():
            text = archive.read(name)
            assert b"<f>" not in text
            assert b"hyperlink" not in text.lower() or name.startswith("xl/worksheets/messages")
            assert b"externalLink" not in text


@given(st.text(alphabet=st.sampled_from("a€👍\n"), max_size=300), st.integers(2, 20))
def test_long_texts_are_cut_between_letters(text: str, longest: int) -> None:
    cut = pieces(text, longest)
    assert "".join(cut) == text
    assert all(len(piece.encode("utf-16-le")) // 2 <= longest for piece in cut)


async def test_a_text_too_long_for_a_cell_goes_on_in_further_rows() -> None:
    long = "👍" * 40_000 + "the end"
    content = await written("xlsx", parts_of(["before", long, "after"]))
    head, *rows = openpyxl.load_workbook(io.BytesIO(content))["Messages"].iter_rows(values_only=True)
    said = head.index("message")
    assert [row[0] for row in rows] == [1, 1, 2, 3, 1]
    assert "".join(row[said] for row in rows[1:4]) == long
    assert {row[head.index("message_id")] for row in rows[1:4]} == {2}
    found = verify(io.BytesIO(content))
    assert found.valid, found.differences
    assert found.counted["messages"] == 3


async def test_more_rows_than_a_sheet_has_go_on_in_another() -> None:
    said = [[f"{which} {place}" for place in range(7)] for which in range(9)]
    content = await written("xlsx", parts_of(*said, size=3), most_rows=20)
    book = openpyxl.load_workbook(io.BytesIO(content))
    names = ["Conversations", "Messages", "Messages (2)", "Messages (3)", "Messages (4)", "Metrics", "Manifest"]
    assert book.sheetnames == names
    found: list[str] = []
    for name in names[1:5]:
        head, *rows = book[name].iter_rows(values_only=True)
        assert len(rows) <= 19
        found += [row[head.index("message")] for row in rows]
    assert found == [text for one in said for text in one]
    assert verify(io.BytesIO(content)).valid
    assert sheets.MOST_ROWS == 1_048_576


@pytest.mark.parametrize("name", FORMATS)
async def test_a_message_of_a_megabyte(name: str) -> None:
    content = await written(name, parts_of(["x" * 1_000_000, "y" * 1_000_000, "\n" * 1_000_000]))
    assert verify(io.BytesIO(content)).valid


async def test_answers_go_with_what_was_asked_and_said_before() -> None:
    said = [f"{place}" for place in range(100)]
    found = json.loads(await written("ml", parts_of(said, ["alone"], size=7)))["training_data"]
    assert [(pair["input"], pair["output"]) for pair in found] == list(zip(said[::2], said[1::2], strict=True))
    assert max(len(pair["context"]) for pair in found) == CONTEXT_MESSAGES
    assert found[-1]["context"][-1]["content"] == found[-1]["input"]
    heavy = json.loads(await written("ml", parts_of(["x" * 20_000] * 6)))["training_data"]
    assert all(sum(len(each["content"]) for each in pair["context"]) <= CONTEXT_LETTERS for pair in heavy)


async def test_what_was_asked_in_several_messages_is_one_question() -> None:
    parts = parts_of(["Hi", "Is it free?", "Yes", "No note"], senders=("guest", "guest", "ai", "system"))
    (pair,) = json.loads(await written("ml", parts))["training_data"]
    assert pair["input"] == "Hi\nIs it free?"
    assert [each["content"] for each in pair["context"]] == ["Hi", "Is it free?"]


async def test_what_nobody_heard_teaches_nobody() -> None:
    parts = parts_of(["Hi", "Never sent", "Hello?", "Hello!"])
    parts[0].messages[1].heard = False
    (pair,) = json.loads(await written("ml", parts))["training_data"]
    assert pair["input"] == "Hi\nHello?"
    example, _ = map(json.loads, (await written("jsonl", parts)).splitlines())
    assert [each["content"] for each in example["messages"]] == ["Hi", "Hello?", "Hello!"]
    shown = json.loads(await written("json", parts))["conversations"][0]["messages"]
    assert [each.get("not_delivered") for each in shown] == [None, True, None, None]


async def test_long_conversations_are_several_examples_that_each_end_with_an_answer() -> None:
    said = [f"{place}" for place in range(LONGEST * 2 + 51)]
    *examples, _ = map(json.loads, (await written("jsonl", parts_of(said, size=9))).splitlines())
    assert [len(example["messages"]) for example in examples] == [LONGEST, LONGEST, 50]
    assert all(example["messages"][-1]["role"] == "assistant" for example in examples)
    assert all(example["messages"][0]["role"] == "user" for example in examples)
    assert [each["content"] for example in examples for each in example["messages"]] == said[:-1]


@pytest.mark.parametrize("name", FORMATS)
async def test_what_is_shown_is_what_is_written(name: str) -> None:
    parts = parts_of(["Is it free?", "=Yes"], ["Hi"])
    shown = FORMATS[name].show(parts, RAW)
    content = await written(name, parts)
    if name == "json":
        assert json.loads(content)["conversations"] == shown
    elif name == "ml":
        assert json.loads(content)["training_data"] == shown
    elif name in ("jsonl", "pairs"):
        assert [json.loads(line) for line in content.splitlines()][:-1] == shown
    elif name == "csv":
        head, *rows, _ = csv.reader(io.StringIO(content.decode(), newline=""))
        assert head == shown["columns"]
        assert rows == [["" if cell is None else str(cell) for cell in row] for row in shown["rows"]]
    else:
        book = openpyxl.load_workbook(io.BytesIO(content))
        for title, sheet in shown.items():
            head, *rows = book[title].iter_rows(values_only=True)
            assert list(head) == sheet["columns"]
            assert [list(row) for row in rows] == [
                [cell or None if cell == "" else cell for cell in row] for row in sheet["rows"]
            ]
