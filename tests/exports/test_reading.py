"""The source: every message once, whatever the size of pages, and whatever is written meanwhile."""

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

import asyncpg
import pytest

from exports.conftest import Archive
from switchboard.database import Database
from switchboard.errors import Forbidden, NotFound
from switchboard.exports.conversation import Part
from switchboard.exports.read import SLICE, page_of, read

EVERYTHING = 2**53


async def read_all(
    database: Database, archive: Archive, max_messages: int = 2000, watermark: int = EVERYTHING, **more: Any
) -> list[Part]:
    page = page_of(
        database,
        archive.caller(),
        archive.workspace,
        filters=more.get("filters", {}),
        watermark=watermark,
        options=more.get("options", {}),
        max_messages=max_messages,
    )
    return [part async for part in read(page)]


def ids(parts: list[Part]) -> dict[int, list[int]]:
    """The messages of each conversation; also looks whether parts begin and end as they say."""
    found: dict[int, list[int]] = {}
    open_one = None
    for part in parts:
        number = part.conversation.conversation_id
        assert part.first == (open_one is None)
        assert open_one in (None, number)
        assert part.first == (number not in found)
        found.setdefault(number, []).extend(message.message_id for message in part.messages)
        open_one = None if part.last else number
    assert open_one is None
    return found


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 100])
async def test_pages_of_every_size_give_the_same(database: Database, archive: Archive, size: int) -> None:
    for place, many in enumerate((1, 9, 2, 3, 14, 1, 1, 6)):
        await archive.holds(*(f"{place} {n}" for n in range(many)), at=f"2026-03-0{1 + place // 3}T10:00:00Z")
    parts = await read_all(database, archive, size)
    assert ids(parts) == archive.said
    last = {part.conversation.conversation_id: part.conversation for part in parts if part.last}
    assert {number: one.total for number, one in last.items()} == {n: len(said) for n, said in archive.said.items()}
    texts = [message.text for part in parts for message in part.messages]
    assert texts == [f"{place} {n}" for place, many in enumerate((1, 9, 2, 3, 14, 1, 1, 6)) for n in range(many)]


async def test_answers_say_to_what_they_answer_across_pages(database: Database, archive: Archive) -> None:
    first = await archive.holds(
        "q1", "q2", "a1", "a2", "q3", "a3", senders=("user", "user", "bot", "bot", "user", "bot")
    )
    said = archive.said[first]
    for size in (1, 2, 100):
        parts = await read_all(database, archive, size)
        told = [m.reply_to for part in parts for m in part.messages]
        assert told == [None, None, said[1], said[1], None, said[4]]


async def test_more_than_a_thousand_rows_and_a_long_conversation(database: Database, archive: Archive) -> None:
    await archive.holds(*(f"{n}" for n in range(4500)))
    for _ in range(5):
        await archive.holds("Hi", "Hello")
    await archive.sql.execute(
        "insert into conversations (workspace_id, channel_id, customer_id, last_seq, created_at, explicit)"
        " select $1, $2, (select min(id) from customers where workspace_id = $1), 1, now(), true"
        " from generate_series(1, 1200)",
        *(archive.workspace, archive.channel),
    )
    await archive.sql.execute(
        "insert into messages (workspace_id, conversation_id, seq, sender_type, content)"
        " select workspace_id, id, 1, 'user', 'x' from conversations c"
        " where workspace_id = $1 and not exists (select from messages m where m.conversation_id = c.id)",
        archive.workspace,
    )
    parts = await read_all(database, archive)
    found = ids(parts)
    assert len(found) == 1206
    assert sum(map(len, found.values())) == 4500 + 10 + 1200
    assert max(len(part.messages) for part in parts) <= SLICE
    rows = await archive.sql.fetch("select id from messages where workspace_id = $1", archive.workspace)
    assert sorted(message for each in found.values() for message in each) == sorted(row["id"] for row in rows)


async def test_a_page_holds_no_more_bytes_than_it_may(database: Database, archive: Archive) -> None:
    await archive.holds(*("x" * 300_000 for _ in range(40)))
    sizes: list[int] = []
    page = page_of(
        database, archive.caller(), archive.workspace, filters={}, watermark=EVERYTHING, options={}, max_messages=2000
    )

    async def watched(after: list[Any] | None) -> dict[str, Any]:
        found = await page(after)
        sizes.append(sum(len(message[3]) for _, told in found["parts"] for message in told))
        return found

    assert ids([part async for part in read(watched)]) == archive.said
    assert max(sizes) <= 4_300_000


async def test_what_comes_later_is_left_out_and_what_was_there_is_there_once(
    database: Database, archive: Archive
) -> None:
    for place in range(30):
        await archive.holds(*(f"{place} {n}" for n in range(5)), at=f"2026-03-01T10:{place:02}:00Z")
    there = {number: list(said) for number, said in archive.said.items()}
    first, *_, last = there
    deleted, erased = list(there)[20], list(there)[21]
    begun = await database.call(
        "begin_export", caller=archive.caller(), workspace_id=archive.workspace, details={"filters": {}}, services=[]
    )
    watermark = begun["watermark"]["message_id"]
    assert watermark == max(message for said in there.values() for message in said)
    page = page_of(
        database, archive.caller(), archive.workspace, filters={}, watermark=watermark, options={}, max_messages=7
    )
    parts: list[Part] = []
    async for part in read(page):
        parts.append(part)
        if len(parts) == 3:
            await archive.more(first, "late")
            await archive.more(last, "late", "later")
            await archive.holds("new", "newer")
            await archive.holds("new, but begun long ago", at="2026-02-01T10:00:00Z")
            await archive.sql.execute("update messages set content = 'edited' where id = $1", there[last][0])
            await archive.sql.execute("update conversations set deleted_at = now() where id = $1", deleted)
            await archive.sql.execute("delete from conversations where id = $1", erased)
    assert ids(parts) == {number: said for number, said in there.items() if number not in (deleted, erased)}


