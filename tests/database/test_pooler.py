import asyncio
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from stands.clusters import Cluster, free_port
from switchboard.database.migrations import migrate, pending
from switchboard.database.postgres import open_postgres
from switchboard.errors import Misconfigured

PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")

pytestmark = pytest.mark.skipif(PGBOUNCER is None, reason="needs pgbouncer on the path")


@pytest.fixture
def pooler(cluster: Cluster, tmp_path: Path) -> Iterator[int]:
    """The port of a PgBouncer in transaction mode, with two connections to the server for everybody together."""
    port = free_port()
    settings = tmp_path / "pgbouncer.ini"
    settings.write_text(
        f"""
        [databases]
        * = host=127.0.0.1 port={cluster.port} user=postgres
        [pgbouncer]
        listen_addr = 127.0.0.1
        listen_port = {port}
        auth_type = any
        pool_mode = transaction
        default_pool_size = 2
        unix_socket_dir =
        {"user = nobody" if os.geteuid() == 0 else ""}
        """.replace("\n        ", "\n")
    )
    process = subprocess.Popen([PGBOUNCER or "pgbouncer", settings], stderr=subprocess.PIPE, text=True)
    assert process.stderr
    for line in process.stderr:
        if "process up" in line:
            break
    else:
        pytest.fail("pgbouncer did not start")
    yield port
    process.terminate()
    process.communicate(timeout=10)


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
