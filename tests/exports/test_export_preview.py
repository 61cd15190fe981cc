"""What a preview shows is what is written, and what it says of the size is so."""

import csv
import io
import json
from typing import Any

import pytest

from exports.conftest import KEY, Desk


async def fill(desk: Desk, many: int) -> None:
    """Conversations of very different lengths."""
    for place in range(many):
        texts = [f"Message {n} {'of a talk ' * ((place * 31 + n * 17) % 40)}" for n in range(1 + (place * 7) % 12)]
        await desk.archive.holds(
            *texts, at=f"2026-03-{1 + place % 28:02}T10:00:00Z", who=f"Person{place} Surname{place}"
        )


@pytest.mark.parametrize("name", ["json", "csv", "xlsx", "ml", "jsonl", "pairs"])
async def test_the_size_is_right_within_a_tenth(desk: Desk, name: str) -> None:
    await fill(desk, 400)
    for asked in ({"anonymize": False}, {"pseudonym_key": KEY}, {"start_date": "2026-03-10", "min_messages": 3}):
        shown = await desk.preview(format=name, **asked)
        written = (await desk.export(format=name, **asked)).content
        assert abs(shown["estimated_bytes"] - len(written)) <= len(written) / 10, (name, asked)
        counts = (await desk.verify(written))["manifest"]["counts"]
        assert shown["counts"] == {each: counts[each] for each in ("conversations", "messages")}


async def test_the_first_rows_are_those_of_the_file(desk: Desk) -> None:
    await fill(desk, 8)
    asked: dict[str, Any] = {"pseudonym_key": KEY}
    shown = await desk.preview(format="json", **asked)
    written = (await desk.export(format="json", **asked)).json()
    assert shown["sample"] == written["conversations"][:3]
    assert shown["file_name"].endswith(".json")
    shown = await desk.preview(format="ml", **asked)
    written = (await desk.export(format="ml", **asked)).json()
    assert shown["sample"] == written["training_data"][: len(shown["sample"])]
    shown = await desk.preview(format="csv", **asked)
    head, *rows = csv.reader(io.StringIO((await desk.export(format="csv", **asked)).text))
    assert shown["sample"]["columns"] == head
    cells = [["" if cell is None else str(cell) for cell in row] for row in shown["sample"]["rows"]]
    assert cells == rows[: len(cells)]
    assert set((await desk.preview(format="xlsx"))["sample"]) == {"Conversations", "Messages", "Metrics"}


async def test_a_long_conversation_shows_its_beginning(desk: Desk) -> None:
    await desk.archive.holds(*(f"{n}" for n in range(500)))
    shown = await desk.preview(anonymize=False)
    assert [each["message"] for each in shown["sample"][0]["messages"]] == [f"{n}" for n in range(20)]
    assert shown["counts"] == {"conversations": 1, "messages": 500}


async def test_what_was_hidden_is_counted_and_not_told(desk: Desk) -> None:
    await desk.archive.holds("I am Anna Schmidt, anna@example.org", "Hi Anna", email="anna@example.org")
    shown = await desk.preview()
    assert shown["anonymisation"]["replaced"]["email"] > 0
    assert shown["anonymisation"]["replaced"]["name"] > 0
    assert "Schmidt" not in json.dumps(shown)
    raw = await desk.preview(anonymize=False)
    assert raw["anonymisation"] is None
    assert "Schmidt" in json.dumps(raw)


async def test_nothing_to_show_is_said(desk: Desk) -> None:
    shown = await desk.preview(channel="telegram")
    assert shown["note"].startswith("No conversation fits")
    assert (shown["sample"], shown["counts"]) == ([], {"conversations": 0, "messages": 0})


async def test_its_watermark_gives_the_file_that_was_shown(desk: Desk) -> None:
    first = await desk.archive.holds("Hi", "Hello")
    shown = await desk.preview(pseudonym_key=KEY)
    await desk.archive.more(first, "late")
    found = (await desk.export(pseudonym_key=KEY, watermark=shown["watermark"])).json()
    assert found["conversations"] == shown["sample"]
