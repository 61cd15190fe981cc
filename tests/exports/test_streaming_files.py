"""Files on their way: cut where something breaks, given up when nobody takes them, and nothing held open meanwhile."""

import asyncio
import io

import asyncpg
import httpx
import pytest

from exports.conftest import Archive, Desk
from switchboard.exports.verify import verify

FORMATS = ("json", "csv", "xlsx", "jsonl")


@pytest.fixture
async def long(desk: Desk) -> Archive:
    """So much that it goes out in many pages."""
    for place in range(12):
        # Of letters that do not pack: as many bytes go out as xlsx.
        await desk.archive.holds(*(noise(place * 1000 + n) for n in range(1000)), at=f"2026-03-01T10:{place:02}:00Z")
    return desk.archive


def noise(seed: int) -> str:
    return "".join(chr(0x4E00 + (seed * 7919 + n * 104_729 + n * n * seed) % 20_000) for n in range(120))


@pytest.mark.parametrize("name", FORMATS)
async def test_what_breaks_midway_is_cut_off(desk: Desk, long: Archive, name: str) -> None:
    got = bytearray()

    async def take() -> None:
        async with desk.client.stream(
            "POST", "/crm/ai-conversations/export", json={"format": name, "anonymize": False}, headers=desk.headers()
        ) as answer:
            assert answer.status_code == 200
            async for chunk in answer.aiter_raw():
                if not got:
                    await long.sql.execute("alter table messages rename to messages_gone")
                got.extend(chunk)

    with pytest.raises(httpx.RemoteProtocolError):
        await take()
    assert got
    found = verify(io.BytesIO(bytes(got)))
    assert not found.complete
    begun, ended = await desk.audit()
    assert (begun[0], ended[0], ended[1]["outcome"], ended[1]["sha256"]) == (
        *("export.begun", "export.ended", "cut"),
        None,
    )


async def test_who_goes_away_stops_the_work(desk: Desk, long: Archive) -> None:
    async with desk.client.stream(
        "POST", "/crm/ai-conversations/export", json={"anonymize": False}, headers=desk.headers()
    ) as answer:
        async for _ in answer.aiter_raw():
            break
    ended = await until_ended(desk)
    assert ended["outcome"] == "cut"
    assert ended["counts"]["messages"] < 12_000


async def until_ended(desk: Desk) -> dict[str, object]:
    async with asyncio.timeout(20):
        while True:
            for action, details in await desk.audit():
                if action == "export.ended":
                    return details
            await asyncio.sleep(0.05)


async def test_who_reads_slowly_holds_no_transaction(desk: Desk, long: Archive, database_url: str) -> None:
    other = await asyncpg.connect(database_url)
    try:
        async with desk.client.stream(
            "POST", "/crm/ai-conversations/export", json={"anonymize": False}, headers=desk.headers()
        ) as answer:
            chunks = answer.aiter_raw()
            await anext(chunks)
            oldest: list[float] = []
            for _ in range(10):
                await asyncio.sleep(0.1)
                oldest.append(
                    await other.fetchval(
                        "select coalesce(max(extract(epoch from clock_timestamp() - xact_start)), 0)"
                        " from pg_stat_activity where datname = current_database()"
                        " and query ~ 'export_page' and pid <> pg_backend_pid() and state <> 'idle'"
                    )
                )
            assert min(oldest) == 0, oldest
            rest = b"".join([chunk async for chunk in chunks])
        assert rest.endswith(b"}}\n")
    finally:
        await other.close()


async def test_the_first_bytes_do_not_wait_for_the_last(desk: Desk, long: Archive) -> None:
    async with desk.client.stream(
        "POST", "/crm/ai-conversations/export", json={"anonymize": False}, headers=desk.headers()
    ) as answer:
        chunks = answer.aiter_raw()
        assert (await anext(chunks)).startswith(b'{"conversations":[')
        assert [action for action, _ in await desk.audit()] == ["export.begun"]
        content = b"".join([chunk async for chunk in chunks])
    assert content.endswith(b"}}\n")
