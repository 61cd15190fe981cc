"""Three processes on one database and a real broker: whoever is free answers, one is killed, nothing is done twice."""

import asyncio
import json
import signal
from collections import Counter

import aiohttp
import asyncpg
import pytest

from faults.field import Field, log_lines, open_field
from stands.app import APP_SECRET, PAGE
from stands.brokers import BROKERS, NAMES, need
from stands.graph import message, sign, webhook

DONE = "select count(*) from replies where outcome in ('answered', 'handed_over')"
ONE = DONE + " and conversation_id = (select max(id) from conversations)"
DAILY = ("close_idle", "reconcile", "purge")


async def writes(client: aiohttp.ClientSession, field: Field, customer: str) -> None:
    """A customer writes on Messenger."""
    body = webhook(PAGE, message(PAGE, customer, f"{customer}.mid", "Hi"))
    async with client.post(f"{field.fleet['a'].address}/webhook", data=body, headers=sign(body, APP_SECRET)) as answer:
        assert answer.status == 200


async def until(sql: asyncpg.Connection, query: str, count: int) -> None:
    async with asyncio.timeout(20):
        while await sql.fetchval(query) < count:
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("url", BROKERS, ids=NAMES)
@pytest.mark.xdist_group("brokers")
async def test_one_is_killed_while_it_answers(url: str) -> None:
    need(url)
    fleet = {"serving": ("a",), "working": ("v", "w")}
    async with (
        open_field(11, **fleet, BROKER_URL=url, REPLY_CONCURRENCY="1") as field,
        field.sql() as sql,
        aiohttp.ClientSession() as client,
    ):
        # As long as one answers, there is work for the others.
        await field.model.script(plays=[["say", ["One", " moment"], {"delay": 0.15}]] * 12)
        await asyncio.gather(*(writes(client, field, f"many{number}") for number in range(12)))
        await until(sql, DONE, 12)
        by = Counter(name for name in "avw" for line in log_lines(field, name) if line["event"] == "turn done")
        assert by.keys() == set("avw"), "whoever is free"

        # The one that takes the message is the only one awake, so it is the one that answers, and dies of it.
        await field.model.script(plays=[["hang", [], {}], ["say", ["Here I am."], {}]])
        calls = (await field.model.state())["calls"]
        for name in "vw":
            field.fleet[name].signal(signal.SIGSTOP)
        await writes(client, field, "last")
        await field.model.wait_for("calls", calls + 1)
        await field.fleet["a"].kill()
        for name in "vw":
            field.fleet[name].signal(signal.SIGCONT)
        await until(sql, ONE, 1)
        query = f"select lease_no, ({ONE}) from turns order by conversation_id desc limit 1"
        assert tuple(await sql.fetchrow(query)) == (2, 1), "answered by another, once"
        await until(sql, "select count(*) from messages where delivery_state in ('sent', 'delivered', 'read')", 13)
        await _upkeep_is_done_once(field, sql)
        assert _sent(field) == ["last", *sorted(f"many{number}" for number in range(12))], "and sent once"


async def _upkeep_is_done_once(field: Field, sql: asyncpg.Connection) -> None:
    """It is due for all processes; the broker carries the word, and one of them does it."""
    await sql.execute("update upkeep set due_at = now() - interval '1 hour' where name = any ($1)", list(DAILY))
    query = "select count(*) from upkeep where name in ('close_idle', 'reconcile', 'purge') and outcome = 'done'"
    await until(sql, query, len(DAILY))
    rows = await sql.fetch(
        "select name, lease_no, due_at > now() as waits from upkeep where name = any ($1)", list(DAILY)
    )
    assert {tuple(row) for row in rows} == {(name, 1, True) for name in DAILY}


def _sent(field: Field) -> list[str]:
    """To whom Facebook was given a message, as it wrote down itself."""
    lines = (field.folder / "accepted.jsonl").read_text().splitlines()
    return sorted(json.loads(line)["recipient"] for line in lines)
