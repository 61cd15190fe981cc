"""PgBouncer in transaction mode between the service and its database."""

import os
import shutil
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from stands.clusters import Cluster, free_port

PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
POOLED = "pooled"
"""Who the service is at the database when it comes by a pooler: one that acts as service_role."""
_in_front: dict[int, int] = {}


@contextmanager
def pooling(cluster: Cluster, folder: Path, *, connections: int, user: str = "postgres") -> Generator[int]:
    """Its port; all its clients together share so many connections to each of the server's databases."""
    port = free_port()
    told = folder / "pgbouncer.ini"
    lines = [
        "[databases]",
        f"* = host=127.0.0.1 port={cluster.port} user={user}",
        "[pgbouncer]",
        "listen_addr = 127.0.0.1",
        f"listen_port = {port}",
        "auth_type = any",
        "pool_mode = transaction",
        f"default_pool_size = {connections}",
        "server_idle_timeout = 5",
        "log_connections = 0",
        "log_disconnections = 0",
        "unix_socket_dir =",
        *(["user = nobody"] if os.geteuid() == 0 else []),
    ]
    told.write_text("\n".join(lines))
    log = folder / "pgbouncer.log"
    with log.open("w") as file:
        process = subprocess.Popen([PGBOUNCER or "pgbouncer", told], stderr=file)
    try:
        while "process up" not in log.read_text():
            assert process.poll() is None, f"pgbouncer did not start: {log.read_text()}"
            time.sleep(0.01)
        yield port
    finally:
        process.terminate()
        process.wait(timeout=10)


@contextmanager
def standing_in_front(cluster: Cluster, folder: Path) -> Generator[None]:
    """While inside, whatever `by_pooler` and `database_environment` are asked about ``cluster`` leads to a pooler."""
    with pooling(cluster, folder, connections=6, user=POOLED) as port:
        _in_front[cluster.port] = port
        try:
            yield
        finally:
            del _in_front[cluster.port]


def by_pooler(dsn: str) -> tuple[str, bool]:
    """How the service gets to this database, and whether a pooler is on the way."""
    port = _in_front.get(urlsplit(dsn).port or 0)
    return (dsn, False) if port is None else (dsn.replace(f":{urlsplit(dsn).port}/", f":{port}/"), True)


def database_environment(dsn: str) -> dict[str, str]:
    """The same as a process of the service is told."""
    address, pooled = by_pooler(dsn)
    return {"DATABASE_URL": address, "DATABASE_POOLER": str(pooled).lower()}
