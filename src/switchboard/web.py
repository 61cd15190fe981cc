"""The web application: a lifespan, a list of routers, and what is asked of every request."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from switchboard import __version__, health
from switchboard.agents import models
from switchboard.agents import routes as agents
from switchboard.archives import routes as archives
from switchboard.attachments import routes as attachments
from switchboard.conversations import admin, kept, said, status
from switchboard.exports import routes as exports
from switchboard.feedback import corrections, flags, ratings, review
from switchboard.http.idempotency import Idempotency
from switchboard.http.problems import install
from switchboard.http.rate_limits import HEADERS, Limited
from switchboard.http.requests import Bodies, Receive, Requests, Scope, Send
from switchboard.inbox import routes as webhooks
from switchboard.knowledge.routes import router as knowledge
from switchboard.live import sse, websocket
from switchboard.live.writes import Writes
from switchboard.logs import configure
from switchboard.replies import correct, people, programs
from switchboard.sessions import guests
from switchboard.sessions import routes as sessions
from switchboard.settings import Settings, load
from switchboard.summaries.routes import router as summaries
from switchboard.trends import routes as trends
from switchboard.try_page import router as try_page
from switchboard.upkeep import routes as upkeep
from switchboard.usage import by_day
from switchboard.usage import routes as usage
from switchboard.web_chat.pages import router as web_chat
from switchboard.wiring import open_switchboard
from switchboard.workspaces import config, prompts

_DESCRIPTION = """\
Answers a business's customers with AI, keeps every conversation, and lets people step in.

Send `Authorization: Bearer <token>` with everything but webhooks and `/health/*`. JSON or form-encoded bodies, with or
without a trailing slash. Times are UTC, ISO 8601. Errors are problems (RFC 9457) with `success: false`. A POST with an
`Idempotency-Key` is done once, however often it is sent within 24 hours.
"""


def create_app(settings: Settings | None = None) -> FastAPI:
    """The application for ``settings``, which are read from the environment when it starts if not given."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[dict[str, Any]]:
        async with open_switchboard(chosen) as board:
            app.state.end_streams = board.feed.end
            yield {name: getattr(board, name) for name in board.__dataclass_fields__}

    chosen = settings or load()
    configure(chosen.log_level, chosen.log_format)
    app = _Application(
        title="Switchboard",
        version=__version__,
        description=_DESCRIPTION,
        lifespan=lifespan,
        redirect_slashes=False,
        docs_url="/docs" if chosen.docs else None,
        openapi_url="/openapi.json" if chosen.docs else None,
        redoc_url=None,
        middleware=[
            *_cors(chosen),
            Middleware(Requests),
            Middleware(Limited),
            Middleware(
                Bodies,
                max_bytes=chosen.max_body_bytes,
                streamed={"/api/exports/verify": chosen.export_verify_max_megabytes * 1_000_000},
            ),
            Middleware(Writes),
            Middleware(Idempotency),
        ],
    )
    install(app)
    for router in (
        webhooks.router,
        admin.router,
        people.router,
        correct.router,
        programs.router,
        kept.router,
        said.router,
        summaries,
        sessions.router,
        guests.router,
        config.router,
        prompts.router,
        status.router,
        usage.router,
        trends.router,
        by_day.router,
        agents.router,
        models.router,
        ratings.router,
        flags.router,
        review.router,
        corrections.router,
        exports.router,
        knowledge,
        attachments.router,
        archives.router,
        upkeep.router,
        health.router,
        try_page,
        web_chat,
        sse.router,
        websocket.router,
    ):
        app.include_router(router)
    return app


class _Application(FastAPI):
    """FastAPI's, with the open streams outside of all that it does for a request."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await sse.Streams(super().__call__)(scope, receive, send)


def _cors(settings: Settings) -> list[Middleware]:
    """Lets pages from `CORS_ORIGINS` call. No credentials: tokens come in a header, which a page has to have."""
    if not settings.origins:
        return []
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=settings.origins,
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=["authorization", "content-type", "idempotency-key", "last-event-id", "prefer"],
            expose_headers=["x-request-id", "location", "idempotency-replayed", "retry-after", *HEADERS],
        )
    ]
