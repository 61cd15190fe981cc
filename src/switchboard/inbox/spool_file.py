"""The file of the spool: made if missing, mended if broken. No start is refused for it."""

import sqlite3
import time
from pathlib import Path

import structlog

log = structlog.get_logger()

BUSY_SECONDS = 2.0
_SCHEMA = """
create table if not exists calls (
  id integer primary key autoincrement, at real not null, function text not null, arguments blob not null
);
create table if not exists refused (
  id integer primary key, at real not null, function text not null, arguments blob not null, reason text not null
);
create table if not exists replayer (
  one integer primary key check (one = 1), holder text not null, until real not null
);
insert or ignore into replayer (one, holder, until) values (1, '', 0);
"""


def open_file(path: Path) -> sqlite3.Connection:
    """The database at ``path``. Of a broken one, what can be read is in it. Raises `sqlite3.Error` or `OSError`."""
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
    database = sqlite3.connect(path, timeout=BUSY_SECONDS, check_same_thread=False)
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
    """Copies the rows that can be read, in their order, past those that cannot; how many."""
    saved = 0
    try:
        source = sqlite3.connect(f"file:{broken}?mode=ro", uri=True)
    except sqlite3.Error:
        return 0
    try:
        last = int(source.execute("select max(id) from calls").fetchone()[0] or 0)
        first = int(source.execute("select min(id) from calls").fetchone()[0] or 1)
        for number in range(first, last + 1):
            try:
                row = source.execute("select at, function, arguments from calls where id = ?", (number,)).fetchone()
            except sqlite3.Error:
                continue
            if row is not None:
                with into:
                    into.execute("insert into calls (at, function, arguments) values (?, ?, ?)", row)
                saved += 1
    except sqlite3.Error as error:
        log.error("the broken spool cannot be read further", reason=str(error))
    finally:
        source.close()
    return saved
