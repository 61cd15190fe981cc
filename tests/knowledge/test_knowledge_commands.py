"""`switchboard knowledge`, as a person types it, without a service running."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from stands import files
from stands.pooler import database_environment

SWITCHBOARD = Path(sys.executable).with_name("switchboard")


@pytest.fixture
def typed(database_url: str, tmp_path: Path) -> "Typed":
    return Typed(database_url, tmp_path)


class Typed:
    """Runs commands in an empty folder on a database that has one workspace."""

    def __init__(self, database_url: str, folder: Path) -> None:
        self.folder = folder
        self._environment = {
            "PATH": os.environ["PATH"],
            "DATABASE_TIMEOUT_SECONDS": "10",
            **database_environment(database_url),
        }

    def __call__(self, *words: str, status: int = 0) -> str:
        ran = subprocess.run(
            [SWITCHBOARD, "knowledge", *words], cwd=self.folder, env=self._environment, capture_output=True, text=True
        )
        assert ran.returncode == status, ran.stdout + ran.stderr
        return ran.stdout + ran.stderr


async def test_add_list_search_remove(typed: Typed, workspace_of_commands: None) -> None:
    (typed.folder / "Opening hours.md").write_text("# Shop\n\nWe open at nine.\n")
    (typed.folder / "menu.pdf").write_bytes(files.pdf("Soup costs five euros."))
    shown = typed("add", "Opening hours.md", "menu.pdf").splitlines()
    assert [line.split()[1] for line in shown] == ["ready", "ready"]
    assert shown[0].endswith("markdown  Opening hours  1 passages")

    found = typed("search", "When do you open?")
    assert found == "1.00  Opening hours › Shop\n      We open at nine.\n"
    assert json.loads(typed("search", "--json", "How much is the soup?"))[0]["text"] == "Soup costs five euros."
    assert typed("search", "bicycles", status=1) == ""

    (typed.folder / "Opening hours.md").write_text("# Shop\n\nWe open at ten.\n")
    typed("add", "Opening hours.md")
    assert "at ten" in typed("search", "When do you open?")
    listed = json.loads(typed("list", "--json"))
    assert [row["title"] for row in listed] == ["menu", "Opening hours"]

    assert typed("remove", "Opening hours", str(listed[0]["id"])).splitlines() == [
        "removed Opening hours",
        "removed menu",
    ]
    assert typed("list") == ""
    assert "There is no document 'menu'" in typed("remove", "menu", status=2)


async def test_what_cannot_be_read_is_said(typed: Typed, workspace_of_commands: None) -> None:
    (typed.folder / "broken.pdf").write_bytes(b"%PDF-1.4 oh no")
    (typed.folder / "a.exe").write_bytes(b"MZ")
    assert "The PDF is broken" in typed("add", "broken.pdf", status=1)
    assert ".exe are not read" in typed("add", "a.exe", status=2)
    typed("add", "missing.txt", status=2)
