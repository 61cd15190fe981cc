"""`switchboard export`: conversations as a file, and whether such a file is whole."""

import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from switchboard.errors import Invalid

_DAY = "%Y-%m-%d"


def export(
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The file; `-` is standard output. A name with the date if not given."),
    ] = None,
    format_: Annotated[str, typer.Option("--format", help="json, csv, xlsx, ml, jsonl or pairs.")] = "json",
    workspace: Annotated[str | None, typer.Option(help="Its name or id; needed where there are several.")] = None,
    start_date: Annotated[datetime | None, typer.Option(formats=[_DAY], help="Begun on this day or later.")] = None,
    end_date: Annotated[datetime | None, typer.Option(formats=[_DAY], help="Begun on this day or before.")] = None,
    ai_service: Annotated[str | None, typer.Option(help="Answered by this provider, such as mistral.")] = None,
    min_messages: Annotated[int | None, typer.Option(help="With so many messages or more.")] = None,
    status: Annotated[
        str | None, typer.Option(help="active (every open one), support_active, resolved, archived or closed.")
    ] = None,
    agent: Annotated[int | None, typer.Option(help="The id of an agent.")] = None,
    channel: Annotated[str | None, typer.Option(help="A platform, such as facebook.")] = None,
    rating: Annotated[int | None, typer.Option(help="With an answer that somebody rated so, 1 to 5.")] = None,
    flag: Annotated[str | None, typer.Option(help="With an answer that somebody flagged so, or `any`.")] = None,
    raw: Annotated[bool, typer.Option("--raw", help="Do not anonymise. This is written down.")] = False,
    include_ip_addresses: Annotated[
        bool, typer.Option("--include-ip-addresses", help="The guests', where known.")
    ] = False,
    metadata: Annotated[bool, typer.Option(help="Services, models, ratings, flags, summaries and agents.")] = True,
    bom: Annotated[bool, typer.Option("--bom", help="Begin CSV with a byte order mark, for old Excel.")] = False,
    watermark: Annotated[
        str | None,
        typer.Option(help="Up to where: message_id and time of a manifest, as 456@2026-11-20T12:00:00Z."),
    ] = None,
    pseudonym_key_file: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="32 bytes in hex: the same person is the same under them."),
    ] = None,
    verify: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="Read this file again instead, and say what differs."),
    ] = None,
) -> None:
    """Write conversations into a file, anonymised unless --raw is given; or, with --verify, see whether one is whole.

    The file has another name until it is complete. Exits with 1 if a verified file differs.
    """
    from switchboard import export_work

    if verify is not None:
        raise typer.Exit(0 if export_work.verified(verify) else 1)
    asked: dict[str, Any] = {
        "format": format_,
        "start_date": start_date.date() if start_date else None,
        "end_date": end_date.date() if end_date else None,
        "ai_service": ai_service,
        "min_messages": min_messages,
        "status": status,
        "agent": agent,
        "channel": channel,
        "rating": rating,
        "flag": flag,
        "anonymize": not raw,
        "include_ip_addresses": include_ip_addresses,
        "include_metadata": metadata,
        "bom": bom,
        "watermark": _watermark(watermark) if watermark else None,
        "pseudonym_key": pseudonym_key_file.read_text().strip() if pseudonym_key_file else None,
    }
    to_screen = output == Path("-")
    if to_screen and sys.stdout.isatty() and format_ in ("xlsx", "excel"):
        raise Invalid("This is no text for a terminal: name a file with --output.")
    export_work.run(workspace, lambda board: export_work.export(board, asked, None if to_screen else output or Path()))


def _watermark(text: str) -> dict[str, str]:
    message_id, at, time = text.partition("@")
    if not at:
        raise Invalid("--watermark: write it as 456@2026-11-20T12:00:00Z, with message_id and time of a manifest.")
    return {"message_id": message_id, "at": time}
