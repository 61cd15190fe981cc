"""What the doctor looks at around the database: broker, files, spool, models and channels."""

import asyncio
import secrets
from urllib.parse import urlsplit

import aiohttp

from switchboard.database import Database
from switchboard.doctor.line import Line, Worth, look
from switchboard.errors import SwitchboardError, Unavailable
from switchboard.inbox.spool import Spool
from switchboard.jobs.brokers import OPENERS
from switchboard.providers import Usage
from switchboard.providers.registry import open_providers
from switchboard.settings import Settings
from switchboard.storage import open_storage, whole
from switchboard.upkeep.health import look as look_at_health
from switchboard.upkeep.health import models_in_use

BROKER_SECONDS = 5.0
SPOOL_ALARM = 0.8


async def check_broker(settings: Settings) -> str:
    """Whether the broker takes us in."""
    if settings.broker_url is None:
        return "none set: each process does its own background work"
    url = settings.broker_url.get_secret_value()
    address = urlsplit(url)
    broker = await asyncio.to_thread(OPENERS[address.scheme], url)
    try:
        async with asyncio.timeout(BROKER_SECONDS):
            await broker.startup()
    except Exception as error:
        # Its own words may hold the address, and that the password.
        raise Unavailable(
            f"{address.scheme} broker at {address.hostname} not reached ({type(error).__name__})"
        ) from None
    finally:
        await broker.shutdown()
    return f"{address.scheme} broker at {address.hostname} answers"


async def check_files(settings: Settings) -> str:
    """Whether files can be kept, read and deleted."""
    key, content = f"doctor/{secrets.token_hex(8)}", secrets.token_bytes(64)
    async with aiohttp.ClientSession() as http:
        storage = open_storage(settings, http)
        await storage.put(key, content, "application/octet-stream")
        try:
            if await whole(storage, key) != content:
                raise Unavailable("A file came back changed.")
        finally:
            await storage.delete(key)
    return "can be written, read and deleted"


async def check_spool(settings: Settings) -> str:
    """Whether webhooks could wait here while the database is away."""
    spool = Spool(settings.data_dir / "spool", settings.spool_max_megabytes * 1_000_000)
    try:
        used = await spool.used()
    finally:
        await spool.close()
    if used > SPOOL_ALARM:
        raise Unavailable(f"{used:.0%} full with {spool.waiting} calls: bring the database back")
    return f"can be written, {spool.waiting} call(s) wait"


async def health_lines(database: Database, settings: Settings) -> list[Line]:
    """A line for each model, the embedding model and each channel that is set: all are really asked."""
    try:
        found = await look_at_health(settings, database, await models_in_use(database, settings))
    except SwitchboardError as error:
        return [Line("providers", "wrong", error.message)]
    kinds = {"provider": "provider", "embedding": "embeddings", "channel": "channel"}
    lines = [
        Line(f"{kinds[one.kind]} {one.name}", "ok" if one.ok else "wrong", one.detail, one.latency_ms) for one in found
    ]
    if settings.embedding_model is None:
        lines.append(Line("embeddings", "ok", "none set: knowledge is found by its words"))
    if not any(one.kind == "channel" for one in found):
        lines.append(Line("channels", "ok", "none set: programs alone may write"))
    return lines


async def money_lines(settings: Settings) -> list[Line]:
    """Whether somebody answers where the first model fails, and whether the prices are known."""

    async def fallbacks() -> str:
        others = [model for model in settings.fallbacks if model != settings.model]
        if not others and not settings.model.startswith("extractive:"):
            raise Worth("none set: when the model fails, customers are handed over (FALLBACK_MODELS)")
        return ", ".join(others) or "none needed"

    async def prices() -> str:
        providers = open_providers(settings)
        models = dict.fromkeys([settings.model, *settings.fallbacks])
        found = await asyncio.to_thread(lambda: [providers.price(model, Usage(1000, 1000)) for model in models])
        unknown = [model for model, price in zip(models, found, strict=True) if price is None]
        if unknown:
            raise Worth(f"not known for {', '.join(unknown)}: what its replies cost is not known")
        return f"known for {', '.join(models)}"

    return [await look("fallbacks", fallbacks), await look("prices", prices)]
