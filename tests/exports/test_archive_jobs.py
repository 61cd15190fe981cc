"""Exports that are kept: made once whoever dies, listed when they are whole, gone when they should be."""

import asyncio
import io
import os
import resource
import signal
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import orjson
import pytest

from exports.conftest import Archive
from stands.archives import Shelf
from stands.storage import KEY, StorageStand
from switchboard.archives import write as writing
from switchboard.archives.make import Making
from switchboard.archives.take import saved
from switchboard.database import Database
from switchboard.database.postgres import Postgres
from switchboard.errors import Conflict, Forbidden, NotFound, Unavailable
from switchboard.exports.verify import verify
from switchboard.storage.folder import Folder
from switchboard.storage.supabase import SupabaseStorage
from switchboard.upkeep.purge_exports import purge_exports

LEASE = ("workspace_id", "job_id", "lease_no")


def days_ago(days: float) -> str:
    return (datetime.now(UTC) - timedelta(days=days)).isoformat()


@pytest.fixture
async def shelf(database: Database, sql: asyncpg.Connection, archive: Archive, tmp_path: Path) -> Shelf:
    """Olga's, of a workspace with two completed conversations and an open one."""
    await archive.holds("Where is my parcel?", "On its way.", at=days_ago(3), lifecycle="closed")
    await archive.holds("Is it there?", "Yes.", at=days_ago(2), lifecycle="resolved", title="A second one")
    await archive.holds("Still here?", "Always.", at=days_ago(1), lifecycle="open", who="Otto Offen")
    return Shelf(database, sql, Folder(tmp_path / "files"), tmp_path, archive.workspace, archive.agent)


def lease_of(claimed: dict[str, Any]) -> dict[str, Any]:
    return {name: claimed[name] for name in LEASE}


async def claim(shelf: Shelf) -> Any:
    return await shelf.database.call("claim_export_job", lease_seconds=30.0, max_attempts=5)


async def test_one_is_asked_for_made_and_taken(shelf: Shelf) -> None:
    job = await shelf.asks(days=30)
    assert (job["state"], job["progress"], job["file_name"]) == ("queued", {"done": 0, "total": None}, None)
    with pytest.raises(Conflict, match="not ready yet"):
        await shelf.takes(job)
    await shelf.making().work()
    seen = await shelf.sees(job)
    assert (seen["state"], seen["progress"], seen["left_out"]) == ("ready", {"done": 2, "total": 2}, 1)
    assert seen["assistant"] == {"id": shelf.assistant, "name": "Ours's agent"}
    content = await shelf.takes(job)
    assert len(content) == seen["size"]
    assert seen["file_name"].startswith(f"conversations_{shelf.assistant}_2")
    assert seen["file_name"].endswith("Z.html")
    text = content.decode()
    assert "Where is my parcel?" in text
    assert "1 open one left out" in text
    assert "Still here?" not in text
    assert verify(io.BytesIO(content)).differences == []
    assert await shelf.audit() == [
        ("olga", "export.requested"),
        ("olga", "export.ended"),
        ("olga", "export.downloaded"),
    ]
    row = await shelf.row(job)
    assert (row["pseudonym_key"], row["due_at"], row["lease_until"]) == (None, None, None)
    assert list((shelf.folder / "drafts").iterdir()) == []


async def test_open_ones_are_in_it_where_that_is_asked(shelf: Shelf) -> None:
    content = (await shelf.makes(include_open=True)).decode()
    assert "Still here?" in content
    assert "open ones as well" in content


async def test_only_its_days_and_its_assistant(shelf: Shelf, archive: Archive, sql: asyncpg.Connection) -> None:
    await archive.holds("Long ago", "Yes.", at=days_ago(40), lifecycle="closed")
    other = await sql.fetchval(
        "insert into agents (workspace_id, name) values ($1, 'Other') returning id", archive.workspace
    )
    told = await archive.holds("To another", "Yes.", at=days_ago(1), lifecycle="closed")
    await sql.execute("update conversations set agent_id = $1 where id = $2", other, told)
    content = (await shelf.makes(days=30)).decode()
    assert "Where is my parcel?" in content
    assert "Long ago" not in content
    assert "To another" not in content
    assert "Long ago" in (await shelf.makes(days=365)).decode()


