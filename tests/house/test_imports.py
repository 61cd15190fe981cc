"""Imports point one way, drivers and the environment stay in their rooms, and SQL is never glued together."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src/switchboard"
DRIVERS = {"asyncpg", "supabase", "postgrest"}
SQL = re.compile(
    r"\b(select\b.+\bfrom|insert\s+into|update\s+\w+\s+set|delete\s+from|(create|alter|drop|truncate)\s+(table|role))\b",
    re.IGNORECASE | re.DOTALL,
)


def modules() -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted(SOURCE.rglob("*.py")):
        yield path.relative_to(SOURCE), ast.parse(path.read_text(encoding="utf-8"))


def rooms() -> set[str]:
    """The names right under `switchboard`: modules and packages."""
    found = {path.stem for path in SOURCE.glob("*.py")} | {path.parent.name for path in SOURCE.glob("*/__init__.py")}
    return {f"switchboard.{name}" for name in found - {"__init__"}}


def test_imports_point_one_way() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    checked = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_every_room_has_its_place() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers, drivers = contracts[0], contracts[1]
    placed = {name.strip() for layer in layers["layers"] for name in re.split(r"[|:]", layer)}
    assert placed == rooms()
    assert set(drivers["source_modules"]) == rooms() - {"switchboard.database"}
    assert set(drivers["forbidden_modules"]) == DRIVERS


def test_only_settings_read_the_environment() -> None:
    readers = {
        str(path)
        for path, module in modules()
        for node in ast.walk(module)
        if (isinstance(node, ast.Attribute) and node.attr in {"environ", "environb", "getenv", "getenvb"})
        or (isinstance(node, ast.ImportFrom) and node.module == "os" and any("env" in a.name for a in node.names))
    }
    assert readers == set()


def test_sql_is_not_glued_together_outside_the_database_room() -> None:
    glued = [
        f"{path}:{getattr(node, 'lineno', '?')}"
        for path, module in modules()
        if path.parts[0] != "database"
        for node in ast.walk(module)
        if is_glued(node) and SQL.search(text_of(node))
    ]
    assert glued == []


def test_glue_is_recognised() -> None:
    for source in (
        "f'select * from t where id = {x}'",
        "'delete from t where id = ' + x",
        "'update t set a = %s' % x",
        "'insert into {}'.format(x)",
        "' '.join(['select a from', t])",
    ):
        node = ast.parse(source, mode="eval").body
        assert is_glued(node), source
        assert SQL.search(text_of(node)), source


def is_glued(node: ast.AST) -> bool:
    """Whether an expression makes a text out of parts."""
    match node:
        case ast.JoinedStr():
            return any(isinstance(part, ast.FormattedValue) for part in node.values)
        case ast.BinOp(op=ast.Add() | ast.Mod()):
            return True
        case ast.Call(func=ast.Attribute(attr="format" | "join" | "format_map")):
            return True
        case _:
            return False


def text_of(node: ast.AST) -> str:
    """The texts in an expression, one after the other."""
    parts = (part.value for part in ast.walk(node) if isinstance(part, ast.Constant))
    return " ".join(part for part in parts if isinstance(part, str))
