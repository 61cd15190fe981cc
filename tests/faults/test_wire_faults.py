"""What Meta does to us on the wire: again, late, in the wrong order, by the thousand, forged, and not at all."""

import asyncio
import json
import time
from typing import Any

import httpx
import pytest

from faults import nemeses
from faults.checkers import check
from faults.environment import APP_ID, QUIET_SECONDS
from faults.evidence import Evidence, read_logs, read_rows
from faults.field import Field, log_lines
from faults.history import History
from faults.outcome import Outcome
from faults.pairs import together
from faults.plan import Plan, Webhook
from faults.quiet import quiet
from faults.sender import Sender
from faults.storm import Storm, rage
from stands.app import APP_SECRET, PAGE
from stands.graph import message, sign, webhook

pytestmark = [pytest.mark.xdist_group("faults-wire"), pytest.mark.asyncio(loop_scope="session")]


async def settle(field: Field, prefix: str, sent: dict[str, str], orders: list[list[str]] | None = None) -> Evidence:
    """Waits for quiet and answers the evidence about these customers, in which nothing may be wrong."""
    evidence = Evidence(sent=sent, acked=set(sent), orders=orders or [])
    await quiet(field, set(sent))
    async with field.sql() as sql:
        await read_rows(sql, prefix, evidence)
    read_logs(field.folder, prefix, evidence)
    assert check(evidence) == []
    return evidence


async def post(
    field: Field, body: bytes, *, member: str = "a", headers: dict[str, str] | None = None
) -> httpx.Response:
    """One webhook to one process."""
    async with httpx.AsyncClient(timeout=10, verify=False) as client:
        address = f"{field.fleet[member].address}/webhook"
        return await client.post(address, content=body, headers=sign(body, APP_SECRET) if headers is None else headers)


def bots(evidence: Evidence) -> list[Any]:
    """The AI's messages."""
    return [row for row in evidence.messages if row["sender_type"] == "bot"]


async def test_f32_one_message_delivered_fifty_times_at_once(field: Field, tmp_path: Any) -> None:
    plan = Plan({"f32-u": [Webhook("f32-u", (("f32.mid", "Hi"),), copies=50)]})
    sender = Sender(History(tmp_path / "history"), field.fleet.addresses, seed=32)
    await sender.send(plan)
    assert set(sender.statuses) == {200}
    evidence = await settle(field, "f32-", plan.mids)
    assert len(bots(evidence)) == 1


async def test_f33_messages_in_reverse_and_hours_late(field: Field) -> None:
    now = int(time.time() * 1000)
    sent = {f"f33.mid.{number}": f"number {number}" for number in range(4)}
    await field.model.script(seed=33, plays=[["say", ["We are open."], {}]] * 5)  # nobody hands over
    for number in reversed(range(4)):
        event = message(PAGE, "f33-u", f"f33.mid.{number}", f"number {number}", at=now - (4 - number) * 1000)
        assert (await post(field, webhook(PAGE, event))).status_code == 200
    evidence = await settle(field, "f33-", sent)
    before = len(bots(evidence))
    late = message(PAGE, "f33-u", "f33.late", "from this morning", at=now - 5 * 3600 * 1000)
    assert (await post(field, webhook(PAGE, late))).status_code == 200
    evidence = await settle(field, "f33-", sent | {"f33.late": "from this morning"})
    assert len(bots(evidence)) == before, "what is hours old is kept, and nobody is answered hours late"
    asked = [row for row in evidence.messages if row["sender_type"] == "user" and row["requires_human"]]
    assert [row["external_id"] for row in asked] == ["f33.late"], "people are told of it, and of nothing else"
    (told,) = [row for row in evidence.events if row["message_id"] == asked[0]["id"] and "human" in row["type"]]
    assert json.loads(told["data"])["reason"]


async def test_f34_a_thousand_in_one_body_one_of_them_poisoned(field: Field) -> None:
    sent = {f"f34.mid.{number}": f"number {number}" for number in range(999)}
    events = [message(PAGE, f"f34-u{number % 40}", mid, text) for number, (mid, text) in enumerate(sent.items())]
    poison: dict[str, Any] = {"sender": 42, "recipient": None, "message": ["\x00", {"mid": {}}]}
    began = time.monotonic()
    assert (await post(field, webhook(PAGE, *events[:500], poison, *events[500:]))).status_code == 200
    took = time.monotonic() - began
    orders = [[f"f34.mid.{number}" for number in range(first, 999, 40)] for first in range(40)]
    await settle(field, "f34-", sent, orders)
    assert took < 3, "Meta gives up after five seconds"


async def test_f35_twenty_messages_in_a_burst(field: Field) -> None:
    """Three seconds of typing, with the quiet time that workspaces have by default."""
    await _quiet_time(field, None)
    try:
        customer = await _burst(field)
    finally:
        await _quiet_time(field, QUIET_SECONDS)
    sent = {f"{customer}.mid.{number}": f"and {number}" for number in range(20)}
    evidence = await settle(field, customer, sent, [list(sent)])
    assert 1 <= len(bots(evidence)) <= 2


