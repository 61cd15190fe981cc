"""From stored to found: state in rows, a lease on the work, and nothing lost when whoever did it is."""

import asyncio
from typing import Any

import asyncpg
import pytest

from knowledge.conftest import OWNER
from stands import files
from switchboard.database import Database
from switchboard.errors import Conflict, Forbidden, Invalid
from switchboard.knowledge.index import Indexing
from switchboard.knowledge.put import put_document, wrap

TEA = b"We sell green tea and black tea."


async def put(database: Database, title: str = "Tea", body: bytes = TEA, **more: Any) -> dict[str, Any]:
    row: dict[str, Any] = await database.call(
        "put_document", **{"caller": OWNER, "workspace_id": 1, "title": title, "kind": "text", **wrap(body), **more}
    )
    return row


async def replace(database: Database, document: int, body: bytes, kind: str = "text") -> dict[str, Any]:
    row: dict[str, Any] = await database.call(
        "replace_document", caller=OWNER, document_id=document, kind=kind, **wrap(body)
    )
    return row


async def get(database: Database, document: int) -> dict[str, Any]:
    row: dict[str, Any] = await database.call("get_document", caller=OWNER, document_id=document)
    return row


async def found(database: Database, query: str) -> list[str]:
    return [row["text"] for row in await database.call("search_knowledge", workspace_id=1, query=query)]


async def claim(database: Database, lease_seconds: float = 60) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = await database.call("claim_documents", max_documents=1, lease_seconds=lease_seconds)
    return rows


async def test_what_was_stored_is_found_once_it_is_indexed(database: Database, workspace: int) -> None:
    row = await put(database)
    assert (row["state"], row["chunks"], row["error"]) == ("waiting", 0, None)
    assert await found(database, "green tea") == []
    await Indexing(database).work()
    row = await get(database, row["id"])
    assert (row["state"], row["chunks"], row["language"], row["size"]) == ("ready", 1, "english", len(TEA))
    assert await found(database, "green tea") == [TEA.decode()]


async def test_the_task_that_never_ran_is_found_by_looking(
    database: Database, workspace: int, sql: asyncpg.Connection
) -> None:
    """One that claims and dies loses its lease; whoever looks next does the work, and the dead one can do no harm."""
    row = await put(database)
    (dead,) = await claim(database)
    assert (await get(database, row["id"]))["state"] == "indexing"
    await Indexing(database).work()
    assert (await get(database, row["id"]))["state"] == "indexing", "under a lease it is left alone"
    await sql.execute("update knowledge_documents set lease_until = now() - interval '1 second'")
    await Indexing(database).work()
    assert (await get(database, row["id"]))["state"] == "ready"
    lease = {name: dead[name] for name in ("workspace_id", "document_id", "lease_no", "version")}
    late = [{"heading": "", "content": "stale"}]
    assert not (await database.call("store_chunks", **lease, first=0, chunks=late, lease_seconds=60))["held"]
    assert not (await database.call("finish_document", **lease, lease_seconds=60))["held"]
    await database.call("settle_document", **lease, error="too late")
    assert (await get(database, row["id"]))["state"] == "ready"
    assert await found(database, "stale") == []


async def test_one_that_comes_late_cannot_write_under_the_lease_of_another(
    database: Database, workspace: int, sql: asyncpg.Connection
) -> None:
    await put(database)
    (late,) = await claim(database)
    await sql.execute("update knowledge_documents set lease_until = now() - interval '1 second'")
    (holder,) = await claim(database)
    names = ("workspace_id", "document_id", "lease_no", "version")
    some = [{"heading": "", "content": "stale"}]
    for claimed, held in ((late, False), (holder, True)):
        lease = {name: claimed[name] for name in names}
        answer = await database.call("store_chunks", **lease, first=0, chunks=some, lease_seconds=60)
        assert answer["held"] is held
    await database.call("settle_document", **{name: late[name] for name in names}, error="too late")
    assert len(await sql.fetch("select from knowledge_documents where state = 'waiting' and error is null")) == 1


