"""Files, in and out over HTTP on both transports: copied on receipt, shown by signed links, sent by people."""

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from aiohttp import web

from stands.app import PAGE, bearer, local_settings, rest_settings, token
from stands.graph import message
from stands.platforms import SETTINGS, Bot, Meta, deliver, platform
from stands.shop import Shop, open_shop
from stands.telegram import TelegramStand
from stands.tenants import settle
from switchboard.database import Database
from switchboard.settings import Settings

PNG = b"\x89PNG\r\n\x1a\n" + bytes(3000)
HTML = b"<!doctype html><script>alert(1)</script>"


class Cdn:
    """Where Meta keeps files; ``answers``: by path, bytes or a status."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {"/menu.png": PNG, "/page.html": HTML, "/gone": 404}
        self.asked: list[str] = []
        self.url = ""

    async def give(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        answer = self.answers[request.path]
        if isinstance(answer, list):
            answer = answer.pop(0)
        return web.Response(status=answer) if isinstance(answer, int) else web.Response(body=answer)


@pytest.fixture
async def cdn() -> AsyncIterator[Cdn]:
    one = Cdn()
    application = web.Application()
    application.router.add_get("/{path:.*}", one.give)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    one.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield one
    await runner.cleanup()


@pytest.fixture(params=["postgres", "postgrest"])
def way(request: pytest.FixtureRequest, tmp_path: Path, cdn: Cdn) -> tuple[Database, Callable[..., Settings]]:
    """A database and settings that lead to it; files in a folder of the test's, Meta's kept at the `cdn`."""
    more: dict[str, Any] = {"data_dir": tmp_path, "file_storage": "folder", "attachment_hosts": f"fbcdn.net {cdn.url}"}
    database: Database = request.getfixturevalue(request.param)
    if request.param == "postgres":
        return database, partial(local_settings, request.getfixturevalue("database_url"), **more, **SETTINGS)
    return database, partial(rest_settings, request.getfixturevalue("supabase"), **more, **SETTINGS)


@pytest.fixture
async def api() -> AsyncIterator[TelegramStand]:
    async with TelegramStand() as opened:
        yield opened


@pytest.fixture
async def shop(way: tuple[Database, Callable[..., Settings]], api: TelegramStand) -> AsyncIterator[Shop]:
    database, make = way
    async with open_shop(make, telegram_api_url=api.url, public_url="https://desk.example") as opened:
        await database.update("workspaces", {"default_handler": "human"}, where={"id": 1})
        yield opened


async def sends(shop: Shop, *attachments: dict[str, Any], mid: str = "mid.1", text: str = "look") -> None:
    """A customer on Messenger sends files."""
    event = message(PAGE, "4711", mid, text)
    event["message"]["attachments"] = list(attachments)
    await shop.is_told(event)


def image(url: str) -> dict[str, Any]:
    return {"type": "image", "payload": {"url": url}}


def kept(tmp_path: Path) -> list[Path]:
    """The files in storage."""
    return [path for path in (tmp_path / "files").rglob("*") if path.is_file()]


async def until_settled(shop: Shop) -> list[dict[str, Any]]:
    """The files of the first message, once each has been copied or has failed."""

    async def look() -> list[dict[str, Any]] | None:
        found = [one for sent in await shop.messages() for one in sent["attachments"]]
        return found if found and all(one.get("state") in {"stored", "failed"} for one in found) else None

    settled: list[dict[str, Any]] = await shop.until(look)
    return settled


async def test_what_a_customer_sends_is_copied_and_shown(shop: Shop, cdn: Cdn, tmp_path: Path) -> None:
    for _ in range(3):  # Meta repeats itself
        await sends(shop, image(f"{cdn.url}/menu.png"))
    (one,) = await until_settled(shop)
    assert (one["state"], one["kind"], one["content_type"], one["bytes"]) == ("stored", "image", "image/png", len(PNG))
    assert cdn.asked == ["/menu.png"]
    cdn.answers.clear()  # Meta's links end; ours has nothing to do with them

    shown = await shop.client.get(one["link"])
    assert (shown.status_code, shown.content, shown.headers["content-type"]) == (200, PNG, "image/png")
    assert shown.headers["content-disposition"] == 'inline; filename="file.png"'
    assert shown.headers["x-content-type-options"] == "nosniff"
    assert shown.headers["content-security-policy"] == "sandbox; default-src 'none'"


async def test_a_link_opens_nothing_else(shop: Shop, cdn: Cdn) -> None:
    await sends(shop, image(f"{cdn.url}/menu.png"))
    (one,) = await until_settled(shop)
    path, _, query = one["link"].partition("?")
    admin = bearer(token(shop.settings))
    for wrong in (path, f"/attachments/{one['id'] + 1}?{query}", f"{path}?{query[:-1]}", f"{path}?{query}&expires=1"):
        answer = await shop.client.get(wrong, headers=admin)
        assert (answer.status_code, answer.json()["code"]) == (403, "signature_invalid"), wrong


async def test_what_could_run_is_only_saved(shop: Shop, cdn: Cdn) -> None:
    await sends(shop, {"type": "file", "payload": {"url": f"{cdn.url}/page.html"}, "title": '../a"b.html'})
    (one,) = await until_settled(shop)
    shown = await shop.client.get(one["link"])
    assert shown.content == HTML
    assert shown.headers["content-type"] == "application/octet-stream"
    assert shown.headers["content-disposition"] == 'attachment; filename="a_b.html"'


async def test_what_cannot_be_copied_says_why_and_costs_the_others_nothing(shop: Shop, cdn: Cdn) -> None:
    await sends(
        shop,
        image(f"{cdn.url}/gone"),
        image("https://169.254.169.254/latest/meta-data"),
        image("http://127.0.0.1:1/x"),
        {"type": "fallback", "url": "https://example.com/menu", "title": "Menu", "payload": None},
        image(f"{cdn.url}/menu.png"),
    )

    async def look() -> list[dict[str, Any]] | None:
        (sent,) = await shop.messages() or [{"attachments": []}]
        return sent["attachments"] if [one.get("state") for one in sent["attachments"]].count("waiting") == 0 else None

    await shop.until(look)
    (sent,) = await shop.messages()
    assert [one.get("state") for one in sent["attachments"]] == ["failed", "failed", "failed", None, "stored"]
    reasons = [one.get("reason", "") for one in sent["attachments"]]
    assert "any more" in reasons[0]
    assert "not one of the platform's" in reasons[1]
    assert "no plain https" in reasons[2]


async def test_what_is_away_is_tried_again(shop: Shop, cdn: Cdn, way: tuple[Database, Callable[..., Settings]]) -> None:
    cdn.answers["/later.png"] = [503, PNG]
    await sends(shop, image(f"{cdn.url}/later.png"))

    async def tried() -> bool:
        return [row["attempts"] for row in await way[0].select("attachments")] == [1] and bool(
            (await way[0].select("attachments"))[0]["reason"]
        )

    await shop.until(tried)
    (row,) = await way[0].select("attachments")
    assert (row["state"], row["lease_until"]) == ("waiting", None)
    await way[0].update("attachments", {"next_at": "2020-01-01T00:00:00Z"}, where={"id": row["id"]})
    (one,) = await until_settled(shop)
    assert one["state"] == "stored"
    assert "reason" not in one


async def test_telegrams_files_come_through_the_bot(shop: Shop, api: TelegramStand) -> None:
    api.files["large"] = PNG
    bot = platform("telegram", shop, api)
    assert isinstance(bot, Bot)
    photo = [{"file_id": "small"}, {"file_id": "large", "file_size": len(PNG)}]
    await deliver(bot, {"message": bot.said(1, "")["message"] | {"photo": photo, "caption": "the menu"}})
    (one,) = await until_settled(shop)
    assert (one["state"], one["bytes"], api.fetched) == ("stored", len(PNG), 1)
    assert (await shop.client.get(one["link"])).content == PNG


@pytest.mark.parametrize("name", ["messenger", "instagram", "telegram"])
async def test_a_person_sends_a_file(shop: Shop, api: TelegramStand, name: str) -> None:
    one = platform(name, shop, api)
    await deliver(one, one.said(1, "May I see the menu?"))
    await shop.until(shop.messages)
    upload = {"name": "menu.png", "content": base64.b64encode(PNG).decode()}
    answer = await shop.post("/admin/conversations/1/messages", {"content": "Here it is.", "attachments": [upload]})
    (shown,) = answer["message"]["attachments"]
    assert (shown["state"], shown["name"], shown["kind"]) == ("stored", "menu.png", "image")
    assert (await shop.client.get(shown["link"])).content == PNG
    await shop.until_message(sender_type="human", delivery_state="sent")
    if isinstance(one, Meta):
        text, file = one.api.sends
        assert text.json["message"]["text"] == "Here it is."
        attachment = file.json["message"]["attachment"]
        assert attachment["type"] == "image"
        if name == "instagram":  # which fetches it from us
            link = attachment["payload"]["url"].removeprefix("https://desk.example")
            assert (await shop.client.get(link)).content == PNG
        else:
            assert one.api.files == [("menu.png", "image/png", PNG)]
    else:
        text, file = api.sends
        assert (text.fields["text"], file.method) == ("Here it is.", "sendPhoto")
        assert file.files["photo"] == ("menu.png", "image/png", PNG)


async def test_a_file_alone_is_an_answer_and_nothing_is_none(shop: Shop, api: TelegramStand) -> None:
    bot = platform("telegram", shop, api)
    await deliver(bot, bot.said(1, "May I see the menu?"))
    await shop.until(shop.messages)
    upload = {"name": "menu.txt", "content": base64.b64encode(b"Soup").decode()}
    await shop.post("/admin/conversations/1/messages", {"attachments": [upload]})
    (call,) = await api.wait_for_sends(1)
    assert (call.method, call.files["document"]) == ("sendDocument", ("menu.txt", "text/plain", b"Soup"))


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "body"),
        ({"content": "  "}, "body"),
        ({"attachments": [{"name": "x", "content": "no base64!"}]}, "attachments.0.content"),
        ({"attachments": [{"name": "x", "content": 5}]}, "attachments.0.content"),
        ({"attachments": [{"name": "x", "content": ""}]}, "attachments.0.content"),
        ({"attachments": [{"name": "x.exe", "content": base64.b64encode(b"MZ..").decode()}]}, "attachments.0.content"),
        ({"attachments": [{"name": "", "content": "AAAA"}]}, "attachments.0.name"),
        ({"attachments": [{"name": "x", "content": "AAAA"}] * 11}, "attachments"),
    ],
)
async def test_what_cannot_be_sent_is_said(
    shop: Shop, api: TelegramStand, tmp_path: Path, body: dict[str, Any], field: str
) -> None:
    bot = platform("telegram", shop, api)
    await deliver(bot, bot.said(1, "Hello"))
    await shop.until(shop.messages)
    answer = await shop.client.post("/admin/conversations/1/messages", json=body, headers=bearer(token(shop.settings)))
    assert answer.status_code == 422, answer.text
    assert field in [error["field"] for error in answer.json()["errors"]]
    assert kept(tmp_path) == []


async def test_what_is_refused_leaves_no_file(shop: Shop, api: TelegramStand, tmp_path: Path) -> None:
    bot = platform("telegram", shop, api)
    await deliver(bot, bot.said(1, "Hello"))
    await shop.until(shop.messages)
    upload = {"name": "menu.txt", "content": base64.b64encode(b"Soup").decode()}
    viewer = bearer(token(shop.settings, "viewer", 1))
    path = "/admin/conversations/1/messages"
    answer = await shop.client.post(path, json={"attachments": [upload]}, headers=viewer)
    assert answer.status_code == 403
    await shop.post("/admin/conversations/1/close")
    answer = await shop.client.post(path, json={"attachments": [upload]}, headers=bearer(token(shop.settings)))
    assert answer.status_code == 409
    assert kept(tmp_path) == []


# The lease -----------------------------------------------------------------------------------------------------------


async def test_one_copies_at_a_time_and_the_dead_are_succeeded(
    way: tuple[Database, Callable[..., Settings]], database_url: str
) -> None:
    database = way[0]
    sql = await asyncpg.connect(database_url)
    try:
        await settle(sql, "Ours")
        claim = partial(database.call, "claim_attachments", max_rows=5, lease_seconds=0.2, max_attempts=3)
        claims = await asyncio.gather(*(claim() for _ in range(4)))
        assert sorted(len(claimed) for claimed in claims) == [0, 0, 0, 1]
        (first,) = next(claimed for claimed in claims if claimed)
        await asyncio.sleep(0.3)
        (second,) = await claim()
        assert second["attempt"] == first["attempt"] + 1
        copy = {"name": "x", "kind": "file", "content_type": "x/y", "bytes": 1, "sha256": "x", "storage_key": "k"}
        who = {"workspace_id": first["workspace_id"], "attachment_id": first["id"]}
        assert await database.call("keep_attachment", **who, attempt=first["attempt"], kept=copy) is False
        await database.call("fail_attachment", **who, attempt=first["attempt"], reason="late", retry_seconds=None)
        await asyncio.sleep(0.3)
        (third,) = await claim()
        await asyncio.sleep(0.3)
        assert third["attempt"] == 3
        assert await claim() == [], "three attempts are enough"
        (row,) = await database.select("attachments")
        assert (row["state"], row["reason"]) == ("failed", "every attempt to copy it was cut short")
    finally:
        await sql.close()
