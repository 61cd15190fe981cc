"""While the database is away webhooks wait on the disk: acknowledged, in order, through crashes and broken files."""

import asyncio
import shutil
import sqlite3
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest

from stands.app import APP_SECRET, PAGE, bearer, local_settings, token
from stands.clusters import Cluster, majors
from stands.graph import message, sign, webhook
from stands.shop import Shop, open_shop
from switchboard.bell import Bell
from switchboard.database.migrations import migrate
from switchboard.errors import DatabaseUnavailable, Invalid
from switchboard.inbox.accept import Intake
from switchboard.inbox.sort import Replay
from switchboard.inbox.spool import Spool, SpoolFull


@pytest.fixture
def server() -> Iterator[Cluster]:
    cluster = Cluster(majors()[18])
    cluster.start()
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        runner.run(migrate(cluster.dsn()))
    yield cluster
    cluster.destroy()


@pytest.fixture
async def spool(tmp_path: Path) -> AsyncIterator[Spool]:
    opened = Spool(tmp_path / "spool", 2_000_000)
    yield opened
    await opened.close()


async def ready(shop: Shop) -> dict[str, Any]:
    return (await shop.client.get("/health/ready")).json()


async def metrics(shop: Shop) -> str:
    return (await shop.client.get("/metrics", headers=bearer(token(shop.settings)))).text


async def test_nothing_is_lost_while_the_database_is_away(server: Cluster, tmp_path: Path) -> None:
    make = partial(local_settings, server.dsn(), data_dir=tmp_path, database_timeout_seconds=1)
    async with open_shop(make) as shop:
        server.stop()
        for number in range(5):
            await shop.hears(f"{number}", mid=f"mid.{number}")  # answered 200 each time
        seen = await ready(shop)
        assert (seen["status"], seen["parts"]["database"]["ok"], seen["parts"]["spool"]["ok"]) == (
            "not_ready",
            False,
            True,
        )
        assert "switchboard_spooled_calls 5.0" in (await metrics(shop))
        server.start()
        await shop.until_message(content="4")
        assert [one["content"] for one in await shop.messages() if one["sender_type"] == "user"] == list("01234")
        await shop.graph.wait_for_sends(1)

        async def drained() -> bool:
            return "switchboard_spooled_calls 0.0" in await metrics(shop)

        await shop.until(drained)


async def test_what_waits_survives_the_process(server: Cluster, tmp_path: Path) -> None:
    make = partial(local_settings, server.dsn(), data_dir=tmp_path, database_timeout_seconds=1)
    async with open_shop(make) as shop:
        server.stop()
        await shop.hears("Still here?")
    server.start()
    async with open_shop(make) as shop:
        await shop.until_message(content="Still here?")


async def test_without_room_the_channel_is_told_to_come_back(server: Cluster, tmp_path: Path) -> None:
    make = partial(local_settings, server.dsn(), data_dir=tmp_path, database_timeout_seconds=1, spool_max_megabytes=1)
    async with open_shop(make) as shop:
        server.stop()
        body = webhook(PAGE, *(message(PAGE, "4711", f"m{number}", "x" * 8000) for number in range(100)))
        codes = [
            (await shop.client.post("/webhook", content=body, headers=sign(body, APP_SECRET))).status_code
            for _ in range(3)
        ]
        assert codes == [200, 503, 503]
        server.start()
        await shop.until_message(content="x" * 8000)


async def test_rows_leave_in_the_order_they_came(spool: Spool) -> None:
    for number in range(10):
        await spool.add("accept_webhook", b"%d" % number)
    first = await spool.first(4)
    assert [row.arguments for row in first] == [b"0", b"1", b"2", b"3"]
    await spool.remove([row.id for row in first])
    assert spool.waiting == 6
    assert (await spool.first(1))[0].arguments == b"4"


async def test_room_that_was_freed_is_used_again(spool: Spool) -> None:
    large = b"x" * 400_000
    for _ in range(20):
        await spool.add("accept_webhook", large)
        await spool.remove([row.id for row in await spool.first(1)])
    for _ in range(4):
        await spool.add("accept_webhook", large)
    with pytest.raises(SpoolFull):
        await spool.add("accept_webhook", large)
    assert spool.waiting == 4


class Picky:
    """A database that takes some webhooks, refuses others, and may be away."""

    def __init__(self) -> None:
        self.away = False
        self.taken: list[str] = []

    async def call(self, function: str, /, **arguments: Any) -> Any:
        if self.away:
            raise DatabaseUnavailable
        text = arguments["text"]
        if text == "bad":
            raise Invalid("no")
        self.taken.append(text)


async def test_one_that_the_database_never_takes_is_set_aside(spool: Spool, tmp_path: Path) -> None:
    database: Any = Picky()
    for name in ("a", "bad", "b"):
        await spool.add("accept_webhook", orjson.dumps({"platform": "messenger", "text": name, "body": None}))
    replay = Replay(database, spool, bell=Bell(), sort_bell=Bell())
    running = asyncio.create_task(replay.run())
    async with asyncio.timeout(10):
        while spool.waiting:
            await asyncio.sleep(0.01)
    running.cancel()
    assert database.taken == ["a", "b"]
    with sqlite3.connect(tmp_path / "spool" / "calls.sqlite") as file:
        assert file.execute("select reason from refused").fetchall() == [("no",)]
    file.close()


