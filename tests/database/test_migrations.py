import asyncio
import importlib.util
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from stands import supabase as stand
from stands.clusters import Cluster, majors
from stands.supabase import SupabaseServer
from switchboard.database.migrations import folder, is_current, migrate, migrations, pending, render
from switchboard.database.postgres import open_postgres
from switchboard.database.postgrest import open_postgrest
from switchboard.errors import DatabaseUnavailable, Misconfigured, SwitchboardError

ROOT = Path(__file__).parents[2]
COMMAND = ROOT / "tests/node_modules/.bin/supabase"

# Everything a database is made of, in words that do not depend on the order in which it was made.
CATALOG = """
with space as (
  select oid, nspname as name from pg_namespace
  where nspname !~ '^pg_' and nspname not in ('information_schema', 'supabase_migrations')
)
select 'schema', s.name, '', n.nspacl::text from space s join pg_namespace n using (oid)
union all
select 'relation', s.name, concat(c.relname, ' ', c.relkind), concat_ws(' ', c.relrowsecurity, c.relforcerowsecurity,
  c.relpersistence, c.reloptions, c.relacl, obj_description(c.oid), pg_get_viewdef(c.oid))
from pg_class c join space s on s.oid = c.relnamespace where c.relkind <> 'i'
union all
select 'column', s.name, concat(c.relname, '.', a.attname), concat_ws(' ', row_number() over (
    partition by a.attrelid order by a.attnum), format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity,
  a.attgenerated, a.attacl, pg_get_expr(d.adbin, d.adrelid), col_description(c.oid, a.attnum))
from pg_attribute a join pg_class c on c.oid = a.attrelid join space s on s.oid = c.relnamespace
left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
where a.attnum > 0 and not a.attisdropped and c.relkind <> 'i'
union all
select 'constraint', s.name, concat(c.conrelid::regclass, ' ', c.conname), concat_ws(' ', pg_get_constraintdef(c.oid),
  c.convalidated, obj_description(c.oid))
from pg_constraint c join space s on s.oid = c.connamespace
union all
select 'index', s.name, i.indexrelid::regclass::text, concat_ws(' ', pg_get_indexdef(i.indexrelid), i.indisvalid)
from pg_index i join pg_class c on c.oid = i.indexrelid join space s on s.oid = c.relnamespace
union all
select 'function', s.name, p.oid::regprocedure::text, concat_ws(' ', pg_get_functiondef(p.oid), p.proacl,
  obj_description(p.oid))
from pg_proc p join space s on s.oid = p.pronamespace where p.prokind in ('f', 'p')
union all
select 'trigger', s.name, concat(c.relname, ' ', t.tgname), pg_get_triggerdef(t.oid)
from pg_trigger t join pg_class c on c.oid = t.tgrelid join space s on s.oid = c.relnamespace where not t.tgisinternal
union all
select 'policy', p.schemaname, concat(p.tablename, ' ', p.policyname), concat_ws(' ', p.permissive, p.roles, p.cmd,
  p.qual, p.with_check)
from pg_policies p
union all
select 'type', s.name, concat(t.typname, ' ', t.typtype), concat_ws(' ', t.typacl,
  format_type(t.typbasetype, t.typtypmod), e.labels)
from pg_type t join space s on s.oid = t.typnamespace
left join (select enumtypid, array_agg(enumlabel order by enumsortorder) labels from pg_enum group by 1) e
  on e.enumtypid = t.oid
union all
select 'sequence', q.schemaname, q.sequencename, concat_ws(' ', q.data_type, q.start_value, q.increment_by, q.max_value)
from pg_sequences q
union all
select 'default', coalesce(s.name, ''), concat(d.defaclrole::regrole, ' ', d.defaclobjtype), d.defaclacl::text
from pg_default_acl d left join space s on s.oid = d.defaclnamespace
union all
select 'extension', '', e.extname, '' from pg_extension e
order by 1, 2, 3, 4
"""


async def catalog(dsn: str) -> list[tuple[str, ...]]:
    connection = await asyncpg.connect(dsn)
    try:
        return [tuple(row) for row in await connection.fetch(CATALOG)]
    finally:
        await connection.close()


async def history(dsn: str) -> list[dict[str, Any]]:
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch("select * from supabase_migrations.schema_migrations order by version")
        return [dict(row) for row in rows]
    finally:
        await connection.close()


