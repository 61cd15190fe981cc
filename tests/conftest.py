"""The ground all tests stand on: a real Postgres for each run, a migrated copy of a template for each test."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator

import pytest

from stands import supabase as stand
from stands.app import logs_put_back
from stands.clusters import Cluster, majors
from stands.pooler import POOLED, by_pooler, standing_in_front
from stands.supabase import Supabase, SupabaseServer
from switchboard.database import Database
from switchboard.database.migrations import migrate
from switchboard.database.postgres import Postgres, open_postgres
from switchboard.database.postgrest import Postgrest, open_postgrest


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--pooler`: all of it once more, behind PgBouncer."""
    parser.addoption("--pooler", action="store_true", help="put PgBouncer in front of the database")


@pytest.fixture(autouse=True)
def log() -> Iterator[None]:
    """A command or a service that a test runs in this process configures the log; the next test gets it as it was."""
    with logs_put_back():
        yield


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """One server for the run (with xdist: for the worker), with the newest Postgres of the wheel."""
    server = Cluster(majors()[18])
    server.start()
    yield server
    server.destroy()


@pytest.fixture(scope="session")
def template(cluster: Cluster) -> str:
    """The name of a database that has seen all migrations; nobody connects to it, everybody copies it."""

    async def make() -> str:
        name = await cluster.create_database()
        await migrate(cluster.dsn(name))
        # Who comes by a pooler; roles belong to the server, and the migrations make service_role.
        for line in (
            f"create role {POOLED} login in role service_role",
            f"alter role {POOLED} set role to service_role",
            f"alter role {POOLED} set statement_timeout to '9s'",
        ):
            await cluster.execute(line)
        return name

    # A loop of its own that is not made the current one: pytest-asyncio looks after that.
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        return runner.run(make())


@pytest.fixture(scope="session")
def way_in(
    request: pytest.FixtureRequest, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """With --pooler the service comes through PgBouncer in transaction mode; what tests look at themselves does not."""
    if not request.config.getoption("--pooler"):
        yield
        return
    folder = tmp_path_factory.mktemp("pooler")
    for each in (folder, *folder.parents[:2]):
        each.chmod(0o755)
    with standing_in_front(cluster, folder):
        yield


@pytest.fixture
async def database_url(cluster: Cluster, template: str, way_in: None) -> AsyncIterator[str]:
    """A migrated database for this test alone, as its superuser."""
    name = await cluster.create_database(template)
    yield cluster.dsn(name)
    await cluster.drop_database(name)


@pytest.fixture
async def postgres(database_url: str) -> AsyncIterator[Postgres]:
    """The direct transport, open on this test's database."""
    address, pooled = by_pooler(database_url)
    database = await open_postgres(address, pool_size=8, timeout=5, behind_pooler=pooled)
    yield database
    await database.close()


@pytest.fixture(scope="session")
def supabase_server() -> Iterator[SupabaseServer]:
    """The process behind `supabase`; started by the first test that needs it."""
    if reason := stand.missing():
        # Not there is a choice on somebody's machine, and a hole in what we prove anywhere else.
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)
    server = SupabaseServer()
    yield server
    server.stop()


@pytest.fixture
def supabase(supabase_server: SupabaseServer, database_url: str) -> Iterator[Supabase]:
    """A Supabase project whose database is this test's."""
    with supabase_server.project(database_url) as project:
        yield project


@pytest.fixture
async def postgrest(supabase: Supabase) -> AsyncIterator[Postgrest]:
    """The transport over Supabase's REST API, open on this test's database."""
    database = await open_postgrest(supabase.url, supabase.service_key, timeout=10)
    yield database
    await database.close()


@pytest.fixture(params=["postgres", "postgrest"])
def database(request: pytest.FixtureRequest) -> Database:
    """Both transports, one after the other: what holds for one must hold for the other."""
    opened: Database = request.getfixturevalue(request.param)
    return opened