@pytest.mark.parametrize(
    ("name", "extension"),
    [("json", "json"), ("csv", "csv"), ("xlsx", "xlsx"), ("ml", "json"), ("jsonl", "jsonl"), ("pairs", "jsonl")],
)
async def test_any_format_may_be_asked_for(shelf: Shelf, name: str, extension: str) -> None:
    job = await shelf.asks(format=name)
    await shelf.making().work()
    seen = await shelf.sees(job)
    assert (seen["state"], seen["file_name"].rpartition(".")[2]) == ("ready", extension)
    found = verify(io.BytesIO(await shelf.takes(job)))
    assert found.valid, found.differences


async def test_names_are_hidden_unless_an_owner_asks_otherwise(shelf: Shelf) -> None:
    hidden = (await shelf.makes(anonymize=True)).decode()
    assert "Anna Schmidt" not in hidden
    assert "Guest_" in hidden
    assert "Anna Schmidt" in (await shelf.makes()).decode()
    support = shelf.caller(role="support")
    assert await shelf.asks(by=support, anonymize=True)
    with pytest.raises(Forbidden):
        await shelf.asks(by=support, anonymize=False)
    with pytest.raises(Forbidden):
        await shelf.asks(by=shelf.caller(role="viewer"), anonymize=True)


async def test_a_role_that_was_lost_meanwhile_opens_nothing(shelf: Shelf) -> None:
    job = await shelf.asks()
    await shelf.making().work()
    for role in ("support", "viewer"):
        with pytest.raises(Forbidden):
            await shelf.database.call(
                "take_export_job", caller=shelf.caller(role=role), job_id=job["id"], deed="export.downloaded"
            )
    assert "export.downloaded" not in dict(map(reversed, await shelf.audit()))


async def test_nobody_elses_are_seen_taken_or_deleted(shelf: Shelf, theirs: Archive) -> None:
    job = await shelf.asks()
    await shelf.making().work()
    for stranger in (shelf.caller("ben"), theirs.caller()):
        assert await shelf.database.call("list_export_jobs", caller=stranger) == []
        for call in ("get_export_job", "delete_export_job"):
            with pytest.raises(NotFound):
                await shelf.database.call(call, caller=stranger, job_id=job["id"])
        with pytest.raises(NotFound):
            await shelf.database.call("take_export_job", caller=stranger, job_id=job["id"], deed="export.opened")
    with pytest.raises(NotFound):
        await shelf.asks(by=theirs.caller())
    with pytest.raises(NotFound):
        await shelf.asks(workspace_id=theirs.workspace)
    with pytest.raises(NotFound):
        await shelf.asks(assistant_id=theirs.agent)
    assert (await shelf.sees(job))["state"] == "ready"


async def test_of_another_business_there_is_nothing_in_it(
    shelf: Shelf, theirs: Archive, sql: asyncpg.Connection
) -> None:
    """Also with an assistant that serves both."""
    await sql.execute("update agents set is_public = true where id = $1", shelf.assistant)
    told = await theirs.holds("CANARY", "CANARY too", at=days_ago(1), lifecycle="closed")
    await sql.execute("update conversations set agent_id = $1 where id = $2", shelf.assistant, told)
    assert "CANARY" not in (await shelf.makes()).decode()
    job = await shelf.asks(by=theirs.caller())
    assert job["workspace"] == theirs.workspace
    await shelf.making().work()
    (theirs_file,) = [path for path in shelf.kept() if f"exports/{theirs.workspace}/" in str(path)]
    text = theirs_file.read_text()
    assert "CANARY too" in text
    assert "parcel" not in text


async def test_an_empty_one_says_so(shelf: Shelf, sql: asyncpg.Connection) -> None:
    await sql.execute("update conversations set deleted_at = now()")
    content = await shelf.makes()
    assert b"No conversation fits" in content
    assert verify(io.BytesIO(content)).valid


