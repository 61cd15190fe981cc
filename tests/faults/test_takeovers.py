"""F41, F42: people take conversations over at every moment of an answer, and two at once."""

import asyncio
import signal
from typing import Any

import pytest

from faults.checkers import check
from faults.evidence import Evidence, read_logs, read_rows
from faults.field import Field
from faults.history import History
from faults.quiet import quiet
from faults.sender import Sender
from stands.app import PAGE
from stands.graph import message, webhook

pytestmark = [pytest.mark.xdist_group("faults-takeovers"), pytest.mark.asyncio(loop_scope="session")]

BEFORE_THE_CLAIM = ("after_turn_claim", "after_context", "before_first_chunk", "mid_stream", "before_finish")


async def conversation_of(field: Field, customer: str) -> int | None:
    """The customer's conversation, once it is there."""
    async with field.sql() as sql:
        return await sql.fetchval(
            "select c.id from conversations c join customers p on p.workspace_id = c.workspace_id"
            " and p.id = c.customer_id where p.external_id = $1",
            customer,
        )


async def stepping(field: Field, fail: str) -> None:
    """One process takes webhooks and people's calls and answers nobody; the other answers, and fails as told."""
    for member in field.fleet.members.values():
        await member.kill()
    field.fleet["a"].start(REPLY_CONCURRENCY="0")
    field.fleet["b"].start(FAIL=fail)
    await field.fleet["a"].ready()
    await field.fleet["b"].ready()


async def asks(field: Field, customer: str) -> Evidence:
    """The customer writes one message, which the silent process takes."""
    mid = f"{customer}.mid"
    body = webhook(PAGE, message(PAGE, customer, mid, "Hi"))
    await Sender(History(field.folder / f"{customer}.jsonl"), [field.fleet["a"].address], 1).post(body, mid, [mid])
    return Evidence(sent={mid: "Hi"}, acked={mid}, orders=[[mid]])


async def gather(field: Field, customer: str, evidence: Evidence) -> Evidence:
    """What is there when all is quiet again, with nothing wrong in it."""
    field.fleet["b"].signal(signal.SIGCONT)
    await quiet(field, evidence.acked)
    async with field.sql() as sql:
        await read_rows(sql, customer, evidence)
    read_logs(field.folder, customer, evidence)
    await field.fleet["a"].kill()
    assert check(evidence) == []
    return evidence


@pytest.mark.parametrize("place", BEFORE_THE_CLAIM)
async def test_f41_taken_over_while_it_is_written(field: Field, place: str) -> None:
    customer = f"f41-{place}"
    await stepping(field, f"{place}:stop")
    await field.model.script(plays=[["say", ["We are ", "open."], {}]])
    evidence = await asks(field, customer)
    async with asyncio.timeout(15):
        while not field.fleet["b"].frozen:
            await asyncio.sleep(0.01)
    conversation = await conversation_of(field, customer)
    assert (await field.admin("POST", f"/admin/conversations/{conversation}/takeover")).status_code == 200
    await gather(field, customer, evidence)
    assert [row["sender_type"] for row in evidence.messages] == ["user"]
    assert evidence.calls == [], "the AI says nothing any more"
    assert {row["outcome"] for row in evidence.replies} <= {"taken_over", "lost"}


async def test_f41_taken_over_before_the_claim_to_send(field: Field) -> None:
    customer = "f41-before_send_claim"
    await stepping(field, "before_send_claim:sleep6")  # the loop that sends sleeps, the one that answers does not
    await field.model.script(plays=[["say", ["We are ", "open."], {}]])
    evidence = await asks(field, customer)
    async with asyncio.timeout(5), field.sql() as sql:
        while not await sql.fetchval("select count(*) from deliveries where state = 'ready'"):
            await asyncio.sleep(0.01)
    conversation = await conversation_of(field, customer)
    assert (await field.admin("POST", f"/admin/conversations/{conversation}/takeover")).status_code == 200
    await asyncio.sleep(6)
    await gather(field, customer, evidence)
    assert [row["state"] for row in evidence.deliveries] == ["cancelled"]
    assert evidence.calls == [], "what was ready stays unsent"


async def test_f41_taken_over_after_the_claim_to_send(field: Field) -> None:
    """The claim came first: it goes out, and the person who took over sees that it was on its way."""
    customer = "f41-after_send_claim"
    await stepping(field, "after_send_claim:stop")
    await field.model.script(plays=[["say", ["We are ", "open."], {}]])
    evidence = await asks(field, customer)
    async with asyncio.timeout(15):
        while not field.fleet["b"].frozen:
            await asyncio.sleep(0.01)
    conversation = await conversation_of(field, customer)
    assert (await field.admin("POST", f"/admin/conversations/{conversation}/takeover")).status_code == 200
    shown: Any = (await field.admin("GET", f"/admin/conversations/{conversation}/messages")).json()
    assert "sending" in str(shown), shown
    await gather(field, customer, evidence)
    assert len(evidence.accepted) == 1


async def test_f42_two_people_take_over_at_once(field: Field) -> None:
    for number in range(10):
        customer = f"f42-{number}"
        await asks(field, customer)
        while (conversation := await conversation_of(field, customer)) is None:
            await asyncio.sleep(0.02)
        path = f"/admin/conversations/{conversation}/takeover"
        anna, ben = await asyncio.gather(
            field.admin("POST", path, member="a", person="anna"), field.admin("POST", path, member="b", person="ben")
        )
        assert sorted((anna.status_code, ben.status_code)) == [200, 409], (anna.text, ben.text)
        winner, loser = ("anna", ben) if anna.status_code == 200 else ("ben", anna)
        assert winner in loser.text, "who has come second is told by whom"
