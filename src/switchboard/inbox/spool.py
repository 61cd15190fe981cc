"""Where calls of the database wait while it is away: a SQLite file, written through to the disk at once.

Rows leave in the order they came, whichever of the processes on this folder put them in. `synchronous=FULL` makes a
commit durable: https://www.sqlite.org/pragma.html#pragma_synchronous.
"""

import asyncio
import os
import sqlite3
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fcntl import LOCK_EX, LOCK_NB, LOCK_SH, flock
from pathlib import Path
from typing import TypeVar

import structlog

from switchboard.errors import Unavailable
from switchboard.inbox.spool_file import open_file

Result = TypeVar("Result")
log = structlog.get_logger()

LEASE_SECONDS = 10.0
"""So long nobody else replays what one process has begun to replay."""
SETTLED_SECONDS = 0.05
"""A file's time of change is only as fine as the kernel's tick: two changes this close may carry the same one."""
LOCK_SECONDS = 2.0


class SpoolFull(Unavailable):
    """The database is away and the local spool cannot take more: try again later."""

    code = "spool_full"


@dataclass(frozen=True, slots=True)
class Call:
    """One call that waits; ``arguments`` is JSON, an object with the function's arguments by name."""

    id: int
    function: str
    arguments: bytes


class Spool:
    """The calls that wait in one folder, which several processes may share. It works in a thread of its own."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        """``max_bytes`` is the size the file may grow to. Nothing is made before the first look."""
        self._path = folder / "calls.sqlite"
        self._log_path = folder / "calls.sqlite-wal"
        self._max_bytes = max_bytes
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="spool")
        self._connection: sqlite3.Connection | None = None
        self._inode = 0
        self._seen: tuple[tuple[int, ...] | None, bool] = None, False
        self._holder = f"{os.getpid()}-{time.monotonic_ns()}"
        self.waiting = 0
        """How many calls waited at the last look."""

    async def occupied(self) -> bool:
        """Whether anything waits, put there by whichever process: what is newer has to queue up behind it.

        While nothing changes this costs one look at the file's times. A folder that cannot be used is logged and
        counts as empty, `add` will say so again; one that another process holds counts as occupied.
        """
        if not self.waiting and not (self._seen[1] and self._seen[0] == self._stamp()):
            try:
                await self._do(lambda database: None)
            except SpoolFull as error:
                return isinstance(error.__cause__, TimeoutError)
        return self.waiting > 0

    async def add(self, function: str, arguments: bytes) -> None:
        """Puts a call to the end, durably. Raises `SpoolFull` when there is no room or the disk fails."""
        await self._do(lambda database: self._insert(database, function, arguments))

    async def first(self, most: int) -> list[Call]:
        """The calls that have waited longest; none while another process replays. Raises `SpoolFull`."""
        return await self._do(lambda database: self._select(database, most))

    async def remove(self, ids: list[int]) -> None:
        """These are in the database now. Raises `SpoolFull`."""
        await self._do(lambda database: self._delete(database, ids))

    async def refuse(self, call: Call, reason: str) -> None:
        """The database will never take this one: kept aside, for people, so that the others can go on."""
        await self._do(lambda database: self._set_aside(database, call, reason))

    async def used(self) -> float:
        """How full the spool is, 0 to 1."""
        return await self._do(lambda database: _size(database) / self._max_bytes)

    async def close(self) -> None:
        """Closes the file; what waits, waits there, and another process may replay it at once."""
        if self._connection is not None:
            # A file that is broken is none to give back; who comes next sees that.
            with suppress(SpoolFull):
                await self._do(self._give_back)
            await asyncio.get_running_loop().run_in_executor(self._thread, self._forget)
        self._thread.shutdown(wait=False)

    async def _do(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        # Taken before the look: what changes from here on is seen at the next one.
        stamp, began = self._stamp(), time.time()
        try:
            result, waiting = await asyncio.get_running_loop().run_in_executor(self._thread, self._work, work)
        except (sqlite3.Error, OSError) as error:
            # Where there is no file, nobody has put anything in: not to be looked for again with every webhook.
            self._seen = stamp, stamp is None
            log.error("spool cannot be used", reason=f"{type(error).__name__}: {error}")
            raise SpoolFull("The database is away and the local spool cannot be used: try again later.") from error
        # Together, and only now: a look that is under way must not count as one that found nothing.
        self._seen = stamp, stamp is None or began - stamp[0] / 1e9 > SETTLED_SECONDS
        self.waiting = waiting
        return result

    def _work(self, work: Callable[[sqlite3.Connection], Result]) -> tuple[Result, int]:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        while True:
            with self._locked(LOCK_SH):
                if self._connection is not None and self._inode == _inode(self._path):
                    try:
                        return work(self._connection), _count(self._connection)
                    except sqlite3.DatabaseError:
                        self._forget()
                        raise
            # Nobody is inside while a file is opened, for it may have to be replaced by a mended one.
            with self._locked(LOCK_EX):
                self._forget()
                self._connection = open_file(self._path)
                self._inode = _inode(self._path)

    def _forget(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @contextmanager
    def _locked(self, how: int) -> Generator[None]:
        """Holds the folder, alone or with others. Raises `TimeoutError` when somebody else does not let go of it."""
        deadline = time.monotonic() + LOCK_SECONDS
        with (self._path.parent / "lock").open("ab") as file:
            while True:
                try:
                    flock(file, how | LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise TimeoutError("another process holds the spool") from None
                    time.sleep(0.005)
            yield

    def _stamp(self) -> tuple[int, ...] | None:
        """What tells that somebody wrote: every change goes to SQLite's write-ahead log first. None without a file."""
        try:
            found = self._log_path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino

    def _insert(self, database: sqlite3.Connection, function: str, arguments: bytes) -> None:
        if _size(database) + len(arguments) > self._max_bytes:
            raise SpoolFull
        with database:
            database.execute(
                "insert into calls (at, function, arguments) values (?, ?, ?)", (time.time(), function, arguments)
            )

    def _select(self, database: sqlite3.Connection, most: int) -> list[Call]:
        with database:
            database.execute("begin immediate")
            # Two who replay would keep the order, for nothing is stored twice, but do everything twice.
            now = time.monotonic()
            holder, until = database.execute("select holder, until from replayer").fetchone()
            if holder != self._holder and now < until <= now + LEASE_SECONDS:
                return []
            rows = database.execute("select id, function, arguments from calls order by id limit ?", (most,)).fetchall()
            if rows:
                database.execute("update replayer set holder = ?, until = ?", (self._holder, now + LEASE_SECONDS))
        return [Call(*row) for row in rows]

    def _delete(self, database: sqlite3.Connection, ids: list[int]) -> None:
        with database:
            database.executemany("delete from calls where id = ?", [(one,) for one in ids])
            if not _count(database):
                database.execute("update replayer set until = 0")

    def _give_back(self, database: sqlite3.Connection) -> None:
        with database:
            database.execute("update replayer set until = 0 where holder = ?", (self._holder,))

    @staticmethod
    def _set_aside(database: sqlite3.Connection, call: Call, reason: str) -> None:
        with database:
            database.execute(
                "insert or replace into refused (id, at, function, arguments, reason)"
                " select id, at, function, arguments, ? from calls where id = ?",
                (reason, call.id),
            )
            database.execute("delete from calls where id = ?", (call.id,))


def _inode(path: Path) -> int:
    """Which file has this name; 0 for none."""
    try:
        return path.stat().st_ino
    except OSError:
        return 0


def _count(database: sqlite3.Connection) -> int:
    """How many wait, without reading them all: they leave from the front, so that there are no gaps for long."""
    ends = "select (select max(id) from calls) - (select min(id) from calls) + 1"
    return int(database.execute(ends).fetchone()[0] or 0)


def _size(database: sqlite3.Connection) -> int:
    """Bytes in use; pages that were freed are used again before the file grows."""
    pages = [int(database.execute(f"pragma {name}").fetchone()[0]) for name in ("page_count", "freelist_count")]
    return (pages[0] - pages[1]) * int(database.execute("pragma page_size").fetchone()[0])
