"""Every call of a database function in `src/` names a function of the schema, with arguments that it takes.

Python and SQL are written apart and meet here. Read from the source, because a call on a path that no test walks would
otherwise fail at a customer's.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg

SOURCE = Path(__file__).parents[2] / "src/switchboard"


@dataclass(frozen=True, slots=True)
class Call:
    """A call of the function ``function``; ``open`` if it also passes on arguments that cannot be read here."""

    function: str
    arguments: frozenset[str]
    open: bool
    where: str


@dataclass(frozen=True, slots=True)
class Forwarder:
    """A function of ours that calls the database function named by its parameter number ``place``."""

    place: int
    parameters: frozenset[str]
    adds: frozenset[str]


def modules() -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted(SOURCE.rglob("*.py")):
        yield path, ast.parse(path.read_text(encoding="utf-8"))


def is_call_verb(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "call"


def name_of(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def forwarders() -> tuple[dict[str, Forwarder], set[str]]:
    """Our functions that pass a name on to `call`, by their own name; and calls whose name comes from nowhere."""
    found: dict[str, Forwarder] = {}
    lost: set[str] = set()
    for path, module in modules():
        if path.parent.name == "database" and path.stem != "paging":
            continue  # the verb itself
        for function in ast.walk(module):
            if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            positional = [argument.arg for argument in function.args.args]
            everything = [*positional, *(argument.arg for argument in function.args.kwonlyargs)]
            for node in ast.walk(function):
                if not (is_call_verb(node) and isinstance(node, ast.Call) and node.args):
                    continue
                first = node.args[0]
                if isinstance(first, ast.Constant):
                    continue
                if not (isinstance(first, ast.Name) and first.id in positional):
                    lost.add(f"{path.name}:{node.lineno}")
                    continue
                place = positional.index(first.id) - (positional[0] == "self")
                adds = frozenset(keyword.arg for keyword in node.keywords if keyword.arg)
                found[function.name] = Forwarder(place, frozenset(everything), adds)
    return found, lost


def calls() -> Iterator[Call]:
    known, _ = forwarders()
    for path, module in modules():
        for node in ast.walk(module):
            if not isinstance(node, ast.Call):
                continue
            where = f"{path.relative_to(SOURCE)}:{node.lineno}"
            given = frozenset(keyword.arg for keyword in node.keywords if keyword.arg)
            is_open = any(keyword.arg is None for keyword in node.keywords)
            forwarder = known.get(name_of(node.func))
            if is_call_verb(node) and node.args and isinstance(node.args[0], ast.Constant):
                yield Call(str(node.args[0].value), given, is_open, where)
            elif forwarder is not None and len(node.args) > forwarder.place:
                name = node.args[forwarder.place]
                if isinstance(name, ast.Constant) and isinstance(name.value, str):
                    yield Call(name.value, forwarder.adds | (given - forwarder.parameters), is_open, where)


def test_every_call_can_be_read() -> None:
    known, lost = forwarders()
    assert lost == set(), "the name of a database function must be written out where it is called or passed on"
    # What passes on a name is known to the test by what it is called: two of one name would be one too many.
    assert {"_change", "_settle", "called_pages"} <= known.keys()
    assert len(list(calls())) > 25


async def test_every_call_fits_the_schema(sql: asyncpg.Connection) -> None:
    rows = await sql.fetch(
        "select proname, pronargdefaults as defaults, proargnames as names, proargmodes::text[] as modes from pg_proc"
        " where pronamespace = 'public'::regnamespace"
    )
    functions = {row["proname"]: row for row in rows}
    wrong: list[str] = []
    for call in calls():
        if call.function not in functions:
            wrong.append(f"{call.where}: there is no function {call.function}")
            continue
        row = functions[call.function]
        names: list[str] = row["names"] or []
        modes: list[str] = row["modes"] or ["i"] * len(names)
        takes = [name for name, mode in zip(names, modes, strict=True) if mode in {"i", "b"}]
        needs = set(takes[: len(takes) - row["defaults"]])
        if unknown := call.arguments - set(takes):
            wrong.append(f"{call.where}: {call.function} does not take {sorted(unknown)}")
        if not call.open and (missing := needs - call.arguments):
            wrong.append(f"{call.where}: {call.function} needs {sorted(missing)}")
    assert wrong == []


async def test_every_verb_names_a_table_or_view(sql: asyncpg.Connection) -> None:
    relations = {row[0] for row in await sql.fetch("select relname from pg_class where relkind in ('r', 'p', 'v')")}
    named = [
        (str(node.args[0].value), f"{path.relative_to(SOURCE)}:{node.lineno}")
        for path, module in modules()
        for node in ast.walk(module)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in {"select", "insert", "update", "delete"}
        and node.args
        and isinstance(node.args[0], ast.Constant)
        and isinstance(node.args[0].value, str)
        and not node.args[0].value.startswith("/")  # the path of a route
    ]
    assert named
    assert [where for name, where in named if name not in relations] == []
