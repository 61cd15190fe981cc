"""`switchboard channels`: typed by a person, read by a person or a program, against platforms of this machine."""

import asyncio
import json
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from stands import telegram
from stands.graph import GraphStand
from stands.telegram import TelegramStand
from switchboard.channels.commands import app
from switchboard.settings import Settings

PUBLIC = "https://desk.example"


class Platforms:
    """The stands, in a loop of a thread of their own, because a command runs a loop itself."""

    def __init__(self) -> None:
        self.telegram = TelegramStand()
        self.graph = GraphStand()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def do(self, work: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        asyncio.run_coroutine_threadsafe(work(), self._loop).result(10)

    def __enter__(self) -> "Platforms":
        self._thread.start()
        self.do(self.telegram.__aenter__)
        self.do(self.graph.__aenter__)
        return self

    def __exit__(self, *_: object) -> None:
        self.do(self.telegram.__aexit__)
        self.do(self.graph.__aexit__)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@pytest.fixture
def platforms(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Platforms]:
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    with Platforms() as opened:
        told = {
            "PUBLIC_URL": PUBLIC,
            "FACEBOOK_PAGE_ID": "1001",
            "FACEBOOK_PAGE_ACCESS_TOKEN": "EAApage",
            "FACEBOOK_APP_SECRET": "secret",
            "FACEBOOK_VERIFY_TOKEN": "word",
            "FACEBOOK_GRAPH_URL": opened.graph.url,
            "TELEGRAM_BOT_TOKEN": telegram.TOKEN,
            "TELEGRAM_SECRET_TOKEN": telegram.SECRET,
            "TELEGRAM_API_URL": opened.telegram.url,
        }
        for name, value in told.items():
            monkeypatch.setenv(name, value)
        yield opened


def typed(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def lines(result: Result) -> dict[str, dict[str, Any]]:
    return {line["channel"]: line for line in json.loads(result.stdout)["channels"]}


def test_connecting_and_looking(platforms: Platforms) -> None:
    before = typed("status", "--json")
    assert before.exit_code == 1
    found = {name: line["state"] for name, line in lines(before).items()}
    assert found == {"messenger": "wrong", "instagram": "off", "telegram": "wrong"}

    made = typed("connect", "--json")
    assert made.exit_code == 0, made.output
    assert platforms.telegram.webhook["url"] == f"{PUBLIC}/webhooks/telegram"
    assert "message_echoes" in platforms.graph.subscribed
    found = {name: line["state"] for name, line in lines(typed("status", "--json")).items()}
    assert found == {"messenger": "ok", "instagram": "off", "telegram": "ok"}
    assert "INSTAGRAM_ACCESS_TOKEN" in lines(made)["instagram"]["detail"]


def test_a_person_gets_a_table(platforms: Platforms) -> None:
    shown = typed("connect", "telegram")
    assert shown.exit_code == 0
    assert "Channel" in shown.stdout
    assert f"{PUBLIC}/webhooks/telegram" in shown.stdout
    assert "messenger" not in shown.stdout
    assert telegram.TOKEN not in shown.stdout
    assert platforms.graph.calls == []


def test_what_the_platform_refuses_is_said_and_counts(platforms: Platforms, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TELEGRAM_BOT_TOKEN", "42:AnotherTokenThatIsNotTheBots")
    result = typed("connect", "--json")
    assert result.exit_code == 1
    assert lines(result)["telegram"]["problems"] == ["Unauthorized (Telegram error 401)"]
    assert lines(result)["messenger"]["state"] == "ok", "one costs the others nothing"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["connect", "instagram"], "INSTAGRAM_ACCOUNT_ID"),
        (["status", "pigeons"], "messenger, instagram, telegram"),
        (["connect", "--url", "http://desk.example"], "https"),
    ],
)
def test_what_cannot_be_is_said(platforms: Platforms, arguments: list[str], said: str) -> None:
    result = typed(*arguments)
    assert said in str(result.exception)
    assert platforms.telegram.calls == []


def test_without_an_address_nothing_is_connected(platforms: Platforms, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PUBLIC_URL")
    assert "PUBLIC_URL" in str(typed("connect").exception)
    assert typed("status", "--json").exit_code == 1
