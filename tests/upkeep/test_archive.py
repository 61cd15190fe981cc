"""What was resolved long ago is archived; never one in which somebody waits, nor one that goes on at that moment."""

import asyncio

import asyncpg
import pytest

from stands.desk import ANNA, Desk
from stands.tenants import settle
from switchboard.database import Database
from switchboard.upkeep.archive import archive


@pytest.fixture
async def desk(database: Database) -> Desk:
    desk = Desk(database)
    await desk.open()
    await desk.hears("Hi")
    await desk.answers()
    (send,) = await desk.sends()
    await desk.delivered(send, "mid")
    await desk.database.call("set_lifecycle", caller=ANNA, conversation_id=1, lifecycle="resolved")
    return desk


async def pass_days(sql: asyncpg.Connection, days: int) -> None:
    """Everything was so long ago."""
    await sql.execute(
        "update conversations set last_message_at = last_message_at - $1 * interval '1 day',"
        " updated_at = updated_at - $1 * interval '1 day'",
        days,
    )


async def lifecycles(desk: Desk) -> list[str]:
    return [row["lifecycle"] for row in await desk.database.select("conversations", order=["id"])]


async def test_one_that_was_resolved_long_ago_is_archived_and_the_next_message_opens_another(
    desk: Desk, sql: asyncpg.Connection
) -> None:
    await pass_days(sql, 89)
    assert await archive(desk.database, archive_days=90) == {"looked": 0, "archived": 0}
    await pass_days(sql, 2)
    assert await archive(desk.database, archive_days=0) == {"looked": 0, "archived": 0}
    assert await archive(desk.database, archive_days=90) == {"looked": 1, "archived": 1}
    (kept,) = await desk.database.select("conversations")
    assert (kept["lifecycle"], kept["closed_at"] is not None) == ("archived", True)
    (event,) = await desk.database.select("events", where={"type": "conversation.archived"})
    assert event["data"] == {"by": "upkeep"}
    assert await archive(desk.database, archive_days=90) == {"looked": 0, "archived": 0}
    await desk.hears("Hi again")
    assert await lifecycles(desk) == ["archived", "open"]
    assert len(await desk.claims()) == 1


async def test_one_that_is_open_or_closed_stays_what_it_is(desk: Desk, sql: asyncpg.Connection) -> None:
    await pass_days(sql, 400)
    for lifecycle in ("open", "closed"):
        await sql.execute("update conversations set lifecycle = $1", lifecycle)
        assert await archive(desk.database, archive_days=90) == {"looked": 0, "archived": 0}
    await sql.execute("update conversations set lifecycle = 'resolved', deleted_at = now()")
    assert await archive(desk.database, archive_days=90) == {"looked": 0, "archived": 0}


WAITING = {
    "the conversation is flagged": "update conversations set requires_human = true",
    "a message is flagged": "update messages set requires_human = true where sender_type = 'bot'",
    "a turn is due": "update turns set due_at = now()",
    "a turn is being answered": "update turns set lease_until = clock_timestamp() + interval '1 minute'",
    "an answer is not sent": "update deliveries set state = 'ready'",
    "somebody did something": "update conversations set updated_at = now()",
}


@pytest.mark.parametrize("why", WAITING)
async def test_one_in_which_somebody_waits_stays(desk: Desk, sql: asyncpg.Connection, why: str) -> None:
    await pass_days(sql, 400)
    await sql.execute(WAITING[why])
    assert await archive(desk.database, archive_days=90) == {"looked": 1, "archived": 0}
    assert await lifecycles(desk) == ["resolved"]


async def test_one_that_goes_on_at_that_moment_stays_and_is_not_waited_for(desk: Desk, sql: asyncpg.Connection) -> None:
    await pass_days(sql, 400)
    async with sql.transaction():
        await sql.execute("update conversations set lifecycle = 'open', last_message_at = now()")
        async with asyncio.timeout(4):
            assert (await archive(desk.database, archive_days=90))["archived"] == 0
    assert await lifecycles(desk) == ["open"]


async def test_many_in_batches_in_every_workspace(desk: Desk, sql: asyncpg.Connection) -> None:
    """More than a batch, with the same time; those that stay in between do not keep the others."""
    theirs = await settle(sql, "Theirs")
    await pass_days(sql, 400)
    for workspace in (1, theirs.workspace):
        await sql.execute(
            "insert into conversations (workspace_id, channel_id, customer_id, explicit, lifecycle, last_message_at,"
            " updated_at, requires_human) select c.workspace_id, c.channel_id, c.customer_id, true, 'resolved',"
            " '2025-01-01', '2025-01-01', n % 3 = 0 from conversations c, generate_series(1, 450) n"
            " where c.workspace_id = $1",
            workspace,
        )
    assert await archive(desk.database, archive_days=90) == {"looked": 901, "archived": 601}
