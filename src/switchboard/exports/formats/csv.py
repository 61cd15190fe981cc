"""One row for each message, with its conversation in the first columns; RFC 4180, everything in quotes, UTF-8.

A cell that a spreadsheet would work out begins with an apostrophe, which changes the text: programs take `json`. The
last row is the manifest, in the second column after `#manifest`.
"""

from collections.abc import AsyncGenerator, AsyncIterable, Iterable
from typing import Any, BinaryIO, Final

from switchboard.exports.asked import Options
from switchboard.exports.conversation import Message, Part
from switchboard.exports.formats.cells import (
    FORMULA,
    Cell,
    about_cells,
    message_cells,
    message_columns,
)
from switchboard.exports.formats.text import lines
from switchboard.exports.manifest import Manifest

FOOTER: Final = "#manifest"
_BOM = "\ufeff"


async def render(parts: AsyncIterable[Part], manifest: Manifest, options: Options) -> AsyncGenerator[bytes]:
    """See `formats.Format`."""
    columns = message_columns(options)
    yield manifest.content((_BOM * options.bom + _row(list(columns))).encode())
    async for part in parts:
        if part.messages:
            about = _quoted([guarded(cell) for cell in about_cells(part.conversation, options)])
            rows = [f"{about},{_quoted(_guarded(message, options))}\r\n" for message in part.messages]
            # Lone surrogates, which no database gives, become question marks.
            yield manifest.content("".join(rows).encode("utf-8", "replace"))
    footer: list[Cell] = [FOOTER, manifest.close().decode(), *[None] * (len(columns) - 2)]
    yield _row(footer).encode()


def show(parts: Iterable[Part], options: Options) -> dict[str, Any]:
    """The columns, and the cells of the rows."""
    return {"columns": message_columns(options), "rows": [row for part in parts for row in _rows(part, options)]}


def recount(file: BinaryIO, size: int) -> dict[str, int]:
    """Conversations and messages."""
    # Not by `csv`, whose limit on a cell is one for the whole process. With everything in quotes, a row has ended where
    # a line has and an even number of quotes came before.
    rows, conversations, last, quotes = 0, 0, b"", 0
    for line in lines(file, size):
        first = line[1:].partition(b'"')[0] if quotes % 2 == 0 else last
        quotes += line.count(b'"')
        rows += quotes % 2 == 0
        conversations += first != last
        last = first
    if quotes % 2:
        raise ValueError("a row is not complete")
    return {"conversations": max(conversations - 1, 0), "messages": max(rows - 1, 0)}


def _rows(part: Part, options: Options) -> list[list[Cell]]:
    about = [guarded(cell) for cell in about_cells(part.conversation, options)]
    return [about + _guarded(message, options) for message in part.messages]


def _guarded(message: Message, options: Options) -> list[Cell]:
    return [guarded(cell) for cell in message_cells(message, options)]


def guarded(cell: Cell) -> Cell:
    """The cell, with an apostrophe before what a spreadsheet would take for a formula."""
    return "'" + cell if isinstance(cell, str) and cell[:1] in FORMULA else cell


def _row(cells: list[Cell]) -> str:
    return _quoted(cells) + "\r\n"


def _quoted(cells: list[Cell]) -> str:
    # By hand: with everything in quotes it is one rule, and twice as fast as `csv`.
    return ",".join(
        [
            '""' if cell is None else f'"{cell}"' if isinstance(cell, int) else '"' + cell.replace('"', '""') + '"'
            for cell in cells
        ]
    )
