"""Every format over HTTP, on both transports, read back by the programs that people use."""

import csv
import io
import json
import re
from typing import Any

import openpyxl
import pytest

from exports.conftest import KEY, Archive, Desk

FORMATS = ("json", "csv", "xlsx", "ml", "jsonl", "pairs")


async def three(archive: Archive) -> list[int]:
    """A conversation with an answer, one of a single message, one with a person in it."""
    return [
        await archive.holds(
            "Hello, I need help with web development. I am Anna Schmidt, anna@example.org.",
            "I'd be happy to help with web development!",
            "Great",
            "When shall we begin?",
            title="Guest Chat - Anna Schmidt",
            email="anna@example.org",
            metadata={"ip_address": "203.0.113.7"},
        ),
        await archive.holds("=1+1", at="2026-03-02T10:00:00Z", who="Bob Miller"),
        await archive.holds(
            "Is it free?",
            "Yes",
            "No, it costs 3 €",
            senders=("user", "bot", "human"),
            at="2026-03-03T23:30:00Z",
            provider="openai",
            lifecycle="resolved",
        ),
    ]


async def test_json_is_as_the_document_shows_it(desk: Desk) -> None:
    first, *_ = await three(desk.archive)
    answer = await desk.export(anonymize=False)
    assert answer.headers["content-type"] == "application/json"
    assert re.fullmatch(
        r'attachment; filename="ai_conversations_export_\d{4}-\d\d-\d\d\.json"', answer.headers["content-disposition"]
    )
    assert "content-length" not in answer.headers
    found = answer.json()
    assert list(found) == ["conversations", "manifest"]
    assert [len(each["messages"]) for each in found["conversations"]] == [4, 1, 3]
    conversation = found["conversations"][0]
    question, reply, *_ = desk.archive.said[first]
    assert {name: conversation[name] for name in ("conversation_id", "conversation_title", "created_at", "status")} == {
        "conversation_id": first,
        "conversation_title": "Guest Chat - Anna Schmidt",
        "created_at": "2026-03-01T10:00:00Z",
        "status": "active",
    }
    assert conversation["guest_info"]["guest_name"] == "Anna Schmidt"
    assert conversation["guest_info"]["anonymized"] is False
    assert "ip_address" not in conversation["guest_info"]
    assert conversation["messages"][0] == {
        "message_id": question,
        "timestamp": "2026-03-01T10:00:00Z",
        "sender_type": "guest",
        "message": "Hello, I need help with web development. I am Anna Schmidt, anna@example.org.",
        "sequence_number": 1,
    }
    said = conversation["messages"][1]
    generated = said["ai_metadata"].pop("generated_at")
    assert generated.endswith("Z")
    assert said == {
        "message_id": reply,
        "timestamp": "2026-03-01T10:01:00Z",
        "sender_type": "ai",
        "message": "I'd be happy to help with web development!",
        "ai_metadata": {"service": "mistral", "model": "mistral-large", "reply_to_message_id": question},
        "sequence_number": 2,
    }
    assert conversation["ai_services_used"] == ["mistral"]
    assert conversation["conversation_metrics"] == {
        "total_messages": 4,
        "ai_message_count": 2,
        "guest_message_count": 2,
        "human_message_count": 0,
        "conversation_duration_minutes": 3,
    }
    assert [each["sender_type"] for each in found["conversations"][2]["messages"]] == ["guest", "ai", "human"]
    assert found["manifest"]["counts"] == {
        "conversations": 3,
        "messages": 8,
        "guest": 4,
        "ai": 3,
        "human": 1,
        "system": 0,
    }


