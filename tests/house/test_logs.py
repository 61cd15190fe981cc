"""The log tells what happened, a line each, and never what somebody said or what opens a door."""

import asyncio
import contextlib
import io
import json
import logging
import logging.config
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
import structlog
from uvicorn.config import LOGGING_CONFIG

from channels.payloads import body, event, message
from stands import graph, llm, telegram
from stands.app import (
    APP_SECRET,
    JWT_SECRET,
    PAGE,
    VERIFY_TOKEN,
    bearer,
    local_settings,
    logs_put_back,
    running_client,
    signed,
    token,
    until_ready,
)
from stands.tenants import talk
from switchboard.auth import make_api_key
from switchboard.errors import Invalid
from switchboard.logs import configure
from switchboard.settings import Settings

SPOKEN = "Zebra7Canary"
"""In everything that people write in these tests."""
PAGE_TOKEN = "EAAPageTokenCanary"
MODEL_KEY = "sk-ModelKeyCanary"


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Callable[[], list[dict[str, Any]]]:
    """Reads what was logged so far; fails for a line that is no event."""

    def read() -> list[dict[str, Any]]:
        out, err = capsys.readouterr()
        assert out == ""
        events: list[dict[str, Any]] = [json.loads(line) for line in err.splitlines()]
        assert all(line["event"] and line["level"] and line["timestamp"] for line in events)
        return events

    return read


def check_silent(events: list[dict[str, Any]], *secrets: str) -> None:
    """Fails if a secret, or anything that somebody said, is in the log."""
    text = json.dumps(events, ensure_ascii=False)
    for secret in (SPOKEN, PAGE_TOKEN, MODEL_KEY, APP_SECRET, JWT_SECRET, VERIFY_TOKEN, "Bearer", "eyJ", *secrets):
        assert secret not in text, [event for event in events if secret in json.dumps(event)]


async def test_a_day_at_the_desk(
    lines: Callable[[], list[dict[str, Any]]], database_url: str, sql: asyncpg.Connection
) -> None:
    """Messages, answers, sends, people and mistakes, with a model and a channel that repeat what they were told."""
    async with graph.GraphStand() as facebook, llm.LlmStand() as model:
        settings = local_settings(
            database_url,
            log_level="debug",
            reply_concurrency=4,
            facebook_page_access_token=PAGE_TOKEN,
            facebook_graph_url=facebook.url,
            default_model="openai:gpt-5.4-mini",
            openai_api_key=MODEL_KEY,
            openai_base_url=model.openai_url,
        )
        model.play(
            llm.say(f"We are open. {SPOKEN}"),
            llm.fail(400, f"cannot answer {SPOKEN} with {MODEL_KEY}"),
            llm.fail(401, f"wrong key {MODEL_KEY}"),
        )
        said = f"no {SPOKEN} for {PAGE_TOKEN}"
        facebook.script(
            graph.ok(), graph.error(100, message=said), graph.error(190, message=said), graph.error(551, message=said)
        )
        facebook.script_actions(*[graph.error(190, message=said)] * 3, graph.reset())
        async with running_client(settings) as client:
            await until_ready(client)
            await sql.execute("update workspaces set quiet_seconds = 0")
            for number in range(3):
                content = graph.webhook(PAGE, graph.message(PAGE, f"c{number}", f"mid_{number}", SPOKEN))
                await client.post("/webhook", content=content, headers=signed(content))
                await facebook.wait_for_sends(number + 1)
            await work_as_people(client, settings, sql)
        assert len(model.calls) >= 3
    events = lines()
    check_silent(events)
    told = {event["event"] for event in events}
    assert {"turn done", "reply failed", "not delivered", "request"} <= told