# Twenty, and thirty days ------------------------------------------------------------------------------------------


async def test_twenty_are_kept_however_many_are_asked_for_at_once(shelf: Shelf) -> None:
    first = await shelf.asks()
    await shelf.making().work()
    assert len(shelf.kept()) == 1
    other = await shelf.asks(by=shelf.caller("ben"))
    jobs = await asyncio.gather(*(shelf.asks(format="json") for _ in range(24)))
    listed = await shelf.database.call("list_export_jobs", caller=shelf.caller(), max_rows=100)
    assert [one["id"] for one in listed] == sorted((one["id"] for one in jobs), reverse=True)[:20]
    with pytest.raises(NotFound):
        await shelf.sees(first)
    assert await shelf.database.call("get_export_job", caller=shelf.caller("ben"), job_id=other["id"])
    assert (await purge_exports(shelf.database, shelf.files))["exports"] == 5
    assert shelf.kept() == []


async def test_after_thirty_days_it_has_expired_and_its_file_is_gone(shelf: Shelf, sql: asyncpg.Connection) -> None:
    job = await shelf.asks()
    await shelf.making().work()
    assert await purge_exports(shelf.database, shelf.files) == {"exports": 0}
    row = await shelf.row(job)
    kept = datetime.fromisoformat(row["expires_at"]) - datetime.fromisoformat(row["finished_at"])
    assert abs(kept - timedelta(days=30)) < timedelta(seconds=1)
    await sql.execute("update export_jobs set expires_at = now()")
    assert (await shelf.sees(job))["state"] == "expired", "at once, not when upkeep comes by"
    with pytest.raises(NotFound, match="expired"):
        await shelf.takes(job)
    assert await purge_exports(shelf.database, shelf.files) == {"exports": 1}
    assert shelf.kept() == []
    assert (await shelf.row(job))["state"] == "expired"
    await sql.execute("update export_jobs set created_at = now() - interval '61 days'")
    assert await purge_exports(shelf.database, shelf.files) == {"exports": 1}
    assert await sql.fetchval("select count(*) from export_jobs") == 0


async def test_a_storage_that_is_away_when_one_is_removed_is_asked_again(shelf: Shelf, sql: asyncpg.Connection) -> None:
    job = await shelf.asks()
    await shelf.making().work()
    assert await shelf.database.call("delete_export_job", caller=shelf.caller(), job_id=job["id"])
    with pytest.raises(NotFound):
        await shelf.takes(job)
    assert len(shelf.kept()) == 1
    assert await purge_exports(shelf.database, shelf.files) == {"exports": 1}
    assert (shelf.kept(), await sql.fetchval("select count(*) from export_jobs")) == ([], 0)


# Whoever dies -----------------------------------------------------------------------------------------------------


async def test_many_workers_make_each_once(shelf: Shelf) -> None:
    jobs = [await shelf.asks() for _ in range(4)]
    await asyncio.gather(*(shelf.making().work() for _ in range(4)))
    for job in jobs:
        assert (await shelf.sees(job))["state"] == "ready"
        assert (await shelf.row(job))["attempts"] == 1
    assert len(shelf.kept()) == 4


async def test_whoever_dies_over_it_leaves_it_to_another_and_it_becomes_the_same(
    shelf: Shelf, sql: asyncpg.Connection, archive: Archive
) -> None:
    job = await shelf.asks(anonymize=True)
    dead = await claim(shelf)
    begun = await shelf.database.call("start_export_job", **lease_of(dead), pseudonym_key="ab" * 32)
    await shelf.making().work()
    assert (await shelf.sees(job))["state"] == "running", "somebody is at it"
    # Said after it began: of no concern to it.
    (said, *_) = archive.said
    await archive.more(said, "AFTERWARDS")
    await sql.execute("update export_jobs set lease_until = now()")
    await shelf.making().work()
    made = await shelf.takes(job)
    assert b"AFTERWARDS" not in made
    assert (
        orjson.loads(made.rpartition(b'<pre id="manifest" tabindex="0">')[2].partition(b"<")[0])["watermark"][
            "message_id"
        ]
        == begun["watermark"]["message_id"]
    )
    again = await shelf.database.call("start_export_job", **lease_of(dead), pseudonym_key="cd" * 32)
    assert again is None
    with pytest.raises(Conflict):
        await shelf.database.call("export_job_page", **lease_of(dead))
    late = await shelf.database.call("finish_export_job", **lease_of(dead), file={"key": "x"}, counts={})
    assert late == {"held": False}
    # The same once more, from its beginning: the same pseudonyms, the same bytes.
    await sql.execute(
        "update export_jobs set state = 'queued', due_at = now(), pseudonym_key = $1, file = null", "ab" * 32
    )
    await shelf.making().work()
    assert await shelf.takes(job) == made


