"""`switchboard export`: the real command as a process, on both transports."""

import asyncio
import json
import stat
from dataclasses import dataclass
from pathlib import Path

import pytest

from exports.conftest import KEY, Archive
from stands.service import SWITCHBOARD


@dataclass
class Shell:
    """Types commands in an empty folder."""

    folder: Path
    env: dict[str, str]

    async def __call__(self, *words: str, code: int = 0) -> tuple[bytes, str]:
        process = await asyncio.create_subprocess_exec(
            *(SWITCHBOARD, "export", *words),
            cwd=self.folder,
            env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", **self.env},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        assert process.returncode == code, err.decode()
        return out, err.decode()


@pytest.fixture(params=["postgres", "postgrest"])
def shell(request: pytest.FixtureRequest, database_url: str, tmp_path: Path) -> Shell:
    if request.param == "postgres":
        return Shell(tmp_path, {"DATABASE_URL": database_url, "DATABASE_TIMEOUT_SECONDS": "10"})
    project = request.getfixturevalue("supabase")
    keys = {"SUPABASE_SERVICE_ROLE_KEY": project.service_key, "SUPABASE_ANON_KEY": project.anon_key}
    return Shell(tmp_path, {"SUPABASE_URL": project.url, "DATABASE_TIMEOUT_SECONDS": "10", **keys})


async def test_a_file_that_is_there_when_it_is_whole(shell: Shell, archive: Archive) -> None:
    await archive.holds("I am Anna Schmidt", "Hello Anna")
    _, err = await shell("-o", "out.json")
    assert "2 messages of 1 conversations" in err
    assert [each.name for each in shell.folder.iterdir()] == ["out.json"]
    file = shell.folder / "out.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert b"Anna" not in file.read_bytes()
    out, _ = await shell("--verify", "out.json")
    assert b"is whole and as it was written" in out
    file.write_bytes(file.read_bytes().replace(b"Hello", b"Hallo"))
    out, _ = await shell("--verify", "out.json", code=1)
    assert b"sha256" in out
    file.write_bytes(file.read_bytes()[:-40])
    out, _ = await shell("--verify", "out.json", code=1)
    assert b"broke off" in out


async def test_all_that_can_be_asked_for(shell: Shell, archive: Archive, theirs: Archive) -> None:
    first = await archive.holds("Hi, Anna Schmidt here", "Hello", "And", "Yes", metadata={"ip_address": "203.0.113.7"})
    await archive.holds("Hi", at="2026-05-01T10:00:00Z")
    await theirs.holds("CANARY")
    _, err = await shell(code=2)
    assert "--workspace" in err
    words = ("--workspace", "Ours", "--start-date", "2026-02-01", "--end-date", "2026-04-01", "--ai-service", "mistral")
    words += ("--min-messages", "2", "--status", "active", "--agent", str(archive.agent), "--channel", "facebook")
    out, _ = await shell(*words, "--raw", "--include-ip-addresses", "--no-metadata", "-o", "-")
    found = json.loads(out)
    (conversation,) = found["conversations"]
    assert conversation["conversation_id"] == first
    assert conversation["guest_info"]["ip_address"] == "203.0.113.7"
    assert "ai_metadata" not in conversation["messages"][1]
    key = shell.folder / "key"
    key.write_text(KEY + "\n")
    mark = found["manifest"]["watermark"]
    again = ("--workspace", "Ours", "--pseudonym-key-file", "key", "--watermark", f"{mark['message_id']}@{mark['at']}")
    one, _ = await shell(*again, "--format", "csv", "--bom", "-o", "-")
    await archive.more(first, "later")
    two, _ = await shell(*again, "--format", "csv", "--bom", "-o", "-")
    assert one == two
    assert one.startswith(b"\xef\xbb\xbf")
    await shell("--workspace", "Ours", "--format", "excel")
    (made,) = shell.folder.glob("ai_conversations_export_*.xlsx")
    assert made.read_bytes().startswith(b"PK")
    raw = await archive.sql.fetchval(
        "select details -> 'options' ->> 'anonymize' from audit where actor = 'cli' and action = 'export.begun' limit 1"
    )
    assert raw == "false"


async def test_what_cannot_be_is_one_line(shell: Shell, archive: Archive, theirs: Archive) -> None:
    for words, told in (
        (("--format", "docx"), "--format: Input should be 'json'"),
        (("--start-date", "2999-01-01"), "is in the future"),
        (("--watermark", "7"), "456@"),
        (("--ai-service", "skynet"), "use one of"),
    ):
        _, err = await shell("--workspace", "Ours", *words, code=2)
        assert told in err
        assert len(err.strip().splitlines()) == 1
    assert list(shell.folder.iterdir()) == []


async def test_a_full_disk_leaves_nothing(shell: Shell, archive: Archive) -> None:
    await archive.holds("Hi", "Hello")
    (shell.folder / "full").mkdir()
    (shell.folder / "full" / "out.json.part").symlink_to("/dev/full")
    _, err = await shell("-o", "full/out.json", code=2)
    assert "No space left on device" in err
    assert list((shell.folder / "full").iterdir()) == []
