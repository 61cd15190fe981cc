"""What is written down twice: whatever is broken by hand is mended, and what is right is left alone."""

import asyncio
import random
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from stands.clusters import Cluster
from stands.desk import ANNA, Desk
from switchboard.database import Database
from switchboard.database.postgres import open_postgres
from switchboard.errors import SwitchboardError
from switchboard.metrics import Metrics
from switchboard.upkeep.reconcile import reconcile

CUSTOMERS = ["u1", "u2", "u3"]
STEPS = [
    "hears",
    "answers",
    "hands over",
    "sends",
    "fails to send",
    "takes over",
    "writes",
    "hands back",
    "closes",
    "resolves",
    "reopens",
    "unsends",
    "is read",
    "programs",
]
HARM = {
    "last_seq": "update conversations set last_seq = last_seq + 3 where id = $1",
    "last_seq less": "update conversations set last_seq = last_seq - 1 where id = $1",
    "last_message_at": "update conversations set last_message_at = last_message_at - interval '1 day' where id = $1",
    "last_customer_at": "update conversations set last_customer_at = null where id = $1",
    "requires_human": "update conversations set requires_human = not requires_human where id = $1",
    "due": "update turns set due_at = null, lease_until = null where conversation_id = $1",
    "watch": "update turns set watch_at = null where conversation_id = $1",
    "turn": "update turns set seq_in = seq_in + 5 where conversation_id = $1",
    "turn gone": "delete from turns where conversation_id = $1",
}


async def step(desk: Desk, what: str, draw: random.Random) -> None:
    """One thing that happens at a desk; what cannot happen now does not."""
    open_ones = await desk.database.select("conversations", order=["id"])
    one = draw.choice(open_ones)["id"] if open_ones else 0
    database = desk.database
    match what:
        case "hears":
            await desk.hears(*["Hi", "Hello?"][: draw.randint(1, 2)], customer=draw.choice(CUSTOMERS))
        case "answers" | "hands over":
            for turn in await desk.claims(most=1):
                await desk.finishes(turn, hand_over=what == "hands over")
        case "sends":
            for send in await desk.sends():
                await desk.delivered(send, f"out{send['id']}")
        case "fails to send":
            for send in await desk.sends():
                await desk.undelivered(send, "failed")
        case "takes over":
            await database.call("take_over", caller=ANNA, conversation_id=one)
        case "writes":
            await database.call("post_human_reply", caller=ANNA, conversation_id=one, content="I am Anna", parts=["I"])
        case "hands back":
            await database.call("hand_back", caller=ANNA, conversation_id=one)
        case "closes" | "resolves" | "reopens":
            lifecycle = {"closes": "closed", "resolves": "resolved", "reopens": "open"}[what]
            await database.call("set_lifecycle", caller=ANNA, conversation_id=one, lifecycle=lifecycle)
        case "unsends":
            said = await database.select("messages", where={"sender_type": "user"}, order=["-id"], limit=1)
            await desk.receives(*({"kind": "unsend", "external_id": m["external_id"]} for m in said))
        case "is read":
            said = await database.select("messages", order=["-id"], limit=3)
            await database.call("mark_message", caller=ANNA, message_id=draw.choice(said)["id"], mark="human")
        case "programs":
            made = await database.call(
                "open_conversation",
                caller=ANNA | {"roles": {"1": "owner"}},
                workspace_id=1,
                platform="api",
                user_id="p",
            )
            await database.call("add_user_message", caller=ANNA, conversation_id=made["id"], content="Hi")
        case _:
            raise AssertionError(what)


async def live(desk: Desk, story: list[str], draw: random.Random) -> None:
    await desk.hears("Hi")
    for what in story:
        with suppress(SwitchboardError, IndexError):
            await step(desk, what, draw)