@pytest.fixture
async def blank(cluster: Cluster) -> Any:
    """A database nobody has touched."""
    name = await cluster.create_database()
    yield cluster.dsn(name)
    await cluster.drop_database(name)


@pytest.fixture(params=sorted(majors()))
def every_major(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A server of each version of Postgres that is on this machine."""
    server = Cluster(majors()[request.param])
    server.start()
    yield server
    server.destroy()


def all_migrations() -> list[str]:
    return [str(migration) for migration in migrations()]


# the schema -----------------------------------------------------------------------------------------------------


async def test_schemas_and_migrations_give_the_same_catalog(every_major: Cluster) -> None:
    by_migrations = every_major.dsn(await every_major.create_database())
    assert await migrate(by_migrations) == all_migrations()

    by_schemas = await every_major.create_database()
    for schema in sorted((ROOT / "supabase/schemas").glob("*.sql")):
        await every_major.execute(schema.read_text(), by_schemas)

    expected = await catalog(every_major.dsn(by_schemas))
    assert await catalog(by_migrations) == expected
    assert {kind for kind, *_ in expected} >= {
        "relation",
        "column",
        "constraint",
        "index",
        "function",
        "type",
        "default",
    }


async def test_an_ordinary_owner_can_migrate_and_let_others_in(every_major: Cluster) -> None:
    await every_major.execute("create role owner login createrole; create role app login")
    await every_major.execute("create database owned owner owner")
    assert await migrate(every_major.dsn("owned", user="owner")) == all_migrations()
    await every_major.execute("grant service_role to app")
    for user in ("owner", "app"):
        database = await open_postgres(every_major.dsn("owned", user=user), pool_size=2, timeout=5)
        [stored] = await database.insert("workspaces", [{"name": user}])
        assert await database.select("workspaces", where={"name": user}) == [stored]
        await database.close()
    with pytest.raises(Misconfigured, match="may not migrate"):
        await migrate(every_major.dsn("owned", user="app"))


async def test_the_comparison_sees_a_difference(cluster: Cluster, blank: str) -> None:
    before = await catalog(blank)
    for change in (
        "create table probe (id bigint, words text)",
        "alter table probe alter column words set not null",
        "alter table probe alter column words set default 'none'",
        "create index probe_words on probe (words)",
        "comment on table probe is 'words'",
        "comment on table probe is 'other words'",
        "grant select on probe to public",
        "alter table probe enable row level security",
        "alter table probe force row level security",
        "create policy probe_all on probe for select using (true)",
        "alter table probe add constraint probe_words_check check (words <> '')",
        "create function probe_function() returns bigint language sql as 'select 1'",
        "create or replace function probe_function() returns bigint language sql as 'select 2'",
        "alter function probe_function() stable",
        "revoke execute on function probe_function() from public",
        "alter default privileges in schema public grant select on tables to public",
        "create view probe_view as select id from probe",
        "create type probe_type as enum ('a', 'b')",
        "alter type probe_type add value 'c'",
    ):
        await cluster.execute(change, blank.rpartition("/")[2])
        after = await catalog(blank)
        assert after != before, change
        before = after


def test_migrations_are_built_from_the_schemas() -> None:
    spec = importlib.util.spec_from_file_location("build", ROOT / "supabase/build.py")
    assert spec
    assert spec.loader
    build = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build)
    on_disk = {file.name: file.read_text() for file in (ROOT / "supabase/migrations").glob("*.sql")}
    assert on_disk == build.migrations(), "run: python supabase/build.py"


def test_every_migration_starts_with_a_lock_timeout_and_has_a_version_of_its_own() -> None:
    found = migrations()
    assert found
    assert all(migration.sql.startswith("set local lock_timeout = ") for migration in found)
    assert all(len(migration.version) == 14 and migration.version.isdigit() for migration in found)
    assert len({migration.version for migration in found}) == len(found)


# migrate --------------------------------------------------------------------------------------------------------


async def test_migrate_twice_does_nothing_the_second_time(blank: str) -> None:
    told: list[tuple[str, int, int]] = []
    assert await migrate(blank, progress=lambda *step: told.append(step)) == all_migrations()
    total = len(all_migrations())
    assert told == [(name, place, total) for place, name in enumerate(all_migrations(), start=1)]
    before = await catalog(blank), await history(blank)
    assert await migrate(blank) == []
    assert (await catalog(blank), await history(blank)) == before


async def test_any_number_of_migrates_at_once_do_it_once(blank: str) -> None:
    done = await asyncio.gather(*[migrate(blank) for _ in range(5)])
    assert sorted(name for names in done for name in names) == all_migrations()


def write(source: Path, **files: str) -> Path:
    source.mkdir(exist_ok=True)
    for number, (name, sql) in enumerate(files.items(), start=1):
        (source / f"2026010100000{number}_{name}.sql").write_text(sql)
    return source


async def test_a_migration_is_applied_whole_or_not_at_all(blank: str, tmp_path: Path) -> None:
    source = write(tmp_path, first="create table a ();", second="create table b (); select 1 / 0;", third="select 1;")
    with pytest.raises(SwitchboardError, match="20260101000002_second failed: division by zero"):
        await migrate(blank, source=source)
    assert [row["version"] for row in await history(blank)] == ["20260101000001"]
    assert [name for kind, _, name, _ in await catalog(blank) if kind == "relation"] == ["a r"]

    write(tmp_path, first="create table a ();", second="create table b ();", third="select 1;")
    assert await migrate(blank, source=source) == ["20260101000002_second", "20260101000003_third"]


async def test_a_migration_does_not_wait_for_a_busy_table_for_ever(blank: str, tmp_path: Path) -> None:
    source = write(tmp_path, first="create table a ();", second="set local lock_timeout = '50ms'; drop table a;")
    holder = await asyncpg.connect(blank)
    await holder.execute("create table b ()")
    write(tmp_path, first="create table a ();")
    (tmp_path / "20260101000002_second.sql").unlink()
    await migrate(blank, source=source)
    write(tmp_path, first="create table a ();", second="set local lock_timeout = '50ms'; drop table a;")
    async with holder.transaction():
        await holder.execute("lock table a in access share mode")
        with pytest.raises(DatabaseUnavailable, match="second waits for a table"):
            await migrate(blank, source=source)
    await holder.close()
    assert await migrate(blank, source=source) == ["20260101000002_second"]


async def test_the_rest_api_is_told_to_look_again(blank: str) -> None:
    listener = await asyncpg.connect(blank)
    heard: asyncio.Queue[str] = asyncio.Queue()
    await listener.add_listener("pgrst", lambda *news: heard.put_nowait(news[-1]))
    await migrate(blank)
    async with asyncio.timeout(5):
        assert await heard.get() == "reload schema"
    await listener.close()


async def test_without_an_address_it_says_what_to_do() -> None:
    with pytest.raises(Misconfigured) as caught:
        await migrate(None)
    for way in ("supabase db push", "DATABASE_URL=", "switchboard migrate --print"):
        assert way in caught.value.message


@pytest.mark.parametrize(
    ("dsn", "kind", "words"),
    [
        ("postgresql://postgres@127.0.0.1:{port}/nowhere", Misconfigured, "no database of this name"),
        ("postgresql://nobody@127.0.0.1:{port}/postgres", Misconfigured, "user and password"),
        ("postgresql://postgres:s3cret@127.0.0.1:1/postgres", DatabaseUnavailable, "cannot be reached"),
        ("postgresql://postgres:s3cret@127.0.0.1:port/postgres", Misconfigured, "DATABASE_URL"),
        ("mysql://root:s3cret@127.0.0.1/x", Misconfigured, "DATABASE_URL"),
    ],
)
async def test_an_address_that_leads_nowhere(
    cluster: Cluster, dsn: str, kind: type[SwitchboardError], words: str
) -> None:
    with pytest.raises(kind, match=words) as caught:
        await migrate(dsn.format(port=cluster.port))
    assert "s3cret" not in str(caught.value)


# looking --------------------------------------------------------------------------------------------------------


async def test_pending_before_and_after_on_a_direct_connection(blank: str) -> None:
    database = await open_postgres(blank, pool_size=2, timeout=5)
    assert await pending(database) == all_migrations()
    assert not await is_current(database)
    await migrate(blank)
    assert await pending(database) == []
    assert await is_current(database)
    await database.close()


async def test_pending_over_the_rest_api(supabase_server: SupabaseServer, blank: str, cluster: Cluster) -> None:
    with supabase_server.project(blank) as project:
        database = await open_postgrest(project.url, project.service_key, timeout=10)
        # Roles belong to the server, and another test's migrations have made them already.
        assert await pending(database) == all_migrations()
        await migrate(blank)
        async with asyncio.timeout(10):
            while not await is_current(database):
                await asyncio.sleep(0.02)
        await cluster.execute(
            "delete from supabase_migrations.schema_migrations where version = (select max(version) from"
            " supabase_migrations.schema_migrations)",
            blank.rpartition("/")[2],
        )
        assert await pending(database) == all_migrations()[-1:]
        await database.close()


async def test_a_database_that_lets_nobody_in_is_not_taken_for_an_empty_one(cluster: Cluster) -> None:
    database = await open_postgres(cluster.dsn("nowhere"), pool_size=1, timeout=5)
    with pytest.raises(Misconfigured, match="no database of this name"):
        await pending(database)
    await database.close()


async def test_the_history_is_out_of_reach_for_the_service(postgres: Any) -> None:
    assert await postgres.call("applied_migrations") == [migration.version for migration in migrations()]
    with pytest.raises(Misconfigured):
        await postgres.select("schema_migrations")


# by hand, and by the Supabase command line ----------------------------------------------------------------------


async def test_the_printed_script_does_the_same_as_migrate(cluster: Cluster, blank: str, database_url: str) -> None:
    await cluster.execute(render(), blank.rpartition("/")[2])
    assert await migrate(blank) == []
    assert await catalog(blank) == await catalog(database_url)
    assert await history(blank) == await history(database_url)


async def test_the_printed_script_goes_on_where_the_database_is(cluster: Cluster, blank: str, tmp_path: Path) -> None:
    source = write(tmp_path, first="create table a ();", second="create table b ();")
    (tmp_path / "20260101000002_second.sql").rename(tmp_path / "later")
    await migrate(blank, source=source)
    (tmp_path / "later").rename(tmp_path / "20260101000002_second.sql")
    await cluster.execute(render(["20260101000001"], source=source), blank.rpartition("/")[2])
    assert [row["name"] for row in await history(blank)] == ["first", "second"]


@pytest.fixture
def supabase_command(tmp_path: Path) -> Any:
    """Runs the Supabase command line against a database, in a copy of the project."""
    if not COMMAND.exists():
        reason = "needs `make setup-dev`: the Supabase command line is not there"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)
    shutil.copytree(ROOT / "supabase", tmp_path / "supabase")
    node = Path(stand.node() or "node").parent
    environment = {"PATH": f"{node}:{os.environ['PATH']}", "HOME": str(tmp_path), "DO_NOT_TRACK": "1"}

    def run(*arguments: str, dsn: str) -> str:
        done = subprocess.run(
            [COMMAND, *arguments, f"--remote={dsn}?sslmode=disable", "--yes"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


async def test_migrate_finds_nothing_to_do_after_the_command_line(
    supabase_command: Any, blank: str, database_url: str
) -> None:
    said = supabase_command("db", "push", dsn=blank)
    assert all(f"Applying migration {name}.sql" in said for name in all_migrations())
    assert await migrate(blank) == []
    assert await catalog(blank) == await catalog(database_url)
    assert await history(blank) == await history(database_url)


async def test_the_command_line_finds_nothing_to_do_after_migrate(supabase_command: Any, database_url: str) -> None:
    before = await history(database_url)
    assert "up to date" in supabase_command("db", "push", dsn=database_url)
    assert await history(database_url) == before


async def test_either_goes_on_where_the_other_stopped(supabase_command: Any, blank: str, tmp_path: Path) -> None:
    some = migrations()[:3]
    first = tmp_path / "first"
    first.mkdir()
    for migration in some:
        (first / f"{migration}.sql").write_text(migration.sql)
    assert await migrate(blank, source=first) == [str(migration) for migration in some]
    said = supabase_command("db", "push", dsn=blank)
    assert f"{some[-1]}.sql" not in said
    assert await migrate(blank) == []
    assert [row["version"] for row in await history(blank)] == [migration.version for migration in migrations()]


# where the files are --------------------------------------------------------------------------------------------


def test_in_a_checkout_the_files_are_those_of_the_command_line() -> None:
    assert folder() == ROOT / "supabase/migrations"


def test_an_installed_package_brings_its_own(tmp_path: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    included = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert included["supabase/migrations"] == "switchboard/database/migrations_sql"

    shutil.copytree(ROOT / "src/switchboard", tmp_path / "switchboard", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "supabase/migrations", tmp_path / included["supabase/migrations"])
    program = "from switchboard.database.migrations import folder, migrations; print(folder(), len(migrations()))"
    said = subprocess.run(
        [sys.executable, "-c", program],
        cwd="/",
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.split() == [str(tmp_path / "switchboard/database/migrations_sql"), str(len(migrations()))]
