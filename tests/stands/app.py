"""The service itself, in this process: the real application behind uvicorn on a free port of 127.0.0.1."""

import asyncio
import hashlib
import hmac
import logging
import socket
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import httpx
import structlog
import uvicorn
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from stands.pooler import by_pooler
from stands.supabase import Supabase
from switchboard import clock
from switchboard.auth import local_secret, make_token
from switchboard.serving import WEBSOCKETS, cut_off_unread, end_streams
from switchboard.settings import Settings
from switchboard.web import create_app

JWT_SECRET = "a-secret-for-the-tests-only-of-48-letters-in-all"
APP_SECRET = "an-app-secret-for-the-tests-only"
VERIFY_TOKEN = "a-verify-token-for-the-tests-only"
PAGE = "682498302938465"
"""The page that `local_settings` connects to the first workspace."""


class _Told(Settings):
    """Settings that are what a test says they are, whatever the machine's environment or a `.env` file says."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


def local_settings(database_url: str | None = None, **overrides: Any) -> Settings:
    """Settings for a service on ``database_url`` with one page, whose Graph API is not there unless a test brings one.

    ``reply_concurrency`` is 0: nothing is answered unless a test asks for it. Nor is there a folder for a spool.
    """
    address, pooled = by_pooler(database_url) if database_url else (None, None)
    told: dict[str, Any] = {
        "database_url": address,
        "database_pooler": pooled,
        "data_dir": Path("/dev/null"),
        "jwt_secret": JWT_SECRET,
        "log_format": "json",
        "shutdown_seconds": 2,
        "reply_concurrency": 0,
        "turn_poll_seconds": 0.02,
        "facebook_app_secret": APP_SECRET,
        "facebook_verify_token": VERIFY_TOKEN,
        "facebook_page_id": PAGE,
        "facebook_page_access_token": "a-page-token-for-the-tests-only",
        "facebook_graph_url": "http://127.0.0.1:9/v23.0",
    }
    return _Told(**(told | overrides))


def rest_settings(supabase: Supabase, **overrides: Any) -> Settings:
    """The same on a Supabase project, with its address and keys alone."""
    keys = {"supabase_service_role_key": supabase.service_key, "supabase_anon_key": supabase.anon_key}
    return local_settings(None, supabase_url=supabase.url, database_timeout_seconds=10, **{**keys, **overrides})


def token(
    settings: Settings,
    role: Literal["admin", "owner", "support", "viewer"] = "admin",
    workspace_id: int | None = None,
    subject: str | None = None,
) -> str:
    """A token as `switchboard token` prints it; the subject is ``role`` unless given."""
    return make_token(
        local_secret(settings),
        role=role,
        workspace_id=workspace_id,
        subject=subject or role,
        ttl=timedelta(hours=1),
        now=clock.now(),
    )


def bearer(token: str) -> dict[str, str]:
    """The header that carries a token."""
    return {"authorization": f"Bearer {token}"}


def signed(body: bytes, secret: str = APP_SECRET) -> dict[str, str]:
    """The headers of a webhook as Meta sends it."""
    signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return {"content-type": "application/json", "x-hub-signature-256": f"sha256={signature}"}


@asynccontextmanager
async def serving(app: Any) -> AsyncGenerator[str]:
    """Any ASGI application behind uvicorn, in the loop of the test; its address, `http://127.0.0.1:<port>`.

    Ready to be asked when entered, stopped gracefully when left. Raises `RuntimeError` when it does not start.
    """
    server = _Server(
        uvicorn.Config(
            app,
            http="httptools",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            **WEBSOCKETS,
            timeout_graceful_shutdown=5,
        )
    )
    # Not `create_server`: without its protocol named, asyncio would leave Nagle's 40 ms in every answer.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listening:
        listening.bind(("127.0.0.1", 0))
        cut_off_unread(listening)
        running = asyncio.create_task(server.serve([listening]))
        entered = asyncio.create_task(server.running.wait())
        await asyncio.wait([running, entered], return_when=asyncio.FIRST_COMPLETED)
        if not server.started:
            entered.cancel()
            await running
            raise RuntimeError("the service did not start: see the log")
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            await running


@asynccontextmanager
async def running_app(settings: Settings) -> AsyncGenerator[str]:
    """The service with ``settings``, as `serving` serves it. Its log goes where the test's standard error goes."""
    with logs_put_back():
        async with serving(create_app(settings)) as address:
            yield address


@asynccontextmanager
async def running_client(settings: Settings) -> AsyncGenerator[httpx.AsyncClient]:
    """A client of a service that is `running_app`; it carries no token and follows no redirects."""
    async with running_app(settings) as address, httpx.AsyncClient(base_url=address, timeout=30) as client:
        yield client


async def until_ready(client: httpx.AsyncClient) -> None:
    """Returns when `/health/ready` says so: database there, schema right, first workspace made."""
    async with asyncio.timeout(20):
        while (await client.get("/health/ready")).status_code != 200:
            await asyncio.sleep(0.02)


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers, saying when it has started."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.running = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        except SystemExit:  # right for a process, and not for the one that runs the tests
            self.should_exit = True
        if self.started:
            self.running.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await end_streams(self.config.app)
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


@contextmanager
def logs_put_back() -> Generator[None]:
    """The application configures the log of its process; the next test gets what this one found."""
    loggers = [logging.getLogger(name) for name in (None, "uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi")]
    found = [(logger, logger.handlers[:], logger.level, logger.propagate) for logger in loggers]
    configured = structlog.get_config()
    try:
        yield
    finally:
        for logger, handlers, level, propagate in found:
            logger.handlers[:], logger.propagate = handlers, propagate
            logger.setLevel(level)
        structlog.configure(**configured)