async def test_anonymised_unless_asked_otherwise(desk: Desk) -> None:
    await three(desk.archive)
    for name in FORMATS:
        answer = await desk.export(format=name, include_ip_addresses=True)
        text = answer.content if name != "xlsx" else "".join(map(str, cells_of(answer.content))).encode()
        for private in (b"Anna", b"Schmidt", b"anna@example.org", b"Bob", b"203.0.113.7"):
            assert private not in text, (name, private)
    guest = (await desk.export()).json()["conversations"][0]["guest_info"]
    assert re.fullmatch(r"guest_[0-9a-f]+", guest["guest_id"])
    assert re.fullmatch(r"Guest_[0-9a-f]+", guest["guest_name"])
    assert re.fullmatch(r"guest_[0-9a-f]+@example\.com", guest["guest_email"])
    assert guest["anonymized"] is True


async def test_two_files_cannot_be_joined_unless_under_one_key(desk: Desk) -> None:
    await three(desk.archive)

    async def guests(**asked: Any) -> set[str]:
        return {each["guest_info"]["guest_id"] for each in (await desk.export(**asked)).json()["conversations"]}

    assert not await guests() & await guests()
    assert await guests(pseudonym_key=KEY) == await guests(pseudonym_key=KEY)


async def test_addresses_of_guests_are_told_when_asked_for(desk: Desk) -> None:
    await three(desk.archive)
    found = (await desk.export(anonymize=False, include_ip_addresses=True)).json()
    assert [each["guest_info"]["ip_address"] for each in found["conversations"]] == ["203.0.113.7", None, None]


async def test_metadata_can_be_left_out(desk: Desk) -> None:
    first, *_ = await three(desk.archive)
    question, *_ = desk.archive.said[first]
    found = (await desk.export(include_metadata=False)).json()["conversations"][0]
    assert not {"channel", "agent", "summary"} & found.keys()
    assert "ai_metadata" not in found["messages"][1]
    assert found["messages"][1]["reply_to_message_id"] == question, "threads are kept"


async def test_what_people_think_goes_with_it(desk: Desk) -> None:
    first, *_ = await three(desk.archive)
    answer_id = desk.archive.said[first][1]
    for table, columns in (("ratings", "rated_by, score, comment"), ("flags", "flagged_by, flag_type, comment")):
        judged = "4" if table == "ratings" else "'outdated'"
        await desk.archive.sql.execute(
            f"insert into {table} (workspace_id, message_id, {columns})"
            f" values ($1, $2, 'carol', {judged}, 'as Anna said')",
            *(desk.archive.workspace, answer_id),
        )
    await desk.archive.sql.execute(
        "insert into summaries (workspace_id, conversation_id, state, content, reason)"
        " values ($1, $2, 'ready', 'Anna wants a page.', 'asked')",
        *(desk.archive.workspace, first),
    )
    answer = await desk.export()
    found = answer.json()["conversations"][0]
    (rating,), (flag,) = found["messages"][1]["ratings"], found["messages"][1]["flags"]
    assert (rating["score"], flag["flag_type"]) == (4, "outdated")
    assert re.fullmatch(r"as Guest_\w+ said", rating["comment"])
    assert re.fullmatch(r"Guest_\w+ wants a page\.", found["summary"])
    assert found["agent"] == {"id": desk.archive.agent, "name": "Ours's agent"}
    assert found["channel"] == "facebook"
    assert "carol" not in answer.text, "who thinks so is not told"
    rows = list(csv.reader(io.StringIO((await desk.export(format="csv")).text)))
    assert rows[2][rows[0].index("ratings")] == "4"
    assert rows[2][rows[0].index("flags")] == "outdated"


async def test_csv(desk: Desk) -> None:
    await three(desk.archive)
    answer = await desk.export(format="csv", anonymize=False)
    assert answer.headers["content-disposition"].endswith('.csv"')
    head, *rows, footer = csv.reader(io.StringIO(answer.content.decode(), newline=""), strict=True)
    assert head[:7] == [
        *("conversation_id", "conversation_title", "conversation_created_at", "conversation_status"),
        *("guest_id", "guest_name", "guest_email"),
    ]
    assert len(rows) == 8
    assert {len(row) for row in (head, *rows, footer)} == {len(head)}
    text = head.index("message")
    assert rows[4][text] == "'=1+1"
    assert footer[0] == "#manifest"
    assert json.loads(footer[1])["counts"]["messages"] == 8
    marked = await desk.export(format="csv", bom=True)
    assert marked.content.startswith(b'\xef\xbb\xbf"conversation_id"')
    assert (await desk.verify(marked.content))["valid"]


