"""A process ends when asked, hangs, or runs out of memory: the others go on, and what it held is given away once."""

import asyncio
import io
import json
import resource
import signal
import time
from typing import Any

import aiohttp
import pytest

from faults.environment import TURN_LEASE_SECONDS
from faults.field import Field, log_lines
from faults.storm import Storm, rage
from stands.app import APP_SECRET, PAGE
from stands.graph import message, sign, webhook

pytestmark = [pytest.mark.xdist_group("faults-postgres"), pytest.mark.asyncio(loop_scope="session")]

CONVERSATION = "select c.id from conversations c join customers p on p.id = c.customer_id where p.external_id = $1"
BLOCKED_SECONDS = 5
ROOM = 8_000_000
"""Bytes that the starved process may still take; a body of half of it is read, parsed and written as several copies."""


async def test_f5_a_process_that_is_asked_to_end_leaves_no_lease(field: Field) -> None:
    left: list[int] = []
    took: list[float] = []

    async def stop(storm: Storm) -> None:
        victim = field.fleet["b"]
        await victim.kill()
        victim.start(TURN_LEASE_SECONDS="60")
        await victim.ready()
        await storm.acked(0.5)
        began = time.monotonic()
        victim.signal(signal.SIGTERM)
        await victim.gone(10)
        took.append(time.monotonic() - began)
        async with field.sql() as sql:
            query = "select count(*) from turns where lease_until > clock_timestamp() + interval '20 seconds'"
            left.append(await sql.fetchval(query))

    (await rage(field, stop, seed=805, messages=80, pause=1.0)).raise_if_wrong()
    assert left == [0]
    assert took[0] < 10


async def test_f6_a_blocked_loop_renews_nothing(field: Field) -> None:
    """It stands still for five seconds in the middle of an answer; another answers, and the late one is refused."""
    victim = field.fleet["b"]
    others = [field.fleet[name] for name in ("a", "w")]
    await victim.kill()
    victim.start(FAIL=f"before_finish:block{BLOCKED_SECONDS}")
    await victim.ready()
    for member in others:  # so that it is the victim who answers first
        member.signal(signal.SIGSTOP)
    body = webhook(PAGE, message(PAGE, "f6-u", "f6.mid", "Hi"))
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=1)) as client:
        async with client.post(f"{victim.address}/webhook", data=body, headers=sign(body, APP_SECRET)) as answer:
            assert answer.status == 200
        async with asyncio.timeout(10):
            while await _answers(client, victim.address):
                await asyncio.sleep(0.02)
    blocked_since = time.monotonic() - 1  # what did not answer was asked a second ago
    for member in others:
        member.signal(signal.SIGCONT)
    async with asyncio.timeout(20), field.sql() as sql:
        query = "select count(*) from replies where outcome = 'answered' and conversation_id = $1"
        while not (conversation := await sql.fetchval(CONVERSATION, "f6-u")):
            await asyncio.sleep(0.02)
        while not await sql.fetchval(query, conversation):
            await asyncio.sleep(0.02)
        answered = time.monotonic() - blocked_since
        print(f"F6 answered {answered:.2f} s after the loop stood still")  # noqa: T201
        assert answered < BLOCKED_SECONDS, "while the blocked one still stood"
        while not (done := [line for line in log_lines(field, "b") if _ends(line, conversation)]):
            await asyncio.sleep(0.05)
        assert [line["outcome"] for line in done] == ["lost"]
        assert await sql.fetchval(query, conversation) == 1
        lease = "select max(lease_no) from turns where conversation_id = $1"
        assert await sql.fetchval(lease, conversation) == 2, "it renewed nothing: one more lease was enough"
    assert TURN_LEASE_SECONDS * 2 < BLOCKED_SECONDS


def _ends(line: dict[str, Any], conversation: int) -> bool:
    return line["event"] == "turn done" and line["conversation"] == conversation


async def _answers(client: aiohttp.ClientSession, address: str) -> bool:
    try:
        async with client.get(f"{address}/health/live") as answer:
            return answer.status == 200
    except TimeoutError:
        return False


async def test_f7_a_process_without_memory(field: Field) -> None:
    """It may grow by a few megabytes and is sent more; it refuses or dies, and the others carry on."""
    answers: list[int | str] = []

    async def starve(storm: Storm) -> bool:
        await storm.acked(0.2)
        victim = field.fleet["b"]
        resource.prlimit(victim.pid, resource.RLIMIT_AS, (victim.reserved + ROOM,) * 2)
        junk = {"sender": {"id": "junk"}, "recipient": {"id": PAGE}, "timestamp": 1, "junk": "x" * (ROOM // 2)}
        body = webhook(PAGE, junk)
        assert len(json.dumps(junk)) < 5_000_000
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as client,
            asyncio.TaskGroup() as group,
        ):
            await _send(client, f"{field.fleet['a'].address}/webhook", body, answers)
            assert answers == [200], "who has memory takes it"
            for _ in range(8):
                group.create_task(_send(client, f"{victim.address}/webhook", body, answers))
        storm.note("starved", str(answers))
        await victim.kill()
        victim.start()
        return any(answer != 200 for answer in answers)

    outcome = await rage(field, starve, seed=807, messages=80, pause=1.0)
    # A loop of the starved process may fail for want of memory, which I12 counts; it began anew or died with it.
    outcome.violations = [one for one in outcome.violations if not one.endswith("ended, at first 0")]
    print(f"F7 the starved one said {answers}")  # noqa: T201
    outcome.raise_if_wrong()


async def _send(client: aiohttp.ClientSession, address: str, body: bytes, answers: list[int | str]) -> None:
    try:
        async with client.post(address, data=io.BytesIO(body), headers=sign(body, APP_SECRET)) as answer:
            answers.append(answer.status)
    except (aiohttp.ClientError, TimeoutError) as error:
        answers.append(type(error).__name__)
