import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from stands.clusters import Cluster
from stands.pooler import PGBOUNCER, pooling
from switchboard.database.migrations import migrate, pending
from switchboard.database.postgres import open_postgres
from switchboard.errors import Misconfigured


@pytest.fixture
def pooler(cluster: Cluster, tmp_path: Path) -> Iterator[int]:
    """The port of a PgBouncer in transaction mode, with two connections to the server for everybody together."""
    if PGBOUNCER is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("needs pgbouncer on the path")
    with pooling(cluster, tmp_path, connections=2) as port:
        yield port


async def test_everything_works_through_a_pooler_in_transaction_mode(cluster: Cluster, pooler: int) -> None:
    name = await cluster.create_database()
    dsn = cluster.dsn(name).replace(f":{cluster.port}/", f":{pooler}/")
    assert sum(len(done) for done in await asyncio.gather(*[migrate(dsn) for _ in range(3)])) > 0

    database = await open_postgres(dsn, pool_size=12, timeout=10, behind_pooler=True)
    assert await pending(database) == []

    async def work(number: int) -> None:
        [stored] = await database.insert("workspaces", [{"name": f"workspace {number}"}])
        assert await database.select("workspaces", where={"id": [stored["id"]]}) == [stored]
        changed = await database.update("workspaces", {"language": "german"}, where={"id": stored["id"]})
        assert changed == [{**stored, "language": "german"}]
        assert await database.call("find_memberships", user_id=f"person {number}") == {}
        assert await database.delete("workspaces", where={"id": stored["id"]}) == changed

    # Twelve of ours share two of the server's: whatever stayed in a session would be somebody else's a moment later.
    await asyncio.gather(*[work(number) for number in range(60)])
    await database.close()
    await cluster.drop_database(name)


async def test_a_pooler_taken_for_a_server_is_told_apart(cluster: Cluster, pooler: int, database_url: str) -> None:
    dsn = database_url.replace(f":{cluster.port}/", f":{pooler}/")
    database = await open_postgres(dsn, pool_size=1, timeout=5)
    with pytest.raises(Misconfigured, match="DATABASE_POOLER"):
        await pending(database)
    await database.close()
    connection = await asyncpg.connect(dsn, statement_cache_size=0)
    assert await connection.fetchval("select 1") == 1
    await connection.close()
