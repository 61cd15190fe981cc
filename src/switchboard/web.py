"""The web application: a lifespan, a list of routers, and what is asked of every request."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from starlette.middleware import Middleware

from switchboard import __version__, health
from switchboard.conversations import admin
from switchboard.http.idempotency import Idempotency
from switchboard.http.problems import install
from switchboard.http.requests import Bodies, Requests
from switchboard.inbox import routes as webhooks
from switchboard.logs import configure
from switchboard.replies import people, programs
from switchboard.settings import Settings, load
from switchboard.try_page import router as try_page
from switchboard.wiring import open_switchboard

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
            yield {name: getattr(board, name) for name in board.__dataclass_fields__}

    chosen = settings or load()
    configure(chosen.log_level, chosen.log_format)
    app = FastAPI(
        title="Switchboard",
        version=__version__,
        description=_DESCRIPTION,
        lifespan=lifespan,
        redirect_slashes=False,
        docs_url="/docs" if chosen.docs else None,
        openapi_url="/openapi.json" if chosen.docs else None,
        redoc_url=None,
        middleware=[
            Middleware(Requests),
            Middleware(Bodies, max_bytes=chosen.max_body_bytes),
            Middleware(Idempotency),
        ],
    )
    install(app)
    for router in (webhooks.router, admin.router, people.router, programs.router, health.router, try_page):
        app.include_router(router)
    return app
