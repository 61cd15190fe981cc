"""The installation that storms rage on, and workspaces whose protections can be taken away."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from faults.evidence import WITNESS
from faults.field import Field, open_field
from faults.unguarded import Unguarded
from stands.clusters import Cluster, majors
from switchboard.database.migrations import migrate


@pytest.fixture(scope="session")
def timed() -> Iterator[tuple[Cluster, str]]:
    """The server, and the name of a migrated database with witnesses that tests copy."""
    server = Cluster(majors()[18], ("track_commit_timestamp=on",))
    server.start()

    async def make() -> str:
        name = await server.create_database()
        await migrate(server.dsn(name))
        await server.execute(WITNESS, name)
        return name

    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        name = runner.run(make())
    yield server, name
    server.destroy()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def whole_field() -> AsyncIterator[Field]:
    """An installation of three processes that all storms of this run rage on."""
    async with open_field(seed=7) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="session")
async def field(whole_field: Field) -> Field:
    """The installation, whole again, whatever the test before has left of it."""
    whole_field.cluster.thaw()
    if not whole_field.cluster.is_running():
        whole_field.cluster.start()
    for member in whole_field.fleet.members.values():
        if member.maimed:
            await member.kill()
    async with whole_field.sql() as sql:
        await sql.execute("update turns set due_at = null, lease_until = null where due_at is not null")
    await whole_field.fleet.start()
    return whole_field


@pytest.fixture
async def shop(timed: tuple[Cluster, str]) -> AsyncIterator[Unguarded]:
    """A workspace on a database of this test's own."""
    server, template = timed
    name = await server.create_database(template)
    async with Unguarded.open(server.dsn(name)) as opened:
        yield opened
    await server.drop_database(name)
