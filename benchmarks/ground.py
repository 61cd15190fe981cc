"""What a benchmark stands on: a Postgres set as in earnest, and databases on it with the schema of today."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import asyncpg

from stands.clusters import Cluster, majors
from switchboard.database.migrations import migrate

POSTGRES = 18
SETTINGS = (
    "fsync=on",
    "synchronous_commit=on",
    "full_page_writes=on",
    "autovacuum=on",
    "shared_buffers=512MB",
    "max_wal_size=4GB",
)
PAGE = "682498302938465"
QUIET_PAGE = "682498302938466"
APP_SECRET = "an-app-secret-for-benchmarks-only"
VERIFY_TOKEN = "a-verify-token-for-benchmarks-only"


@asynccontextmanager
async def cluster() -> AsyncGenerator[Cluster]:
    """A server of its own. To be entered in the main thread."""
    server = Cluster(majors()[POSTGRES], SETTINGS)
    try:
        server.start()
        yield server
    finally:
        server.destroy()


async def migrated(server: Cluster) -> str:
    """A new database with the schema of today; its address, as superuser."""
    dsn = server.dsn(await server.create_database())
    await migrate(dsn)
    return dsn


async def execute(dsn: str, *statements: str) -> None:
    """Runs statements as the superuser."""
    connection = await asyncpg.connect(dsn)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def value(dsn: str, query: str, *arguments: object) -> object:
    """The one value of a query, as the superuser."""
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(query, *arguments)
    finally:
        await connection.close()


async def until(dsn: str, condition: str, *, seconds: float = 60) -> None:
    """Returns when a query is true. Raises `TimeoutError`."""
    connection = await asyncpg.connect(dsn)
    try:
        async with asyncio.timeout(seconds):
            while not await connection.fetchval(condition):  # noqa: ASYNC110 - the database rings no bell
                await asyncio.sleep(0.02)
    finally:
        await connection.close()


async def no_quiet_time(dsn: str) -> None:
    """Workspaces answer at once instead of waiting whether the customer goes on."""
    await execute(dsn, "update workspaces set quiet_seconds = 0")


async def second_page(dsn: str) -> None:
    """A second business with a page of its own."""
    await execute(
        dsn,
        "insert into workspaces (name, quiet_seconds) values ('Quiet Ltd', 0)",
        f"select connect_channel(max(id), 'messenger', '{QUIET_PAGE}') from workspaces",
    )
