"""As in `test_twins.py`: what nobody being forgotten, the order and a takeover rest on is taken away, one test each."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from faults.checkers import back_to_baseline
from faults.unguarded import LEASE_ENDED, Unguarded
from stands.desk import ANNA


@pytest.fixture
async def other(shop: Unguarded) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(shop.dsn)
    yield connection
    await connection.close()


async def worker_dies(shop: Unguarded) -> None:
    await shop.hears("Hi")
    await shop.desk.claims(lease=0.001)
    await asyncio.sleep(0.005)
    await shop.settles()


async def test_i4_the_worker_dies(shop: Unguarded) -> None:
    await worker_dies(shop)
    assert await shop.violations() == []


async def test_i4_with_leases_that_never_end(shop: Unguarded) -> None:
    await shop.without("claim_turns", LEASE_ENDED, "t.lease_until is null")
    await worker_dies(shop)
    await shop.finds("I4 stuck: turn")
    await shop.finds("I4 forgotten")


async def writes_meanwhile(shop: Unguarded) -> None:
    """The customer goes on while the answer is written."""
    await shop.hears("One coffee")
    (turn,) = await shop.desk.claims()
    await shop.hears("no, two")
    await shop.desk.finishes(turn)
    await shop.settles()


async def test_i4_a_message_meanwhile(shop: Unguarded) -> None:
    await writes_meanwhile(shop)
    assert await shop.violations() == []


async def test_i4_with_a_finish_that_does_not_look(shop: Unguarded) -> None:
    await shop.without("finish_turn", "x.seq_in = finish_turn.seq_in", "true")
    await shop.without("finish_turn", "t.seq_in > finish_turn.seq_in and t.superseded < 3", "false")
    await writes_meanwhile(shop)
    await shop.finds("I4 forgotten: conversation 1 seq 2")


async def test_i5_the_order_of_a_webhook(shop: Unguarded) -> None:
    await shop.hears("one", "two", "three")
    await shop.settles()
    assert await shop.violations() == []


async def test_i5_without_the_place_in_the_webhook(shop: Unguarded) -> None:
    await shop.without("store_messages", "a.customer_id order by a.place)", "a.customer_id order by a.place desc)")
    await shop.hears("one", "two", "three")
    await shop.finds("I5 reordered")


async def test_i5_without_one_number_each(shop: Unguarded) -> None:
    await shop.without("finish_turn", "last_seq = x.last_seq + 1", "last_seq = x.last_seq")
    await shop.sql.execute("alter table messages drop constraint messages_seq_key")
    await shop.hears("Hi")
    await shop.settles()
    await shop.finds("I5 gaps")


async def test_i5_with_numbers_that_change(shop: Unguarded) -> None:
    await shop.hears("one")
    await shop.settles()
    shop.evidence.published = {1: 1}
    assert await shop.violations() == []
    for step in ("seq = 9 where id = 1", "seq = 1 where id = 2", "seq = 2 where id = 1"):
        await shop.sql.execute(f"update messages set {step}")
    await shop.finds("I5 moved: message 1")


async def refused_then_taken_over(shop: Unguarded) -> None:
    """Facebook is busy, and before the second attempt a person takes over."""
    await shop.hears("Hi")
    done = await shop.desk.answers()
    (delivery,) = await shop.desk.sends()
    await shop.desk.database.call("take_over", caller=ANNA, conversation_id=done["conversation_id"])
    await shop.desk.undelivered(delivery, "ready", retry=0)
    await shop.posts()


async def test_i6_a_takeover_between_two_attempts(shop: Unguarded) -> None:
    await refused_then_taken_over(shop)
    assert await shop.violations() == []


async def test_i6_without_comparing_the_epoch(shop: Unguarded) -> None:
    await shop.without("claim_deliveries", "d.epoch is not null and d.epoch <> t.epoch as fenced", "false as fenced")
    await refused_then_taken_over(shop)
    await shop.finds("I6 talked over: delivery 1 of epoch 0")


async def test_i6_without_the_lock_a_takeover_waits_for(shop: Unguarded, other: asyncpg.Connection) -> None:
    """The claim has looked at the epoch and is not committed yet; the takeover overtakes it."""
    await shop.without("claim_deliveries", "for share of t skip locked", "")
    await shop.without("cancel_deliveries", "and d.state = 'ready' and", "and false and")
    await shop.hears("Hi")
    done = await shop.desk.answers()
    async with other.transaction():
        assert await other.fetchval("select jsonb_array_length(claim_deliveries(10, 60))") == 1
        await shop.desk.database.call("take_over", caller=ANNA, conversation_id=done["conversation_id"])
    await shop.finds("I6 talked over")


QUIET: dict[str, object] = dict.fromkeys(("leases", "sending", "in_transaction", "connections", "files", "ended"), 0)
QUIET["memory"] = {"a": 100_000_000}


@pytest.mark.parametrize(
    ("left", "told"),
    [
        ({"leases": 1}, "I12 left behind: 1 leases"),
        ({"sending": 2}, "I12 left behind: 2 sending"),
        ({"in_transaction": 1}, "I12 left behind: 1 in_transaction"),
        ({"connections": 3}, "I12 left behind: 3 connections"),
        ({"files": 1}, "I12 left behind: 1 files"),
        ({"ended": 1}, "I12 left behind: 1 ended"),
        ({"memory": {"a": 300_000_000}}, "I12 grown: a"),
    ],
)
def test_i12_what_is_left_behind(left: dict[str, object], told: str) -> None:
    assert back_to_baseline(QUIET, QUIET) == []
    (found,) = back_to_baseline(QUIET, QUIET | left)
    assert found.startswith(told)
