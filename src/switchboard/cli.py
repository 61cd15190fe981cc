"""The `switchboard` command. What a command prints on standard output is its result; everything else is the log."""

import asyncio
import json
import signal
import sys
from contextlib import AsyncExitStack
from dataclasses import asdict
from datetime import timedelta
from typing import Annotated, Any, Literal

import structlog
import typer

from switchboard import clock, failpoints
from switchboard.ai_commands import app as ai
from switchboard.auth import local_secret, make_api_key, make_token
from switchboard.channels import commands as channels
from switchboard.errors import Misconfigured, SwitchboardError
from switchboard.export_commands import export
from switchboard.knowledge_commands import app as knowledge
from switchboard.logs import configure
from switchboard.settings import Settings, load
from switchboard.tables import show
from switchboard.upkeep_commands import app as upkeep

app = typer.Typer(
    help="Answers a business's customers with AI, keeps every conversation, and lets people step in.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.add_typer(channels.app, name="channels")
app.add_typer(knowledge)
app.add_typer(ai)
app.add_typer(upkeep)
app.command()(export)
Role = Literal["admin", "owner", "support", "viewer"]
_HERE: dict[str, Any] = {"subject": "cli", "admin": True, "roles": {}}


def main() -> int:
    """The entry point: errors that a person can mend are one line, not a trace."""
    try:
        app()
    except SwitchboardError as error:
        print(f"switchboard: {error.message}", file=sys.stderr)  # noqa: T201 - the command's own last word
        return 2
    return 0


@app.command()
def serve(
    port: Annotated[int | None, typer.Option(help="Port to listen on, instead of PORT.")] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on, instead of HOST.")] = None,
) -> None:
    """Answer HTTP requests, and turns too unless REPLY_CONCURRENCY is 0."""
    from switchboard.serving import run

    chosen = {name: value for name, value in (("port", port), ("host", host)) if value is not None}
    run(load(**chosen))


@app.command()
def work() -> None:
    """Answer turns and send replies without serving HTTP: as many processes as you like."""
    import uvloop

    settings = load()
    configure(settings.log_level, settings.log_format)
    if not settings.reply_concurrency:
        raise Misconfigured("REPLY_CONCURRENCY is 0: a worker needs at least 1.")
    uvloop.run(_work(settings))


@app.command()
def migrate(
    show: Annotated[
        bool, typer.Option("--print", help="Print the SQL for an SQL editor instead of running it.")
    ] = False,
) -> None:
    """Bring the database's schema up to date."""
    from switchboard.database import migrations

    if show:
        typer.echo(migrations.render())
        return
    asyncio.run(_migrate(load()))


@app.command()
def token(
    role: Annotated[Role, typer.Option(help="What its bearer may do.")],
    workspace: Annotated[int | None, typer.Option(help="Which workspace; the first one if not given.")] = None,
    days: Annotated[int, typer.Option(min=1, max=3650, help="For how long it holds.")] = 30,
    name: Annotated[str, typer.Option(help="Whose it is, for the audit trail.")] = "cli",
) -> None:
    """Print a token: one signed by this installation, or with Supabase an API key."""
    settings = load()
    configure("error", settings.log_format)
    typer.echo(asyncio.run(_token(settings, role, workspace, timedelta(days=days), name)))


@app.command()
def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print JSON for a program instead.")] = False) -> None:
    """Look at everything the service is made of and leans on, with a tiny real call to each model.

    Exits with 1 if something is wrong, with 2 if something could not be looked at.
    """
    settings = load()
    configure("error", settings.log_format)
    from switchboard.doctor.examine import examine

    lines = [asdict(line) for line in asyncio.run(examine(settings))]
    columns = {"name": "Part", "state": "State", "milliseconds": "ms", "detail": "What was found"}
    show(lines, columns, name="checks", as_json=as_json)
    states = {line["state"] for line in lines}
    raise typer.Exit(2 if "unknown" in states else 1 if "wrong" in states else 0)


@app.command()
def openapi() -> None:
    """Print the OpenAPI description."""
    from switchboard.web import create_app

    typer.echo(json.dumps(create_app(load()).openapi(), indent=2, ensure_ascii=False))


@app.command()
def demo(
    port: Annotated[int, typer.Option(help="Port of the stand-in for Facebook's Graph API.")] = 8001,
) -> None:
    """Play Facebook's side on this machine: take what the service sends and print it."""
    from switchboard.demo import play

    asyncio.run(play(port, typer.echo))


async def _work(settings: Settings) -> None:
    from switchboard.wiring import open_switchboard

    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with open_switchboard(settings):
        structlog.get_logger().info("working", replies_at_once=settings.reply_concurrency)
        await stop.wait()


async def _migrate(settings: Settings) -> None:
    from switchboard.database.embedded import open_embedded
    from switchboard.database.migrations import migrate as apply

    failpoints.arm(settings.fail)
    async with AsyncExitStack() as stack:
        dsn = settings.database_url.get_secret_value() if settings.database_url else None
        if settings.transport == "embedded":
            embedded = await open_embedded(settings.data_dir / "postgres")
            stack.push_async_callback(embedded.leave)
            dsn = embedded.dsn
        done = await apply(dsn, progress=lambda name, place, total: typer.echo(f"{place}/{total} {name}", err=True))
    typer.echo(f"{len(done)} applied." if done else "Nothing to do: the schema is up to date.")


async def _token(settings: Settings, role: Role, workspace: int | None, ttl: timedelta, name: str) -> str:
    if settings.supabase_url is not None and settings.jwt_secret is None:
        return await _api_key(settings, role, workspace, ttl, name)
    if role == "admin":
        return make_token(local_secret(settings), role="admin", subject=name, ttl=ttl, now=clock.now())
    return make_token(
        local_secret(settings),
        role=role,
        workspace_id=workspace or await _first_workspace(settings),
        subject=name,
        ttl=ttl,
        now=clock.now(),
    )


async def _api_key(settings: Settings, role: Role, workspace: int | None, ttl: timedelta, name: str) -> str:
    from switchboard.databases import open_databases

    key, prefix, key_hash = make_api_key()
    if role != "admin" and workspace is None:
        workspace = await _first_workspace(settings)
    async with AsyncExitStack() as stack:
        database, _ = await open_databases(settings, stack)
        await database.call(
            "create_api_key",
            caller=_HERE,
            workspace_id=None if role == "admin" else workspace,
            name=name,
            role=role,
            prefix=prefix,
            key_hash=key_hash,
            expires_at=(clock.now() + ttl).isoformat(),
        )
    return key


async def _first_workspace(settings: Settings) -> int:
    from switchboard.databases import open_databases

    async with AsyncExitStack() as stack:
        database, _ = await open_databases(settings, stack)
        rows = await database.select("workspaces", columns=["id"], order=["id"], limit=1)
    if not rows:
        raise Misconfigured("There is no workspace yet: start the service once.")
    return int(rows[0]["id"])
