"""A file is whole and as it was written, or it is said what differs."""

import asyncio
import io
import json
import zipfile
from collections.abc import AsyncGenerator

import httpx
import pytest

from exports.conftest import Desk
from exports.test_formats import parts_of, written
from stands.app import bearer, local_settings, running_client, token, until_ready
from switchboard.exports.formats import FORMATS
from switchboard.exports.verify import verify

TALKS = (["Is it free?", "Yes", "Thanks"], ["Hello", "Hi"])


@pytest.mark.parametrize("name", FORMATS)
async def test_every_cut_is_seen(name: str) -> None:
    content = await written(name, parts_of(*TALKS))
    assert verify(io.BytesIO(content)).valid
    for size in range(0, len(content) - 1, max(1, len(content) // 200)):
        found = verify(io.BytesIO(content[:size]))
        assert not found.valid, size
        assert not found.complete or name == "xlsx", size
    assert not verify(io.BytesIO(content[:-1])).valid


@pytest.mark.parametrize("name", ["json", "csv", "ml", "jsonl"])
async def test_every_change_is_seen(name: str) -> None:
    content = bytearray(await written(name, parts_of(*TALKS)))
    for place in range(0, len(content), max(1, len(content) // 300)):
        changed = bytearray(content)
        changed[place] ^= 1
        found = verify(io.BytesIO(changed))
        # In the manifest itself a note or an option may read otherwise: what it says of the content must not.
        in_content = place < content.rindex(b"\n", 0, -2)
        assert not found.valid or not in_content, (place, bytes(changed[place - 20 : place + 20]))


@pytest.mark.parametrize(
    ("name", "before", "after", "told"),
    [
        ("json", b"Thanks", b"Thank!", "sha256"),
        ("json", b'"messages":5', b'"messages":6', "messages: the manifest says 6, the file holds 5"),
        ("csv", b"Thanks", b"Thank!", "sha256"),
        ("csv", b'""conversations"":2', b'""conversations"":1', "conversations: the manifest says 1, the file holds 2"),
        ("ml", b'"training_pairs":2', b'"training_pairs":3', "training_pairs: the manifest says 3, the file holds 2"),
        ("jsonl", b'"examples":2', b'"examples":1', "examples: the manifest says 1, the file holds 2"),
        ("json", b'"format":"json"', b'"format":"docx"', "another format: 'docx'"),
        ("json", b'"format":"json"', b'"format":"xlsx"', "another format: 'xlsx'"),
    ],
)
async def test_what_differs_is_said(name: str, before: bytes, after: bytes, told: str) -> None:
    content = await written(name, parts_of(*TALKS))
    assert before in content
    found = verify(io.BytesIO(content.replace(before, after)))
    assert not found.valid
    assert told in " ".join(found.differences)


async def test_a_line_too_many_and_one_too_few() -> None:
    content = await written("jsonl", parts_of(*TALKS))
    first, second, manifest = content.splitlines(keepends=True)
    for changed in (first + manifest, first + first + second + manifest):
        found = verify(io.BytesIO(changed))
        assert [each.partition(":")[0] for each in found.differences] == ["bytes", "sha256", "examples"]


async def test_a_workbook_somebody_has_saved_differs() -> None:
    content = await written("xlsx", parts_of(*TALKS))
    changed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as before, zipfile.ZipFile(changed, "w") as after:
        for name in before.namelist():
            after.writestr(name, before.read(name).replace(b"Thanks", b"Thank you"))
    found = verify(changed)
    assert [each.partition(":")[0] for each in found.differences] == ["bytes", "sha256"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"x",
        b"{}",
        b"PK",
        b"PK\x03\x04" + b"\0" * 100,
        b"\n",
        b'{"manifest":1}\n',
        b'{"manifest":{}}\n',
        b"\xff" * 99,
    ],
)
def test_what_is_no_export_is_told_apart(content: bytes) -> None:
    found = verify(io.BytesIO(content))
    assert not found.valid
    assert found.differences


async def test_an_archive_that_unpacks_to_anything_is_not_unpacked() -> None:
    content = await written("xlsx", parts_of(*TALKS))
    bomb = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as before, zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as after:
        for name in before.namelist():
            after.writestr(name, b"\0" * 300_000_000 if "messages" in name else before.read(name))
    found = verify(bomb)
    assert "unpacks to more" in " ".join(found.differences)


async def test_files_are_taken_as_forms_and_as_bodies(desk: Desk) -> None:
    await desk.archive.holds("Hi", "Hello")
    content = (await desk.export(format="csv")).content
    for sent in ({"files": {"file": ("export.csv", content)}}, {"content": content}):
        answer = await desk.client.post("/api/exports/verify/", headers=desk.headers(), **sent)
        assert answer.json()["valid"], answer.text
        assert answer.json()["counted"] == {"conversations": 1, "messages": 2}
    cut = await desk.verify(content[:-30])
    assert (cut["valid"], cut["complete"]) == (False, False)
    assert "broke off" in cut["differences"][0]
    without = await desk.client.post("/api/exports/verify", headers=desk.headers(), files={"other": b"x"})
    assert without.status_code == 400
    broken = await desk.client.post(
        "/api/exports/verify", headers={**desk.headers(), "content-type": "multipart/form-data"}, content=b"x"
    )
    assert broken.status_code == 400


async def test_more_than_the_largest_body_and_less_than_the_largest_file(database_url: str) -> None:
    settings = local_settings(database_url, max_body_bytes=1000, export_verify_max_megabytes=1)
    async with running_client(settings) as client:
        await until_ready(client)
        headers = bearer(token(settings))
        fits = await client.post("/api/exports/verify", content=b"x" * 900_000, headers=headers)
        assert fits.status_code == 200

        async def endless() -> AsyncGenerator[bytes]:
            for _ in range(30):
                yield b"x" * 100_000
                await asyncio.sleep(0)

        with_length = await client.post("/api/exports/verify", content=b"x" * 1_100_000, headers=headers)
        assert with_length.status_code == 413
        try:
            without = await client.post("/api/exports/verify", content=endless(), headers=headers)
            assert without.status_code == 413
        except httpx.WriteError:
            pass  # refused while it was still being sent
        elsewhere = await client.post("/crm/ai-conversations/export", content=b"x" * 2000, headers=headers)
        assert elsewhere.status_code == 413


def test_the_manifest_is_the_last_key() -> None:
    content = asyncio.run(written("json", parts_of(*TALKS)))
    assert list(json.loads(content)) == ["conversations", "manifest"]