def cells_of(content: bytes) -> list[Any]:
    book = openpyxl.load_workbook(io.BytesIO(content))
    return [cell for sheet in book for row in sheet.iter_rows(values_only=True) for cell in row]


async def test_xlsx_opens_and_nothing_in_it_is_worked_out(desk: Desk) -> None:
    await three(desk.archive)
    for name in ("xlsx", "excel"):
        answer = await desk.export(format=name, anonymize=False)
        assert answer.headers["content-disposition"].endswith('.xlsx"')
    book = openpyxl.load_workbook(io.BytesIO(answer.content))
    assert book.sheetnames == ["Conversations", "Messages", "Metrics", "Manifest"]
    head, *rows = book["Messages"].iter_rows()
    columns = [cell.value for cell in head]
    assert len(rows) == 8
    formula = rows[4][columns.index("message")]
    assert (formula.value, formula.data_type) == ("=1+1", "s")
    assert formula.quotePrefix
    assert all(cell.data_type != "f" for sheet in book for row in sheet.iter_rows() for cell in row)
    assert [row[0] for row in book["Conversations"].iter_rows(min_row=2, values_only=True)] == list(desk.archive.said)
    metrics = dict(book["Metrics"].iter_rows(min_row=2, values_only=True))
    assert (metrics["total_conversations"], metrics["total_messages"], metrics["ai_service: mistral"]) == (3, 8, 1)
    manifest = dict(book["Manifest"].iter_rows(values_only=True))
    assert json.loads(manifest["manifest"])["counts"]["messages"] == 8


async def test_ml(desk: Desk) -> None:
    first, _, last = await three(desk.archive)
    for name in ("ml", "ml_training"):
        found = (await desk.export(format=name, anonymize=False)).json()
    assert list(found) == ["training_data", "metadata", "manifest"]
    pair = found["training_data"][1]
    assert pair["input"] == "Great"
    assert pair["output"] == "When shall we begin?"
    assert [each["role"] for each in pair["context"]] == ["user", "assistant", "user"]
    assert pair["context"][0]["timestamp"] == "2026-03-01T10:00:00Z"
    assert pair["metadata"] == {
        "conversation_id": first,
        "ai_service": "mistral",
        "ai_model": "mistral-large",
        "timestamp": "2026-03-01T10:03:00Z",
        "conversation_status": "active",
    }
    assert [each["metadata"]["conversation_id"] for each in found["training_data"]] == [first, first, last]
    assert found["metadata"] == {
        "export_timestamp": found["manifest"]["watermark"]["at"],
        "total_conversations": 3,
        "total_training_pairs": 3,
        "format_version": "1.0",
    }


async def test_jsonl(desk: Desk) -> None:
    await three(desk.archive)
    answer = await desk.export(format="jsonl", anonymize=False)
    *examples, manifest = map(json.loads, answer.text.splitlines())
    assert [[each["role"] for each in example["messages"]] for example in examples] == [
        ["user", "assistant", "user", "assistant"],
        ["user", "assistant", "assistant"],
    ]
    assert manifest["manifest"]["counts"]["examples"] == 2


async def test_pairs(desk: Desk) -> None:
    first, *_ = await three(desk.archive)
    await desk.archive.sql.execute(
        "insert into corrections (workspace_id, conversation_id, message_id, reason, question, context, answer,"
        " better_answer, created_by) values ($1, $2, $3, 'corrected', 'And now, says Anna?', $4, 'Wait', 'Go on', 'x')",
        *(desk.archive.workspace, first, desk.archive.said[first][1], '[{"sender_type": "bot", "content": "Hi Anna"}]'),
    )
    answer = await desk.export(format="pairs")
    pair, manifest = map(json.loads, answer.text.splitlines())
    asked = pair.pop("input")["messages"]
    assert [each["role"] for each in asked] == ["assistant", "user"]
    assert re.fullmatch(r"Hi Guest_\w+", asked[0]["content"])
    assert pair == {
        "preferred_output": [{"role": "assistant", "content": "Go on"}],
        "non_preferred_output": [{"role": "assistant", "content": "Wait"}],
    }
    assert manifest["manifest"]["counts"]["pairs"] == 1
    assert manifest["manifest"]["counts"]["conversations"] == 1


