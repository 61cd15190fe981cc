"""Everybody at once at the same conversations: changes queue, and the database never has to choose a victim."""

import asyncio
import json
import random
from collections.abc import Awaitable, Callable

import asyncpg
import pytest

from stands.clusters import Cluster
from stands.tenants import Tenant, settle

Deed = Callable[[asyncpg.Connection, random.Random, "Scene"], Awaitable[None]]

SECONDS = 4.0
SLOW = """
create function slowly() returns trigger language plpgsql as $$
  begin perform pg_sleep(random() * 0.004); return new; end $$;
create trigger slowly before insert or update on conversations for each row execute function slowly();
create trigger slowly before insert or update on messages for each row execute function slowly();
create trigger slowly before insert or update on turns for each row execute function slowly();
create trigger slowly before insert or update on deliveries for each row execute function slowly();
create trigger slowly before insert or update on customers for each row execute function slowly();
"""
"""A little time between any two locks, so that whatever can cross does."""


class Scene:
    """Three customers of one page, and the conversations they are in."""

    def __init__(self, tenant: Tenant) -> None:
        self.tenant = tenant
        self.customers = ["c1", "c2", "c3"]
        self.mids = 0
        self.mended: set[str] = set()

    def mid(self) -> str:
        self.mids += 1
        return f"mid_{self.mids}"

    def caller(self) -> str:
        return json.dumps(self.tenant.caller())


@pytest.fixture
async def scene(sql: asyncpg.Connection) -> Scene:
    tenant = await settle(sql, "Ours")
    await sql.execute("select connect_channel($1, 'messenger', 'page')", tenant.workspace)
    await sql.execute("update workspaces set quiet_seconds = 0")
    made = Scene(tenant)
    for _ in range(2):
        await receive(sql, random.Random(1), made)
    await sql.execute(SLOW)
    return made


async def receive(sql: asyncpg.Connection, draw: random.Random, scene: Scene) -> None:
    """A webhook with messages, a person's echo, and echoes of what we have sent."""
    customers = draw.sample(scene.customers, k=len(scene.customers))
    events = [
        {
            "kind": kind,
            "platform": "messenger",
            "account": "page",
            "customer": who,
            "at": None,
            "external_id": scene.mid(),
            "text": "x",
            "data": {"own": False},
        }
        for who in customers
        for kind in (["message"] if draw.random() < 0.8 else ["message", "echo"])
    ]
    for row in await sql.fetch("select marker from deliveries where state = 'sending' limit 1"):
        events.append({**events[0], "kind": "echo", "external_id": scene.mid(), "data": {"metadata": row["marker"]}})
    webhook = await sql.fetchval("insert into inbox (platform, body) values ('messenger', '{}') returning id")
    part = {"platform": "messenger", "account": "page", "body": None, "events": events}
    read = json.dumps([{"id": webhook, "parts": [part]}])
    await sql.execute("select sort_inbox($1::text::jsonb)", read)


async def handle(sql: asyncpg.Connection, draw: random.Random, scene: Scene) -> None:
    """Something that a person does."""
    conversation, message = await something_open(sql)
    deed = draw.choice(
        [
            "take_over($1::text::jsonb, $2)",
            *["hand_back($1::text::jsonb, $2)"] * 4,
            "post_human_reply($1::text::jsonb, $2, 'x', array['x', 'y'])",
            "set_priority($1::text::jsonb, $2, 5)",
            "set_lifecycle($1::text::jsonb, $2, 'closed')",
            "set_lifecycle($1::text::jsonb, $2, 'open')",
            "mark_message($1::text::jsonb, $2, 'human')",
            "set_statuses($1::text::jsonb, array(select id from conversations where id > $2 - 99), 'active')",
            "set_statuses($1::text::jsonb, array(select id from conversations where id > $2 - 99), 'support_active')",
            "set_statuses($1::text::jsonb, array[$2::bigint], 'resolved', true)",
        ]
    )
    await sql.execute(f"select {deed}", scene.caller(), message if "message" in deed else conversation)


async def answer(sql: asyncpg.Connection, draw: random.Random, scene: Scene) -> None:
    """A worker: claims turns and finishes some of them."""
    for turn in json.loads(await sql.fetchval("select claim_turns(3, 5, 8)")):
        keys = (turn["workspace_id"], turn["conversation_id"], turn["lease_no"])
        reply = json.dumps(
            {"text": "x", "provider": "p", "model": "m", "seq_in": turn["seq_in"], "epoch": turn["epoch"]}
        )
        if draw.random() < 0.6:
            await sql.execute(
                "select finish_turn($1, $2, $3, $4, $5, $6::text::jsonb, array['a', 'b', 'c'], $7)",
                *(*keys, turn["epoch"], turn["seq_in"], reply, draw.random() < 0.3),
            )
        else:
            await sql.execute("select release_turn($1, $2, $3, 0, $4::text::jsonb)", *keys, reply)