async def test_a_document_that_kills_its_reader_three_times_is_given_up(
    database: Database, workspace: int, sql: asyncpg.Connection
) -> None:
    row = await put(database)
    for _ in range(3):
        assert len(await claim(database)) == 1
        await sql.execute("update knowledge_documents set lease_until = now() - interval '1 second'")
    assert await claim(database) == []
    given_up = await get(database, row["id"])
    assert (given_up["state"], given_up["error"]) == ("failed", "Reading it was cut short three times.")
    await replace(database, row["id"], TEA + b"!")
    assert len(await claim(database)) == 1


async def test_a_broken_pdf_fails_with_its_reason_and_nothing_else_does(database: Database, workspace: int) -> None:
    broken = await put(database, "Broken", b"%PDF-1.4 oh no", kind="pdf")
    sound = await put(database, "Sound", files.pdf("Dogs are welcome."), kind="pdf")
    await Indexing(database).work()
    row = await get(database, broken["id"])
    assert row["state"] == "failed"
    assert "broken" in row["error"]
    assert (await get(database, sound["id"]))["state"] == "ready"
    assert await found(database, "dogs welcome") == ["Dogs are welcome."]
    assert await claim(database) == [], "it is not tried again by itself"
    again = await replace(database, broken["id"], b"%PDF-1.4 oh no", "pdf")
    assert again["changed"], "who sends it again wants it read again"


async def test_the_same_content_again_costs_nothing_and_another_is_indexed(
    database: Database, workspace: int, sql: asyncpg.Connection
) -> None:
    document = await put_document(database, 1, "Tea", "Green tea costs three.")
    before = await sql.fetch("select id from knowledge_chunks")
    assert await put_document(database, 1, "Tea", "Green tea costs three.") == document
    assert await sql.fetch("select id from knowledge_chunks") == before
    assert not (await replace(database, document, b"Green tea costs three."))["changed"]
    await replace(database, document, b"Green tea costs four.")
    assert await found(database, "green tea cost") == ["Green tea costs three."], "found as it was until it is ready"
    await Indexing(database).work()
    assert await found(database, "green tea cost") == ["Green tea costs four."]
    assert await sql.fetchval("select count(*) from knowledge_chunks") == 1
    await replace(database, document, b"%PDF-1.4 oh no", "pdf")
    await Indexing(database).work()
    assert (await get(database, document))["state"] == "failed"
    assert await found(database, "green tea cost") == ["Green tea costs four."]


async def test_what_is_replaced_while_it_is_indexed_is_indexed_anew(database: Database, workspace: int) -> None:
    row = await put(database)
    await Indexing(database).work()
    await replace(database, row["id"], b"old words")
    (held,) = await claim(database)
    lease = {name: held[name] for name in ("workspace_id", "document_id", "lease_no", "version")}
    old = [{"heading": "", "content": "old words"}]
    assert (await database.call("store_chunks", **lease, first=0, chunks=old, lease_seconds=60))["held"]
    assert await found(database, "words") == [], "half a document is never found"
    await replace(database, row["id"], b"new words")
    assert not (await database.call("finish_document", **lease, lease_seconds=60))["held"]
    await Indexing(database).work()
    assert await found(database, "words") == ["new words"]


async def test_storing_chunks_twice_stores_them_once(database: Database, workspace: int) -> None:
    await put(database)
    (held,) = await claim(database)
    lease = {name: held[name] for name in ("workspace_id", "document_id", "lease_no", "version")}
    some = [{"heading": "", "content": f"tea number {number}"} for number in range(3)]
    for _ in range(2):
        assert (await database.call("store_chunks", **lease, first=0, chunks=some, lease_seconds=60))["held"]
    assert (await database.call("finish_document", **lease, lease_seconds=60))["held"]
    assert sorted(await found(database, "tea number")) == [chunk["content"] for chunk in some]