@pytest.mark.parametrize("name", FORMATS)
async def test_nothing_found_is_a_whole_file_that_says_so(desk: Desk, name: str) -> None:
    answer = await desk.export(format=name, channel="telegram")
    found = await desk.verify(answer.content)
    assert found["valid"], found
    assert found["manifest"]["note"].startswith("No conversation fits")
    assert found["manifest"]["filters"] == {"channel": "telegram"}
    assert set(found["counted"].values()) == {0}


@pytest.mark.parametrize("name", FORMATS)
async def test_the_same_again_is_the_same_bytes(desk: Desk, name: str) -> None:
    first, *_ = await three(desk.archive)
    before = await desk.export(format=name, pseudonym_key=KEY)
    manifest = (await desk.verify(before.content))["manifest"]
    await desk.archive.more(first, "One more thing")
    await desk.archive.holds("A new one", "Yes")
    again = await desk.export(format=name, pseudonym_key=KEY, watermark=manifest["watermark"])
    if name != "pairs":
        assert (await desk.export(format=name, pseudonym_key=KEY)).content != before.content
    assert again.content == before.content


async def test_a_moment_is_written_in_one_form(desk: Desk) -> None:
    for at in ("2026-11-20T12:00:00.12345Z", "2026-11-20T13:00:00.123450+01:00"):
        found = (await desk.export(watermark={"message_id": 0, "at": at})).json()
        assert found["manifest"]["watermark"] == {"at": "2026-11-20T12:00:00.123450Z", "message_id": 0}


async def test_filters(desk: Desk) -> None:
    first, second, third = await three(desk.archive)

    async def found(**asked: Any) -> list[int]:
        return [each["conversation_id"] for each in (await desk.export(**asked)).json()["conversations"]]

    assert await found() == [first, second, third]
    assert await found(start_date="2026-03-02") == [second, third]
    assert await found(end_date="2026-03-02") == [first, second]
    assert await found(start_date="2026-03-02", end_date="2026-03-02") == [second]
    assert await found(ai_service="OpenAI") == [third]
    assert await found(min_messages=3) == [first, third]
    assert await found(status="active") == [first, second]
    assert await found(status="resolved") == [third]
    assert await found(agent=desk.archive.agent) == [first, second, third]
    assert await found(agent=desk.archive.agent + 1000) == []
    assert await found(channel="facebook") == [first, second, third]
    assert await found(channel="web") == []
    assert await found(rating=2) == []
    sql, answer = desk.archive.sql, desk.archive.said[third][1]
    await sql.execute(
        "insert into ratings (workspace_id, message_id, rated_by, score) values ($1, $2, 'x', 2)",
        *(desk.archive.workspace, answer),
    )
    await sql.execute(
        "insert into flags (workspace_id, message_id, flagged_by, flag_type) values ($1, $2, 'x', 'outdated')",
        *(desk.archive.workspace, answer),
    )
    assert await found(rating=2) == await found(flag="any") == await found(flag="outdated") == [third]
    assert await found(rating=3) == await found(flag="off_topic") == []
    await sql.execute("update conversations set handler = 'human' where id = $1", second)
    assert await found(status="active") == [first, second], "both open kinds"
    assert await found(status="support_active") == [second]
    await sql.execute("update conversations set deleted_at = now() where id = $1", first)
    assert await found() == [second, third]


