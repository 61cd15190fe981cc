"""What one stream does, asked for directly: with a clock and a pace that a test can wait for."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest

from live.conftest import Happens
from stands.app import bearer, local_settings, token
from stands.tenants import Tenant
from switchboard.auth import Auth, make_api_key, make_token
from switchboard.bell import Bell
from switchboard.database import Database
from switchboard.errors import Forbidden, RateLimited, Unauthenticated, Unavailable
from switchboard.live.access import Access
from switchboard.live.feed import Feed
from switchboard.live.places import Places
from switchboard.live.stream import Batch, Beat, End, Frame, Opened, Pace, Resync, Stream
from switchboard.metrics import Metrics

SETTINGS = local_settings()
QUICK = Pace(life=60, check=0.02, beat=0.05)


class Clock:
    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def auth(database: Database, clock: Clock, tmp_path: Path) -> AsyncGenerator[Auth]:
    async with aiohttp.ClientSession() as http:
        opened = Auth(SETTINGS, database, http, clock)
        yield opened
        await opened.close()


@asynccontextmanager
async def following(database: Database, *, ring_events: int = 100, places: Places | None = None) -> Any:
    feed = Feed(
        database,
        Metrics(),
        bell=Bell(),
        poll_seconds=0.02,
        places=places or Places(100, 100),
        ring_events=ring_events,
        tick_seconds=0.01,
    )
    running = asyncio.create_task(feed.run())
    await feed.begun()
    yield feed
    running.cancel()
    await asyncio.wait([running])


@pytest.fixture
async def feed(database: Database) -> AsyncGenerator[Feed]:
    async with following(database) as opened:
        yield opened


async def open_stream(
    feed: Feed,
    auth: Auth,
    who: Tenant | str,
    last: int | str | None = None,
    *,
    pace: Pace = QUICK,
    **options: Any,
) -> Stream:
    """A stream of a member of ``who``, or of whoever has the token ``who``."""
    held = who if isinstance(who, str) else token(SETTINGS, "viewer", who.workspace)
    access = await Access.ask(auth, bearer(held)["authorization"])
    return Stream(feed, access, last_event_id=None if last is None else str(last), pace=pace, **options)


async def first(stream: Stream, kind: type[Frame], seconds: float = 10) -> list[Frame]:
    """The frames up to the first of a kind."""
    seen: list[Frame] = []
    try:
        async with asyncio.timeout(seconds):
            while frame := await stream.next():
                seen.append(frame)
                if isinstance(frame, kind):
                    return seen
    finally:
        stream.close()
    raise AssertionError(f"ended without {kind.__name__}: {seen}")


async def all_of(stream: Stream) -> list[Frame]:
    seen: list[Frame] = []
    async with asyncio.timeout(10):
        while frame := await stream.next():
            seen.append(frame)
    stream.close()
    return seen


def places_of(frames: list[Frame]) -> list[int]:
    return [event.position for frame in frames if isinstance(frame, Batch) for event in frame.events]


async def reached(feed: Feed, sql: asyncpg.Connection) -> int:
    """The last place, when the feed has come to it."""
    async with asyncio.timeout(10):
        while await sql.fetchval("select exists (select from events where position is null)"):
            await asyncio.sleep(0.005)
        last = await sql.fetchval("select max(position) from events")
        while feed.ring.head < last:
            await asyncio.sleep(0.005)
    return int(last)


async def test_from_memory_and_from_the_table_it_is_the_same(
    database: Database, auth: Auth, sql: asyncpg.Connection, ours: Tenant, theirs: Tenant, happens: Happens
) -> None:
    for _ in range(30):
        await happens(ours)
        await happens(theirs)
    wanted = await sql.fetch("select id from events where workspace_id = $1 order by id", ours.workspace)
    async with following(database, ring_events=1000) as feed:
        await reached(feed, sql)
        in_memory = places_of(await all_of(await open_stream(feed, auth, ours, 0, follow=False)))
    async with following(database, ring_events=10) as feed:
        assert not feed.ring.holds(0)
        from_table = places_of(await all_of(await open_stream(feed, auth, ours, 0, follow=False)))
        middle = from_table[11]
        rest = places_of(await all_of(await open_stream(feed, auth, ours, middle, follow=False)))
    assert in_memory == from_table
    assert len(from_table) == len(wanted)
    assert rest == from_table[12:]


async def test_nobody_hears_of_others_and_admins_hear_of_all(
    feed: Feed, auth: Auth, sql: asyncpg.Connection, ours: Tenant, theirs: Tenant, happens: Happens
) -> None:
    await happens(ours, conversation=77)
    await reached(feed, sql)
    seen = {
        name: {
            event.workspace_id
            for frame in await all_of(await open_stream(feed, auth, who, 0, follow=False, conversation_id=conversation))
            if isinstance(frame, Batch)
            for event in frame.events
        }
        for name, who, conversation in (
            ("ours", ours, None),
            ("theirs", theirs, None),
            ("admin", token(SETTINGS), None),
            ("theirs, our conversation", theirs, 77),
            ("ours, one conversation", ours, 77),
        )
    }
    assert seen == {
        "ours": {ours.workspace},
        "theirs": {theirs.workspace},
        "admin": {ours.workspace, theirs.workspace},
        "theirs, our conversation": set(),
        "ours, one conversation": {ours.workspace},
    }


@pytest.mark.parametrize("ring_events", [100, 3])
async def test_events_that_a_reader_may_not_see_do_not_let_it_fall_behind(
    database: Database, auth: Auth, sql: asyncpg.Connection, ours: Tenant, theirs: Tenant, ring_events: int
) -> None:
    async with following(database, ring_events=ring_events) as feed:
        await reached(feed, sql)
        reading = asyncio.create_task(first(await open_stream(feed, auth, ours), Batch))
        await asyncio.sleep(0.1)
        for _ in range(20):
            await sql.execute("select write_event($1, 1, null, 'x', '{}')", theirs.workspace)
            await reached(feed, sql)
        await sql.execute("select write_event($1, 1, null, 'x', '{}')", ours.workspace)
        assert places_of(await reading) == [await reached(feed, sql)]


async def test_a_quiet_line_says_that_it_lives_and_how_far_it_is(
    feed: Feed, auth: Auth, sql: asyncpg.Connection, ours: Tenant, theirs: Tenant, happens: Happens
) -> None:
    start = await reached(feed, sql)
    stream = await open_stream(feed, auth, ours, pace=Pace(life=60, check=0.05, beat=0.3))
    reading = asyncio.create_task(first(stream, Beat))
    await happens(theirs)
    last = await reached(feed, sql)
    opened, beat = await reading
    assert isinstance(opened, Opened)
    assert start <= opened.position <= last
    assert beat == Beat(last)


@pytest.mark.parametrize(("last", "reason"), [("99999999", "unknown_id"), ("x", "unknown_id"), ("-1", "unknown_id")])
async def test_a_place_that_is_none_of_ours_is_answered_with_resync(
    feed: Feed, auth: Auth, sql: asyncpg.Connection, ours: Tenant, last: str, reason: str
) -> None:
    head = await reached(feed, sql)
    frames = await all_of(await open_stream(feed, auth, ours, last, follow=False))
    assert frames[1:] == [Resync(head, reason)]


async def test_what_is_no_longer_kept_is_answered_with_resync(
    database: Database, auth: Auth, sql: asyncpg.Connection, ours: Tenant, happens: Happens
) -> None:
    for _ in range(5):
        await happens(ours)
    await database.call("follow_events", after=0)
    await sql.execute("update events set at = now() - interval '31 days'")
    await database.call("purge_events", days=30)
    async with following(database) as feed:
        head = await reached(feed, sql)
        assert (await all_of(await open_stream(feed, auth, ours, 1, follow=False)))[1:] == [
            Resync(head, "no_longer_kept")
        ]
        # Nothing lies between this one and the oldest that is kept.
        events = await all_of(await open_stream(feed, auth, ours, head - 1, follow=False))
        assert places_of(events) == [head]


async def test_a_reader_that_falls_out_of_the_ring_can_go_on_without_a_gap(
    database: Database, auth: Auth, sql: asyncpg.Connection, ours: Tenant, happens: Happens
) -> None:
    async with following(database, ring_events=5) as feed:
        start = await reached(feed, sql)
        stream = await open_stream(feed, auth, ours, pace=Pace())
        assert await stream.next() == Opened(start)
        await happens(ours)
        (one,) = places_of([await stream.next()])  # type: ignore[list-item]
        for _ in range(30):  # and now it reads no more
            await happens(ours)
            await reached(feed, sql)
        assert await all_of(stream) == [End("slow")]
        last = await reached(feed, sql)
        again = places_of(await all_of(await open_stream(feed, auth, ours, one, follow=False)))
        assert again == list(range(one + 1, last + 1))


async def test_a_revoked_key_a_lost_role_and_a_token_past_its_time_end_the_stream(
    feed: Feed, auth: Auth, database: Database, sql: asyncpg.Connection, clock: Clock, ours: Tenant
) -> None:
    key, prefix, key_hash = make_api_key()
    admin = {"subject": "admin", "admin": True, "roles": {}}
    made = await database.call(
        "create_api_key",
        caller=admin,
        workspace_id=ours.workspace,
        name="k",
        role="viewer",
        prefix=prefix,
        key_hash=key_hash,
    )
    short = make_token(
        SETTINGS.jwt_secret.get_secret_value().encode(),  # type: ignore[union-attr]
        role="viewer",
        workspace_id=ours.workspace,
        subject="short",
        ttl=timedelta(minutes=1),
        now=clock(),
    )
    by_key = asyncio.create_task(first(await open_stream(feed, auth, key), End))
    by_token = asyncio.create_task(first(await open_stream(feed, auth, short), End))
    changed = asyncio.create_task(first(await open_stream(feed, auth, (await promoted(database, ours))[0]), End))
    stays = asyncio.create_task(first(await open_stream(feed, auth, ours), End))
    await asyncio.sleep(0.3)
    assert [reading.done() for reading in (by_key, by_token, changed)] == [False] * 3

    await sql.execute("update api_keys set revoked_at = now() where id = $1", made["id"])
    await sql.execute("update api_keys set role = 'owner' where name = 'promoted'")
    clock.now += timedelta(seconds=20)  # what was found out holds for no longer
    assert (await by_key)[-1] == End("unauthenticated")
    assert (await changed)[-1] == End("access_changed")
    assert not by_token.done()
    clock.now += timedelta(seconds=71)
    assert (await by_token)[-1] == End("unauthenticated")
    assert not stays.done()
    stays.cancel()
    await asyncio.wait([stays])


async def promoted(database: Database, ours: Tenant) -> tuple[str, int]:
    key, prefix, key_hash = make_api_key()
    made = await database.call(
        "create_api_key",
        caller={"subject": "admin", "admin": True, "roles": {}},
        workspace_id=ours.workspace,
        name="promoted",
        role="viewer",
        prefix=prefix,
        key_hash=key_hash,
    )
    return key, made["id"]


async def test_a_stream_lives_for_a_bounded_time_and_ends_with_the_process(
    feed: Feed, auth: Auth, ours: Tenant
) -> None:
    short = await first(await open_stream(feed, auth, ours, pace=Pace(life=0.1, check=0.02)), End)
    assert short[-1] == End("life")
    reading = asyncio.create_task(first(await open_stream(feed, auth, ours), End))
    await asyncio.sleep(0.1)
    await feed.end()
    assert (await reading)[-1] == End("shutdown")


async def test_those_that_come_back_do_not_come_back_together() -> None:
    waits = {int(Opened(1).sse().split(b"\n")[0].removeprefix(b"retry: ")) for _ in range(200)}
    assert len(waits) > 150
    assert min(waits) >= 1000
    assert max(waits) <= 8000


async def test_who_may_see_nothing_gets_no_stream(feed: Feed, auth: Auth) -> None:
    with pytest.raises(Unauthenticated):
        await Access.ask(auth, "Bearer x")

    class Nobody:
        async def identify(self, authorization: str | None) -> Any:
            from switchboard.auth import Caller

            return Caller("nobody", admin=False, roles={})

    with pytest.raises(Forbidden):
        await Access.ask(Nobody(), "Bearer x")  # type: ignore[arg-type]


def test_places_are_limited_for_each_caller_and_in_all() -> None:
    places = Places(3, 2)
    with places.take("anna"), places.take("anna"):
        with pytest.raises(RateLimited), places.take("anna"):
            pass
        with places.take("ben"), pytest.raises(Unavailable), places.take("carl"):
            pass
    with places.take("anna"):
        pass