async def test_a_day_on_telegram(
    lines: Callable[[], list[dict[str, Any]]], database_url: str, sql: asyncpg.Connection, tmp_path: Path
) -> None:
    """The bot's token is in every address of its API, and a file's address in its turn is somebody's own."""
    async with telegram.TelegramStand() as api:
        settings = local_settings(
            database_url,
            log_level="debug",
            reply_concurrency=4,
            data_dir=tmp_path,
            telegram_bot_token=telegram.TOKEN,
            telegram_secret_token=telegram.SECRET,
            telegram_api_url=api.url,
        )
        api.files["photo"] = b"\x89PNG\r\n\x1a\n" + SPOKEN.encode()
        said = f"no {SPOKEN} for {telegram.TOKEN}"
        api.script(telegram.refuse(400, said), telegram.refuse(403, said), telegram.reset(), telegram.html())
        async with running_client(settings) as client:
            await until_ready(client)
            await sql.execute("update workspaces set quiet_seconds = 0")
            for number in range(5):
                photo = [{"file_id": "photo" if number else "gone"}]
                told = telegram.said(number, chat=number + 1, photo=photo, caption=SPOKEN)
                content = telegram.update(number, message=told)
                await client.post("/webhooks/telegram", content=content, headers=telegram.signed())
                await api.wait_for_sends(number + 1)
            await client.post("/webhooks/telegram", content=b"{}", headers=telegram.signed(SPOKEN))
            async with asyncio.timeout(10):
                while await sql.fetchval("select count(*) from attachments where state = 'stored'") < 4:
                    await asyncio.sleep(0.05)
    events = lines()
    check_silent(events, telegram.TOKEN, telegram.TOKEN.partition(":")[2], telegram.SECRET, f"/bot{telegram.BOT}")
    told_of = {event["event"] for event in events}
    assert {"not delivered", "attachment copied", "attachment not copied", "request"} <= told_of


async def work_as_people(client: httpx.AsyncClient, settings: Settings, sql: asyncpg.Connection) -> None:
    """A person's day: searching, answering, taking over with a reason, and getting things wrong."""
    admin = bearer(token(settings))
    key, prefix, key_hash = make_api_key()
    await sql.execute(
        "insert into api_keys (name, prefix, key_hash, role) values ('k', $1, $2, 'admin')", prefix, key_hash
    )
    await client.get("/admin/conversations", params={"q": SPOKEN}, headers=bearer(key))
    await client.get(f"/{SPOKEN}", headers=bearer(key))
    await client.get("/admin/stats", headers=bearer(f"{key}{SPOKEN}"))
    await client.get("/admin/stats", headers=bearer(token(settings)[:-3]))
    await client.get("/webhook", params={"hub.verify_token": VERIFY_TOKEN + "x", "hub.challenge": SPOKEN})
    conversation = (await client.get("/admin/conversations", headers=admin)).json()["conversations"][0]["id"]
    path = f"/admin/conversations/{conversation}"
    for address, content in (
        (f"{path}/takeover", {"reason": SPOKEN}),
        (f"{path}/messages", {"content": SPOKEN}),
        (f"{path}/messages", {"content": SPOKEN, SPOKEN: 1}),
        (f"{path}/assign", {"assigned_to": "x" * 201 + SPOKEN}),
        ("/api/conversations", {"user_id": SPOKEN, "title": SPOKEN}),
        ("/api/messages", {"conversation": conversation, "content": SPOKEN}),
    ):
        headers = admin | {"idempotency-key": SPOKEN + address.replace("/", "-"), "prefer": "respond-async"}
        await client.post(address, json=content, headers=headers)
    await client.post(f"{path}/messages", content=f'{{"content": "{SPOKEN}', headers=admin)
    forged = body(message(text=SPOKEN))
    await client.post("/webhook", content=forged, headers=signed(forged, "x" * 32))
    await client.post("/webhook", content=SPOKEN.encode(), headers=signed(SPOKEN.encode()))


