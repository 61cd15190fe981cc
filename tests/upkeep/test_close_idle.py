"""Idle conversations are resolved; never one in which somebody waits for a person or for an answer."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import asyncpg
import pytest

from stands.desk import ANNA, Desk
from switchboard.database import Database
from switchboard.upkeep.close_idle import close_idle


@pytest.fixture
async def desk(database: Database) -> Desk:
    desk = Desk(database)
    await desk.open()
    return desk


async def answered(desk: Desk) -> None:
    await desk.hears("Hi")
    await desk.answers()
    (send,) = await desk.sends()
    await desk.delivered(send, "mid")


async def pass_days(sql: asyncpg.Connection, days: int) -> None:
    """Everything was so long ago."""
    age = f"interval '{days} days'"
    await sql.execute(f"update messages set created_at = created_at - {age}, sent_at = sent_at - {age}")
    await sql.execute(
        f"update conversations set last_message_at = last_message_at - {age}, updated_at = updated_at - {age}"
    )


async def lifecycles(desk: Desk) -> list[str]:
    return [row["lifecycle"] for row in await desk.database.select("conversations", order=["id"])]


async def test_one_that_is_idle_is_resolved_and_goes_on_when_the_customer_writes(
    desk: Desk, sql: asyncpg.Connection
) -> None:
    await answered(desk)
    await pass_days(sql, 6)
    assert await close_idle(desk.database, idle_days=7) == {"looked": 0, "closed": 0}
    await pass_days(sql, 2)
    assert await close_idle(desk.database, idle_days=0) == {"looked": 0, "closed": 0}
    assert await close_idle(desk.database, idle_days=7) == {"looked": 1, "closed": 1}
    assert await lifecycles(desk) == ["resolved"]
    (event,) = await desk.database.select("events", where={"type": "conversation.resolved"})
    assert event["data"] == {"by": "upkeep"}
    assert await close_idle(desk.database, idle_days=7) == {"looked": 1, "closed": 0}
    await desk.hears("Hi again")
    assert await lifecycles(desk) == ["open"]
    assert len(await desk.claims()) == 1


async def unanswered(desk: Desk) -> None:
    await desk.hears("Hi")


async def being_answered(desk: Desk) -> None:
    await desk.hears("Hi")
    await desk.claims()


async def not_sent(desk: Desk) -> None:
    await desk.hears("Hi")
    await desk.answers()


async def not_delivered(desk: Desk) -> None:
    await desk.hears("Hi")
    await desk.answers()
    (send,) = await desk.sends()
    await desk.undelivered(send, "failed")


async def handed_over(desk: Desk) -> None:
    await desk.hears("Hi")
    await desk.answers(hand_over=True)
    (send,) = await desk.sends()
    await desk.delivered(send, "mid")


async def asked_a_person(desk: Desk) -> None:
    await answered(desk)
    (conversation,) = await desk.database.select("conversations")
    await desk.database.call("take_over", caller=ANNA, conversation_id=conversation["id"])
    await desk.hears("Are you there?")


@pytest.mark.parametrize("happens", [unanswered, being_answered, not_sent, not_delivered, handed_over, asked_a_person])
async def test_one_in_which_somebody_waits_stays(
    desk: Desk, sql: asyncpg.Connection, happens: Callable[[Desk], Awaitable[None]]
) -> None:
    await happens(desk)
    await pass_days(sql, 400)
    assert await close_idle(desk.database, idle_days=7) == {"looked": 1, "closed": 0}
    assert await lifecycles(desk) == ["open"]


async def test_what_a_person_does_in_it_counts_as_something(desk: Desk, sql: asyncpg.Connection) -> None:
    await answered(desk)
    await pass_days(sql, 30)
    await desk.database.call("set_priority", caller=ANNA, conversation_id=1, priority=3)
    assert (await close_idle(desk.database, idle_days=7))["closed"] == 0


async def test_one_that_a_message_comes_into_at_that_moment_stays(desk: Desk, sql: asyncpg.Connection) -> None:
    """Whoever stores the message holds the conversation: it is left out, and not waited for."""
    await answered(desk)
    await pass_days(sql, 30)
    async with sql.transaction():
        await sql.execute("update conversations set last_message_at = now()")
        async with asyncio.timeout(4):
            assert (await close_idle(desk.database, idle_days=7))["closed"] == 0
    assert (await close_idle(desk.database, idle_days=7)) == {"looked": 0, "closed": 0}


async def test_many_in_batches(desk: Desk, sql: asyncpg.Connection) -> None:
    """More than a batch, with the same time, over two workspaces; no statement holds its locks for long."""
    await answered(desk)
    await desk.second_workspace("2002")
    await desk.hears("Hi", page="2002")
    many = "from conversations c, generate_series(1, 450) where c.workspace_id = $1"
    for workspace in (1, 2):
        await sql.execute(
            "insert into conversations (workspace_id, channel_id, customer_id, explicit, last_message_at, updated_at)"
            f" select c.workspace_id, c.channel_id, c.customer_id, true, '2025-01-01', '2025-01-01' {many}",
            workspace,
        )
    began = time.monotonic()
    assert await close_idle(desk.database, idle_days=7) == {"looked": 900, "closed": 900}
    print(f"900 closed in {time.monotonic() - began:.2f} s")  # noqa: T201
    assert sorted(await lifecycles(desk)) == ["open"] * 2 + ["resolved"] * 900
