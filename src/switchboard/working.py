"""The loops of a process that works: it answers turns, sends replies, copies files and does the periodic jobs."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial

from switchboard.archives.make import Making
from switchboard.attachments.copy import Copying
from switchboard.background import running
from switchboard.board import Switchboard
from switchboard.jobs import Job, Jobs
from switchboard.knowledge.index import Indexing
from switchboard.replies.answer import Desk
from switchboard.replies.deliver import Deliveries
from switchboard.replies.turns import Turns
from switchboard.summaries.make import Summarising

INDEX_SECONDS = 15.0
"""How often documents are looked for that nobody rang the bell for."""
REINDEX_SECONDS = 300.0
SUMMARISE_SECONDS = 15.0
EXPORT_SECONDS = 15.0
COPY_POLL_SECONDS = 1.0


@asynccontextmanager
async def working(board: Switchboard, desk: Desk) -> AsyncGenerator[None]:
    """The loops that answer and send, and the jobs; on leaving they finish what they have begun."""
    settings = board.settings
    poll = settings.poll_seconds
    turns = Turns(
        desk,
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
        files=board.files,
        links=board.links,
    )
    copying = Copying(
        board.database,
        board.channels.senders,
        board.egress,
        board.files,
        max_bytes=settings.attachment_max_megabytes * 1_000_000,
        poll_seconds=settings.turn_poll_seconds or COPY_POLL_SECONDS,
    )
    indexing = Indexing(board.database, board.embeddings)
    summarising = Summarising(
        board.database, board.providers, settings.summary_model, idle_hours=settings.summary_idle_hours
    )
    making = Making(
        board.database,
        board.files,
        settings.data_dir / "drafts",
        page_bytes=settings.export_html_megabytes * 1_000_000,
    )
    jobs = Jobs(
        settings.broker_url.get_secret_value() if settings.broker_url else None,
        (
            Job("index", indexing.work, INDEX_SECONDS, board.knowledge_bell),
            Job("reindex", indexing.sweep, REINDEX_SECONDS),
            Job("summarise", summarising.work, SUMMARISE_SECONDS, board.summaries_bell),
            Job("export", making.work, EXPORT_SECONDS, board.exports_bell),
            Job("summarise_idle", summarising.sweep, REINDEX_SECONDS),
            *(Job(name, partial(board.upkeep.do, name)) for name in board.upkeep.tasks),
        ),
    )
    async with (
        running(board.providers.warm),
        running(jobs.run),
        running(partial(board.upkeep.run, jobs.ask)),
        running(copying.run),
        running(deliveries.run),
        running(turns.run),
    ):
        try:
            yield
        finally:
            # Replies that are finished while draining are still sent: sending stops last, with what time is left.
            loop, seconds = asyncio.get_running_loop(), settings.shutdown_seconds
            end = loop.time() + seconds * 0.55
            draining = asyncio.create_task(jobs.drain(seconds * 0.55))
            await turns.drain(seconds * 0.4)
            await deliveries.drain(max(end - loop.time(), seconds * 0.1))
            await draining
