"""Reading more than one answer holds: page by page through a table or a function, and cursors for lists over HTTP."""

import base64
import binascii
from collections.abc import AsyncIterator, Sequence
from typing import Any, cast

from switchboard.database import MAX_ROWS, Compare, Database, Row, Where
from switchboard.database.values import decode, encode
from switchboard.errors import Invalid


async def pages(
    database: Database,
    table: str,
    *,
    key: str = "id",
    columns: Sequence[str] = (),
    where: Where | None = None,
    size: int = MAX_ROWS,
) -> AsyncIterator[list[Row]]:
    """All rows of a table or view that fit ``where``, at most ``size`` at a time, in the order of ``key``.

    ``key`` is unique among the rows that fit, never null, and not in ``where``. Each page is a statement of its own:
    rows that come or go meanwhile are met or not, but none that stays is left out or met twice.
    """
    condition = dict(where or {})
    if key in condition or (columns and key not in columns):
        raise ValueError(f"the key {key!r} must be among the columns, and not in `where`")
    while page := await database.select(table, columns=columns, where=condition, order=[key], limit=_checked(size)):
        yield page
        # Until a page is empty, not until one is short: a server may be set to give fewer rows than we ask for.
        condition[key] = Compare(">", page[-1][key])


async def called_pages(
    database: Database, function: str, *, key: str = "id", after: str = "after", **arguments: Any
) -> AsyncIterator[list[Row]]:
    """All rows of a function that answers in the order of ``key``, from behind its argument ``after`` on.

    The argument is left out of the first call. How many rows a page has is up to the function and its arguments.
    """
    while page := await database.call(function, **arguments):
        rows = cast("list[Row]", page)
        yield rows
        arguments[after] = rows[-1][key]


def encode_cursor(values: Sequence[Any]) -> str:
    """The values by which a list goes on, as a text for an address: opaque to whoever gets it, and not a secret."""
    return base64.urlsafe_b64encode(encode(values)).rstrip(b"=").decode()


def decode_cursor(text: str) -> list[Any]:
    """The values `encode_cursor` was given. Raises `Invalid` for any text that did not come from it.

    The values come from a caller all the same: look at their types before they go into a query.
    """
    try:
        padded = text.encode("ascii") + b"=" * (-len(text) % 4)
        values = decode(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (UnicodeEncodeError, binascii.Error, ValueError) as error:
        raise _refusal() from error
    if not isinstance(values, list):
        raise _refusal()
    return cast("list[Any]", values)


def _refusal() -> Invalid:
    problem = "This is no cursor of ours: take `next_cursor` as it was given, or leave it out."
    return Invalid(errors=[{"field": "cursor", "message": problem}])


def _checked(size: int) -> int:
    if not 0 < size <= MAX_ROWS:
        raise ValueError(f"pages of {size} rows")
    return size


def read_place(cursor: str | None) -> int | None:
    """The id after which a list in the order of ids goes on. Raises `Invalid` for a cursor of another kind."""
    match decode_cursor(cursor) if cursor is not None else None:
        case None:
            return None
        case [int(place)]:
            return place
        case _:
            message = "This cursor belongs to another list: begin without one."
            raise Invalid(message, errors=[{"field": "cursor", "message": message}])


def next_place(rows: Sequence[Row], limit: int, key: str = "id") -> str | None:
    """The cursor of the page after ``rows``; None after one that is not full."""
    return encode_cursor([rows[-1][key]]) if len(rows) == limit else None