async def test_two_processes_index_every_document_once(
    database: Database, workspace: int, sql: asyncpg.Connection
) -> None:
    for number in range(6):
        await put(database, f"Tea {number}", f"Tea number {number}.".encode())
    await asyncio.gather(Indexing(database).work(), Indexing(database).work())
    assert await sql.fetchval("select count(*) from knowledge_documents where state = 'ready' and lease_no = 1") == 6
    assert await sql.fetchval("select count(*) from knowledge_chunks") == 6


async def test_many_documents_of_one_business_do_not_keep_another_waiting(
    database: Database, workspace: int, sql: asyncpg.Connection
) -> None:
    for number in range(3):
        await put(database, f"Tea {number}")
    other = await sql.fetchval("insert into workspaces (name) values ('Other') returning id")
    caller = {"subject": "ben", "admin": False, "roles": {str(other): "owner"}}
    await put(database, caller=caller, workspace_id=other)
    order = [(await claim(database))[0]["workspace_id"] for _ in range(4)]
    assert other in order[:2]


async def test_a_long_document_is_stored_in_pieces_and_in_order(
    database: Database, workspace: int, sql: asyncpg.Connection
) -> None:
    text = "\n\n".join(f"Paragraph {number}. " + "Tea is good for you and me. " * 20 for number in range(250))
    document = await put_document(database, 1, "Long", text)
    assert (await get(database, document))["chunks"] == 250
    rows = await sql.fetch("select place, content from knowledge_chunks order by place")
    assert [row["place"] for row in rows] == list(range(250))
    assert rows[249]["content"].startswith("Paragraph 249.")


async def test_the_language_of_the_workspace_and_of_a_document(
    database: Database, workspace: int, sql: asyncpg.Connection
) -> None:
    await put_document(database, 1, "Tee", "Unsere Öffnungszeiten: wir haben sonntags geschlossen.")
    row = await put(
        database, "Rückgabe", "Rückgaben sind innerhalb von dreißig Tagen möglich.".encode(), language="german"
    )
    await Indexing(database).work()
    assert (await get(database, row["id"]))["language"] == "german"
    assert await found(database, "Ist eine Rückgabe möglich?") == [
        "Rückgaben sind innerhalb von dreißig Tagen möglich."
    ]
    # The workspace changes its language: what had none of its own is indexed anew, when somebody looks.
    await sql.execute("update workspaces set language = 'german'")
    await Indexing(database).sweep()
    assert await sql.fetchval("select count(*) from knowledge_documents where due_at is not null") == 1
    await Indexing(database).work()
    assert await sql.fetchval("select array_agg(distinct indexed_language::text) from knowledge_documents") == [
        "german"
    ]
    assert len(await found(database, "Öffnungszeit sonntags")) == 1
    await Indexing(database).sweep()
    assert await claim(database) == []


async def test_deleting_takes_everything_with_it(database: Database, workspace: int, sql: asyncpg.Connection) -> None:
    document = await put_document(database, 1, "Secret", "The zebra is called Canary.")
    await database.call("delete_document", caller=OWNER, document_id=document)
    for table in ("knowledge_documents", "knowledge_sources", "knowledge_chunks"):
        assert await sql.fetchval(f"select count(*) from {table}") == 0
    assert await found(database, "zebra") == []
    assert await get(database, document) is None
    trail = await sql.fetch("select action, actor from audit where subject = $1 order by id", f"document:{document}")
    assert [row["action"] for row in trail] == ["knowledge.added", "knowledge.deleted"]


async def test_who_may_and_what_is_refused(database: Database, workspace: int) -> None:
    await put(database)
    with pytest.raises(Conflict, match="title"):
        await put(database)
    with pytest.raises(Invalid, match="german"):
        await put(database, "Other", language="klingon")
    viewer = {"subject": "v", "admin": False, "roles": {"1": "viewer"}}
    with pytest.raises(Forbidden):
        await put(database, "Other", caller=viewer)