WORKER = """
import asyncio, sys
from pathlib import Path
from switchboard.archives.make import Making
from switchboard.database.postgres import open_postgres
from switchboard.storage.folder import Folder

async def work(address, folder):
    database = await open_postgres(address, pool_size=4, timeout=30)
    files = Folder(folder / "files")
    await Making(
        database, files, folder / "drafts", page_bytes=10**9, lease_seconds=1.0, keep_seconds=0.02
    ).work()

asyncio.run(work(sys.argv[1], Path(sys.argv[2])))
"""


async def test_one_that_is_killed_half_way_leaves_nothing_and_is_made_again(
    postgres: Postgres, sql: asyncpg.Connection, archive: Archive, database_url: str, tmp_path: Path
) -> None:
    for number in range(40):
        texts = [f"{number} {place} said" for place in range(500)]
        await archive.holds(*texts, at=days_ago(2), lifecycle="closed")
    shelf = Shelf(postgres, sql, Folder(tmp_path / "files"), tmp_path, archive.workspace, archive.agent)
    job = await shelf.asks()
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", WORKER, database_url, str(tmp_path))
    async with asyncio.timeout(60):
        while not (seen := await shelf.sees(job))["progress"]["done"]:
            assert seen["state"] in {"queued", "running"}
            await asyncio.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        assert await process.wait() == -signal.SIGKILL
        assert (seen["state"], seen["progress"]["total"]) == ("running", 40)
        assert shelf.kept() == []
        assert list((tmp_path / "drafts").iterdir()) == []
        while (await shelf.sees(job))["state"] != "ready":
            await shelf.making().work()
            await asyncio.sleep(0.1)
    found = verify(io.BytesIO(await shelf.takes(job)))
    assert (found.differences, found.counted["messages"]) == ([], 20_000)
    assert (await shelf.row(job))["attempts"] == 2


async def test_a_worker_that_stops_gives_it_back_at_once(shelf: Shelf, sql: asyncpg.Connection) -> None:
    job = await shelf.asks()
    async with asyncio.timeout(20):
        async with held(sql):
            working = asyncio.create_task(shelf.making().work())
            while (await shelf.sees(job))["state"] != "running":
                await asyncio.sleep(0.01)
            working.cancel()
        await asyncio.wait([working])
    assert working.cancelled()
    assert (await shelf.sees(job))["state"] in {"queued", "running"}
    await sql.execute("update export_jobs set lease_until = null where state = 'running'")
    await shelf.making().work()
    assert (await shelf.sees(job))["state"] == "ready"


async def test_one_that_kills_everybody_is_given_up(shelf: Shelf, sql: asyncpg.Connection) -> None:
    job = await shelf.asks()
    for _ in range(5):
        assert await claim(shelf)
        await sql.execute("update export_jobs set lease_until = now()")
    assert await claim(shelf) is None
    seen = await shelf.sees(job)
    assert (seen["state"], seen["reason"]) == ("failed", "Making it was cut short too often.")
    with pytest.raises(Conflict, match="has failed"):
        await shelf.takes(job)


