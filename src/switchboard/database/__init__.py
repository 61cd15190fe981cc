"""The database behind five verbs, whatever carries them.

Promises: both transports return the same JSON-shaped values (numbers, strings, lists, dicts; times as ISO 8601 text)
and raise the same errors of `switchboard.errors`. `call` is the front door: a Postgres function is the transaction.
The table verbs stay poor on purpose; wanting more means a view or a function in `supabase/schemas/`.

Does not know: what a conversation, a channel or a provider is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

Row = dict[str, Any]
Where = Mapping[str, Any]
"""Column to value: a plain value is equality, ``None`` is null, a list is `in`, a `Compare` compares. All must hold."""

MAX_ROWS = 1000
"""Rows one `select` or set-returning `call` returns at most (Supabase's default `max_rows`): page by key for more."""


@dataclass(frozen=True, slots=True)
class Compare:
    """One comparison of a column with a value."""

    operator: Literal["<", "<=", ">", ">=", "!="]
    value: Any


class Database(Protocol):
    """Five verbs. Every method raises `DatabaseUnavailable` when the database does not answer within the deadline.

    What was asked may have been done all the same, unless the error is its subclass `DatabaseUnreachable`.
    """

    async def select(
        self,
        table: str,
        *,
        columns: Sequence[str] = (),
        where: Where | None = None,
        order: Sequence[str] = (),
        limit: int = MAX_ROWS,
    ) -> list[Row]:
        """Rows of a table or view; ``order`` names columns, ``-column`` for descending; at most `MAX_ROWS`."""
        ...

    async def insert(self, table: str, rows: Sequence[Row]) -> list[Row]:
        """The rows as stored. All rows name the same columns; columns left out get their default."""
        ...

    async def update(self, table: str, values: Row, *, where: Where) -> list[Row]:
        """The rows after the change. ``where`` must not be empty."""
        ...

    async def delete(self, table: str, *, where: Where) -> list[Row]:
        """The rows that are gone. ``where`` must not be empty."""
        ...

    async def call(self, function: str, /, **arguments: Any) -> Any:
        """A function's result: the value of a `returns jsonb` function, a list of rows for `returns setof`."""
        ...

    async def close(self) -> None:
        """Gives back the connections."""
        ...
