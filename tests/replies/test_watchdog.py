"""The watchdog flags whoever waits too long, whatever part of the rest has failed; and nobody else."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest

from stands.app import local_settings, running_client, until_ready
from stands.desk import ANNA, Desk
from switchboard.database import Database
from switchboard.database.postgres import Postgres
from switchboard.upkeep.watchdog import watch


@pytest.fixture
async def desk(database: Database) -> Desk:
    desk = Desk(database)
    await desk.open()
    return desk


async def wait(desk: Desk, minutes: float = 16) -> int:
    """Time goes by for everything that was said; how many the watchdog flags then."""
    for table, column in (("messages", "created_at"), ("turns", "watch_at")):
        for row in await desk.database.select(table):
            if row[column]:
                moved = (datetime.fromisoformat(row[column]) - timedelta(minutes=minutes)).isoformat()
                key = {name: row[name] for name in ("id", "conversation_id") if name in row}
                await desk.database.update(table, {column: moved}, where=key)
    return await watch(desk.database)


async def flagged(desk: Desk) -> list[str]:
    rows = await desk.database.select("messages", where={"requires_human": True}, order=["id"])
    return [row["content"] for row in rows]


async def test_nobody_answers(desk: Desk) -> None:
    """No worker runs: the turn stays due for ever."""
    await desk.hears("Hi", "Hello?")
    assert await wait(desk, 14) == 0
    assert await wait(desk, 2) == 1
    assert await flagged(desk) == ["Hello?"]
    (conversation,) = await desk.database.select("conversations")
    assert conversation["requires_human"] is True
    assert (await desk.events()).count("message.requires_human") == 1
    assert await wait(desk) == 0, "once is enough"
    assert len(await desk.claims()) == 1, "the AI may still answer"


async def test_an_answer_that_arrived_is_an_answer(desk: Desk) -> None:
    await desk.hears("Hi")
    await desk.answers()
    (send,) = await desk.sends()
    await desk.delivered(send, "mid")
    assert await wait(desk) == 0
    assert await flagged(desk) == []


async def test_an_answer_that_is_not_sent_is_none(desk: Desk) -> None:
    await desk.hears("Hi")
    await desk.answers()
    assert await wait(desk) == 1
    assert await flagged(desk) == ["Hi"]


async def test_an_answer_that_a_takeover_kept_back_is_none(desk: Desk) -> None:
    await desk.hears("Hi")
    await desk.answers()
    await desk.database.call("take_over", caller=ANNA, conversation_id=1)
    assert await wait(desk) == 1


async def test_what_came_after_the_answer_has_its_own_time(desk: Desk) -> None:
    await desk.hears("Hi")
    await desk.answers(parts=[])
    assert await wait(desk, 10) == 0
    await desk.hears("And now?")
    assert await wait(desk, 10) == 0, "the first was answered, the second waits for ten minutes"
    assert await wait(desk, 6) == 1
    assert await flagged(desk) == ["And now?"]


async def test_a_person_who_forgets(desk: Desk) -> None:
    await desk.hears("Hi")
    await desk.database.call("take_over", caller=ANNA, conversation_id=1)
    assert await wait(desk) == 1
    reply = {"caller": ANNA, "conversation_id": 1, "content": "Anna here", "parts": []}
    await desk.database.call("post_human_reply", **reply)
    await desk.hears("Thanks. And?")
    assert await wait(desk) == 1, "the flag was settled by the answer; this is another wait"
    (first, second) = await desk.database.select("messages", where={"requires_human": True}, order=["id"])
    assert (first["human_replied"], second["human_replied"]) == (True, False)


async def test_settling_one_message_does_not_hide_another(desk: Desk) -> None:
    await desk.hears("Hi")
    await desk.database.call("take_over", caller=ANNA, conversation_id=1)
    assert await wait(desk) == 1
    await desk.hears("Hello?")
    (message,) = await desk.database.select("messages", where={"requires_human": True})
    await desk.database.call("mark_message", caller=ANNA, message_id=message["id"], mark="replied")
    assert await wait(desk) == 1
    assert await flagged(desk) == ["Hi", "Hello?"]


@pytest.mark.parametrize("change", [{"lifecycle": "closed"}, {"deleted_at": "2026-01-01T00:00:00Z"}])
async def test_what_is_over_is_over(desk: Desk, change: dict[str, Any]) -> None:
    await desk.hears("Hi")
    await desk.database.update("conversations", change, where={"id": 1})
    assert await wait(desk) == 0
    (turn,) = await desk.database.select("turns")
    assert turn["watch_at"] is None


async def test_what_was_taken_back_waits_for_nothing(desk: Desk) -> None:
    await desk.hears("Hi")
    await desk.database.update("messages", {"unsent_at": "2026-01-01T00:00:00Z"}, where={"conversation_id": 1})
    assert await wait(desk) == 0


async def test_each_workspace_has_its_own_patience(desk: Desk) -> None:
    other = await desk.second_workspace("2002")
    await desk.database.update("workspaces", {"answer_within_seconds": 60}, where={"id": other})
    await desk.hears("Hi")
    await desk.hears("Hi", customer="u2", page="2002")
    assert await wait(desk, 2) == 1
    (row,) = await desk.database.select("conversations", where={"requires_human": True})
    assert row["workspace_id"] == other


async def test_more_than_fit_into_one_look_and_several_who_look(desk: Desk) -> None:
    for number in range(230):
        await desk.hears("Hi", customer=f"u{number}")
    await desk.database.update("messages", {"created_at": "2026-01-01T00:00:00Z"}, where={"sender_type": "user"})
    await desk.database.update("turns", {"watch_at": "2026-01-01T00:00:00Z"}, where={"workspace_id": 1})
    assert sum(await asyncio.gather(*(watch(desk.database) for _ in range(4)))) == 230
    assert (await desk.events()).count("message.requires_human") == 230


async def test_the_service_looks_when_it_starts(postgres: Postgres, database_url: str) -> None:
    desk = Desk(postgres)
    await desk.open()
    await postgres.update("workspaces", {"default_handler": "human", "answer_within_seconds": 1}, where={"id": 1})
    await desk.hears("Hi")
    await asyncio.sleep(1)
    async with running_client(local_settings(database_url, reply_concurrency=1)) as client:
        await until_ready(client)
        async with asyncio.timeout(10):
            while await flagged(desk) != ["Hi"]:
                await asyncio.sleep(0.05)
