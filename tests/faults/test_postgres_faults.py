"""Postgres is restarted, crashes, freezes or is locked: what was acknowledged stays, and nothing is said twice."""

import asyncio
import signal
import time

import asyncpg
import httpx
import pytest

from faults import nemeses
from faults.field import Field
from faults.storm import Nemesis, Storm, rage
from stands.app import APP_SECRET, PAGE
from stands.graph import message, sign, webhook
from switchboard.database.migrations import migrate

pytestmark = [pytest.mark.xdist_group("faults-postgres"), pytest.mark.asyncio(loop_scope="session")]

AWAY: dict[str, Nemesis] = {
    "F8 all sessions terminated": nemeses.backends_terminated,
    "F9 restart": nemeses.restarted,
    "F10 a backend killed": nemeses.backend_killed,
    "F11 crash, seconds down": nemeses.crashed,
    "F12 frozen": nemeses.frozen,
    "F16 a table locked": nemeses.table_locked,
}


@pytest.mark.parametrize("name", AWAY)
async def test_the_database_is_away(field: Field, name: str) -> None:
    outcome = await rage(field, AWAY[name], seed=800 + list(AWAY).index(name), messages=80, sticky=True)
    outcome.raise_if_wrong()
    assert set(outcome.statuses) <= {200, 503}, "taken, or to be delivered again: nothing else"
    assert outcome.unanswered == 0, "every webhook is answered before Meta gives up"


async def test_a_server_that_does_not_wait_for_its_log_loses_messages(field: Field) -> None:
    """The twin of the crash above: what all of it rests on is switched off, and the checker has to see it."""
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


async def test_f5_a_process_that_is_asked_to_end_leaves_no_lease(field: Field) -> None:
    left: list[int] = []

    async def stop(storm: Storm) -> None:
        victim = field.fleet["b"]
        await victim.kill()
        victim.start(TURN_LEASE_SECONDS="60")
        await victim.ready()
        await storm.acked(0.5)
        began = time.monotonic()
        victim.signal(signal.SIGTERM)
        await victim.gone(10)
        storm.note("stopped", victim.name, took=time.monotonic() - began)
        async with field.sql() as sql:
            query = "select count(*) from turns where lease_until > clock_timestamp() + interval '20 seconds'"
            left.append(await sql.fetchval(query))

    (await rage(field, stop, seed=805, messages=80, pause=1.0)).raise_if_wrong()
    assert left == [0]


async def test_f15_webhooks_are_taken_while_everything_else_waits(field: Field) -> None:
    starved = field.fleet["a"]
    await starved.kill()
    starved.start(DATABASE_POOL_SIZE="2")
    await starved.ready()
    took: list[float] = []

    async def starve(storm: Storm) -> bool:
        async with field.sql() as sql, sql.transaction():
            await sql.execute("lock table knowledge_chunks in access exclusive mode")
            await storm.acked(0.2)
            async with httpx.AsyncClient(timeout=10) as client:
                for number in range(20):
                    body = webhook(PAGE, message(PAGE, f"{storm.prefix}-x", f"{storm.prefix}.x.{number}", "Hi"))
                    began = time.monotonic()
                    answer = await client.post(
                        f"{starved.address}/webhook", content=body, headers=sign(body, APP_SECRET)
                    )
                    took.append(time.monotonic() - began)
                    assert answer.status_code == 200
            began = time.monotonic()
            reads = await asyncio.gather(*(field.admin("GET", "/admin/stats") for _ in range(12)))
            storm.note("read", str([reading.status_code for reading in reads]), took=time.monotonic() - began)
            assert {reading.status_code for reading in reads} <= {200, 503}
            return time.monotonic() - began > 1

    outcome = await rage(field, starve, seed=815, messages=60)
    invented = [one for one in outcome.violations if ".x." not in one]
    assert not invented, invented
    assert outcome.happened, "reads have to starve for this to mean anything"
    assert sorted(took)[-2] < 1, took
    await starved.kill()


async def test_f18_a_long_snapshot_slows_nobody_down(field: Field) -> None:
    before = await rage(field, nemeses.killed, seed=818, messages=60)
    outcome = await rage(field, nemeses.long_snapshot, seed=819, messages=120)
    outcome.raise_if_wrong()
    assert outcome.answers[len(outcome.answers) // 2] < 5 * max(before.answers)


async def test_f20_the_schema_changes_while_messages_come(field: Field) -> None:
    source = field.folder / "migrations"
    source.mkdir(exist_ok=True)
    (source / "20991231000000_later.sql").write_text(
        """set local lock_timeout = '3s';
        alter table messages add column later text;
        alter table turns add column later integer not null default 0;
        alter table deliveries add column later boolean;
        comment on function claim_turns is 'changed under load';"""
    )

    async def change(storm: Storm) -> bool:
        await storm.acked(0.3)
        done = await migrate(field.cluster.dsn(field.database), source=source)
        storm.note("migrated", str(done))
        return bool(done)

    outcome = await rage(field, change, seed=820, messages=120)
    outcome.raise_if_wrong()
    assert set(outcome.statuses) == {200}, "not one refusal"


@pytest.mark.parametrize("seed", [6001, 6002])
async def test_f60_any_two_at_once(field: Field, seed: int) -> None:
    two = nemeses.any_two(seed)
    print([nemesis.__name__ for nemesis in two])  # noqa: T201 - with the seed, what happened
    (await rage(field, nemeses.together(*two), seed=seed, messages=120, pause=1.0, sticky=True)).raise_if_wrong()


async def test_a_transaction_left_open_is_noticed(field: Field) -> None:
    """The twin of the checks above: somebody of ours forgets a transaction."""
    forgetful = await asyncpg.connect(field.cluster.dsn(field.database))
    try:

        async def forget(storm: Storm) -> None:
            await forgetful.execute("begin; select 1")

        outcome = await rage(field, forget, seed=812, messages=10)
    finally:
        await forgetful.close()
    assert [one for one in outcome.violations if one.startswith("I12 left behind: 1 in_transaction")]
