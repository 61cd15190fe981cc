"""The SQL of the five verbs for a direct connection: names are checked and quoted, values are always parameters.

Every statement takes at most one parameter, a jsonb, and answers one json. Values get their types from the catalog, by
`jsonb_populate_record` and `jsonb_to_record`, as PostgREST gives them theirs, so that both transports convert alike.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from switchboard.database import MAX_ROWS, Compare, Row, Where

_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")

SIGNATURE = """
select json_agg(json_build_object(
  'names', p.proargnames,
  'modes', p.proargmodes,
  'types', array(select format_type(type, null) from unnest(p.proargtypes) with ordinality t(type, n) order by n),
  'defaults', p.pronargdefaults,
  'rows', p.proretset,
  'result', format_type(p.prorettype, null)
))
from pg_catalog.pg_proc p
where p.pronamespace = 'public'::regnamespace and p.prokind = 'f' and p.proname = $1::jsonb ->> 'function'
"""
"""What `Signature.read` reads: all functions of a name, as a list, or null."""


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL and the value of its parameter, if it has one."""

    sql: str
    value: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Signature:
    """What a function takes and answers with."""

    types: Mapping[str, str]
    """Arguments in order, with their SQL types."""
    required: frozenset[str]
    answers: Literal["value", "rows", "nothing"]

    @classmethod
    def read(cls, found: Row) -> "Signature":
        """From one element of what `SIGNATURE` answers."""
        modes = found["modes"] or ["i"] * len(found["types"])
        pairs = zip(found["names"] or [], modes, strict=False)
        names = [name for name, mode in pairs if mode in {"i", "b", "v"}]
        answers = "rows" if found["rows"] else "nothing" if found["result"] == "void" else "value"
        required = frozenset(names[: len(names) - found["defaults"]])
        return cls(dict(zip(names, found["types"], strict=True)), required, answers)

    def takes(self, arguments: Mapping[str, Any]) -> bool:
        """Whether the function can be called with these arguments."""
        return self.required <= arguments.keys() <= self.types.keys()


def select(table: str, columns: Sequence[str], where: Where, order: Sequence[str], limit: int) -> Statement:
    """See `switchboard.database.Database.select`."""
    if limit < 0:
        raise ValueError(f"a limit of {limit} rows")
    tests = _Tests(table)
    condition = tests.hold(where)
    wanted = ", ".join(f"t.{name(column)}" for column in columns) or "t.*"
    sorting = ", ".join(f"t.{name(column.removeprefix('-'))}{' desc' * column.startswith('-')}" for column in order)
    ordered = f"order by {sorting}" if sorting else ""
    inner = f"select {wanted} from {_public(table)} t where {condition} {ordered} limit {min(limit, MAX_ROWS)}"
    return Statement(f"select coalesce(json_agg(r), '[]') from ({inner}) r", tests.value())


def insert(table: str, rows: Sequence[Row]) -> Statement:
    """See `switchboard.database.Database.insert`; ``rows`` is not empty."""
    columns = same_columns(rows)
    names = ", ".join(name(column) for column in columns)
    values = ", ".join(f"v.{name(column)}" for column in columns)
    source = f"jsonb_populate_recordset(null::{_public(table)}, $1::jsonb -> 'rows') v"
    changed = f"insert into {_public(table)} as t ({names}) select {values} from {source} returning t.*"
    return Statement(_returned(changed), {"rows": rows})


def update(table: str, values: Row, where: Where) -> Statement:
    """See `switchboard.database.Database.update`."""
    tests = _Tests(table)
    condition = tests.hold(not_empty(where))
    changes = ", ".join(f"{name(column)} = v.{name(column)}" for column in same_columns([values]))
    source = f"jsonb_populate_record(null::{_public(table)}, $1::jsonb -> 'values') v"
    changed = f"update {_public(table)} t set {changes} from {source} where {condition} returning t.*"
    return Statement(_returned(changed), {**(tests.value() or {}), "values": values})


def delete(table: str, where: Where) -> Statement:
    """See `switchboard.database.Database.delete`."""
    tests = _Tests(table)
    changed = f"delete from {_public(table)} t where {tests.hold(not_empty(where))} returning t.*"
    return Statement(_returned(changed), tests.value())


