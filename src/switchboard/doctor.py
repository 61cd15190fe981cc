"""Whether an installation can do its job: settings, database, schema, knowledge and model, one line each."""

import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from switchboard.database import Database
from switchboard.database.migrations import pending
from switchboard.errors import Misconfigured, SwitchboardError
from switchboard.providers import Prompt, Said, complete
from switchboard.providers.registry import open_providers
from switchboard.settings import Settings
from switchboard.wiring import open_databases


async def examine(settings: Settings, show: Callable[[str], object]) -> bool:
    """Shows what works and what does not, with what to do; returns whether all of it works."""
    async with AsyncExitStack() as stack:
        show(f"settings   ok: database by {settings.transport}, replies by {settings.model}")
        try:
            database, _ = await open_databases(settings, stack)
        except SwitchboardError as error:
            show(f"database   WRONG: {error.message}")
            return False
        checks: list[tuple[str, Callable[[], Awaitable[str]]]] = [
            ("database", lambda: _database(database)),
            ("schema", lambda: _schema(database)),
            ("channels", lambda: _channels(database)),
            ("model", lambda: _model(settings)),
        ]
        return all([await _look(name, check, show) for name, check in checks])


async def _look(name: str, check: Callable[[], Awaitable[str]], show: Callable[[str], object]) -> bool:
    started = time.monotonic()
    try:
        found = await check()
    except SwitchboardError as error:
        show(f"{name:<10} WRONG: {error.message}")
        return False
    show(f"{name:<10} ok: {found} ({(time.monotonic() - started) * 1000:.0f} ms)")
    return True


async def _database(database: Database) -> str:
    rows = await database.select("workspaces", columns=["id"], order=["id"])
    return f"{len(rows)} workspace(s)"


async def _schema(database: Database) -> str:
    if missing := await pending(database):
        raise Misconfigured(f"{', '.join(missing)} not applied: run `switchboard migrate`")
    return "up to date"


async def _channels(database: Database) -> str:
    rows = await database.select("channels", columns=["platform", "account"], order=["platform"])
    return ", ".join(f"{row['platform']} {row['account']}" for row in rows) or "none connected"


async def _model(settings: Settings) -> str:
    providers = open_providers(settings)
    try:
        provider, model = providers.get(settings.model)
        prompt = Prompt(model=model, system="Answer with the word ready.", messages=(Said("user", "Hello"),), tools=())
        done = (await complete(provider, prompt)).done
    finally:
        await providers.close()
    return f"{done.model} answers"
