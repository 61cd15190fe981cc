"""The ground all tests stand on: a real Postgres for each run, a migrated copy of a template for each test."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator

import pytest

from stands import supabase as stand
from stands.clusters import Cluster, majors
from stands.supabase import Supabase, SupabaseServer
from switchboard.database import Database
from switchboard.database.migrations import migrate
from switchboard.database.postgres import Postgres, open_postgres
from switchboard.database.postgrest import Postgrest, open_postgrest


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
        return name

    # A loop of its own that is not made the current one: pytest-asyncio looks after that.
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        return runner.run(make())


@pytest.fixture
async def database_url(cluster: Cluster, template: str) -> AsyncIterator[str]:
    """A migrated database for this test alone, as its superuser."""
    name = await cluster.create_database(template)
    yield cluster.dsn(name)
    await cluster.drop_database(name)


@pytest.fixture
async def postgres(database_url: str) -> AsyncIterator[Postgres]:
    """The direct transport, open on this test's database."""
    database = await open_postgres(database_url, pool_size=8, timeout=5)
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