async def mend(database: Database, before: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
    return await reconcile(database, Metrics(), before or {}, **options)


async def picture(sql: asyncpg.Connection) -> list[Any]:
    """What must be as before, and whether somebody waits whom nobody would answer or watch."""
    return [
        tuple(row)
        for row in await sql.fetch(
            "select c.id, c.last_seq, c.last_message_at, c.last_customer_at, c.requires_human, c.handler, c.lifecycle,"
            " t.seq_in <= c.last_seq, exists ("
            "   select from messages m where m.conversation_id = c.id and m.sender_type = 'user'"
            "   and m.unsent_at is null and m.seq > last_seen(1, c.id) and c.lifecycle in ('open', 'resolved')"
            "   and (t.watch_at is null or"
            "     t.due_at is null and c.handler = 'ai' and c.lifecycle = 'open' and m.seq > t.seq_done)"
            " ) as forgotten from conversations c left join turns t on t.conversation_id = c.id order by 1"
        )
    ]


@asynccontextmanager
async def fresh(cluster: Cluster, template: str) -> AsyncGenerator[tuple[Desk, asyncpg.Connection]]:
    name = await cluster.create_database(template)
    database = await open_postgres(cluster.dsn(name), pool_size=2, timeout=10)
    sql = await asyncpg.connect(cluster.dsn(name))
    try:
        desk = Desk(database)
        await desk.open()
        yield desk, sql
    finally:
        await sql.close()
        await database.close()
        await cluster.drop_database(name)


@hypothesis_settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    story=st.lists(st.sampled_from(STEPS), max_size=25),
    harm=st.lists(st.sampled_from(sorted(HARM)), max_size=4),
    seed=st.integers(0, 1000),
)
def test_whatever_happened_and_whatever_is_broken(
    cluster: Cluster, template: str, story: list[str], harm: list[str], seed: int
) -> None:
    async def check() -> None:
        draw = random.Random(seed)
        async with fresh(cluster, template) as (desk, sql):
            await live(desk, story, draw)
            assert (await mend(desk.database))["mended"] == {}, "there was nothing to mend"
            before = await picture(sql)
            for name in harm:
                await sql.execute(HARM[name], draw.choice(before)[0])
            found = await mend(desk.database)
            assert await picture(sql) == before
            told = await sql.fetchval("select count(*) from events where type = 'conversation.mended'")
            assert (told > 0) == bool(found["mended"])
            assert (await mend(desk.database))["mended"] == {}, "mended once is mended"

    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        runner.run(check())


@pytest.fixture
async def desk(database: Database) -> Desk:
    desk = Desk(database)
    await desk.open()
    return desk


async def test_a_lost_question_is_answered_after_all(desk: Desk, sql: asyncpg.Connection) -> None:
    await desk.hears("Hi")
    await sql.execute("update turns set due_at = null, watch_at = null")
    assert await desk.claims() == []
    metrics = Metrics()
    found = await reconcile(desk.database, metrics, {})
    assert found == {"looked": 1, "mended": {"due": 1, "watch": 1}}
    assert len(await desk.claims()) == 1
    assert (await desk.events())[-1] == "conversation.mended"
    assert b'switchboard_mended_total{what="due"} 1.0' in metrics.render()


async def test_what_has_ended_is_not_answered(desk: Desk, sql: asyncpg.Connection) -> None:
    await desk.hears("Hi")
    await sql.execute("update conversations set lifecycle = 'closed'")
    assert (await mend(desk.database))["mended"] == {"over": 1}
    assert await desk.claims() == []


async def test_one_that_somebody_is_at_is_left_for_the_next_time(desk: Desk, sql: asyncpg.Connection) -> None:
    await desk.hears("Hi")
    await sql.execute("update conversations set last_seq = 9")
    async with sql.transaction():
        await sql.execute("select from conversations for update")
        assert (await mend(desk.database))["mended"] == {}
    assert (await mend(desk.database))["mended"] == {"last_seq": 1}


async def test_a_run_that_takes_too_long_is_gone_on_with(desk: Desk, sql: asyncpg.Connection) -> None:
    await desk.second_workspace("2002")
    for page in ("1001", "2002"):
        await desk.hears("Hi", page=page)
    await sql.execute("update conversations set last_seq = 9")
    first = await mend(desk.database, seconds=-1)
    assert (first["looked"], first["mended"]) == (1, {"last_seq": 1})
    rest = await mend(desk.database, first)
    assert rest == {"looked": 1, "mended": {"last_seq": 1}}
    assert (await mend(desk.database, only=2))["looked"] == 1
