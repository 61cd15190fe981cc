"""Protections of whole processes and of the server are taken away, one test each: the checkers have to see it.

What the database's functions rest on is taken away in `test_twins.py`.
"""

import asyncio
import signal
from collections.abc import AsyncIterator

import aiohttp
import asyncpg
import pytest
import pytest_asyncio

from faults import nemeses
from faults.checkers import check
from faults.evidence import Evidence, read_rows
from faults.field import Field
from faults.fleet import Member
from faults.outcome import Outcome
from faults.points import VICTIM, failing
from faults.quiet import quiet
from faults.storm import Storm, rage
from faults.tampered import LEAKING, UNSIGNED, tampered
from faults.unguarded import LEASE_ENDED, without
from stands.app import APP_SECRET, PAGE
from stands.graph import message, sign, webhook

pytestmark = [pytest.mark.xdist_group("faults-twins"), pytest.mark.asyncio(loop_scope="session")]


@pytest_asyncio.fixture(loop_scope="session")
async def replaced(field: Field) -> AsyncIterator[dict[str, Member]]:
    """Members that a test puts in the place of others; these come back afterwards."""
    own = dict(field.fleet.members)
    yield field.fleet.members
    for member in field.fleet.members.values():
        await member.kill()
    field.fleet.members.update(own)


async def put(field: Field, name: str, member: Member) -> None:
    """This process instead of the one of that name."""
    await field.fleet[name].kill()
    field.fleet.members[name] = member
    member.start()
    await member.ready()


async def posts(field: Field, member: str, mid: str, text: str, *, secret: str = APP_SECRET, customer: str) -> int:
    """One webhook to one process; its answer."""
    body = webhook(PAGE, message(PAGE, customer, mid, text))
    async with aiohttp.ClientSession() as client:
        address = f"{field.fleet[member].address}/webhook"
        async with client.post(address, data=body, headers=sign(body, secret)) as answer:
            return answer.status


async def settled(field: Field, customer: str, evidence: Evidence) -> list[str]:
    """What the checkers find when all is quiet."""
    await quiet(field, evidence.acked, seconds=20)
    async with field.sql() as sql:
        return check(await read_rows(sql, customer, evidence))


async def test_i2_without_the_signature(field: Field, replaced: dict[str, Member]) -> None:
    """Somebody who does not know the secret writes in a customer's name."""
    assert await posts(field, "a", "forged.1", "Open sesame", secret="guessed", customer="twin-i2-") == 403
    assert await settled(field, "twin-i2-", Evidence()) == []
    await put(field, "a", tampered(field, "a", UNSIGNED))
    assert await posts(field, "a", "forged.2", "Open sesame", secret="guessed", customer="twin-i2-") == 200
    async with field.sql() as sql, asyncio.timeout(10):
        while not await sql.fetchval("select count(*) from messages where external_id = 'forged.2'"):
            await asyncio.sleep(0.02)
    assert "I2 invented: forged.2 'Open sesame' was not sent" in await settled(field, "twin-i2-", Evidence())


async def two_while_it_is_away(field: Field, customer: str) -> list[str]:
    """Both processes have spooled a message of one customer; the second one's process is the first to replay."""
    mids = [f"{customer}.mid.1", f"{customer}.mid.2"]
    field.cluster.stop(signal.SIGQUIT)
    assert await posts(field, "a", mids[0], "first", customer=customer) == 200
    assert await posts(field, "b", mids[1], "second", customer=customer) == 200
    field.fleet["a"].signal(signal.SIGSTOP)
    field.cluster.start()
    stored = "select count(*) from messages where external_id = any($1)"
    async with field.sql() as sql, asyncio.timeout(20):
        while not await sql.fetchval(stored, mids):
            await asyncio.sleep(0.05)
    field.fleet["a"].signal(signal.SIGCONT)
    sent = dict(zip(mids, ("first", "second"), strict=True))
    return await settled(field, customer, Evidence(sent=sent, acked=set(mids), orders=[mids]))


async def test_i5_one_spool_for_all_processes(field: Field) -> None:
    assert await two_while_it_is_away(field, "twin-spool") == []


async def test_i5_with_a_spool_for_each_process(field: Field, replaced: dict[str, Member]) -> None:
    await put(field, "b", tampered(field, "b", "", data=str(field.folder / "apart")))
    found = await two_while_it_is_away(field, "twin-spools")
    assert any(one.startswith("I5 reordered: ['twin-spools.mid.1', 'twin-spools.mid.2']") for one in found), found


