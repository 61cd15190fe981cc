"""`switchboard channels connect` and `switchboard channels status`: what the platforms think of our accounts."""

import asyncio
import json
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import aiohttp
import typer

from switchboard.channels import Channel
from switchboard.channels.registry import open_channels
from switchboard.errors import Misconfigured, SwitchboardError
from switchboard.logs import configure
from switchboard.settings import Settings, load

app = typer.Typer(help="Connect the accounts of the settings with their platforms.", no_args_is_help=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


@dataclass(frozen=True, slots=True)
class Line:
    """One channel. ``state``: ok, wrong, or off where it has no settings."""

    channel: str
    state: str
    account: str
    detail: str
    problems: list[str]


@app.command()
def connect(
    channels: Annotated[
        list[str] | None, typer.Argument(help="Which ones; all that have settings if not given.")
    ] = None,
    url: Annotated[str | None, typer.Option(help="Address of this service for the platforms, not PUBLIC_URL.")] = None,
    as_json: AsJson = False,
) -> None:
    """Have the platforms send us what customers write; then look whether they do. Exits with 1 if anything is wrong."""
    settings = load()
    configure("error", settings.log_format)
    public_url = _reachable(url or settings.public_url)
    _report(asyncio.run(_look(settings, channels or [], public_url, connecting=True)), as_json=as_json)


@app.command()
def status(
    channels: Annotated[list[str] | None, typer.Argument(help="Which ones; all if not given.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say of each channel whether its platform sends us what customers write; exits with 1 if one does not."""
    settings = load()
    configure("error", settings.log_format)
    _report(asyncio.run(_look(settings, channels or [], settings.public_url, connecting=False)), as_json=as_json)


async def _look(settings: Settings, wanted: list[str], public_url: str | None, *, connecting: bool) -> list[Line]:
    async with aiohttp.ClientSession() as http:
        known = open_channels(settings, http).senders
        for name in wanted:
            if name not in known:
                raise Misconfigured(f"{name!r} is no channel: use {', '.join(known)}.")
            if not known[name].accounts:
                raise Misconfigured(f"{name} has no settings: set {_SETTINGS[name]}.")
        return [
            await _line(name, channel, public_url, connecting=connecting)
            for name, channel in known.items()
            if not wanted or name in wanted
        ]


async def _line(name: str, channel: Channel, public_url: str | None, *, connecting: bool) -> Line:
    if not channel.accounts:
        return Line(name, "off", "", f"set {_SETTINGS[name]}", [])
    try:
        if connecting and public_url is not None:
            await channel.connect(public_url)
        found = await channel.status(public_url)
    except SwitchboardError as error:
        return Line(name, "wrong", channel.accounts[0], "", [error.message])
    return Line(name, "wrong" if found.problems else "ok", found.account, found.detail, list(found.problems))


def _report(lines: list[Line], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"channels": [asdict(line) for line in lines]}, indent=2, ensure_ascii=False))
    else:
        _print_table(lines)
    raise typer.Exit(1 if any(line.state == "wrong" for line in lines) else 0)


def _print_table(lines: list[Line]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("Channel", "State", "Account", "What the platform says")
    colours = {"ok": "green", "wrong": "red", "off": "dim"}
    for line in lines:
        # Text, not markup: what a platform says is shown as it is.
        said = Text("\n".join(filter(None, [line.detail, *line.problems])))
        table.add_row(line.channel, Text(line.state, colours[line.state]), line.account, said)
    options: dict[str, Any] = {} if Console().is_terminal else {"width": 160}
    Console(**options).print(table)


def _reachable(url: str | None) -> str:
    if url is None:
        raise Misconfigured("PUBLIC_URL must be set, or --url given: the address under which platforms reach us.")
    if not url.startswith("https://"):
        raise Misconfigured(f"{url!r} is no https address, and platforms deliver to no other.")
    return url


_SETTINGS = {
    "messenger": "FACEBOOK_PAGE_ID and FACEBOOK_PAGE_ACCESS_TOKEN",
    "instagram": "INSTAGRAM_ACCOUNT_ID and INSTAGRAM_ACCESS_TOKEN",
    "telegram": "TELEGRAM_BOT_TOKEN and TELEGRAM_SECRET_TOKEN",
}