async def test_one_that_is_deleted_while_it_is_made_is_left_nowhere(shelf: Shelf, sql: asyncpg.Connection) -> None:
    job = await shelf.asks()
    making = shelf.making(keep_seconds=0.05)
    async with asyncio.timeout(20):
        async with held(sql):
            working = asyncio.create_task(making.work())
            while (await shelf.sees(job))["state"] != "running":
                await asyncio.sleep(0.01)
            await shelf.database.call("delete_export_job", caller=shelf.caller(), job_id=job["id"])
        await working
    assert shelf.kept() == []
    assert await purge_exports(shelf.database, shelf.files) == {"exports": 0}, "not before nobody can be at it"
    await sql.execute("update export_jobs set lease_until = now() - interval '1 second'")
    assert await purge_exports(shelf.database, shelf.files) == {"exports": 1}
    assert await sql.fetchval("select count(*) from export_jobs") == 0


async def test_a_file_that_came_too_late_is_deleted_again(shelf: Shelf, sql: asyncpg.Connection) -> None:
    job = await shelf.asks()
    files = shelf.files

    class Late(Folder):
        async def put_file(self, key: str, file: Any, content_type: str) -> None:
            await super().put_file(key, file, content_type)
            await shelf.database.call("delete_export_job", caller=shelf.caller(), job_id=job["id"])

    shelf.files = Late(shelf.folder / "files")
    await shelf.making().work()
    shelf.files = files
    assert shelf.kept() == []