async def _burst(field: Field) -> str:
    """The customer who did write twenty messages within three seconds and a half: a busy machine may need several."""
    for customer in ("f35-1", "f35-2", "f35-3"):
        began = time.monotonic()
        for number in range(20):
            await asyncio.sleep(max(0.0, began + number * 0.15 - time.monotonic()))
            sent = webhook(PAGE, message(PAGE, customer, f"{customer}.mid.{number}", f"and {number}"))
            assert (await post(field, sent)).status_code == 200
        if time.monotonic() - began < 3.5:
            return customer
    raise AssertionError("the machine is too busy to send twenty messages in three seconds")


async def _quiet_time(field: Field, seconds: float | None) -> None:
    async with field.sql() as sql:
        wanted = "default" if seconds is None else str(seconds)
        await sql.execute(f"update workspaces set quiet_seconds = {wanted}")


async def test_f36_sent_and_the_answer_lost(field: Field) -> None:
    async def lose(storm: Storm) -> None:
        await field.graph.script(
            answers=[["reset", {"accepted": True}], ["truncated", {}], ["reset", {"accepted": True}]]
        )

    before = _doubted(field)
    outcome = await rage(field, lose, seed=3600, messages=40, takeovers=0)
    outcome.raise_if_wrong()
    # Not by the deliveries: an echo that is fast settles one before its doubt is written down.
    assert _doubted(field) > before, "some answers did get lost"
    await _until_settled(field, outcome)


def _doubted(field: Field) -> int:
    """How often the service did not know whether a send had arrived."""
    lines = [line for name in field.fleet.members for line in log_lines(field, name)]
    return sum(line["event"] == "not delivered" and line["state"] == "unknown" for line in lines)


async def _until_settled(field: Field, outcome: Outcome) -> None:
    """The echoes tell that what was unknown had arrived."""
    ids = [row["id"] for row in outcome.evidence.deliveries]
    async with asyncio.timeout(10), field.sql() as sql:
        while await sql.fetchval("select count(*) from deliveries where id = any($1) and state = 'unknown'", ids):
            await asyncio.sleep(0.05)


async def test_f37_the_echo_comes_before_the_answer(field: Field) -> None:
    await field.graph.script(echo="before")
    try:
        outcome = await rage(field, _nothing, seed=3700, messages=40, takeovers=0)
    finally:
        await field.graph.script(echo="after")
    outcome.raise_if_wrong()
    assert {row["state"] for row in outcome.evidence.deliveries} == {"sent"}


async def test_f38_a_person_answers_in_facebooks_own_inbox(field: Field) -> None:
    async def answer(storm: Storm) -> bool:
        customers = list(storm.plan.webhooks)[::2]
        for customer in customers:
            await storm.acked(storm.dice.random())
            mid = f"{customer}.by.anna"
            told = {"mid": mid, "is_echo": True, "app_id": int(APP_ID) + 1, "text": "Anna here"}
            event = {"sender": {"id": PAGE}, "recipient": {"id": customer}, "timestamp": 1, "message": told}
            await storm.sender.post(webhook(PAGE, event), mid)
        return bool(customers)

    outcome = await rage(field, answer, seed=3800, messages=80, takeovers=0)
    outcome.evidence.by_people["anna"] = "Anna here"
    assert check(outcome.evidence) == []
    people = {row["conversation_id"] for row in outcome.evidence.messages if row["sender_type"] == "human"}
    assert people
    assert all(row["handler"] == "human" for row in outcome.evidence.conversations if row["id"] in people)


async def test_f39_facebook_and_the_model_in_trouble(field: Field) -> None:
    both = together(nemeses.facebook_in_trouble, nemeses.model_in_trouble)
    outcome = await rage(field, both, seed=3900, messages=60)
    outcome.raise_if_wrong()
    refused = [row for row in outcome.evidence.deliveries if row["state"] == "failed"]
    assert [row["attempts"] for row in refused] == [1] * len(refused), "what is final is tried once"


async def test_f40_forged_unsigned_and_rewritten(field: Field) -> None:
    body = webhook(PAGE, message(PAGE, "f40-u", "f40.mid", "Let me in"))
    rewritten = json.dumps(json.loads(body), indent=1).encode()
    tries = [
        (body, sign(body, "another secret")),
        (body, {"content-type": "application/json"}),
        (body, {"x-hub-signature-256": "sha256="}),
        (rewritten, sign(body, APP_SECRET)),
        (body + b" ", sign(body, APP_SECRET)),
    ]
    for forged, headers in tries:
        assert (await post(field, forged, headers=headers)).status_code in (401, 403)
    async with field.sql() as sql:
        assert await sql.fetchval("select count(*) from customers where external_id = 'f40-u'") == 0
        assert (
            await sql.fetchval("select count(*) from inbox where position('Let me in' in encode(body, 'escape')) > 0")
            == 0
        )


async def test_a_message_that_is_taken_back_silences_nobody(field: Field) -> None:
    await _quiet_time(field, 0.5)
    asked = message(PAGE, "unsent-u", "unsent.mid", "forget it")
    unsent = {**asked, "message": {"mid": "unsent.mid", "is_deleted": True}}
    for event in (asked, unsent):
        assert (await post(field, webhook(PAGE, event))).status_code == 200
    await _quiet_time(field, QUIET_SECONDS)
    (await rage(field, _nothing, seed=4000, messages=40)).raise_if_wrong()


async def _nothing(storm: Storm) -> None:
    """The storm without a nemesis."""
