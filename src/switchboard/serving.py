"""Running the web application under uvicorn, and telling a newcomer where it is."""

import socket
from datetime import timedelta
from typing import Any

import typer
import uvicorn

from switchboard import clock
from switchboard.auth import local_secret, make_token
from switchboard.settings import Settings
from switchboard.web import create_app

WELCOME_TOKEN = timedelta(hours=12)
UNREAD_SECONDS = 30
"""How long a client may leave what was sent to it unread before it is cut off."""
WEBSOCKETS: dict[str, Any] = {
    "ws": "websockets-sansio",
    # Clients send a token and little else. Compression would cost 60 KB for each socket.
    "ws_max_size": 16_384,
    "ws_per_message_deflate": False,
    "ws_ping_interval": 20.0,
    "ws_ping_timeout": 20.0,
}


def run(settings: Settings) -> None:
    """Serves until stopped; exits with 1 when it could not start."""
    config = uvicorn.Config(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http="httptools",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        **WEBSOCKETS,
        # What is left of the time to stop belongs to the replies that are being made.
        timeout_graceful_shutdown=max(1, round(settings.shutdown_seconds * 0.25)),
    )
    server = _Server(config, settings)
    server.run()
    if not server.started:
        raise typer.Exit(1)


class _Server(uvicorn.Server):
    """uvicorn, with a welcome."""

    def __init__(self, config: uvicorn.Config, settings: Settings) -> None:
        super().__init__(config)
        self._settings = settings

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for server in self.servers:
            for listening in server.sockets:
                cut_off_unread(listening)
        if self.started:
            for line in _welcome(self._settings, self._port()):
                typer.echo(line)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # First: uvicorn would wait for the streams to end by themselves.
        await end_streams(self.config.app)
        await super().shutdown(sockets)

    def _port(self) -> int:
        for server in self.servers:
            for listening in server.sockets:
                return int(listening.getsockname()[1])
        return self._settings.port


def cut_off_unread(listening: socket.socket) -> None:
    """Whoever reads nothing for `UNREAD_SECONDS` loses the connection; a client that is not there cannot tell us so.

    Linux hands the option of the listening socket on to those it accepts (tcp(7), TCP_USER_TIMEOUT).
    """
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_SECONDS * 1000)


async def end_streams(app: Any) -> None:
    """Ends the live streams of a `switchboard.web.create_app`, if it has begun."""
    state = getattr(app, "state", None)  # a test may serve another application
    if end := getattr(state, "end_streams", None):
        await end()


def _welcome(settings: Settings, port: int) -> list[str]:
    host = "localhost" if settings.host in {"127.0.0.1", "0.0.0.0", "::"} else settings.host  # noqa: S104 - compared
    address = settings.public_url or f"http://{host}:{port}"
    lines = [f"Switchboard runs on {address}"]
    if settings.transport == "embedded":
        # Only here, where database and secret are this folder's own: elsewhere a log is no place for a token.
        token = make_token(local_secret(settings), role="admin", subject="welcome", ttl=WELCOME_TOKEN, now=clock.now())
        lines += [f"Try it:      {address}/#token={token}", f"Admin token: {token}"]
    return lines