async def test_a_busy_business_does_not_keep_another_waiting(shelf: Shelf, theirs: Archive) -> None:
    for _ in range(3):
        await shelf.asks()
    await shelf.asks(by=theirs.caller(), assistant_id=theirs.agent)
    claimed = [(await claim(shelf))["workspace_id"] for _ in range(4)]
    assert claimed == [shelf.workspace, theirs.workspace, shelf.workspace, shelf.workspace]


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """A disk on which no file may become larger."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


class held:  # noqa: N801 - reads as a word
    """Nobody reads a message meanwhile."""

    def __init__(self, sql: asyncpg.Connection) -> None:
        self._transaction = sql.transaction()
        self._sql = sql

    async def __aenter__(self) -> None:
        await self._transaction.start()
        await self._sql.execute("lock table messages in access exclusive mode")

    async def __aexit__(self, *_: object) -> None:
        await self._transaction.rollback()


@pytest.mark.parametrize("name", ["html", "json", "xlsx"])
async def test_a_full_disk_is_told_and_leaves_nothing(shelf: Shelf, archive: Archive, name: str) -> None:
    await archive.holds(
        *("very long " + os.urandom(40_000).hex() for _ in range(8)), at=days_ago(1), lifecycle="closed"
    )
    job = await shelf.asks(format=name)
    with files_of_at_most(200_000):
        await shelf.making().work()
    seen = await shelf.sees(job)
    assert (seen["state"], seen["reason"]) == ("failed", "no space: There is no space left on the disk.")
    assert (seen["file_name"], shelf.kept()) == (None, [])
    assert list((shelf.folder / "drafts").iterdir()) == []
    again = await shelf.asks(format=name)
    await shelf.making().work()
    assert (await shelf.sees(again))["state"] == "ready"


async def test_a_disk_that_fills_while_the_file_is_put_away(shelf: Shelf) -> None:
    class Full(Folder):
        async def put_file(self, key: str, file: Any, content_type: str) -> None:
            with files_of_at_most(100):
                await super().put_file(key, file, content_type)

    job = await shelf.asks()
    await Making(shelf.database, Full(shelf.folder / "files"), shelf.folder / "drafts", page_bytes=10**7).work()
    assert (await shelf.sees(job))["reason"].startswith("no space")
    assert shelf.kept() == []


async def test_on_a_disk_that_is_nearly_full_none_is_begun(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "SPARE_BYTES", 1 << 62)
    job = await shelf.asks()
    await shelf.making().work()
    assert (await shelf.sees(job))["reason"].startswith("no space")


async def test_a_storage_that_is_away_is_tried_again(shelf: Shelf, sql: asyncpg.Connection) -> None:
    async with StorageStand() as stand, aiohttp.ClientSession() as http:
        shelf.files = SupabaseStorage(http, stand.url, KEY, "desk")
        job = await shelf.asks()
        stand.broken = True
        await shelf.making().work()
        seen = await shelf.sees(job)
        assert (seen["state"], seen["reason"][:24]) == ("queued", "Supabase Storage refuses")
        stand.broken = False
        await sql.execute("update export_jobs set due_at = now()")
        await shelf.making().work()
        content = await shelf.takes(job)
        assert verify(io.BytesIO(content)).valid
        file = await shelf.database.call(
            "take_export_job", caller=shelf.caller(), job_id=job["id"], deed="export.downloaded"
        )
        sent_on = await saved(shelf.files, file)
        assert sent_on.status_code == 302
        assert sent_on.headers["location"].startswith(f"{stand.url}/storage/v1/object/sign/desk/exports/")
        assert list(stand.objects) == [f"desk/exports/{shelf.workspace}/{job['id']}/2"]
        await shelf.database.call("delete_export_job", caller=shelf.caller(), job_id=job["id"])
        await purge_exports(shelf.database, shelf.files)
        assert stand.objects == {}
        for _ in range(5):
            await shelf.asks()
        stand.broken = True
        with pytest.raises(Unavailable):
            await shelf.files.delete("exports/1/1/1")


async def test_what_holds_an_erased_conversation_is_removed(shelf: Shelf, archive: Archive) -> None:
    first, *_, last = archive.said
    job = await shelf.asks(days=30)
    short = await shelf.asks(days=1)
    await shelf.making().work()
    removed = await shelf.database.call("remove_exports_with", workspace_id=shelf.workspace, conversation_ids=[first])
    assert [one["job_id"] for one in removed] == [job["id"], short["id"]], (
        "whatever goes back to its first day or ends later"
    )
    assert removed[0]["files"] == [f"exports/{shelf.workspace}/{job['id']}/{n}" for n in (1, 2)]
    await purge_exports(shelf.database, shelf.files)
    assert shelf.kept() == []
    assert last


# What it becomes --------------------------------------------------------------------------------------------------


async def test_one_that_is_too_large_becomes_pages_with_an_index(shelf: Shelf, archive: Archive) -> None:
    for number in range(12):
        texts = [f"message {number} {place} " + "word " * 200 for place in range(6)]
        await archive.holds(*texts, at=days_ago(1.5), lifecycle="closed", title=f"Talk {number}")
    long = await archive.holds(
        *("word " * 200 for _ in range(250)), at=days_ago(1), lifecycle="closed", title="Long talk"
    )
    job = await shelf.asks()
    await shelf.making(page_bytes=40_000).work()
    seen = await shelf.sees(job)
    assert seen["file_name"].endswith(".zip")
    content = await shelf.takes(job)
    found = verify(io.BytesIO(content))
    assert (found.differences, found.counted["conversations"], found.counted["messages"]) == ([], 15, 326)
    with zipfile.ZipFile(io.BytesIO(content)) as pages:
        names = pages.namelist()
        texts = {name: pages.read(name).decode() for name in names}
    assert names[-2:] == ["index.html", "manifest.json"]
    assert names[:2] == ["page-001.html", "page-002.html"]
    index = texts["index.html"]
    assert "In figures" in index
    for name in names[:-2]:
        assert f'href="{name}"' in index
    continued = [name for name, text in texts.items() if f'id="c{long}"' in text]
    assert len(continued) > 1
    assert all(f'{name}#c{long}"' in index for name in continued)
    assert sum(text.count('<li class="guest">') + text.count('<li class="ai">') for text in texts.values()) == 326
    changed = bytearray(content)
    changed[2000] ^= 1
    assert not verify(io.BytesIO(bytes(changed))).valid


async def test_a_page_that_was_changed_or_cut_is_found_out(shelf: Shelf) -> None:
    content = await shelf.makes()
    for wrong in (
        content.replace(b"parcel", b"sparrow"),
        content[:-40],
        content.replace(b"</pre></footer>", b"</pre><p>And more.</p></footer>"),
        content.replace(b'"messages":4', b'"messages":5'),
    ):
        assert wrong != content
        assert not verify(io.BytesIO(wrong)).valid
