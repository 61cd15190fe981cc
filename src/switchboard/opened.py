"""What a command works with: the settings, the database, and the workspaces that are meant."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from switchboard.database import Database
from switchboard.database.paging import pages
from switchboard.databases import open_databases
from switchboard.errors import NotFound
from switchboard.logs import configure
from switchboard.settings import Settings, load

HERE: Final[dict[str, Any]] = {"subject": "cli", "admin": True, "roles": {}}
"""Whoever may type commands here may do everything."""
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Opened:
    """``workspaces``: id and name of those that are meant, all of them where none was named."""

    settings: Settings
    database: Database
    workspaces: dict[int, str]


def run(workspace: str | None, work: Callable[[Opened], Awaitable[Result]]) -> Result:
    """Does ``work`` on the workspace of this name or id, or on all. Raises `NotFound` with the names there are."""

    async def do() -> Result:
        async with opened(workspace) as board:
            return await work(board)

    return asyncio.run(do())


@asynccontextmanager
async def opened(workspace: str | None) -> AsyncGenerator[Opened]:
    """Opens the database as set, without starting anything that works by itself."""
    settings = load()
    configure("error", settings.log_format)
    async with AsyncExitStack() as stack:
        database, _ = await open_databases(settings, stack)
        yield Opened(settings, database, await choose(database, workspace))


async def choose(database: Database, named: str | None) -> dict[int, str]:
    """The workspaces of this name or id, or all: id and name. Raises `NotFound` with the names there are."""
    found: dict[int, str] = {}
    async for some in pages(database, "workspaces", columns=["id", "name"]):
        found |= {row["id"]: row["name"] for row in some}
    if named is None:
        return found
    # A name goes before an id: nothing keeps a business from being called 7.
    chosen = {key: name for key, name in found.items() if name == named}
    chosen = chosen or {key: name for key, name in found.items() if str(key) == named}
    if not chosen:
        names = ", ".join(repr(name) for name in list(found.values())[:20])
        raise NotFound(f"There is no workspace {named!r}: there is {names or 'none yet, start the service once'}.")
    return chosen