async def test_days_are_those_of_the_workspace(desk: Desk) -> None:
    _, _, late = await three(desk.archive)
    hours = {"time_zone": "Europe/Berlin"}
    await desk.archive.sql.execute(
        "update workspaces set business_hours = $1 where id = $2", json.dumps(hours), desk.archive.workspace
    )
    found = (await desk.export(start_date="2026-03-04", end_date="2026-03-04")).json()["conversations"]
    assert [each["conversation_id"] for each in found] == [late], "23:30 in London is tomorrow in Berlin"


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"start_date": "2026-03-02", "end_date": "2026-03-01"}, "swap them"),
        ({"start_date": "2999-01-01"}, "is in the future"),
        ({"end_date": "2999-01-01"}, "is in the future"),
        ({"start_date": "yesterday"}, "date"),
        ({"format": "docx"}, "'json', 'csv'"),
        ({"ai_service": "skynet"}, "use one of gemini, openai"),
        ({"min_messages": 0}, "greater than or equal to 1"),
        ({"status": "lost"}, "'active'"),
        ({"rating": 6}, "less than or equal to 5"),
        ({"flag": "rude"}, "'any'"),
        ({"pseudonym_key": "short"}, "openssl rand -hex 32"),
        ({"anonymise": False}, "There is no such field"),
        ({"watermark": {"message_id": "x"}}, "integer"),
    ],
)
async def test_what_makes_no_sense_is_refused_with_words(desk: Desk, asked: dict[str, Any], told: str) -> None:
    for path in ("export", "preview"):
        answer = await desk.client.post(f"/crm/ai-conversations/{path}", json=asked, headers=desk.headers())
        assert answer.status_code == 422, answer.text
        assert told in answer.text, answer.text
    assert await desk.audit() == []


async def test_forms_and_slashes_are_taken_as_well(desk: Desk) -> None:
    await three(desk.archive)
    answer = await desk.client.post(
        "/crm/ai-conversations/export/",
        data={"format": "csv", "anonymize": "false", "start_date": "", "min_messages": "3"},
        headers=desk.headers(),
    )
    assert answer.status_code == 200
    assert len(answer.text.splitlines()) == 9


@pytest.mark.parametrize("name", FORMATS)
async def test_nobody_else_is_in_it(desk: Desk, theirs: Archive, name: str) -> None:
    await three(desk.archive)
    await theirs.holds("CANARY asks", "CANARY answers", who="CANARY", title="CANARY", email="CANARY@example.org")
    for asked in ({}, {"anonymize": False}):
        answer = await desk.export(format=name, **asked)
        text = answer.content if name != "xlsx" else "".join(map(str, cells_of(answer.content))).encode()
        assert b"CANARY" not in text
    assert "CANARY" not in json.dumps(await desk.preview(format=name, anonymize=False))


async def test_every_export_is_written_down_without_what_is_in_it(desk: Desk) -> None:
    await three(desk.archive)
    answer = await desk.export(format="csv", min_messages=2, anonymize=False, pseudonym_key=KEY)
    await desk.preview(format="json")
    begun, ended, previewed = await desk.audit()
    assert begun[0] == "export.begun"
    assert begun[1]["filters"] == {"min_messages": 2}
    assert begun[1]["options"]["anonymize"] is False
    assert ended[0] == "export.ended"
    assert ended[1]["outcome"] == "complete"
    assert ended[1]["counts"]["messages"] == 7
    assert ended[1]["sha256"] == (await desk.verify(answer.content))["manifest"]["sha256"]
    assert previewed[0] == "export.previewed"
    assert previewed[1]["counts"] == {"conversations": 3, "messages": 8}
    assert KEY not in json.dumps([begun, ended])
    assert "Anna" not in json.dumps([begun, ended, previewed])


async def test_an_export_is_kept_nowhere(desk: Desk) -> None:
    await three(desk.archive)
    headers = {**desk.headers(), "idempotency-key": "once"}
    for _ in range(2):
        answer = await desk.client.post("/crm/ai-conversations/export", json={}, headers=headers)
        assert answer.status_code == 200
        assert "idempotency-replayed" not in answer.headers
    assert await desk.archive.sql.fetchval("select count(*) from idempotency_keys") == 0