async def _until_it_happens(field: Field, place: str, seed: int, *, quiet_seconds: float) -> Outcome:
    """A storm in which a process dies there. In some none does: the others were quicker to take all the work."""
    for more in range(3):
        nemesis = failing(place, "kill9")
        outcome = await rage(
            field, nemesis, seed=seed + 100 * more, messages=40, takeovers=0, quiet_seconds=quiet_seconds
        )
        if outcome.happened:
            break
    return outcome


async def test_i12_with_leases_that_never_end(field: Field) -> None:
    """A process dies while it answers, and nobody may take over what it held."""
    async with field.sql() as sql:
        kept = await without(sql, "claim_turns", LEASE_ENDED, "t.lease_until is null")
    try:
        outcome = await _until_it_happens(field, "after_turn_claim", 8121, quiet_seconds=5)
    finally:
        async with field.sql() as sql:
            await sql.execute(kept)
            await sql.execute("update turns set due_at = null, lease_until = null")
    assert outcome.happened
    assert [one for one in outcome.violations if one.startswith("I12 left behind: ") and " leases, at first 0" in one]


async def test_i12_with_claims_that_never_end(field: Field) -> None:
    """A process dies while it sends, and nobody says that the outcome is unknown."""
    async with field.sql() as sql:
        kept = await without(sql, "settle_lost_delivery", "x.lease_until < clock_timestamp()", "false")
    try:
        outcome = await _until_it_happens(field, "after_send_claim", 8122, quiet_seconds=8)
    finally:
        async with field.sql() as sql:
            await sql.execute(kept)
        await quiet(field, set())
    assert outcome.happened
    assert [one for one in outcome.violations if one.startswith("I12 left behind: ") and " sending, at first 0" in one]


async def test_i12_with_a_loop_that_fails(field: Field) -> None:
    """A fault nobody foresaw ends a loop in the middle of a storm. It begins anew, and is counted all the same."""

    async def fail(storm: Storm) -> None:
        await storm.field.fleet[VICTIM].kill()
        storm.field.fleet[VICTIM].start(FAIL="before_sort:error@3")

    outcome = await rage(field, fail, seed=8123, messages=40, takeovers=0)
    assert outcome.violations == ["I12 left behind: 1 ended, at first 0"]
    await field.fleet[VICTIM].kill()


async def test_i12_with_a_process_that_leaks(field: Field, replaced: dict[str, Member]) -> None:
    async def leak(storm: Storm) -> None:
        await put(storm.field, "w", tampered(storm.field, "w", LEAKING))
        async with storm.field.sql() as sql, asyncio.timeout(30):
            others = "select count(*) from pg_stat_activity where application_name = '' and usename is not null"
            while await sql.fetchval(others) < 70:
                await asyncio.sleep(0.05)

    outcome = await rage(field, leak, seed=8124, messages=20, takeovers=0)
    told = "\n".join(outcome.violations)
    assert "I12 left behind: " in told, told
    assert " connections, at first 0" in told, told
    assert "I12 grown: w from " in told, told


async def test_i12_with_a_transaction_left_open(field: Field) -> None:
    """Somebody of ours forgets a transaction."""
    forgetful = await asyncpg.connect(field.cluster.dsn(field.database))
    try:

        async def forget(storm: Storm) -> None:
            await forgetful.execute("begin; select 1")

        outcome = await rage(field, forget, seed=812, messages=10)
    finally:
        await forgetful.close()
    assert [one for one in outcome.violations if one.startswith("I12 left behind: 1 in_transaction")]


async def test_i1_with_a_server_that_does_not_wait_for_its_log(field: Field) -> None:
    """A crash then loses what was acknowledged."""
    setting = f"alter database {field.database} "
    await field.cluster.execute(f"{setting} set synchronous_commit = off")
    await field.cluster.execute("alter system set wal_writer_delay = '10s'")
    await field.cluster.execute("select pg_reload_conf()")

    async def crash(storm: Storm) -> None:
        await nemeses.backends_terminated(storm)
        field.cluster.stop(signal.SIGQUIT)
        field.cluster.start()

    try:
        outcome = await rage(field, crash, seed=811, messages=80, takeovers=0)
    finally:
        await field.cluster.execute(f"{setting} reset synchronous_commit")
        await field.cluster.execute("alter system reset wal_writer_delay")
        field.cluster.restart()
    assert outcome.lost > 0, outcome.violations
