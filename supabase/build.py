"""Writes supabase/migrations/ from supabase/schemas/, one file for each: `python supabase/build.py`.

True for as long as nothing is installed anywhere. From the first release on migrations are written by hand, are never
changed again, and this script goes; the test that both folders give the same catalog stays.
"""

import sys
from pathlib import Path

HERE = Path(__file__).parent
DAY = "20261120"
LOCK_TIMEOUT = "set local lock_timeout = '5s';\n\n"
"""So that a migration waits for a busy table, and everybody behind it, for seconds and not for ever."""


def migrations(schemas: Path = HERE / "schemas") -> dict[str, str]:
    """File names and contents: `10_workspaces.sql` becomes `20261120001000_workspaces.sql`."""
    built: dict[str, str] = {}
    for schema in sorted(schemas.glob("*.sql")):
        number, _, name = schema.name.partition("_")
        built[f"{DAY}{int(number):04d}00_{name}"] = LOCK_TIMEOUT + schema.read_text(encoding="utf-8")
    return built


def main() -> None:
    """Rewrites the folder; with `--check` only says whether it is up to date."""
    folder = HERE / "migrations"
    folder.mkdir(exist_ok=True)
    wanted = migrations()
    present = {file.name: file.read_text(encoding="utf-8") for file in folder.glob("*.sql")}
    if "--check" in sys.argv:
        sys.exit("supabase/migrations is behind supabase/schemas: python supabase/build.py" if wanted != present else 0)
    for name in present.keys() - wanted.keys():
        (folder / name).unlink()
    for name, text in wanted.items():
        if present.get(name) != text:
            (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
