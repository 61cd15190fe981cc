"""`switchboard ai`, `upkeep` and `doctor`: the real command as a process, on both transports."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from stands import plays
from stands.clusters import free_port
from stands.desk import Desk
from stands.llm import LlmStand
from stands.service import SWITCHBOARD
from stands.telegram import SECRET, TOKEN, TelegramStand
from switchboard.database import Database

KEY = "sk-a-key-that-must-never-be-shown"


@dataclass(frozen=True)
class Typed:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    def rows(self, name: str = "workspaces") -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.out)[name]
        return found


class Shell:
    """Types commands in an empty folder, with nothing set but what leads to the test's database, and ``env``."""

    def __init__(self, folder: Path, env: dict[str, str]) -> None:
        self.env = env
        self._folder = folder

    async def __call__(self, *words: str, **more: str) -> Typed:
        process = await asyncio.create_subprocess_exec(
            SWITCHBOARD,
            *words,
            cwd=self._folder,
            env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", **self.env, **more},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        assert KEY not in out.decode() + err.decode()
        assert TOKEN not in out.decode() + err.decode()
        return Typed(process.returncode or 0, out.decode(), err.decode())


@pytest.fixture
def shell(request: pytest.FixtureRequest, database: Database, database_url: str, tmp_path: Path) -> Shell:
    if "postgrest" in request.node.name:
        project = request.getfixturevalue("supabase")
        keys = {"SUPABASE_SERVICE_ROLE_KEY": project.service_key, "SUPABASE_ANON_KEY": project.anon_key}
        return Shell(
            tmp_path, {"SUPABASE_URL": project.url, "DATABASE_TIMEOUT_SECONDS": "10", "FILE_STORAGE": "folder", **keys}
        )
    return Shell(tmp_path, {"DATABASE_URL": database_url, "DATABASE_TIMEOUT_SECONDS": "10"})


@pytest.fixture
async def desk(database: Database) -> Desk:
    """A café with three conversations, and a shop beside it."""
    desk = Desk(database)
    await desk.open()
    await desk.hears("Hi", customer="u1")
    await desk.hears("Hi", customer="u2")
    for turn in (await desk.claims())[:1]:
        await desk.finishes(turn, hand_over=True)
    await desk.second_workspace("2002")
    return desk


async def test_switching_off_and_on(shell: Shell, desk: Desk) -> None:
    off = await shell("ai", "disable", "--workspace", "Café", "--json")
    assert off.code == 0, off.err
    (row,) = off.rows()
    assert (row["workspace"], row["ai"], row["changed"], row["new_conversations"]) == (
        "Café",
        "off",
        True,
        "support_active",
    )
    assert (row["active"], row["support_active"]) == (1, 1), "conversations stay with whoever has them"
    rows = await desk.database.select("workspaces", columns=["auto_response"], order=["id"])
    assert [row["auto_response"] for row in rows] == [False, True]

    seen = (await shell("ai", "status", "--json")).rows()
    assert [(row["ai"], row["able"], row["model"]) for row in seen] == [
        ("off", True, "extractive:quote"),
        ("on", True, "extractive:quote"),
    ]
    on = await shell("ai", "enable")
    assert on.code == 0
    assert "Conversations stay with whoever has them." in on.out
    assert "Café" in on.out
    rows = await desk.database.select("workspaces", columns=["auto_response"])
    assert all(row["auto_response"] for row in rows)
    audit = await desk.database.select("audit", where={"action": "config.changed"})
    assert {row["actor"] for row in audit} == {"cli"}


async def test_a_breakdown_of_conversations(shell: Shell, desk: Desk) -> None:
    rows = (await shell("ai", "conversations", "--json")).rows()
    nothing = dict.fromkeys(
        ("active", "support_active", "resolved", "closed", "archived", "total", "requires_human"), 0
    )
    assert rows == [
        {"workspace_id": 1, "workspace": "Café", **nothing, "active": 1, "support_active": 1, "total": 2}
        | {"requires_human": 1},
        {"workspace_id": 2, "workspace": "Shop 2002", **nothing},
    ]
    table = await shell("ai", "conversations", "--user", "2")
    assert "Shop 2002" in table.out
    assert "Café" not in table.out
    assert "\x1b[" not in table.out, "plain where there is no terminal"


async def test_a_workspace_that_is_not_there(shell: Shell, desk: Desk) -> None:
    for verb in ("enable", "status", "test", "validate", "sync", "conversations"):
        done = await shell("ai", verb, "--workspace", "Kiosk")
        assert (done.code, done.out) == (2, ""), verb
        assert "'Café'" in done.err


async def test_validating(shell: Shell, desk: Desk, sql: asyncpg.Connection) -> None:
    fine = await shell("ai", "validate", "--workspace", "2", "--json")
    assert [(row["state"], row["field"]) for row in fine.rows()] == [("warning", "knowledge")]
    assert fine.code == 0, "a warning is no fault"
    await sql.execute("update workspaces set model = 'openai:gpt-5.4-mini' where id = 1")
    wrong = await shell("ai", "validate", "--json")
    assert wrong.code == 1
    assert [(row["workspace"], row["state"], row["field"]) for row in wrong.rows()] == [
        ("Café", "wrong", "model"),
        ("Shop 2002", "warning", "knowledge"),
    ]
    assert "OPENAI_API_KEY" in wrong.rows()[0]["message"]
    await sql.execute("update workspaces set auto_response = false where id = 1")
    off = await shell("ai", "validate", "--workspace", "Café", "--json")
    assert off.code == 0
    assert {row["state"] for row in off.rows()} == {"warning"}


async def test_testing_and_what_is_told_of_it(shell: Shell, desk: Desk) -> None:
    async with LlmStand() as llm, TelegramStand() as telegram:
        more = {
            "OPENAI_API_KEY": KEY,
            "OPENAI_BASE_URL": llm.openai_url,
            "DEFAULT_MODEL": "openai:m",
            "TELEGRAM_BOT_TOKEN": TOKEN,
            "TELEGRAM_SECRET_TOKEN": SECRET,
            "TELEGRAM_API_URL": telegram.url,
        }
        bot = TOKEN.partition(":")[0]
        await desk.database.call("connect_channel", workspace_id=2, platform="telegram", account=bot)
        llm.play(plays.say("ready"), plays.fail(401, f"Incorrect API key provided: {KEY}"))
        first = await shell("ai", "test", "--json", **more)
        states = {row["name"]: row["state"] for row in first.rows("checks")}
        assert states == {"openai:m": "ok", f"telegram {bot}": "wrong"}, first.out + first.err
        assert first.code == 1
        second = await shell("ai", "test", **more)
        assert second.code == 1
        assert "rejects the key" in second.out
    events = await desk.database.select("events", columns=["workspace_id", "type", "data"], order=["id"])
    told = [
        (row["workspace_id"], row["type"], row["data"]["name"])
        for row in events
        if "." in row["type"] and "name" in row["data"]
    ]
    assert told == [
        (2, "channel.failed", f"telegram {bot}"),
        (1, "provider.failed", "openai:m"),
        (2, "provider.failed", "openai:m"),
    ], "once, to those whom it concerns"


async def test_mending_now(shell: Shell, desk: Desk, sql: asyncpg.Connection) -> None:
    await sql.execute("update conversations set last_seq = 99, requires_human = not requires_human")
    done = await shell("ai", "sync", "--json")
    assert done.code == 0, done.err
    assert [(row["looked"], row["mended"]) for row in done.rows()] == [
        (2, {"last_seq": 2, "requires_human": 2}),
        (0, {}),
    ]
    assert "nothing" in (await shell("ai", "sync")).out


async def test_upkeep_by_hand(shell: Shell, desk: Desk) -> None:
    done = await shell("upkeep", "run", "reconcile")
    assert (done.code, "looked 2" in done.out) == (0, True), done.out + done.err
    rows = {row["name"]: row for row in (await shell("upkeep", "list", "--json")).rows("tasks")}
    assert {"close_idle", "reconcile", "health", "purge", "watchdog"} <= rows.keys()
    assert (rows["reconcile"]["outcome"], rows["close_idle"]["outcome"]) == ("done", None)
    assert rows["close_idle"]["schedule"] == "daily at 02:00 UTC"
    unknown = await shell("upkeep", "run", "dusting")
    assert (unknown.code, "reconcile" in unknown.err) == (2, True)
    await desk.database.call("begin_upkeep", task={"name": "purge", "every": 60}, lease_seconds=60, forced=True)
    busy = await shell("upkeep", "run", "purge")
    assert (busy.code, "Another process" in busy.err) == (2, True)


async def test_the_doctor(shell: Shell, desk: Desk, sql: asyncpg.Connection) -> None:
    fine = await shell("doctor", "--json")
    states = {row["name"]: row["state"] for row in fine.rows("checks")}
    assert fine.code == 0, fine.out + fine.err
    assert set(states.values()) <= {"ok", "warning"}
    assert {"settings", "database", "schema", "clock", "upkeep", "workspace Café", "broker", "files"} <= states.keys()
    assert {"spool", "fallbacks", "prices", "embeddings", "channels", "provider extractive:quote"} <= states.keys()

    await sql.execute("insert into upkeep (name, due_at) values ('reconcile', now() - interval '1 hour')")
    await sql.execute("update workspaces set model = 'mistral:m' where id = 2")
    nothing_listens = f"redis://:{KEY}@127.0.0.1:{free_port()}/0"
    wrong = await shell("doctor", "--json", BROKER_URL=nothing_listens)
    found = {row["name"]: row for row in wrong.rows("checks") if row["state"] == "wrong"}
    assert wrong.code == 1
    assert found.keys() == {"upkeep", "broker", "workspace Shop 2002"}
    assert "reconcile overdue" in found["upkeep"]["detail"]


async def test_the_doctor_without_a_database(tmp_path: Path) -> None:
    shell = Shell(tmp_path, {"DATABASE_URL": f"postgresql://x:{KEY}@127.0.0.1:{free_port()}/x"})
    done = await shell("doctor")
    assert done.code == 2, "most of it could not be looked at"
    assert "unknown" in done.out
    half = Shell(tmp_path, {"SUPABASE_URL": "http://127.0.0.1:1"})
    assert (await half("doctor")).code == 2


async def test_the_doctor_sees_a_wrong_clock(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    from datetime import timedelta

    from switchboard import clock
    from switchboard.doctor.database import check_clock
    from switchboard.doctor.line import look

    right: Callable[[], Any] = clock.now
    for seconds, state in ((0, "ok"), (5, "warning"), (-45, "wrong")):
        monkeypatch.setattr(clock, "now", lambda seconds=seconds: right() + timedelta(seconds=seconds))
        assert (await look("clock", lambda: check_clock(desk.database))).state == state