def call(function: str, signature: Signature, arguments: Mapping[str, Any]) -> Statement:
    """See `switchboard.database.Database.call`; ``signature`` takes the arguments."""
    types = ", ".join(f"{name(argument)} {signature.types[argument]}" for argument in arguments)
    source = f"jsonb_to_record($1) x({types})" if arguments else "(select) x"
    called = f"public.{name(function)}({', '.join(f'{name(each)} => x.{name(each)}' for each in arguments)})"
    value = arguments or None
    match signature.answers:
        case "nothing":
            return Statement(f"select {called} from {source}", value)
        case "value":
            return Statement(f"select to_json({called}) from {source}", value)
        case "rows":
            # As a table, so that the function runs to its end, and once, before the limit cuts what it answered.
            inner = f"select r from {source}, {called} r limit {MAX_ROWS}"
            return Statement(f"select coalesce(json_agg(r), '[]') from ({inner}) s", value)


def name(text: str) -> str:
    """A quoted identifier; raises like `checked`."""
    return f'"{checked(text)}"'


def checked(text: str) -> str:
    """The name as it is. Raises `ValueError` for what no table, column, function or argument here is called."""
    if not _NAME.fullmatch(text):
        raise ValueError(f"{text!r} is no name of a table, column, function or argument")
    return text


def same_columns(rows: Sequence[Row]) -> list[str]:
    """The columns that all the rows name. Raises `ValueError` if they differ, or if there are none."""
    columns = rows[0].keys()
    if not columns or any(row.keys() != columns for row in rows):
        raise ValueError("no columns, or not the same ones in all rows")
    return [checked(column) for column in columns]


def not_empty(where: Where) -> Where:
    """The condition of a change. Raises `ValueError` if it would change all rows."""
    if not where:
        raise ValueError("a change of all rows: `where` must not be empty")
    return where


def meaning(wanted: Any) -> tuple[str, Any]:
    """What one entry of a `Where` says: an operator and its value.

    The operator is ``=``, one of `Compare`, ``in`` with a list, or ``is`` or ``is not`` with None. Raises `ValueError`
    for a null in a list or in an order, where SQL would quietly find nothing.
    """
    match wanted:
        case None:
            return "is", None
        case Compare(operator="!=", value=None):
            return "is not", None
        case Compare(value=None):
            raise ValueError(f"nothing is {wanted.operator} null")
        case Compare():
            return wanted.operator, wanted.value
        case list() | tuple():
            values = list(cast("Sequence[Any]", wanted))
            if None in values:
                raise ValueError("null is in no list")
            return "in", values
        case _:
            return "=", wanted


@dataclass(slots=True)
class _Tests:
    """Turns a `Where` into a condition on ``t`` and collects its values."""

    table: str
    single: dict[str, Any] = field(default_factory=dict[str, Any])
    listed: dict[str, list[Row]] = field(default_factory=dict[str, list[Row]])

    def hold(self, where: Where) -> str:
        return " and ".join(self._test(column, wanted) for column, wanted in where.items()) or "true"

    def value(self) -> Mapping[str, Any] | None:
        return {"single": self.single, "listed": self.listed} if self.single or self.listed else None

    def _test(self, column: str, wanted: Any) -> str:
        subject = f"t.{name(column)}"
        match meaning(wanted):
            case "is", None:
                return f"{subject} is null"
            case "is not", None:
                return f"{subject} is not null"
            case "in", values:
                self.listed[column] = [{column: value} for value in values]
                listed = f"jsonb_populate_recordset(null::{_public(self.table)}, $1::jsonb -> 'listed' -> '{column}') v"
                return f"{subject} = any (array(select v.{name(column)} from {listed}))"
            case operator, value:
                self.single[column] = value
                source = f"jsonb_populate_record(null::{_public(self.table)}, $1::jsonb -> 'single') v"
                return f"{subject} {operator} (select v.{name(column)} from {source})"


def _public(table: str) -> str:
    return f"public.{name(table)}"


def _returned(changed: str) -> str:
    return f"with changed as ({changed}) select coalesce(json_agg(changed), '[]') from changed"
