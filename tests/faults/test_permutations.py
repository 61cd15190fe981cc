"""Two that want the same row, statement by statement, in both orders: who comes second sees what the first did."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import asyncpg
import pytest

from faults.hands import Hand
from stands.desk import ANNA, Desk
from switchboard.database.postgres import Postgres

REPLY = {"text": "Hello!", "provider": "extractive", "model": "quote", "confidence": 0.9}


@pytest.fixture
async def desk(postgres: Postgres) -> Desk:
    desk = Desk(postgres)
    await desk.open()
    return desk


@pytest.fixture
async def hands(database_url: str) -> AsyncIterator[tuple[Hand, Hand]]:
    async with AsyncExitStack() as stack:
        opened: list[asyncpg.Connection] = []
        for _ in range(3):
            connection = await asyncpg.connect(database_url)
            stack.push_async_callback(connection.close)
            await connection.execute("set role service_role; set statement_timeout = '20s'")
            opened.append(connection)
        first, second = Hand(opened[0], opened[2]), Hand(opened[1], opened[2])
        await first.begin()
        await second.begin()
        yield first, second


CLAIM: dict[str, Any] = {"max_turns": 10, "lease_seconds": 30.0, "per_workspace": 8}
SEND: dict[str, Any] = {"max_deliveries": 10, "lease_seconds": 60.0}


def finished(turn: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The arguments of `finish_turn` for a turn that was claimed."""
    kept = {name: turn[name] for name in ("workspace_id", "conversation_id", "lease_no", "epoch", "seq_in")}
    return {**kept, "reply": REPLY, "parts": ["Hello!"], "hand_over": False, **more}


async def test_claimed_then_a_new_message(desk: Desk, hands: tuple[Hand, Hand]) -> None:
    worker, meta = hands
    await desk.hears("Hi")
    (turn,) = await worker.call("claim_turns", **CLAIM)
    receiving = await meta.waits(meta.receives("second"))
    await worker.commit()
    await receiving
    await meta.commit()
    assert (await desk.finishes(turn))["outcome"] == "superseded"
    (again,) = await desk.claims()
    assert (again["seq_in"], len(again["transcript"])) == (2, 2)


async def test_a_new_message_then_the_claim(desk: Desk, hands: tuple[Hand, Hand]) -> None:
    meta, worker = hands
    await desk.hears("Hi")
    await meta.receives("second")
    assert await worker.call("claim_turns", **CLAIM) == [], "nobody answers half of what is being said"
    await meta.commit()
    (turn,) = await worker.call("claim_turns", **CLAIM)
    assert (turn["seq_in"], len(turn["transcript"])) == (2, 2)


async def test_finished_then_a_new_message(desk: Desk, hands: tuple[Hand, Hand]) -> None:
    worker, meta = hands
    await desk.hears("Hi")
    (turn,) = await desk.claims()
    assert (await worker.call("finish_turn", **finished(turn)))["outcome"] == "answered"
    receiving = await meta.waits(meta.receives("second"))
    await worker.commit()
    await receiving
    await meta.commit()
    (turn,) = await desk.claims()
    assert [line["seq"] for line in turn["transcript"]] == [1, 2, 3]
    assert (turn["seq_in"], turn["seq_done"]) == (3, 1)


async def test_a_new_message_then_the_finish(desk: Desk, hands: tuple[Hand, Hand]) -> None:
    meta, worker = hands
    await desk.hears("Hi")
    (turn,) = await desk.claims()
    await meta.receives("second")
    finishing = await worker.waits(worker.call("finish_turn", **finished(turn)))
    await meta.commit()
    assert (await finishing)["outcome"] == "superseded"
    await worker.commit()
    assert await desk.bots() == []
    assert [turn["seq_in"] for turn in await desk.claims()] == [2]


async def test_claimed_to_send_then_a_takeover(desk: Desk, hands: tuple[Hand, Hand]) -> None:
    worker, anna = hands
    await desk.hears("Hi")
    done = await desk.answers("one two", parts=["one", "two"])
    assert [sent["text"] for sent in await worker.call("claim_deliveries", **SEND)] == ["one"]
    taking = await anna.waits(anna.call("take_over", caller=ANNA, conversation_id=done["conversation_id"]))
    await worker.commit()
    await taking
    await anna.commit()
    rows = await desk.database.select("deliveries", order=["id"])
    assert [row["state"] for row in rows] == ["sending", "cancelled"], "what was on its way goes, the rest stays"


