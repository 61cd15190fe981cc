"""The one place where things are opened, joined and closed: for the web, the worker, the commands and tests alike."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import aiohttp
import structlog

from switchboard import failpoints
from switchboard.agents.refresh import refresh_models
from switchboard.auth import Auth, shared_secret
from switchboard.background import running
from switchboard.bell import Bell
from switchboard.board import Switchboard
from switchboard.channels.registry import open_channels
from switchboard.database import Database
from switchboard.databases import open_databases
from switchboard.egress import Allowed, Egress
from switchboard.errors import SwitchboardError, Unavailable
from switchboard.http.rate_limits import RateLimits
from switchboard.inbox.accept import Intake
from switchboard.inbox.read import Reader
from switchboard.inbox.sort import Replay, Sorting
from switchboard.inbox.spool import Spool
from switchboard.knowledge.retrieve import Knowledge
from switchboard.live.feed import Feed
from switchboard.live.places import Places
from switchboard.metrics import Metrics
from switchboard.preparation import Preparation
from switchboard.providers.embeddings import open_embeddings
from switchboard.providers.registry import open_providers
from switchboard.replies.answer import Desk
from switchboard.replies.models import Models
from switchboard.replies.remember import Memory
from switchboard.replies.say import Programs
from switchboard.replies.untracked import Untracked
from switchboard.settings import Settings
from switchboard.storage import open_storage
from switchboard.storage.links import Links
from switchboard.upkeep.tasks import open_upkeep
from switchboard.working import working

log = structlog.get_logger()

SPOOL_ALARM = 0.8
UNTRACKED = 8
"""Replies at the same time while the database is away, in a process that makes none while it is there."""


@asynccontextmanager
async def open_switchboard(settings: Settings) -> AsyncGenerator[Switchboard]:
    """Opens everything and answers turns until closed (unless REPLY_CONCURRENCY is 0).

    Starts while the database is away, except the embedded one. Raises `Misconfigured` for settings that cannot work.
    """
    failpoints.arm(settings.fail)
    async with AsyncExitStack() as stack:
        database, ingest = await open_databases(settings, stack)
        http = await stack.enter_async_context(aiohttp.ClientSession())
        metrics = Metrics()
        providers = open_providers(settings, metrics)
        stack.push_async_callback(providers.close)
        embeddings = open_embeddings(settings)
        if embeddings is not None:
            stack.push_async_callback(embeddings.close)
        auth = Auth(settings, database, http)
        stack.push_async_callback(auth.close)
        preparation = Preparation(settings, database, providers)
        channels = open_channels(settings, http)
        stack.push_async_callback(channels.close)
        egress = Egress(Allowed.of(settings.attachment_hosts, setting="ATTACHMENT_HOSTS"))
        stack.push_async_callback(egress.close)
        spool = Spool(settings.data_dir / "spool", settings.spool_max_megabytes * 1_000_000)
        stack.push_async_callback(spool.close)
        sort_bell, spool_bell, events_bell = Bell(), Bell(), Bell()
        turns_bell = Bell(also=events_bell)
        rate_limits = RateLimits(settings, metrics)
        stack.push_async_callback(rate_limits.close)
        feed = Feed(
            database,
            metrics,
            bell=events_bell,
            poll_seconds=settings.poll_seconds,
            places=Places(settings.streams, settings.streams_per_caller),
        )
        models = Models(providers, settings, metrics)
        stack.push_async_callback(models.close)
        knowledge = Knowledge(database, embeddings)
        desk = Desk(database, models, channels.senders, settings.model, knowledge)
        memory = Memory(database)
        stack.push_async_callback(memory.close)
        untracked = Untracked(
            desk, memory, spool, metrics, bell=spool_bell, concurrency=settings.reply_concurrency or UNTRACKED
        )
        board = Switchboard(
            settings=settings,
            database=database,
            intake=Intake(ingest, spool, sort_bell=sort_bell, spool_bell=spool_bell),
            spool=spool,
            channels=channels,
            files=open_storage(settings, http),
            links=Links(partial(shared_secret, settings), settings.public_url),
            egress=egress,
            providers=providers,
            auth=auth,
            metrics=metrics,
            turns_bell=turns_bell,
            deliveries_bell=Bell(also=events_bell),
            programs=Programs(database, memory, untracked, turns_bell, desk.overheard),
            people_act=memory.people_act,
            events_bell=events_bell,
            feed=feed,
            rate_limits=rate_limits,
            embeddings=embeddings,
            knowledge=knowledge,
            knowledge_bell=Bell(),
            summaries_bell=Bell(),
            exports_bell=Bell(),
            upkeep=open_upkeep(database, settings, metrics),
            checks={
                "database": partial(_check_database, database),
                "schema": preparation.check,
                "spool": partial(_check_spool, spool),
            },
        )
        await stack.enter_async_context(running(preparation.run))
        if settings.transport == "embedded":
            await preparation.done.wait()
        sorting = Sorting(
            database,
            Reader(channels.senders, settings.facebook_app_id),
            metrics,
            bell=sort_bell,
            turns_bell=turns_bell,
            events_bell=events_bell,
            poll_seconds=settings.poll_seconds,
            timeout=settings.database_timeout_seconds,
        )
        metrics.spooled.set_function(lambda: spool.waiting)
        replay = Replay(ingest, spool, bell=spool_bell, sort_bell=sort_bell)
        await stack.enter_async_context(running(replay.run))
        await stack.enter_async_context(running(sorting.run))
        await stack.enter_async_context(running(feed.run))
        if settings.reply_concurrency:
            await stack.enter_async_context(running(partial(_list_models, preparation, database, settings)))
            await stack.enter_async_context(working(board, desk))
        yield board


async def _check_spool(spool: Spool) -> None:
    """Webhooks that wait are no fault of the spool; one that is nearly full or cannot be written is."""
    used = await spool.used()
    if used > SPOOL_ALARM:
        raise Unavailable(f"The spool is {used:.0%} full with {spool.waiting} calls: bring the database back.")


async def _list_models(preparation: Preparation, database: Database, settings: Settings) -> None:
    """At the start, for the settings may be others than last time; where that fails, upkeep does it once a day."""
    await preparation.done.wait()
    try:
        await refresh_models(database, settings)
    except SwitchboardError as error:
        log.warning("the list of models is as it was", code=error.code)


async def _check_database(database: Database) -> None:
    await database.select("workspaces", columns=["id"], order=["id"], limit=1)
