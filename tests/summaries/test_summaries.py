"""Summaries over HTTP, made by the service that is asked, on both transports."""

import asyncio
from collections.abc import AsyncGenerator

import asyncpg
import httpx
import pytest

from stands.app import bearer, local_settings, rest_settings, running_client, token, until_ready
from stands.tenants import settle, talk
from switchboard.settings import Settings


@pytest.fixture(params=["postgres", "postgrest"])
def settings(request: pytest.FixtureRequest, database_url: str) -> Settings:
    """A service that works, on either transport."""
    if request.param == "postgres":
        return local_settings(database_url, reply_concurrency=1)
    return rest_settings(request.getfixturevalue("supabase"), reply_concurrency=1)


@pytest.fixture
async def client(settings: Settings) -> AsyncGenerator[httpx.AsyncClient]:
    """What a program of the first workspace uses."""
    async with running_client(settings) as opened:
        await until_ready(opened)
        opened.headers.update(bearer(token(settings, "support", 1, subject="program")))
        yield opened


async def test_asked_for_it_is_made_and_shown(client: httpx.AsyncClient, sql: asyncpg.Connection) -> None:
    conversation, _, _ = await talk(sql, 1, "Ada")
    of_it = {"conversation_id": conversation}
    assert (await client.get("/api/summaries/by_conversation/", params=of_it)).status_code == 404
    assert (await client.get(f"/admin/conversations/{conversation}")).json()["summary"] is None
    asked = await client.post("/api/summaries/", json={"conversation": conversation})
    assert asked.status_code == 202, asked.text
    assert asked.json()["reason"] == "asked"
    async with asyncio.timeout(20):
        while (found := (await client.get("/api/summaries/by_conversation/", params=of_it)).json())["state"] != "ready":
            await asyncio.sleep(0.05)
    assert (found["content"], found["covers_seq"]) == ("Q: Ada asks\nA: Ada answers", 2)
    assert (await client.get(f"/api/summaries/{found['id']}/")).json() == found
    assert (await client.get(f"/admin/conversations/{conversation}")).json()["summary"] == found
    again = await client.post("/api/summaries/", json={"conversation": conversation})
    assert again.json() == found, "nothing is new"


async def test_lists_are_the_callers_own_and_go_on(client: httpx.AsyncClient, sql: asyncpg.Connection) -> None:
    theirs = await settle(sql, "Theirs")
    mine: list[int] = []
    for number in range(3):
        conversation, _, _ = await talk(sql, 1, f"n{number}")
        await sql.execute(
            "insert into summaries (workspace_id, conversation_id, state, content, reason)"
            " values (1, $1, 'ready', 'x', 'closed')",
            conversation,
        )
        mine.append(conversation)
    page = (await client.get("/api/summaries/", params={"limit": 2})).json()
    rest = (await client.get("/api/summaries/", params={"limit": 2, "cursor": page["next_cursor"]})).json()
    assert [row["conversation"] for row in page["summaries"] + rest["summaries"]] == mine[::-1]
    assert rest["next_cursor"] is None
    assert (await client.get(f"/api/summaries/{theirs.summary}")).status_code == 404


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({}, 422, "conversation"),
        ({"conversation": "x"}, 422, "conversation"),
        ({"conversation": 1, "content": "x"}, 422, "content"),
        ({"conversation": 999}, 404, ""),
    ],
)
async def test_bad_requests_say_what_is_wrong(
    client: httpx.AsyncClient, body: dict[str, object], status: int, field: str
) -> None:
    answer = await client.post("/api/summaries/", json=body)
    assert answer.status_code == status
    assert field in answer.text
    assert (await client.get("/api/summaries/", params={"cursor": "WyJpZCIsMV0"})).status_code == 422