SABOTAGE = {
    "an answer of another shape": (
        "create or replace function get_conversation(caller jsonb, conversation_id bigint) returns jsonb language sql"
        f""" as $$ select '{{"id": "{SPOKEN}", "account": "{SPOKEN}"}}'::jsonb $$"""
    ),
    "no answer at all": (
        "create or replace function get_conversation(caller jsonb, conversation_id bigint) returns jsonb language sql"
        f""" as $$ select '"{SPOKEN}"'::jsonb $$"""
    ),
    "an error that quotes a row": (
        "create or replace function get_conversation(caller jsonb, conversation_id bigint) returns jsonb"
        f" language plpgsql as $$ begin raise exception '{SPOKEN}' using detail = '{SPOKEN}', hint = '{SPOKEN}'; end $$"
    ),
    "a constraint": (
        "create or replace function get_conversation(caller jsonb, conversation_id bigint) returns jsonb"
        f" language plpgsql as $$ begin insert into workspaces (name) values ('{SPOKEN}'), ('{SPOKEN}'); end $$"
    ),
}


@pytest.mark.parametrize("kind", SABOTAGE)
@pytest.mark.parametrize("form", ["json", "text"])
async def test_a_fault_of_ours_is_told_without_what_it_stumbled_over(
    kind: str, form: Any, capsys: pytest.CaptureFixture[str], database_url: str, sql: asyncpg.Connection
) -> None:
    settings = local_settings(database_url, log_level="debug", log_format=form)
    async with running_client(settings) as client:
        await until_ready(client)
        conversation, _, _ = await talk(sql, 1, "x")
        await sql.execute(SABOTAGE[kind])
        for path in (f"/admin/conversations/{conversation}", f"/api/conversations/{conversation}"):
            answer = await client.get(path, headers=bearer(token(settings)))
            assert answer.status_code in {409, 500}
            assert answer.headers["content-type"] == "application/problem+json"
            assert SPOKEN not in answer.text
            if answer.status_code == 500:
                assert answer.json()["code"] == "internal"
                assert answer.headers["x-request-id"] == answer.json()["request_id"]
                assert answer.headers["x-content-type-options"] == "nosniff"
        assert (await client.get("/health/live")).status_code == 200
    _, log = capsys.readouterr()
    assert SPOKEN not in log
    assert "eyJ" not in log
    if "shape" in kind:
        # Enough to mend it: what, where, and in which request.
        assert "ValidationError" in log
        assert "conversations" in log
        assert answer.json()["request_id"] in log


async def test_nobody_forges_a_line(
    lines: Callable[[], list[dict[str, Any]]], database_url: str, sql: asyncpg.Connection
) -> None:
    forged = 'x\r\n{"event": "forged", "level": "info"}\r\n'
    settings = local_settings(database_url, log_level="debug")
    async with running_client(settings) as client:
        await until_ready(client)
        admin = bearer(token(settings, subject="an admin"))
        content = body(event(forged, message={"mid": forged, "text": forged}))
        assert (await client.post("/webhook", content=content, headers=signed(content))).status_code == 200
        for path in ("/%0d%0a%7b%22event%22%3a%22forged%22%7d", "/admin/conversations/1%0d%0aforged"):
            await client.get(path, params={"q": forged, forged: forged}, headers=admin)
        await client.post("/api/conversations", json={"user_id": forged, "title": forged}, headers=admin)
    assert [event for event in lines() if "forged" in event["event"]] == []


def test_what_is_logged_elsewhere_is_a_line_as_well(lines: Callable[[], list[dict[str, Any]]]) -> None:
    with logs_put_back():
        configure("debug", "json")
        logging.getLogger("some.library").warning("two\nlines of %s", "text\r\n")
        structlog.get_logger().info("an event", text="two\nlines\x1b[31m")
        try:
            raise Invalid("ours") from ValueError(SPOKEN)
        except Invalid:
            logging.getLogger("some.library").exception("it failed")
            structlog.get_logger().exception("it failed too")
    told = lines()
    assert [line["event"] for line in told] == ["two\nlines of text\r\n", "an event", "it failed", "it failed too"]
    for line in told[2:]:
        assert line["exception"].startswith("switchboard.errors.Invalid: ours at ")
        assert "caused by builtins.ValueError" in line["exception"]
    check_silent(told)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"database_url": f"mysql://u:{SPOKEN}@h/x"}, "DATABASE_URL is not of the form"),
        ({"broker_url": f"carrier-pigeon://u:{SPOKEN}@h"}, "BROKER_URL"),
        ({"facebook_graph_url": "nowhere"}, "FACEBOOK_GRAPH_URL"),
    ],
)
async def test_a_start_that_fails_is_one_line_that_says_why(
    wrong: dict[str, Any], reason: str, lines: Callable[[], list[dict[str, Any]]], database_url: str
) -> None:
    values: dict[str, Any] = {"database_url": database_url, "reply_concurrency": 1, **wrong}
    settings = local_settings(**values)
    with pytest.raises(RuntimeError):
        async with running_client(settings):
            pass
    told = lines()
    (start,) = [line for line in told if line["event"] == "cannot start"]
    assert start["reason"].startswith(reason)
    check_silent(told)


