"""The one place where things are opened, joined and closed: for the web, the worker, the commands and tests alike."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import aiohttp
import structlog

from switchboard import failpoints
from switchboard.auth import Auth
from switchboard.bell import Bell
from switchboard.channels.registry import Channels, open_channels
from switchboard.database import Database
from switchboard.database.migrations import migrate, pending
from switchboard.errors import SwitchboardError, Unavailable
from switchboard.health import Check
from switchboard.inbox.accept import Intake
from switchboard.inbox.sort import Replay, Sorting
from switchboard.inbox.spool import Spool
from switchboard.jobs import Job, Jobs
from switchboard.knowledge.cafe import put_cafe
from switchboard.metrics import Metrics
from switchboard.providers.registry import Providers, open_providers
from switchboard.replies.answer import Desk
from switchboard.replies.deliver import Deliveries
from switchboard.replies.turns import Turns
from switchboard.settings import Settings
from switchboard.upkeep.purge import purge
from switchboard.workspaces.first import First, prepare

PURGE_SECONDS = 3600.0
PREPARE_AGAIN_SECONDS = 2.0
BEGIN_AGAIN_SECONDS = 1.0
SPOOL_ALARM = 0.8

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Switchboard:
    """Everything that is open."""

    settings: Settings
    database: Database
    intake: Intake
    spool: Spool
    channels: Channels
    providers: Providers
    auth: Auth
    metrics: Metrics
    turns_bell: Bell
    deliveries_bell: Bell
    checks: dict[str, Check]


@asynccontextmanager
async def open_switchboard(settings: Settings) -> AsyncGenerator[Switchboard]:
    """Opens everything and answers turns until closed (unless REPLY_CONCURRENCY is 0).

    Starts while the database is away, except the embedded one. Raises `Misconfigured` for settings that cannot work.
    """
    failpoints.arm(settings.fail)
    async with AsyncExitStack() as stack:
        database, ingest = await open_databases(settings, stack)
        http = await stack.enter_async_context(aiohttp.ClientSession())
        providers = open_providers(settings)
        stack.push_async_callback(providers.close)
        auth = Auth(settings, database, http)
        stack.push_async_callback(auth.close)
        preparation = _Preparation(settings, database)
        spool = Spool(settings.data_dir / "spool", settings.spool_max_megabytes * 1_000_000)
        stack.push_async_callback(spool.close)
        sort_bell, spool_bell = Bell(), Bell()
        board = Switchboard(
            settings=settings,
            database=database,
            intake=Intake(ingest, spool, sort_bell=sort_bell, spool_bell=spool_bell),
            spool=spool,
            channels=open_channels(settings, http),
            providers=providers,
            auth=auth,
            metrics=Metrics(),
            turns_bell=Bell(),
            deliveries_bell=Bell(),
            checks={
                "database": partial(_check_database, database),
                "schema": preparation.check,
                "spool": partial(_check_spool, spool),
            },
        )
        await stack.enter_async_context(_running(preparation.run))
        if settings.transport == "embedded":
            await preparation.done.wait()
        sorting = Sorting(
            database, board.metrics, bell=sort_bell, turns_bell=board.turns_bell, poll_seconds=_poll_seconds(settings)
        )
        board.metrics.spooled.set_function(lambda: spool.waiting)
        replay = Replay(ingest, spool, bell=spool_bell, sort_bell=sort_bell)
        await stack.enter_async_context(_running(replay.run))
        await stack.enter_async_context(_running(sorting.run))
        if settings.reply_concurrency:
            await stack.enter_async_context(_working(board))
        yield board


async def open_databases(settings: Settings, stack: AsyncExitStack) -> tuple[Database, Database]:
    """The database as set, twice: for everything, and for webhooks alone. The embedded one is brought up to date."""
    timeout = settings.database_timeout_seconds
    if settings.transport == "postgrest":
        from switchboard.database.postgrest import open_postgrest

        url, key = settings.supabase_url, settings.supabase_service_role_key
        if url is None or key is None:
            raise AssertionError("settings are checked in groups")
        opened: list[Database] = [
            await open_postgrest(url, key.get_secret_value(), timeout=timeout, pool_size=size)
            for size in (settings.database_pool_size, settings.database_ingest_pool_size)
        ]
    else:
        from switchboard.database.postgres import open_postgres

        dsn = await _direct_address(settings, stack)
        opened = [
            await open_postgres(dsn, pool_size=size, timeout=timeout, behind_pooler=settings.behind_pooler)
            for size in (settings.database_pool_size, settings.database_ingest_pool_size)
        ]
    for database in opened:
        stack.push_async_callback(database.close)
    return opened[0], opened[1]


async def _direct_address(settings: Settings, stack: AsyncExitStack) -> str:
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    from switchboard.database.embedded import open_embedded

    embedded = await open_embedded(settings.data_dir / "postgres")
    stack.push_async_callback(embedded.leave)
    await migrate(embedded.dsn)
    return embedded.dsn


class _Preparation:
    """Waits until the database is there and up to date, then makes sure of the first workspace."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database
        self._wrong = "The database has not been looked at yet."
        self.done = asyncio.Event()

    async def check(self) -> None:
        """Raises `Unavailable` with what is still wrong."""
        if not self.done.is_set():
            raise Unavailable(self._wrong)

    async def run(self) -> None:
        """Tries until it works."""
        while not self.done.is_set():
            try:
                await self._prepare()
            except SwitchboardError as error:
                if error.message != self._wrong:
                    log.warning("not ready", reason=error.message)
                self._wrong = error.message
                await asyncio.sleep(PREPARE_AGAIN_SECONDS)

    async def _prepare(self) -> None:
        missing = await pending(self._database)
        if missing:
            raise Unavailable(f"The schema lacks {', '.join(missing)}: run `switchboard migrate`.")
        embedded = self._settings.transport == "embedded"
        first: First = await prepare(
            self._database, self._settings, name="Café Switchboard" if embedded else "My business"
        )
        if embedded and first.created:
            await put_cafe(self._database, first.id)
        self.done.set()


