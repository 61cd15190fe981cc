"""Whether what we depend on works: a tiny call to each model, and a question to each channel about our account."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from typing import Literal

import aiohttp

from switchboard.channels import Channel
from switchboard.channels.registry import open_channels
from switchboard.database import Database
from switchboard.database.paging import pages
from switchboard.errors import ChannelBroken, SwitchboardError
from switchboard.providers.embeddings import Embeddings, open_embeddings
from switchboard.providers.registry import Providers, open_providers
from switchboard.settings import Settings
from switchboard.upkeep.task import Result
from switchboard.usage.try_model import try_model

AT_ONCE = 4
MOST_MODELS = 50
"""Models of workspaces that are asked in one run; what an installation has set itself is always asked."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a look at one thing found. ``latency_ms``: how long it took; ``detail``: what it says, or what is wrong."""

    kind: Literal["provider", "embedding", "channel"]
    name: str
    ok: bool
    detail: str
    latency_ms: int


async def check_health(database: Database, settings: Settings) -> Result:
    """Looks at everything and keeps what it found; tells workspaces what has changed. Returns the counts."""
    findings = await look(settings, database, await models_in_use(database, settings))
    changed = await database.call("record_health", checks=[asdict(finding) for finding in findings])
    return {"looked": len(findings), "wrong": sum(not one.ok for one in findings), "changed": len(changed)}


async def look(settings: Settings, database: Database, models: list[str]) -> list[Finding]:
    """Asks each of ``models`` (as provider:model), the embedding model and each channel that is set."""
    async with AsyncExitStack() as stack:
        # Providers of its own: whether a breaker of this process is open says nothing about the model now.
        providers = open_providers(settings)
        stack.push_async_callback(providers.close)
        embeddings = open_embeddings(settings)
        if embeddings is not None:
            stack.push_async_callback(embeddings.close)
        http = await stack.enter_async_context(aiohttp.ClientSession())
        channels = open_channels(settings, http)
        stack.push_async_callback(channels.close)
        looks = [ask_model(database, providers, model) for model in models]
        looks += [] if embeddings is None else [ask_embeddings(embeddings)]
        looks += [
            ask_channel(name, channel, settings.public_url)
            for name, channel in channels.senders.items()
            if channel.accounts
        ]
        return await _some_at_once(looks)


async def models_in_use(database: Database, settings: Settings) -> list[str]:
    """The models the installation has set, and those that workspaces and agents use with the installation's keys."""
    own = [settings.model, *settings.fallbacks]
    providers = open_providers(settings)
    chosen: dict[str, None] = {}
    for table in ("workspaces", "agents"):
        async for model in _models_of(database, table):
            if model.partition(":")[0] in providers.by_name:
                chosen[model] = None
    return [*dict.fromkeys([*own, *sorted(chosen)[:MOST_MODELS]])]


async def ask_model(
    database: Database, providers: Providers, model_ref: str, workspace_id: int | None = None
) -> Finding:
    """A real call to one model, the smallest that shows whether it answers; it is in the ledger as a test."""

    async def ask() -> str:
        return f"{(await try_model(database, providers, model_ref, workspace_id)).model} answers"

    return await _finding("provider", model_ref, ask)


async def ask_embeddings(embeddings: Embeddings) -> Finding:
    """A real call to the embedding model."""

    async def ask() -> str:
        made = await embeddings.embed(["ready"])
        return f"{len(made.vectors[0])} numbers"

    return await _finding("embedding", embeddings.model_ref, ask)


async def ask_channel(name: str, channel: Channel, public_url: str | None) -> Finding:
    """What the platform thinks of our account and its webhook."""

    async def ask() -> str:
        found = await channel.status(public_url)
        if found.problems:
            raise ChannelBroken("; ".join(found.problems))
        return found.detail

    return await _finding("channel", f"{name} {channel.accounts[0]}", ask)


async def _finding(
    kind: Literal["provider", "embedding", "channel"], name: str, ask: Callable[[], Awaitable[str]]
) -> Finding:
    began = time.monotonic()
    try:
        ok, detail = True, await ask()
    except SwitchboardError as error:
        ok, detail = False, error.message
    return Finding(kind, name, ok, detail, round((time.monotonic() - began) * 1000))


async def _some_at_once(looks: Sequence[Awaitable[Finding]]) -> list[Finding]:
    free = asyncio.Semaphore(AT_ONCE)

    async def wait(one: Awaitable[Finding]) -> Finding:
        async with free:
            return await one

    return list(await asyncio.gather(*map(wait, looks)))


async def _models_of(database: Database, table: str) -> AsyncIterator[str]:
    if table == "workspaces":
        some = pages(database, "workspaces", columns=["id", "model"])
    else:
        some = pages(database, "agents", columns=["id", "model"])
    async for page in some:
        for row in page:
            if row["model"]:
                yield row["model"]
