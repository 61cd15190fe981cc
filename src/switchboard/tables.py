"""Rows for people and for programs: a table, or JSON with the same in it."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

import typer

WIDTH = 160
"""Characters in a line where no terminal says how many it has: nothing is cut for a pager or a log."""
_COLOURS = {"ok": "green", "on": "green", "done": "green", "wrong": "red", "failed": "red", "warning": "yellow"}


def show(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str], *, name: str, as_json: bool) -> None:
    """``columns``: field and heading. JSON is an object with all fields of the rows under ``name``."""
    if as_json:
        typer.echo(json.dumps({name: rows}, indent=2, ensure_ascii=False, default=str))
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns.values(), box=SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        # Text, not markup: what a name or a platform says is shown as it is.
        cells = [_written(row.get(field)) for field in columns]
        table.add_row(*(Text(cell, _COLOURS.get(cell, "")) for cell in cells))
    options: dict[str, Any] = {} if Console().is_terminal else {"width": WIDTH}
    Console(**options).print(table if rows else Text(f"No {name}."))


def _written(value: Any) -> str:
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case dict():
            told = cast("dict[str, Any]", value)
            return ", ".join(f"{name} {_written(one)}" for name, one in told.items()) or "nothing"
        case _:
            return str(value)