@asynccontextmanager
async def _working(board: Switchboard) -> AsyncGenerator[None]:
    """The loops that answer and send, and the jobs; on leaving they finish what they have begun."""
    settings = board.settings
    poll = _poll_seconds(settings)
    turns = Turns(
        Desk(board.database, board.providers, board.channels.senders, settings.model),
        board.metrics,
        bell=board.turns_bell,
        stored=board.deliveries_bell,
        concurrency=settings.reply_concurrency,
        per_workspace=settings.workspace_concurrency,
        lease_seconds=settings.turn_lease_seconds,
        poll_seconds=poll,
    )
    deliveries = Deliveries(
        board.database,
        board.channels.senders,
        board.metrics,
        bell=board.deliveries_bell,
        concurrency=settings.reply_concurrency,
        poll_seconds=poll,
    )
    jobs = Jobs(
        settings.broker_url.get_secret_value() if settings.broker_url else None,
        (Job("purge", partial(_purge, board), PURGE_SECONDS),),
    )
    async with (
        _running(board.providers.warm),
        _running(jobs.run),
        _running(deliveries.run),
        _running(turns.run),
    ):
        try:
            yield
        finally:
            # Replies that are finished while draining are still sent: sending stops last.
            await turns.drain(settings.shutdown_seconds * 0.45)
            await deliveries.drain(settings.shutdown_seconds * 0.2)


def _poll_seconds(settings: Settings) -> float:
    """How often to look for work nobody told us of: over REST every look is a request that somebody counts."""
    return settings.turn_poll_seconds or (1.0 if settings.transport == "postgrest" else 0.2)


async def _purge(board: Switchboard) -> None:
    await purge(board.database, board.settings.inbox_days)


async def _check_spool(spool: Spool) -> None:
    """Webhooks that wait are no fault of the spool; one that is nearly full or cannot be written is."""
    used = await spool.used()
    if used > SPOOL_ALARM:
        raise Unavailable(f"The spool is {used:.0%} full with {spool.waiting} webhooks: bring the database back.")


async def _check_database(database: Database) -> None:
    await database.select("workspaces", columns=["id"], order=["id"], limit=1)


@asynccontextmanager
async def _running(work: Callable[[], Coroutine[Any, Any, None]]) -> AsyncGenerator[None]:
    """``work`` in the background while inside; begun anew when it fails, for nobody would notice that it is missing."""
    task = asyncio.create_task(_again_and_again(work))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _again_and_again(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    while True:
        try:
            return await work()
        except Exception:
            log.exception("background work failed and begins anew")
            await asyncio.sleep(BEGIN_AGAIN_SECONDS)