def test_text_does_not_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with logs_put_back():
        configure("debug", "text")
        structlog.get_logger().info("event\x1b[2J", text="\x1b]0;title\x07", more="a\nb\r")
        logging.getLogger("x").warning("\x1b[31m red\nline")
    _, log = capsys.readouterr()
    assert "\x1b" not in log
    assert len(log.splitlines()) == 2


def test_a_log_that_nobody_takes_stops_nobody(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A full disk, a reader that is gone, a stream that is closed: the work goes on, and so does the log afterwards."""
    reader, writer = os.pipe()
    os.close(reader)
    closed = io.StringIO()
    closed.close()
    for stream in (Path("/dev/full").open("w"), os.fdopen(writer, "w"), closed):  # noqa: SIM115 - closed below
        monkeypatch.setattr("sys.stderr", stream)
        configure("debug", "json")
        structlog.get_logger().error("lost", text="x" * 10_000)
        monkeypatch.undo()
        with contextlib.suppress(OSError):
            stream.close()
    configure("debug", "json")
    structlog.get_logger().info("told")
    assert '"event":"told"' in capfd.readouterr().err


def test_groups_and_circles_of_errors_are_told() -> None:
    first, second = ValueError("a"), KeyError("b")
    first.__cause__, second.__cause__ = second, first
    with logs_put_back():
        configure("debug", "json")
        structlog.get_logger().error("circle", exc_info=first)
        structlog.get_logger().error("group", exc_info=ExceptionGroup("many", [OSError(2, "not there"), first]))


def test_the_server_has_no_log_of_its_own(lines: Callable[[], list[dict[str, Any]]]) -> None:
    """`uvicorn api:app` sets its loggers up before it imports the application."""
    with logs_put_back():
        logging.config.dictConfig(LOGGING_CONFIG)
        configure("debug", "json")
        access = logging.getLogger("uvicorn.access")
        access.info('%s - "%s %s HTTP/%s" %d', "1.2.3.4:5", "GET", f"/admin/conversations?q={SPOKEN}", "1.1", 200)
        logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
        try:
            raise ValueError(SPOKEN)
        except ValueError as error:
            logging.getLogger("uvicorn.error").error("Exception in ASGI application\n", exc_info=error)
    told = lines()
    assert [line["event"] for line in told] == ["Invalid HTTP request received.", "Exception in ASGI application\n"]
    check_silent(told)


async def test_the_log_of_a_request_names_its_route_and_not_its_path(
    lines: Callable[[], list[dict[str, Any]]], database_url: str
) -> None:
    settings = local_settings(database_url)
    async with running_client(settings) as client:
        await until_ready(client)
        answers = await asyncio.gather(
            *(client.get(f"/admin/conversations/{n}", headers=bearer(token(settings))) for n in range(1, 4))
        )
    told = {event["request"]: event for event in lines() if event["event"] == "request"}
    for answer in answers:
        event = told[answer.headers["x-request-id"]]
        assert (event["route"], event["status"]) == ("/admin/conversations/{conversation_id}", 404)
        assert event["ms"] > 0
    assert PAGE not in json.dumps(list(told.values()))