async def test_one_that_is_deleted_while_it_is_read_is_told_to_its_end(database: Database, archive: Archive) -> None:
    long = await archive.holds(*(f"{n}" for n in range(50)))
    page = page_of(
        database, archive.caller(), archive.workspace, filters={}, watermark=EVERYTHING, options={}, max_messages=5
    )
    parts: list[Part] = []
    async for part in read(page):
        parts.append(part)
        await archive.sql.execute("update conversations set deleted_at = now() where id = $1", long)
    assert ids(parts) == archive.said


async def test_one_that_is_erased_while_it_is_read_ends_and_the_next_one_follows(
    database: Database, archive: Archive
) -> None:
    long = await archive.holds(*(f"{n}" for n in range(50)))
    after = await archive.holds("Hi", at="2026-04-01T10:00:00Z")
    page = page_of(
        database, archive.caller(), archive.workspace, filters={}, watermark=EVERYTHING, options={}, max_messages=5
    )
    parts: list[Part] = []
    async for part in read(page):
        parts.append(part)
        await archive.sql.execute("delete from conversations where id = $1", long)
    found = ids(parts)
    assert found[after] == archive.said[after]
    assert 0 < len(found[long]) < 50


async def test_messages_that_were_being_written_are_waited_for(
    database: Database, archive: Archive, database_url: str
) -> None:
    conversation = await archive.holds("Hi")
    other = await asyncpg.connect(database_url)
    try:
        slow = other.transaction()
        await slow.start()
        await other.execute(
            "insert into messages (workspace_id, conversation_id, seq, sender_type, content)"
            " values ($1, $2, 2, 'user', 'under way')",
            *(archive.workspace, conversation),
        )
        begun = await database.call(
            "begin_export",
            caller=archive.caller(),
            workspace_id=archive.workspace,
            details={"filters": {}},
            services=[],
        )
        assert await database.call("export_settled", running=begun["running"]) is False
        await slow.commit()
        assert await database.call("export_settled", running=begun["running"]) is True
    finally:
        await other.close()


async def test_messages_taken_back_or_never_sent_say_so(database: Database, archive: Archive) -> None:
    conversation = await archive.holds("secret", "never sent", "kept")
    unsent, failed, _ = archive.said[conversation]
    await archive.sql.execute("update messages set unsent_at = now() where id = $1", unsent)
    await archive.sql.execute("update messages set delivery_state = 'cancelled' where id = $1", failed)
    (part,) = await read_all(database, archive)
    assert [(message.text, message.heard) for message in part.messages] == [
        ("", False),
        ("never sent", False),
        ("kept", True),
    ]


async def test_only_owners_read_and_only_their_own(database: Database, archive: Archive, theirs: Archive) -> None:
    await theirs.holds("CANARY")
    for function, arguments in (
        ("export_page", {"filters": {}, "watermark": EVERYTHING}),
        ("export_sample", {"conversation_ids": list(theirs.said), "watermark": EVERYTHING}),
        ("measure_export", {"filters": {}, "watermark": EVERYTHING}),
        ("export_statistics", {}),
    ):
        for role in ("viewer", "support"):
            with pytest.raises(Forbidden):
                await database.call(function, caller=archive.caller(role), workspace_id=archive.workspace, **arguments)
        with pytest.raises(NotFound):
            await database.call(function, caller=archive.caller(), workspace_id=theirs.workspace, **arguments)
    sample = await database.call(
        "export_sample",
        caller=archive.caller(),
        workspace_id=archive.workspace,
        conversation_ids=list(theirs.said),
        watermark=EVERYTHING,
    )
    assert sample["parts"] == []


async def test_while_people_write_without_pause(database: Database, archive: Archive) -> None:
    talks = [await archive.holds(*(f"{n}" for n in range(10)), at=f"2026-03-01T10:{p:02}:00Z") for p in range(20)]
    there = {number: list(said) for number, said in archive.said.items()}
    begun = await database.call(
        "begin_export", caller=archive.caller(), workspace_id=archive.workspace, details={"filters": {}}, services=[]
    )
    done = asyncio.Event()

    async def write() -> int:
        times = 0
        while not done.is_set():
            await archive.more(talks[times % 20], "late")
            times += 1
        return times

    writing = asyncio.create_task(write())
    parts = await read_all(database, archive, 13, begun["watermark"]["message_id"])
    done.set()
    assert await writing > 0
    assert ids(parts) == there


async def test_the_form_of_a_page(database: Database, archive: Archive) -> None:
    await archive.holds("Hi", "Hello")
    found = await database.call(
        "export_page", caller=archive.caller(), workspace_id=archive.workspace, filters={}, watermark=EVERYTHING
    )
    ((head, messages),) = found["parts"]
    assert head["created_at"] == "2026-03-01T10:00:00+00:00"
    assert messages[0][1] == "2026-03-01T10:00:00+00:00"
    assert json.dumps(found["after"][:1]) == '["2026-03-01T10:00:00+00:00"]'


async def test_a_role_that_is_taken_away_meanwhile_ends_it(database: Database, archive: Archive) -> None:
    await archive.holds(*(f"{n}" for n in range(50)))
    caller = archive.caller()
    page = page_of(database, caller, archive.workspace, filters={}, watermark=EVERYTHING, options={}, max_messages=5)
    parts = read(page)
    assert (await anext(parts)).first
    caller["roles"][str(archive.workspace)] = "support"
    with pytest.raises(Forbidden):
        await read_to_end(parts)


async def read_to_end(parts: AsyncGenerator[Part]) -> int:
    return len([part async for part in parts])
