"""Postgres is restarted, crashes, freezes or is locked: what was acknowledged stays, and nothing is said twice."""

import asyncio
import time

import httpx
import pytest

from faults import nemeses
from faults.field import Field
from faults.outcome import Outcome, share
from faults.pairs import any_two, together
from faults.storm import Nemesis, Storm, rage
from stands.app import APP_SECRET, PAGE
from stands.graph import message, sign, webhook
from switchboard.database.migrations import migrate

pytestmark = [pytest.mark.xdist_group("faults-postgres"), pytest.mark.asyncio(loop_scope="session")]

SPOOL_SECONDS = 0.3
"""For writing to the spool behind the deadline."""
DEADLINE_SECONDS = 3.0
"""Of one statement, connecting included; then a webhook goes to the spool."""


async def survives(field: Field, nemesis: Nemesis, *, seed: int) -> tuple[Outcome, float]:
    """A storm in which the database is away for a time and nobody outside notices more than a wait.

    Answers as well how long a webhook waited at most in calm weather just before: what the machine itself is slow.
    """
    calm = await rage(field, _nothing, seed=seed + 50, messages=60, pause=0.5)
    calm.raise_if_wrong()
    outcome = await rage(field, nemesis, seed=seed, messages=80, pause=1.0)
    outcome.raise_if_wrong()
    assert set(outcome.statuses) <= {200, 503}, "taken, or to be delivered again: nothing else"
    assert outcome.unanswered == 0, "every webhook is answered before Meta gives up"
    for name, one in (("calm", calm), ("fault", outcome)):
        middle, most = share(one.took, 0.5), share(one.took, 0.99)
        print(f"{name}: ack p50 {middle:.3f} s, p99 {most:.2f} s, gap {one.slowest_ack:.2f} s")  # noqa: T201
    return outcome, calm.slowest_ack


async def _nothing(storm: Storm) -> None:
    """Calm weather."""


async def test_f8_all_sessions_are_terminated(field: Field) -> None:
    outcome, calm = await survives(field, nemeses.backends_terminated, seed=800)
    assert outcome.slowest_ack <= 0.5 + calm


async def test_f9_the_server_is_restarted(field: Field) -> None:
    down = nemeses.Restarted()
    outcome, calm = await survives(field, down, seed=801)
    assert outcome.slowest_ack <= down.longest + 1 + calm


async def test_f10_a_backend_is_killed(field: Field) -> None:
    outcome, calm = await survives(field, nemeses.backend_killed, seed=802)
    assert outcome.slowest_ack <= 2 + calm


async def test_f11_the_server_crashes_and_is_away_for_seconds(field: Field) -> None:
    outcome, calm = await survives(field, nemeses.crashed, seed=803)
    assert outcome.slowest_ack <= DEADLINE_SECONDS + SPOOL_SECONDS + calm


async def test_f12_the_server_stands_still(field: Field) -> None:
    """For twice the deadline, which nobody has to wait for longer; those who come later find the spool at once."""
    outcome, calm = await survives(field, nemeses.frozen, seed=804)
    assert share(outcome.took, 0.99) <= DEADLINE_SECONDS + SPOOL_SECONDS + calm
    assert share(outcome.took, 0.5) <= 0.5


@pytest.mark.parametrize("table", ["turns", "inbox"])
async def test_f16_a_table_is_locked(field: Field, table: str) -> None:
    """The one that every message passes stops nobody at the door; the door's own sends them to the spool."""
    outcome, calm = await survives(field, nemeses.locked(table), seed=805)
    assert outcome.slowest_ack <= (1.0 if table == "turns" else DEADLINE_SECONDS + SPOOL_SECONDS) + calm


async def test_f17_a_list_that_takes_too_long_is_refused_for_a_reason(field: Field) -> None:
    async with field.sql() as sql, sql.transaction():
        await sql.execute("lock table conversations in access exclusive mode")
        began = time.monotonic()
        answering = asyncio.create_task(field.admin("GET", "/admin/conversations"))
        await asyncio.sleep(1)
        waiting = (
            "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
        )
        waiting += " and query like '%list_conversations%'"
        assert await sql.fetchval(waiting) == 1, "it is asked once"
        answer = await answering
        took = time.monotonic() - began
    assert answer.status_code == 503, answer.text
    assert answer.headers["retry-after"]
    assert answer.json()["code"] not in ("internal", "internal_error")
    assert took < DEADLINE_SECONDS * 1.5, "and not again and again"
    assert (await field.admin("GET", "/admin/conversations")).status_code == 200


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
                    body = webhook(PAGE, message(PAGE, f"{storm.prefix}x", f"{storm.prefix}.x.{number}", "Hi"))
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

    for seed in (815, 825, 835):  # in some storms the others have all the work, and nothing starves here
        took.clear()
        outcome = await rage(field, starve, seed=seed, messages=60)
        if outcome.happened:
            break
    invented = [one for one in outcome.violations if ".x." not in one]
    assert not invented, invented
    assert outcome.happened, "reads have to starve for this to mean anything"
    took.sort()
    print(f"F15 ack p50 {took[10]:.3f} s, longest but one {took[-2]:.3f} s")  # noqa: T201
    assert took[10] <= 0.05
    assert took[-2] < 1
    await starved.kill()


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
    two = any_two(seed)
    print([nemesis.__name__ for nemesis in two])  # noqa: T201 - with the seed, what happened
    (await rage(field, together(*two), seed=seed, messages=120, pause=1.0)).raise_if_wrong()
