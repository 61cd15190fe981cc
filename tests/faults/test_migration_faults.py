"""K16: a migration is killed in the middle. What was applied stays, what was not is not half there, and it goes on."""

import asyncio
import signal
import sys
from pathlib import Path

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


@pytest.mark.parametrize("applied", [1, 3, 6])
async def test_k16_killed_after_some(cluster: Cluster, template: str, tmp_path: Path, applied: int) -> None:
    name = await cluster.create_database()
    member = Member("m", (SWITCHBOARD, "migrate"), tmp_path, {"DATABASE_URL": cluster.dsn(name)})
    member.start()
    async with asyncio.timeout(20):
        while f"{applied}/" not in member.log.read_text() and member.running:
            await asyncio.sleep(0.001)
    member.signal(signal.SIGKILL)
    await member.gone()
    await migrate(cluster.dsn(name))
    database = await open_postgres(cluster.dsn(name), pool_size=2, timeout=5)
    assert await pending(database) == []
    await database.close()
    assert await _catalog(cluster, name) == await _catalog(cluster, template)
    await cluster.drop_database(name)


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
        while not await _asleep(cluster, name):
            await asyncio.sleep(0.01)
    member.signal(signal.SIGKILL)
    await member.gone()
    await cluster.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity where query like '%pg_sleep(30)%'"
        " and pid <> pg_backend_pid()"
    )
    later.write_text("create table later (id int);")
    assert await migrate(database_url, source=source) == ["20991231000000_later"]


async def _catalog(cluster: Cluster, name: str) -> str:
    connection = await asyncpg.connect(cluster.dsn(name))
    try:
        return str(await connection.fetchval(_CATALOG))
    finally:
        await connection.close()


async def _asleep(cluster: Cluster, name: str) -> bool:
    connection = await asyncpg.connect(cluster.dsn())
    try:
        query = "select exists (select from pg_stat_activity where datname = $1 and wait_event = 'PgSleep')"
        return bool(await connection.fetchval(query, name))
    finally:
        await connection.close()
