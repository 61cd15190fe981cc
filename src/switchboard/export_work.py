"""What `switchboard export` does and shows."""

import os
import sys
from collections.abc import Generator, Mapping
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from switchboard.errors import Invalid
from switchboard.exports.asked import Asked
from switchboard.exports.build import Export, Watcher, begin, write
from switchboard.exports.verify import verify
from switchboard.opened import HERE, Opened, run

__all__ = ["export", "run", "verified"]


async def export(board: Opened, asked: dict[str, Any], output: Path | None) -> None:
    """Writes a file, or to standard output without one. Raises `Invalid` for what cannot be asked for or written."""
    workspace_id = _workspace(board)
    begun = await begin(board.database, board.settings, HERE, workspace_id, _asked(asked), "export.begun")
    place = Path(begun.file_name) if output == Path() else output
    try:
        with _progress(await _total(begun)) as watch, _opened(place) as file:
            async with aclosing(write(begun, watch)) as chunks:
                async for chunk in chunks:
                    file.write(chunk)
    except OSError as error:
        raise Invalid(f"{place or 'standard output'}: {error.strerror or error}.") from None


def verified(file: Path) -> bool:
    """Says what is in an exported file, and what differs; whether nothing does."""
    with file.open("rb") as opened:
        found = verify(opened)
    for difference in found.differences:
        typer.echo(difference)
    counted = ", ".join(f"{many:,} {name.replace('_', ' ')}" for name, many in found.counted.items())
    if found.valid:
        typer.echo(f"{file} is whole and as it was written: {counted}.")
    return found.valid


def _workspace(board: Opened) -> int:
    if len(board.workspaces) != 1:
        names = ", ".join(map(repr, board.workspaces.values())) or "none yet, start the service once"
        raise Invalid(f"Say which workspace with --workspace: there is {names}.")
    return next(iter(board.workspaces))


def _asked(values: dict[str, Any]) -> Asked:
    try:
        return Asked.model_validate({name: value for name, value in values.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        field = "--" + "-".join(str(each) for each in first["loc"]).replace("_", "-") if first["loc"] else "export"
        raise Invalid(f"{field}: {first['msg']}.") from None


async def _total(begun: Export) -> int:
    """Messages to come, for whoever looks on; counting them is not worth it for nobody."""
    if not sys.stderr.isatty():
        return 0
    found = await begun.database.call(
        "measure_export",
        caller=begun.caller,
        workspace_id=begun.workspace_id,
        filters=begun.filters,
        watermark=begun.watermark["message_id"],
    )
    return int(found["messages"])


@contextmanager
def _progress(total: int) -> Generator[Watcher]:
    """A bar on a terminal; elsewhere one line at the end."""
    console = Console(stderr=True)
    seen: dict[str, int] = {}

    def watch(counts: Mapping[str, int]) -> None:
        seen.update(counts)
        bar.update(task, completed=counts["messages"])

    columns = (TextColumn("messages"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("messages", total=total or None)
        yield watch
    typer.echo(f"{seen['messages']:,} messages of {seen['conversations']:,} conversations", err=True)


@contextmanager
def _opened(place: Path | None) -> Generator[BinaryIO]:
    """A file for nobody else to read, under another name until all of it is there; standard output without one."""
    if place is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    part = place.with_name(place.name + ".part")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(place)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