async def test_newer_webhooks_queue_up_behind_those_that_wait(spool: Spool) -> None:
    database: Any = Picky()
    intake = Intake(database, spool, sort_bell=Bell(), spool_bell=Bell())
    database.away = True
    assert await intake.accept("messenger", b"1") == "spooled"
    database.away = False
    assert await intake.accept("messenger", b"2") == "spooled"
    assert database.taken == []


async def test_a_file_cut_off_anywhere_costs_what_was_cut_off_and_no_start(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    spool = Spool(whole, 10_000_000)
    for number in range(200):
        await spool.add("accept_webhook", b"%d" % number + b"x" * 500)
    await spool.close()
    content = (whole / "calls.sqlite").read_bytes()
    assert len(content) > 50_000
    for cut in (*range(0, 200, 37), *range(1000, len(content), len(content) // 12)):
        folder = tmp_path / f"cut{cut}"
        folder.mkdir()
        (folder / "calls.sqlite").write_bytes(content[:cut])
        broken = Spool(folder, 10_000_000)
        await broken.occupied()
        before = broken.waiting
        rows = await broken.first(1000)
        numbers = [int(row.arguments.split(b"x")[0]) for row in rows]
        assert numbers == sorted(numbers)
        await broken.add("accept_webhook", b"after")
        assert broken.waiting == before + 1
        await broken.close()
        shutil.rmtree(folder)


async def test_what_one_process_spools_no_other_overtakes(spool: Spool, tmp_path: Path) -> None:
    other = Spool(tmp_path / "spool", 2_000_000)
    database: Any = Picky()
    intake = Intake(database, other, sort_bell=Bell(), spool_bell=Bell())
    for _ in range(20):
        assert not await other.occupied()  # looked, and is sure of it
        await spool.add("accept_webhook", b"{}")
        assert await intake.accept("messenger", b"2") == "spooled"
        await spool.remove([row.id for row in await spool.first(10)])
        await asyncio.sleep(0.1)
        await other.first(1)  # what its replay does next
    assert database.taken == []
    await other.close()


async def test_a_look_under_way_does_not_count_as_one_that_found_nothing(spool: Spool, tmp_path: Path) -> None:
    other = Spool(tmp_path / "spool", 2_000_000)
    for _ in range(2):
        assert not await other.occupied()
        await asyncio.sleep(0.1)
    await spool.add("accept_webhook", b"{}")
    assert await asyncio.gather(*(other.occupied() for _ in range(5))) == [True] * 5
    await other.close()


async def test_a_folder_that_cannot_be_used_is_not_tried_with_every_webhook(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    unusable = Spool(tmp_path / "file" / "spool", 2_000_000)
    for _ in range(5):
        assert not await unusable.occupied()
    told = capsys.readouterr()
    assert (told.out + told.err).count("spool cannot be used") == 1
    await unusable.close()


async def test_a_process_that_has_just_started_overtakes_nothing(spool: Spool, tmp_path: Path) -> None:
    await spool.add("accept_webhook", b"{}")
    database: Any = Picky()
    late = Spool(tmp_path / "spool", 2_000_000)
    intake = Intake(database, late, sort_bell=Bell(), spool_bell=Bell())
    assert await intake.accept("messenger", b"2") == "spooled"
    await late.close()


async def test_one_process_replays_and_another_goes_on_when_it_is_gone(
    spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Spool(tmp_path / "spool", 2_000_000)
    await spool.add("accept_webhook", b"{}")
    assert len(await spool.first(10)) == 1
    assert await other.first(10) == []
    assert len(await spool.first(10)) == 1
    monkeypatch.setattr("switchboard.inbox.spool.LEASE_SECONDS", 0.0)
    assert len(await other.first(10)) == 1
    await other.close()


async def test_who_closes_lets_another_go_on_at_once(tmp_path: Path) -> None:
    first, other = (Spool(tmp_path / "spool", 2_000_000) for _ in range(2))
    await first.add("accept_webhook", b"{}")
    assert len(await first.first(10)) == 1
    assert await other.first(10) == []
    await first.close()
    assert len(await other.first(10)) == 1
    await other.close()


async def test_nothing_is_lost_when_a_file_is_mended_under_another_process(spool: Spool, tmp_path: Path) -> None:
    await spool.add("accept_webhook", b"1")
    for end in ("", "-wal", "-shm"):  # as when another process has found it broken
        piece = tmp_path / "spool" / f"calls.sqlite{end}"
        piece.rename(piece.with_name(f"broken-1.sqlite{end}"))
    await spool.add("accept_webhook", b"2")
    with sqlite3.connect(tmp_path / "spool" / "calls.sqlite") as file:
        assert file.execute("select arguments from calls").fetchall() == [(b"2",)]
    file.close()
