"""`/api/exports/`, asked over HTTP of a service that makes what it is asked for; on both transports."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from playwright.async_api import Browser, expect

from exports.conftest import Archive
from stands.app import bearer, local_settings, rest_settings, token
from stands.browser import visiting
from switchboard.settings import Settings
from web_chat.conftest import browser as browser
from web_chat.conftest import chromium as chromium


@pytest.fixture(params=["postgres", "postgrest"])
def settings(request: pytest.FixtureRequest, database_url: str, tmp_path: Path) -> Settings:
    """A service that works, with a folder for its files."""
    more: dict[str, Any] = {"data_dir": tmp_path, "file_storage": "folder", "reply_concurrency": 1}
    if request.param == "postgres":
        return local_settings(database_url, **more)
    return rest_settings(request.getfixturevalue("supabase"), **more)


class Person:
    """Olga at the running service."""

    def __init__(self, client: httpx.AsyncClient, settings: Settings, archive: Archive) -> None:
        self.client = client
        self.settings = settings
        self.archive = archive

    def headers(self, role: Any = "owner", subject: str = "olga") -> dict[str, str]:
        return bearer(token(self.settings, role, self.archive.workspace, subject=subject))

    async def wants(self, status: int = 202, role: Any = "owner", **asked: Any) -> httpx.Response:
        body = {"assistant_id": self.archive.agent, "days": 30} | asked
        answer = await self.client.post("/api/exports/", json=body, headers=self.headers(role))
        assert answer.status_code == status, answer.text
        return answer

    async def get(self, path: str, status: int = 200, role: Any = "owner") -> httpx.Response:
        answer = await self.client.get(path, headers=self.headers(role))
        assert answer.status_code == status, answer.text
        return answer

    async def has(self, **asked: Any) -> str:
        """The address of one that is ready."""
        address = (await self.wants(**asked)).headers["location"]
        async with asyncio.timeout(40):
            while (state := (await self.get(address)).json()["state"]) != "ready":
                assert state in {"queued", "running"}
                await asyncio.sleep(0.05)
        return address


@pytest.fixture
async def person(client: httpx.AsyncClient, settings: Settings, archive: Archive) -> Person:
    yesterday = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    await archive.holds("Where is my parcel?", "On its way.", at=yesterday, lifecycle="closed")
    return Person(client, settings, archive)


async def test_from_asking_to_deleting(person: Person, tmp_path: Path) -> None:
    answer = await person.wants()
    job = answer.json()
    assert answer.headers["location"] == f"/api/exports/{job['id']}"
    assert job["state"] == "queued"
    address = await person.has(anonymize=False)
    told = (await person.get(address)).json()
    assert told["assistant"] == {"id": person.archive.agent, "name": "Ours's agent"}
    assert (told["progress"], told["left_out"], told["format"]) == ({"done": 1, "total": 1}, 0, "html")
    assert told["created_at"] < told["finished_at"] < told["expires_at"]
    saved = await person.get(f"{address}/download")
    assert saved.headers["content-disposition"] == f'attachment; filename="{told["file_name"]}"'
    assert saved.headers["content-type"] == "text/html; charset=utf-8"
    assert int(saved.headers["content-length"]) == told["size"] == len(saved.content)
    assert saved.headers["cache-control"] == "private, no-store"
    assert saved.headers["x-content-type-options"] == "nosniff"
    opened = await person.get(f"{address}/open/")
    assert opened.content == saved.content
    assert opened.headers["content-disposition"].startswith("inline")
    policy = opened.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "sandbox allow-scripts" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    checked = await person.client.post(
        "/api/exports/verify",
        content=saved.content,
        headers=person.headers() | {"content-type": "application/octet-stream"},
    )
    assert checked.json()["valid"], checked.text
    listed = (await person.get("/api/exports")).json()
    assert [one["id"] for one in listed["exports"]] == [told["id"], job["id"]], "newest first"
    first = (await person.get("/api/exports?limit=1")).json()
    second = (await person.get(f"/api/exports?limit=1&cursor={first['next_cursor']}")).json()
    assert [one["exports"][0]["id"] for one in (first, second)] == [told["id"], job["id"]]
    assert (await person.client.delete(address, headers=person.headers())).status_code == 204
    for path in (address, f"{address}/download", f"{address}/open"):
        await person.get(path, 404)
    assert not any(path.is_file() for path in (tmp_path / "files").rglob(f"*/{told['id']}/*"))
    deeds = await person.archive.sql.fetch(
        "select action from audit where subject = $1 order by id", f"export:{told['id']}"
    )
    assert [row[0] for row in deeds] == [
        f"export.{deed}" for deed in ("requested", "ended", "downloaded", "opened", "deleted")
    ]


async def test_what_makes_no_sense_is_refused_in_words(person: Person) -> None:
    for asked, field in (
        ({"days": 0}, "days"),
        ({"days": 366}, "days"),
        ({"days": "soon"}, "days"),
        ({"format": "pdf"}, "format"),
        ({"assistant_id": "x"}, "assistant_id"),
        ({"surprise": 1}, "surprise"),
    ):
        answer = await person.wants(422, **asked)
        assert any(field in error["field"] for error in answer.json()["errors"]), answer.text
    await person.wants(404, assistant_id=987654)
    await person.get("/api/exports/987654", 404)
    await person.get("/api/exports?cursor=nonsense", 422)
    form = await person.client.post(
        "/api/exports", data={"assistant_id": str(person.archive.agent), "days": "7"}, headers=person.headers()
    )
    assert form.status_code == 202, form.text


async def test_roles(person: Person) -> None:
    await person.wants(403, role="viewer")
    await person.wants(403, role="support", anonymize=False)
    address = await person.has(role="support")
    raw = await person.has(anonymize=False)
    for role, status in (("owner", 200), ("support", 200), ("viewer", 403)):
        await person.get(f"{address}/download", status, role=role)
        await person.get(f"{raw}/download", {"support": 403}.get(role, status), role=role)
    other = await person.client.get(address, headers=person.headers(subject="ben"))
    assert other.status_code == 404


async def test_what_no_browser_shows_is_downloaded(person: Person) -> None:
    sheets = await person.has(format="excel")
    await person.get(f"{sheets}/open", 409)
    assert (await person.get(f"{sheets}/download")).content[:2] == b"PK"
    lines = await person.has(format="json")
    shown = await person.get(f"{lines}/open")
    assert shown.headers["content-type"] == "text/plain; charset=utf-8"
    assert "default-src 'none'; sandbox" in shown.headers["content-security-policy"]


async def test_asked_twice_under_one_key_is_one_export(person: Person, sql: asyncpg.Connection) -> None:
    headers = person.headers() | {"idempotency-key": "once"}
    body = {"assistant_id": person.archive.agent, "days": 30}
    first, second = [await person.client.post("/api/exports", json=body, headers=headers) for _ in range(2)]
    assert first.json()["id"] == second.json()["id"]
    assert second.headers["location"] == first.headers["location"]
    assert await sql.fetchval("select count(*) from export_jobs") == 1


async def test_it_is_looked_at_in_a_browser(person: Person, browser: Browser) -> None:
    """Under the policy that comes with it: its own script runs, as nobody."""
    address = await person.has()
    async with visiting(browser, extra_http_headers=person.headers()) as somebody:
        page = await somebody.open(f"{str(person.client.base_url).rstrip('/')}{address}/open")
        await page.get_by_label("Search what was said").fill("parcel")
        await expect(page.locator("mark")).to_have_count(1)
        assert await page.evaluate("origin") == "null"
        assert somebody.complaints == []
