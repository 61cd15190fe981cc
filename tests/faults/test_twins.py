"""Each protection is taken away, one test each, and the checker has to see what happens then.

Every scenario runs twice: with the protection, where no checker may complain, and without it.
"""

import asyncio

import pytest

from faults.unguarded import Unguarded
from switchboard.errors import Conflict

NOT_YET_THERE = """and not exists (
        select from messages m where m.workspace_id = e.workspace_id and m.external_id = e.external_id
      )"""
LEASE_RAN_OUT = "when t.lease_until is null or t.lease_until < clock_timestamp() then 'lost'"


async def delivered_twice(shop: Unguarded) -> None:
    await shop.hears("Hi", mids=["same"])
    await shop.hears("Hi", mids=["same"])
    await shop.settles()


async def test_i1_twice_the_same_message(shop: Unguarded) -> None:
    await delivered_twice(shop)
    assert await shop.violations() == []


async def test_i1_the_index_and_the_look_are_each_enough(shop: Unguarded) -> None:
    await shop.without("store_messages", NOT_YET_THERE, "")
    await delivered_twice(shop)
    assert len(await shop.desk.database.select("messages", where={"sender_type": "user"})) == 1


async def test_i1_without_the_index_and_the_look(shop: Unguarded) -> None:
    await shop.without("store_messages", NOT_YET_THERE, "")
    await shop.sql.execute("drop index messages_external_key")
    await delivered_twice(shop)
    await shop.finds("I1 double: same")


async def test_i1_acknowledged_before_it_is_stored(shop: Unguarded) -> None:
    await shop.without("accept_webhook", "insert into inbox", "return; insert into inbox")
    await shop.hears("Hi", mids=["lost"])
    await shop.finds("I1 lost: lost")


async def test_i2_somebody_elses_words(shop: Unguarded) -> None:
    await shop.hears("Hi")
    await shop.settles()
    assert await shop.violations() == []
    await shop.desk.hears("nobody said this")
    await shop.finds("I2 invented")


async def test_i2_without_knowing_our_own_echo(shop: Unguarded) -> None:
    await shop.without("is_own_echo", "select exists (", "select false and exists (")
    await shop.hears("Hi")
    await shop.settles()
    (send,) = shop.evidence.accepted
    echo = {"kind": "echo", "external_id": send["identifier"] + "x", "text": send["text"]}
    await shop.desk.receives(echo | {"data": {"metadata": send["marker"]}})
    await shop.finds("I2 invented: no person wrote 'Hello!'")


async def two_finish(shop: Unguarded) -> None:
    """The first one's lease runs out while it writes, and it does not know."""
    await shop.hears("Hi")
    (lost,) = await shop.desk.claims(lease=0.001)
    await asyncio.sleep(0.005)
    (held,) = await shop.desk.claims()
    await shop.desk.finishes(held)
    await shop.desk.finishes(lost)
    while await shop.posts():
        pass


async def test_i3_two_finish_one_turn(shop: Unguarded) -> None:
    await two_finish(shop)
    assert await shop.violations() == []


async def test_i3_without_fencing_the_index_is_the_last_wall(shop: Unguarded) -> None:
    await shop.without("finish_turn", "t.lease_no <> finish_turn.lease_no", "false")
    await shop.without("finish_turn", LEASE_RAN_OUT, "")
    with pytest.raises(Conflict):
        await two_finish(shop)


async def test_i3_without_fencing_and_index(shop: Unguarded) -> None:
    await shop.without("finish_turn", "t.lease_no <> finish_turn.lease_no", "false")
    await shop.without("finish_turn", LEASE_RAN_OUT, "")
    await shop.sql.execute("drop index replies_once")
    await two_finish(shop)
    await shop.finds("I3 double: turn")


async def dies_while_sending(shop: Unguarded) -> None:
    await shop.hears("Hi")
    await shop.desk.answers()
    await shop.posts(lease=0.001, dies=True)
    await asyncio.sleep(0.005)
    await shop.posts()


async def test_i3_the_sender_dies(shop: Unguarded) -> None:
    await dies_while_sending(shop)
    assert await shop.violations() == []


async def test_i3_with_unknown_sent_again(shop: Unguarded) -> None:
    await shop.without("settle_lost_delivery", "'unknown'", "'ready'")
    await dies_while_sending(shop)
    await shop.posts()
    await shop.finds("I3 double: part")


async def test_i3_other_words_than_those_stored(shop: Unguarded) -> None:
    await shop.hears("Hi")
    await shop.settles()
    await shop.sql.execute("update deliveries set text = 'something else'")
    await shop.finds("I3 altered")
