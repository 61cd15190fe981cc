"""Conversations that a program holds for its users: open one, say something, get the answer."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import asyncpg
import httpx
import pytest

from stands.app import bearer, local_settings, rest_settings, running_client, token, until_ready
from stands.tenants import settle, talk
from switchboard.database.postgres import open_postgres
from switchboard.knowledge.cafe import put_cafe
from switchboard.settings import Settings

WORKSPACE = 1


@pytest.fixture(params=["postgres", "postgrest"])
def settings(request: pytest.FixtureRequest, database_url: str) -> Settings:
    """A service that answers, from a café's knowledge, on either transport."""
    if request.param == "postgres":
        return local_settings(database_url, reply_concurrency=4)
    return rest_settings(request.getfixturevalue("supabase"), reply_concurrency=4)


@pytest.fixture
async def client(settings: Settings, database_url: str) -> AsyncGenerator[httpx.AsyncClient]:
    """What a program of the first workspace uses."""
    async with running_client(settings) as opened:
        await until_ready(opened)
        database = await open_postgres(database_url, pool_size=2, timeout=5)
        await put_cafe(database, WORKSPACE)
        await database.close()
        opened.headers.update(bearer(token(settings, "support", WORKSPACE, subject="program")))
        yield opened


async def open_one(client: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    answer = await client.post("/api/conversations", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def say(
    client: httpx.AsyncClient, conversation: int, text: str, status: int = 201, **headers: str
) -> dict[str, Any]:
    answer = await client.post("/api/messages", json={"conversation": conversation, "content": text}, headers=headers)
    assert answer.status_code == status, answer.text
    return answer.json()


async def test_a_question_is_answered_in_the_same_request(client: httpx.AsyncClient, sql: asyncpg.Connection) -> None:
    opened = await open_one(client, title="Chat with AI", user_id=" u1 ")
    assert (opened["title"], opened["user_id"], opened["platform"]) == ("Chat with AI", "u1", "api")
    assert (opened["status"], opened["agent_id"]) == ("active", 1)
    assert (await client.get(f"/api/conversations/{opened['id']}")).json() == opened

    said = await say(client, opened["id"], "When are you open?")
    assert (said["role"], said["handler"], said["seq"], said["content"]) == ("user", "ai", 1, "When are you open?")
    reply = said["reply"]
    assert (reply["sender_type"], reply["seq"], reply["provider"]) == ("bot", 2, "extractive")
    assert reply["content"]
    assert reply["delivery_state"] == "sent"
    assert 0 < reply["confidence_score"] <= 1
    assert await sql.fetchval("select count(*) from deliveries") == 0

    again = await say(client, opened["id"], "Do you have vegan food?")
    assert (again["seq"], again["reply"]["seq"]) == (3, 4)
    path = f"/api/conversations/{opened['id']}/messages"
    listed = (await client.get(path)).json()
    assert [row["seq"] for row in listed["messages"]] == [1, 2, 3, 4]
    assert listed["messages"][1] == reply
    newer = (
        await client.get(f"/api/conversations/{opened['id']}/messages", params={"after_seq": 2, "limit": 1})
    ).json()
    assert [row["seq"] for row in newer["messages"]] == [3]


async def test_who_does_not_wait_finds_the_answer_later(client: httpx.AsyncClient) -> None:
    opened = await open_one(client)
    said = await say(client, opened["id"], "When are you open?", 202, prefer="respond-async")
    assert (said["reply"], said["handler"]) == (None, "ai")
    path = f"/api/conversations/{opened['id']}/messages"
    async with asyncio.timeout(10):
        while not (found := (await client.get(path, params={"after_seq": said["seq"]})).json()["messages"]):
            await asyncio.sleep(0.02)
    assert found[0]["sender_type"] == "bot"


async def test_many_users_at_once_get_an_answer_each(client: httpx.AsyncClient, sql: asyncpg.Connection) -> None:
    opened = await asyncio.gather(*(open_one(client, user_id=f"u{n}") for n in range(12)))
    said = await asyncio.gather(*(say(client, one["id"], "When are you open?") for one in opened))
    assert all(
        one["reply"]["conversation_id"] == conversation["id"] for one, conversation in zip(said, opened, strict=True)
    )
    assert await sql.fetchval("select count(*) from messages where sender_type = 'bot'") == 12


async def test_many_questions_of_one_user_at_once_are_all_answered(
    client: httpx.AsyncClient, sql: asyncpg.Connection
) -> None:
    opened = await open_one(client)
    said = await asyncio.gather(*(say(client, opened["id"], "When are you open?") for _ in range(6)))
    assert sorted(one["seq"] for one in said if one["reply"]["seq"] > one["seq"]) == sorted(one["seq"] for one in said)
    bots = await sql.fetchval("select count(*) from messages where sender_type = 'bot'")
    assert 1 <= bots <= 6
    answered = "select count(*), count(distinct answered_seq) from replies where outcome = 'answered'"
    row = await sql.fetchrow(answered)
    assert row is not None
    assert row[0] == row[1] == bots


async def test_a_person_who_has_it_is_waited_for_by_nobody(client: httpx.AsyncClient) -> None:
    opened = await open_one(client)
    assert (await client.post(f"/admin/conversations/{opened['id']}/takeover")).status_code == 200
    said = await say(client, opened["id"], "When are you open?")
    assert (said["reply"], said["handler"]) == (None, "human")


async def test_what_nobody_knows_is_handed_over(client: httpx.AsyncClient) -> None:
    opened = await open_one(client)
    said = await say(client, opened["id"], "Can you repair my motorcycle's carburettor?")
    assert said["reply"]["requires_human"] is True
    found = (await client.get(f"/admin/conversations/{opened['id']}")).json()["conversation"]
    assert (found["status"], found["requires_human"]) == ("support_active", True)


async def test_in_closed_hours_the_reply_says_so_once(client: httpx.AsyncClient, sql: asyncpg.Connection) -> None:
    closed = '{"time_zone": "UTC", "weekly": {}, "holidays": {}}'
    await sql.execute("update workspaces set business_hours = $1::text::jsonb", closed)
    opened = await open_one(client)
    said = await say(client, opened["id"], "When are you open?")
    assert (said["reply"]["sender_type"], said["handler"]) == ("system", "ai")
    assert said["reply"]["content"].startswith("We are closed")
    assert (await say(client, opened["id"], "Hello?", 202))["reply"] is None
    found = (await client.get(f"/admin/conversations/{opened['id']}")).json()["conversation"]
    assert (found["status"], found["requires_human"]) == ("active", True)


async def test_where_nobody_may_speak(client: httpx.AsyncClient, sql: asyncpg.Connection) -> None:
    opened = await open_one(client)
    assert (await client.post(f"/admin/conversations/{opened['id']}/close")).status_code == 200
    refused = await say(client, opened["id"], "Hello?", 409)
    assert "closed" in refused["detail"]
    theirs, _, _ = await talk(sql, WORKSPACE, "x", platform="messenger", explicit=False)
    refused = await say(client, theirs, "Hello?", 422)
    assert "customer" in refused["detail"]
    assert (await say(client, 999_999, "Hello?", 404))["code"] == "not_found"


async def test_each_call_opens_another_conversation_of_the_same_customer(
    client: httpx.AsyncClient, sql: asyncpg.Connection
) -> None:
    first, second = await open_one(client, user_id="u"), await open_one(client, user_id="u")
    assert first["id"] != second["id"]
    assert await sql.fetchval("select count(*) from customers") == 1
    other = await open_one(client, user_id="u", platform="streamlit")
    assert other["platform"] == "streamlit"
    assert await sql.fetchval("select count(*) from customers") == 2


async def test_which_workspace_is_meant(client: httpx.AsyncClient, settings: Settings, sql: asyncpg.Connection) -> None:
    theirs = await settle(sql, "Theirs")
    assert (await open_one(client))["workspace_id"] == WORKSPACE
    refused = await client.post("/api/conversations", json={"workspace": theirs.workspace})
    assert refused.status_code == 404
    admin = bearer(token(settings))
    answer = await client.post("/api/conversations", json={"workspace": theirs.workspace}, headers=admin)
    assert answer.json()["workspace_id"] == theirs.workspace
    answer = await client.post("/api/conversations", json={}, headers=admin)
    assert answer.json()["workspace_id"] == WORKSPACE
    refused = await client.post("/api/conversations", json={"agent": theirs.agent})
    assert refused.status_code == 422
    assert "agent" in refused.json()["detail"]
