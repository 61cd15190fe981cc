"""Brings a database to the schema this program needs, and tells whether it is there.

The history is the one `supabase db push` keeps, in the same table and form: either may go on where the other stopped.
"""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from switchboard.database import Database
from switchboard.database.refusals import NotMigrated, refused, unreachable
from switchboard.errors import DatabaseUnavailable, Misconfigured, SwitchboardError
from switchboard.failpoints import reach

Progress = Callable[[str, int, int], None]
"""Told the name of a migration that has just been applied, how many are done, and how many there were to do."""

_HISTORY = """
create schema if not exists supabase_migrations;
create table if not exists supabase_migrations.schema_migrations (version text not null primary key);
alter table supabase_migrations.schema_migrations add column if not exists statements text[];
alter table supabase_migrations.schema_migrations add column if not exists name text;
"""
_APPLIED = "select version from supabase_migrations.schema_migrations"
_ONE_AT_A_TIME = "select pg_advisory_xact_lock(hashtextextended('switchboard migrate', 0))"
_RECORDED = "insert into supabase_migrations.schema_migrations (version, name, statements) values"
_RELOAD = "notify pgrst, 'reload schema'"
_NO_DDL = (
    "Tables cannot be made through Supabase's REST API. Do one of these once: `supabase link` and"
    " `supabase db push --remote` (before version 3 of the command line without `--remote`); or"
    " `DATABASE_URL=postgresql://… switchboard migrate` with the connection string of the project's dashboard; or"
    " `switchboard migrate --print` and paste what it prints into the SQL editor of the dashboard."
)
_TOKEN = re.compile(
    r"""--[^\n]* | /\*.*?\*/ | '(?:[^']|'')*' | "(?:[^"]|"")*" | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$ | ;""",
    re.DOTALL | re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Migration:
    """One file: 14 digits that order it, a name, and its SQL."""

    version: str
    name: str
    sql: str

    def __str__(self) -> str:
        return f"{self.version}_{self.name}"

    def statements(self) -> list[str]:
        """The single statements, without their semicolons, as the Supabase command line records them."""
        found: list[str] = []
        start = 0
        for token in _TOKEN.finditer(self.sql):
            if token[0] == ";":
                found.append(self.sql[start : token.start()].strip())
                start = token.end()
        rest = self.sql[start:].strip()
        return found if not _TOKEN.sub("", rest).strip() else [*found, rest]


def folder() -> Path:
    """Where the SQL is: inside an installed package, or in the checkout this file belongs to."""
    installed = Path(__file__).parent / "migrations_sql"
    return installed if installed.is_dir() else Path(__file__).parents[3] / "supabase" / "migrations"


def migrations(source: Path | None = None) -> list[Migration]:
    """All migrations in order. ``source`` is `folder` if not given."""
    found: list[Migration] = []
    for file in sorted((source or folder()).glob("*.sql")):
        version, _, name = file.stem.partition("_")
        found.append(Migration(version, name, file.read_text(encoding="utf-8")))
    return found


async def migrate(dsn: str | None, *, progress: Progress | None = None, source: Path | None = None) -> list[str]:
    """Applies what is missing, each migration in a transaction of its own, and returns their names.

    ``dsn`` is None where only Supabase's keys are known; then, and when the database does not let us in, raises
    `Misconfigured`, saying what to do. Raises `DatabaseUnavailable` when there is no answer or a table stays locked.
    Any number of these may run at the same time: one works, the others wait and find nothing left.
    """
    if dsn is None:
        raise Misconfigured(_NO_DDL)
    connection = await _connect(dsn)
    try:
        wanted = migrations(source)
        applied = await _prepare(connection)
        todo = [migration for migration in wanted if migration.version not in applied]
        done: list[str] = []
        for place, migration in enumerate(todo, start=1):
            if await _apply(connection, migration):
                done.append(str(migration))
            if progress:
                progress(str(migration), place, len(todo))
        if done:
            await connection.execute(_RELOAD)
        return done
    finally:
        await connection.close()


async def pending(database: Database) -> list[str]:
    """The names of the migrations this database has not seen, through either transport; oldest first."""
    try:
        applied: Collection[str] = await database.call("applied_migrations")
    except NotMigrated:  # the role and the function come with the first migration
        applied = ()
    return [str(migration) for migration in migrations() if migration.version not in applied]


async def is_current(database: Database) -> bool:
    """Whether the database has everything this program needs."""
    return not await pending(database)


def render(applied: Collection[str] = (), *, source: Path | None = None) -> str:
    """One script with the migrations whose versions are not in ``applied``, and their history, for an SQL editor."""
    parts = [_HISTORY.strip()]
    for migration in migrations(source):
        if migration.version not in applied:
            recorded = ", ".join(_literal(statement) for statement in migration.statements())
            values = f"{_literal(migration.version)}, {_literal(migration.name)}, array[{recorded}]"
            parts.append(f"begin;\n{migration.sql.strip()}\n{_RECORDED} ({values});\ncommit;")
    return "\n\n".join([*parts, f"{_RELOAD};", ""])


async def _connect(dsn: str) -> asyncpg.Connection:
    try:
        # No cached statements: the connection may lead through a pooler in transaction mode.
        return await asyncpg.connect(dsn, statement_cache_size=0, timeout=10)
    except asyncpg.PostgresError as error:
        raise unreachable(error.sqlstate) from error
    except (OSError, TimeoutError) as error:
        raise unreachable(None) from error
    except (ValueError, asyncpg.InterfaceError) as error:
        raise Misconfigured("DATABASE_URL is not of the form postgresql://user:password@host:port/database.") from error


async def _prepare(connection: asyncpg.Connection) -> set[str]:
    try:
        async with connection.transaction():
            await connection.execute(_ONE_AT_A_TIME)
            await connection.execute(_HISTORY)
            return {row["version"] for row in await connection.fetch(_APPLIED)}
    except asyncpg.InsufficientPrivilegeError as error:
        raise Misconfigured("DATABASE_URL: this user may not migrate: do it as the owner of the database.") from error
    except asyncpg.PostgresError as error:
        raise refused(error.sqlstate, error.message or "") from error
    except (OSError, asyncpg.InterfaceError) as error:
        raise DatabaseUnavailable from error


async def _apply(connection: asyncpg.Connection, migration: Migration) -> bool:
    await reach("during_migration")
    try:
        async with connection.transaction():
            await connection.execute(_ONE_AT_A_TIME)
            if await connection.fetchval(f"{_APPLIED} where version = $1", migration.version):
                return False
            await connection.execute(migration.sql)
            await reach("during_migration")
            await connection.execute(
                f"{_RECORDED} ($1, $2, $3)", migration.version, migration.name, migration.statements()
            )
            return True
    except asyncpg.LockNotAvailableError as error:
        raise DatabaseUnavailable(f"{migration} waits for a table that is in use: run it again later.") from error
    except asyncpg.PostgresError as error:
        raise SwitchboardError(f"{migration} failed: {error}") from error
    except (OSError, asyncpg.InterfaceError) as error:
        raise DatabaseUnavailable(f"The connection was lost during {migration}: run it again.") from error


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
