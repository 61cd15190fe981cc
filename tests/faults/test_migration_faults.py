"""K16: a migration is killed in the middle. What was applied stays, what was not is not half there, and it goes on."""

import asyncio
import signal
import sys
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from faults.fleet import Member
from stands.clusters import Cluster
from stands.service import SWITCHBOARD
from switchboard.database.migrations import migrate, migrations, pending
from switchboard.database.postgres import open_postgres

_CATALOG = """
select md5(string_agg(line, '|' order by line)) from (
  select 'column ' || table_name || ' ' || column_name || ' ' || data_type as line
  from information_schema.columns where table_schema = 'public'
  union all
  select 'function ' || p.proname || md5(p.prosrc) from pg_proc p where p.pronamespace = 'public'::regnamespace
) x
"""
_VERSIONS = "select array_agg(version order by version) from supabase_migrations.schema_migrations"
MOMENTS = {"before the first": 1, "inside of the first": 2, "before the fifth": 9, "inside of the fifth": 10}
"""Each file is passed twice: before its transaction, and inside of it when its SQL is done and not noted yet."""


def migrating(cluster: Cluster, name: str, folder: Path, fail: str) -> Member:
    """`switchboard migrate` on a database, begun, and to fail."""
    member = Member("m", (SWITCHBOARD, "migrate"), folder, {"DATABASE_URL": cluster.dsn(name), "FAIL": fail})
    member.start()
    return member


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("action", ["kill9", "term"])
async def test_k16_it_dies(cluster: Cluster, template: str, tmp_path: Path, action: str, moment: str) -> None:
    name = await cluster.create_database()
    member = migrating(cluster, name, tmp_path, f"during_migration:{action}@{MOMENTS[moment]}")
    assert await member.gone() < 0, "it was a signal that ended it"
    before = await _applied(cluster, name)
    assert before == [one.version for one in migrations()][: (MOMENTS[moment] - 1) // 2]
    await migrate(cluster.dsn(name))
    await _is_whole(cluster, name, template)


@pytest.mark.parametrize("moment", MOMENTS)
async def test_k16_it_freezes_and_another_comes(cluster: Cluster, template: str, tmp_path: Path, moment: str) -> None:
    name = await cluster.create_database()
    member = migrating(cluster, name, tmp_path, f"during_migration:stop@{MOMENTS[moment]}")
    async with asyncio.timeout(20):
        while not member.frozen:
            await asyncio.sleep(0.005)
        other = asyncio.create_task(migrate(cluster.dsn(name)))
        while not (other.done() or await _waits(cluster, name, "advisory")):
            await asyncio.sleep(0.01)
    assert other.done() == (MOMENTS[moment] % 2 == 1), "who has died or sleeps inside of a file holds the others up"
    member.signal(signal.SIGCONT)
    assert await member.gone() == 0
    await other
    await _is_whole(cluster, name, template)


async def test_k16_killed_inside_of_one(cluster: Cluster, database_url: str, tmp_path: Path) -> None:
    """The process dies between two statements of one migration; afterwards nothing of it is there."""
    source = tmp_path / "migrations"
    source.mkdir()
    for migration in migrations():
        (source / f"{migration}.sql").write_text(migration.sql)
    later = source / "20991231000000_later.sql"
    later.write_text("create table later (id int); select pg_sleep(30); create table later_still (id int);")
    name = database_url.rpartition("/")[2]
    script = (
        "import asyncio, pathlib, sys; from switchboard.database.migrations import migrate;"
        "asyncio.run(migrate(sys.argv[1], source=pathlib.Path(sys.argv[2])))"
    )
    member = Member("m", (sys.executable, "-c", script, database_url, str(source)), tmp_path, {})
    member.start()
    async with asyncio.timeout(20):
        while not await _waits(cluster, name, "PgSleep"):
            await asyncio.sleep(0.01)
    member.signal(signal.SIGKILL)
    await member.gone()
    await cluster.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity where query like '%pg_sleep(30)%'"
        " and pid <> pg_backend_pid()"
    )
    later.write_text("create table later (id int);")
    assert await migrate(database_url, source=source) == ["20991231000000_later"]


async def _is_whole(cluster: Cluster, name: str, template: str) -> None:
    assert await _applied(cluster, name) == [one.version for one in migrations()]
    database = await open_postgres(cluster.dsn(name), pool_size=2, timeout=5)
    assert await pending(database) == []
    await database.close()
    assert await _ask(cluster, name, _CATALOG) == await _ask(cluster, template, _CATALOG)
    await cluster.drop_database(name)


async def _applied(cluster: Cluster, name: str) -> list[str]:
    if not await _ask(cluster, name, "select to_regclass('supabase_migrations.schema_migrations') is not null"):
        return []
    return list(await _ask(cluster, name, _VERSIONS) or [])


async def _waits(cluster: Cluster, name: str, event: str) -> bool:
    """Whether a session of this database waits for ``event``."""
    query = "select exists (select from pg_stat_activity where datname = $1 and wait_event = $2)"
    return bool(await _ask(cluster, "postgres", query, name, event))


async def _ask(cluster: Cluster, name: str, query: str, *arguments: str) -> Any:
    connection = await asyncpg.connect(cluster.dsn(name))
    try:
        return await connection.fetchval(query, *arguments)
    finally:
        await connection.close()
