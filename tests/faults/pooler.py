"""PgBouncer in transaction mode between the service and its database."""

import os
import shutil
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from stands.clusters import Cluster, free_port

PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")


@contextmanager
def pooling(cluster: Cluster, folder: Path, *, connections: int) -> Generator[int]:
    """Its port; all its clients together share so many connections to the server."""
    port = free_port()
    told = folder / "pgbouncer.ini"
    lines = [
        "[databases]",
        f"* = host=127.0.0.1 port={cluster.port} user=postgres",
        "[pgbouncer]",
        "listen_addr = 127.0.0.1",
        f"listen_port = {port}",
        "auth_type = any",
        "pool_mode = transaction",
        f"default_pool_size = {connections}",
        "unix_socket_dir =",
        *(["user = nobody"] if os.geteuid() == 0 else []),
    ]
    told.write_text("\n".join(lines))
    process = subprocess.Popen([PGBOUNCER or "pgbouncer", told], stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        while "process up" not in (line := process.stderr.readline()):
            assert line, "pgbouncer did not start"
        yield port
    finally:
        process.terminate()
        process.communicate(timeout=10)