async def leave(sql: asyncpg.Connection, draw: random.Random, scene: Scene) -> None:
    """A worker that finds it closed, or the AI switched off; and the watchdog beside it."""
    hours = json.dumps({"time_zone": "UTC", "weekly": {}, "holidays": {}})
    await sql.execute("update workspaces set business_hours = $1::text::jsonb", hours if draw.random() < 0.5 else None)
    for turn in json.loads(await sql.fetchval("select claim_turns(3, 5, 8)")):
        keys = (turn["workspace_id"], turn["conversation_id"], turn["lease_no"], turn["epoch"], turn["seq_in"])
        await sql.execute("select leave_turn($1, $2, $3, $4, $5, 'closed', array['closed'])", *keys)
    # Only what nobody has at this moment: these two are the test's own doing.
    free = "select id from {} order by id for update skip locked"
    turns = free.format("turns").replace("id", "conversation_id")
    await sql.execute(f"update turns set watch_at = now() where conversation_id in ({turns}) and watch_at is not null")
    messages = free.format("messages")
    await sql.execute(f"update messages set created_at = now() - interval '1 hour' where id in ({messages})")
    patience = json.dumps({"answer_within_seconds": draw.randint(60, 900)})
    owner = json.dumps(scene.tenant.caller("owner"))
    await sql.execute(
        "select set_ai_config($1::text::jsonb, $2, $3::text::jsonb)", owner, scene.tenant.workspace, patience
    )
    await sql.execute("select raise_waiting(10)")


async def deliver(sql: asyncpg.Connection, draw: random.Random, scene: Scene) -> None:
    """A sender: claims sends, of which some fail and some are never heard of again."""
    for delivery in json.loads(await sql.fetchval("select claim_deliveries(3, 0.02)")):
        keys = (delivery["workspace_id"], delivery["id"])
        luck = draw.random()
        if luck < 0.4:
            await sql.execute("select mark_delivered($1, $2, $3)", *keys, scene.mid())
        elif luck < 0.8:
            state = draw.choice(["failed", "unknown", "ready"])
            await sql.execute("select mark_undelivered($1, $2, $3, $4, 'x', 0)", *keys, delivery["attempts"], state)


async def keep_up(sql: asyncpg.Connection, draw: random.Random, scene: Scene) -> None:
    """Upkeep: closes what is idle, however short, and mends what this test breaks, and nothing else."""
    free = "select id from conversations order by id for update skip locked limit 1"
    await sql.execute(f"update conversations set requires_human = not requires_human where id in ({free})")
    found = json.loads(await sql.fetchval("select reconcile_conversations($1)", scene.tenant.workspace))
    # `leave` moves the times of messages.
    scene.mended |= found["mended"].keys() - {"requires_human", "last_message_at", "last_customer_at"}
    await sql.execute("select close_idle($1, 0, 3)", scene.tenant.workspace)


async def something_open(sql: asyncpg.Connection) -> tuple[int, int]:
    """A conversation of the page and a message in it; ids that do not exist when all are closed."""
    row = await sql.fetchrow(
        "select c.id, m.id from conversations c join channels h on h.id = c.channel_id and h.platform = 'messenger'"
        " join messages m on m.conversation_id = c.id where c.lifecycle = 'open' order by random() limit 1"
    )
    return (0, 0) if row is None else (row[0], row[1])


async def work(database_url: str, deed: Deed, scene: Scene, until: asyncio.Event, seed: int) -> list[str]:
    """Does the deed again and again; the errors that were not a refusal."""
    draw = random.Random(seed)
    errors: list[str] = []
    connection = await asyncpg.connect(database_url)
    try:
        while not until.is_set():
            try:
                await deed(connection, draw, scene)
            except asyncpg.PostgresError as error:
                if not str(error.sqlstate).startswith("PT"):
                    errors.append(f"{deed.__name__}: {error.sqlstate} {error}")
    finally:
        await connection.close()
    return errors


def what_crossed(cluster: Cluster) -> str:
    """What the server wrote about its last deadlock: who waited for whom, in which statement."""
    return (cluster.folder / "log").read_text().rpartition("deadlock detected")[2][:3000]


async def test_nobody_is_chosen_as_a_victim(
    scene: Scene, sql: asyncpg.Connection, database_url: str, cluster: Cluster
) -> None:
    deeds: list[Deed] = [
        receive,
        receive,
        handle,
        handle,
        handle,
        answer,
        answer,
        leave,
        deliver,
        deliver,
        deliver,
        keep_up,
    ]
    enough = asyncio.Event()
    asyncio.get_running_loop().call_later(SECONDS, enough.set)
    errors = await asyncio.gather(
        *(work(database_url, deed, scene, enough, number) for number, deed in enumerate(deeds))
    )
    assert [error for each in errors for error in each] == [], what_crossed(cluster)
    assert scene.mended == set()
    # All of it did happen, or nothing is proven.
    assert await sql.fetchval("select count(distinct outcome) from replies") >= 4
    assert await sql.fetchval("select count(distinct state) from deliveries") >= 3
    # What holds at the end whoever was first: places without gap or double, and no turn answered twice.
    places = await sql.fetch(
        "select count(*) = max(m.seq) and max(m.seq) = max(c.last_seq) from messages m"
        " join conversations c on c.id = m.conversation_id group by m.conversation_id"
    )
    assert {row[0] for row in places} == {True}
    answered = "select conversation_id, answered_seq from replies where outcome in ('answered', 'handed_over')"
    assert await sql.fetch(f"{answered} group by 1, 2 having count(*) > 1") == []
