"""Where webhooks wait while the database is away: a SQLite file, written through to the disk before anything is said.

Rows leave in the order they came. What a broken file still holds is saved into a new one; no start is refused for it.
`synchronous=FULL` makes a commit durable: https://www.sqlite.org/pragma.html#pragma_synchronous.
"""

import asyncio
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import structlog

from switchboard.errors import Unavailable

Result = TypeVar("Result")
log = structlog.get_logger()

_SCHEMA = """
create table if not exists webhooks (
  id integer primary key autoincrement, at real not null, platform text not null, entries blob not null
);
create table if not exists refused (
  id integer primary key, at real not null, platform text not null, entries blob not null, reason text not null
);
"""


class SpoolFull(Unavailable):
    """The database is away and the local spool cannot take more: try again later."""

    code = "spool_full"


@dataclass(frozen=True, slots=True)
class Spooled:
    """One webhook that waits; ``entries`` is JSON as `accept_webhook` takes it."""

    id: int
    platform: str
    entries: bytes


class Spool:
    """The webhooks that wait in one folder. Every call runs in the spool's own thread."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        """``max_bytes`` is the size the file may grow to. Nothing is made before the first `open`."""
        self._path = folder / "webhooks.sqlite"
        self._max_bytes = max_bytes
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="spool")
        self._connection: sqlite3.Connection | None = None
        self.waiting = 0
        """How many webhooks wait. While any do, newer ones queue up behind them."""

    async def open(self) -> None:
        """Looks for what an earlier process left. A folder that cannot be used is logged; `add` will say so again."""
        with suppress(SpoolFull):
            self.waiting = await self._do(self._count)

    async def add(self, platform: str, entries: bytes) -> None:
        """Puts a webhook to the end, durably. Raises `SpoolFull` when there is no room or the disk fails."""
        await self._do(lambda database: self._insert(database, platform, entries))
        self.waiting += 1

    async def first(self, most: int) -> list[Spooled]:
        """The webhooks that have waited longest. Raises `SpoolFull`."""
        return await self._do(lambda database: self._select(database, most))

    async def remove(self, ids: list[int]) -> None:
        """These are in the database now. Raises `SpoolFull`."""
        await self._do(lambda database: self._delete(database, ids))
        self.waiting = await self._do(self._count)

    async def refuse(self, spooled: Spooled, reason: str) -> None:
        """The database will never take this one: kept aside, for people, so that the others can go on."""
        await self._do(lambda database: self._set_aside(database, spooled, reason))
        self.waiting = await self._do(self._count)

    async def used(self) -> float:
        """How full the spool is, 0 to 1."""
        return await self._do(lambda database: self._size(database) / self._max_bytes)

    async def close(self) -> None:
        """Closes the file; what waits, waits there."""
        if self._connection is not None:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._connection.close)
        self._thread.shutdown(wait=False)

    async def _do(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        def run() -> Result:
            if self._connection is None:
                self._connection = _open(self._path)
            try:
                return work(self._connection)
            except sqlite3.DatabaseError:
                self._connection.close()
                self._connection = None
                raise

        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, run)
        except (sqlite3.Error, OSError) as error:
            log.error("spool cannot be used", reason=f"{type(error).__name__}: {error}")
            raise SpoolFull("The database is away and the local spool cannot be used: try again later.") from error

    def _insert(self, database: sqlite3.Connection, platform: str, entries: bytes) -> None:
        if self._size(database) + len(entries) > self._max_bytes:
            raise SpoolFull
        with database:
            database.execute(
                "insert into webhooks (at, platform, entries) values (?, ?, ?)", (time.time(), platform, entries)
            )

    @staticmethod
    def _select(database: sqlite3.Connection, most: int) -> list[Spooled]:
        rows = database.execute("select id, platform, entries from webhooks order by id limit ?", (most,))
        return [Spooled(*row) for row in rows]

    @staticmethod
    def _delete(database: sqlite3.Connection, ids: list[int]) -> None:
        with database:
            database.executemany("delete from webhooks where id = ?", [(one,) for one in ids])

    @staticmethod
    def _set_aside(database: sqlite3.Connection, spooled: Spooled, reason: str) -> None:
        with database:
            database.execute(
                "insert or replace into refused (id, at, platform, entries, reason)"
                " select id, at, platform, entries, ? from webhooks where id = ?",
                (reason, spooled.id),
            )
            database.execute("delete from webhooks where id = ?", (spooled.id,))

    @staticmethod
    def _count(database: sqlite3.Connection) -> int:
        return int(database.execute("select count(*) from webhooks").fetchone()[0])

    @staticmethod
    def _size(database: sqlite3.Connection) -> int:
        """Bytes in use; pages that were freed are used again before the file grows."""
        pages = [int(database.execute(f"pragma {name}").fetchone()[0]) for name in ("page_count", "freelist_count")]
        return (pages[0] - pages[1]) * int(database.execute("pragma page_size").fetchone()[0])


def _open(path: Path) -> sqlite3.Connection:
    """The file, made if missing, mended if broken."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        return _prepare(path)
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):
            raise
        log.error("the spool is broken: saving what can be read", file=str(path), reason=str(error))
    broken = path.with_name(f"broken-{time.time_ns()}.sqlite")
    for suffix in ("", "-wal", "-shm"):
        piece = path.with_name(path.name + suffix)
        if piece.exists():
            piece.rename(broken.with_name(broken.name + suffix))
    mended = _prepare(path)
    saved = _save(broken, mended)
    log.error("the spool is mended", saved=saved, kept_aside=str(broken))
    return mended


def _prepare(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=2, check_same_thread=False)
    try:
        database.execute("pragma journal_mode = wal")
        database.execute("pragma synchronous = full")
        database.executescript(_SCHEMA)
        problem = database.execute("pragma quick_check").fetchone()[0]
        if problem != "ok":
            raise sqlite3.DatabaseError(problem)
    except BaseException:
        database.close()
        raise
    return database


def _save(broken: Path, into: sqlite3.Connection) -> int:
    """Copies the rows that can be read, in their order, up to the first that cannot, and from there one by one."""
    saved = 0
    try:
        source = sqlite3.connect(f"file:{broken}?mode=ro", uri=True)
    except sqlite3.Error:
        return 0
    try:
        last = int(source.execute("select max(id) from webhooks").fetchone()[0] or 0)
        first = int(source.execute("select min(id) from webhooks").fetchone()[0] or 1)
        for number in range(first, last + 1):
            try:
                row = source.execute("select at, platform, entries from webhooks where id = ?", (number,)).fetchone()
            except sqlite3.Error:
                continue
            if row is not None:
                with into:
                    into.execute("insert into webhooks (at, platform, entries) values (?, ?, ?)", row)
                saved += 1
    except sqlite3.Error as error:
        log.error("the broken spool cannot be read further", reason=str(error))
    finally:
        source.close()
    return saved