async def test_a_takeover_then_the_claim_to_send(desk: Desk, hands: tuple[Hand, Hand]) -> None:
    anna, worker = hands
    await desk.hears("Hi")
    done = await desk.answers()
    await anna.call("take_over", caller=ANNA, conversation_id=done["conversation_id"])
    assert await worker.call("claim_deliveries", **SEND) == []
    await anna.commit()
    assert await worker.call("claim_deliveries", **SEND) == []
    assert [row["state"] for row in await desk.database.select("deliveries")] == ["cancelled"]


@pytest.mark.parametrize("first_one_stays", [True, False], ids=["committed", "rolled back"])
async def test_one_message_delivered_twice_at_once(desk: Desk, hands: tuple[Hand, Hand], first_one_stays: bool) -> None:
    first, second = hands
    assert await first.receives("the same") == 1
    receiving = await second.waits(second.receives("the same"))
    await (first.commit() if first_one_stays else first.rollback())
    assert await receiving == (0 if first_one_stays else 1)
    await second.commit()
    (message,) = await desk.database.select("messages")
    assert message["seq"] == 1
    assert [turn["seq_in"] for turn in await desk.claims()] == [1]


async def test_two_workers_finish_one_turn(desk: Desk, hands: tuple[Hand, Hand]) -> None:
    late, owner = hands
    await desk.hears("Hi")
    (lost,) = await desk.claims(lease=0.001)
    await asyncio.sleep(0.01)
    (held,) = await desk.claims()
    assert held["lease_no"] == lost["lease_no"] + 1
    assert (await late.call("finish_turn", **finished(lost)))["outcome"] == "lost"
    finishing = await owner.waits(owner.call("finish_turn", **finished(held)))
    await late.commit()
    assert (await finishing)["outcome"] == "answered"
    await owner.commit()
    assert len(await desk.bots()) == 1


async def test_a_finish_whose_answer_got_lost_is_asked_again(desk: Desk, hands: tuple[Hand, Hand]) -> None:
    first, second = hands
    await desk.hears("Hi")
    (turn,) = await desk.claims()
    done = await first.call("finish_turn", **finished(turn))
    finishing = await second.waits(second.call("finish_turn", **finished(turn)))
    await first.commit()
    assert await finishing == done
    await second.commit()
    assert len(await desk.bots()) == 1


async def test_erased_then_the_reply(desk: Desk, hands: tuple[Hand, Hand]) -> None:
    eraser, worker = hands
    await desk.hears("Hi")
    (turn,) = await desk.claims()
    await eraser.erase(turn["conversation_id"])
    finishing = await worker.waits(worker.call("finish_turn", **finished(turn)))
    await eraser.commit()
    assert (await finishing)["outcome"] == "lost"
    await worker.commit()
    for table in ("messages", "turns", "replies", "deliveries"):
        assert await desk.database.select(table) == [], table


async def test_a_reply_then_the_erasure(desk: Desk, hands: tuple[Hand, Hand]) -> None:
    worker, eraser = hands
    await desk.hears("Hi")
    (turn,) = await desk.claims()
    await worker.call("finish_turn", **finished(turn))
    erasing = await eraser.waits(eraser.erase(turn["conversation_id"]))
    await worker.commit()
    await erasing
    await eraser.commit()
    for table in ("messages", "turns", "replies", "deliveries"):
        assert await desk.database.select(table) == [], table
    assert await desk.sends() == []


async def test_a_refusal_reported_twice_does_not_take_the_next_attempt_back(desk: Desk) -> None:
    """The first report was written but its answer got lost; it is repeated while the next attempt is on its way."""
    await desk.hears("Hi")
    await desk.answers()
    (first,) = await desk.sends()
    await desk.undelivered(first, "ready", retry=0)
    (second,) = await desk.sends()
    assert second["attempts"] == 2
    await desk.undelivered(first, "ready", retry=0)
    assert await desk.sends() == [], "the second attempt is still on its way: a third would be a second send"
