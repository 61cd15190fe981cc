"""Conversations and messages of programs: lists, changes, deleting and restoring, over HTTP on both transports."""

from typing import Any

import asyncpg
import httpx
import pytest

from stands.app import bearer, token
from stands.panel import WORKSPACE
from stands.tenants import settle, talk
from switchboard.settings import Settings


@pytest.fixture
def us(settings: Settings) -> dict[str, str]:
    """The headers of a program of the first workspace."""
    return bearer(token(settings, "support", WORKSPACE, subject="program"))


async def get(client: httpx.AsyncClient, path: str, who: dict[str, str], **query: Any) -> dict[str, Any]:
    answer = await client.get(path, params=query, headers=who)
    assert answer.status_code == 200, answer.text
    return answer.json()


def titles(page: dict[str, Any]) -> list[str]:
    return [row["title"] for row in page["conversations"]]


async def test_lists_go_on_where_they_ended_and_filter(
    client: httpx.AsyncClient, sql: asyncpg.Connection, us: dict[str, str]
) -> None:
    for number in range(5):
        await talk(sql, WORKSPACE, f"n{number}", customer=f"u{number % 2}-{number}")
    await talk(sql, WORKSPACE, "photo", platform="streamlit", customer="u9")
    await sql.execute("update conversations set last_message_at = now() + id * interval '1 second'")
    await settle(sql, "Theirs")
    page = await get(client, "/api/conversations/", us, limit=4)
    assert (titles(page), page["count"]) == (["photo", "n4", "n3", "n2"], 4)
    rest = await get(client, "/api/conversations/", us, limit=4, cursor=page["next_cursor"])
    assert (titles(rest), rest["next_cursor"]) == (["n1", "n0"], None)
    assert titles(await get(client, "/api/conversations", us, user_id="u9")) == ["photo"]
    assert titles(await get(client, "/api/conversations", us, user_id="u9", platform="api")) == []
    assert titles(await get(client, "/api/conversations", us, user_id="u9", q="photo")) == ["photo"]
    assert titles(await get(client, "/api/conversations", us, user_id="u9", q="elsewhere")) == []
    assert titles(await get(client, "/api/conversations", us, platform="streamlit")) == ["photo"]
    assert titles(await get(client, "/api/conversations", us, q="n3")) == ["n3"]
    await sql.execute("update conversations set lifecycle = 'closed' where title = 'n1'")
    assert titles(await get(client, "/api/conversations", us, status="closed")) == ["n1"]
    assert titles(await get(client, "/api/conversations", us, handler="human")) == []
    assert titles(await get(client, "/api/conversations", us, status="active", handler="human")) == []


@pytest.mark.parametrize(
    ("path", "query", "field"),
    [
        ("/api/conversations", {"cursor": "nonsense"}, "cursor"),
        ("/api/conversations", {"cursor": "WyJkZWxldGVkIiwieCIsMV0"}, "cursor"),  # ["deleted","x",1]
        ("/api/conversations/deleted", {"cursor": "WyJkZWxldGVkIiwieCIsMV0"}, "cursor"),  # no moment
        ("/api/conversations", {"limit": 0}, "limit"),
        ("/api/conversations", {"limit": 201}, "limit"),
        ("/api/conversations", {"status": "new"}, "status"),
        ("/api/messages", {"role": "bot"}, "role"),
        ("/api/messages", {"cursor": "WyJzZXEiLDFd"}, "cursor"),  # ["seq",1]
        ("/api/messages/by_conversation", {}, "conversation_id"),
        ("/api/messages/by_conversation", {"conversation_id": "seven"}, "conversation_id"),
    ],
)
async def test_bad_questions_are_told_what_is_wrong(
    client: httpx.AsyncClient, us: dict[str, str], path: str, query: dict[str, Any], field: str
) -> None:
    answer = await client.get(path, params=query, headers=us)
    assert answer.status_code == 422, answer.text
    assert field in str(answer.json()["errors"])


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_title_and_agent_are_changed_and_the_rest_stays(
    client: httpx.AsyncClient, sql: asyncpg.Connection, us: dict[str, str], method: str
) -> None:
    conversation, _, _ = await talk(sql, WORKSPACE, "before")
    agent = await sql.fetchval("insert into agents (workspace_id, name) values (1, 'Other') returning id")
    path = f"/api/conversations/{conversation}/"

    async def change(status: int = 200, **body: Any) -> dict[str, Any]:
        answer = await client.request(method, path, json=body, headers=us)
        assert answer.status_code == status, answer.text
        return answer.json()

    found = await change(title="after")
    assert (found["title"], found["agent_id"]) == ("after", None)
    found = await change(agent=agent)
    assert (found["title"], found["agent_id"]) == ("after", agent)
    found = await change(agent=None, title=None)
    assert (found["title"], found["agent_id"]) == (None, 1), "without an agent the default one answers"
    assert await change() | {"updated_at": ""} == found | {"updated_at": ""}
    theirs = await settle(sql, "Theirs")
    assert "agent" in (await change(422, agent=theirs.agent))["detail"]
    for wrong in ({"title": "x" * 501}, {"agent": 0}, {"priority": 9}, {"title": 7}):
        told = await change(422, **wrong)
        assert next(iter(wrong)) in str(told["errors"])
    form = await client.request(method, path, data={"title": "by form"}, headers=us)
    assert form.json()["title"] == "by form"


async def test_deleting_hides_and_an_owner_restores(
    client: httpx.AsyncClient, sql: asyncpg.Connection, us: dict[str, str], settings: Settings
) -> None:
    conversation, question, _ = await talk(sql, WORKSPACE, "mine")
    path = f"/api/conversations/{conversation}"
    gone = await client.delete(f"{path}/", headers=us)
    assert (gone.status_code, gone.content) == (204, b"")
    for hidden in (path, f"{path}/messages", f"/api/messages/{question}", f"/admin/conversations/{conversation}"):
        assert (await client.get(hidden, headers=us)).status_code == 404, hidden
    by_query = await client.get("/api/messages/by_conversation", params={"conversation_id": conversation}, headers=us)
    assert by_query.status_code == 404
    assert (await client.delete(path, headers=us)).status_code == 404
    for listing in ("/api/conversations", "/api/messages", "/api/v1/ai/sessions", "/admin/conversations?q=mine"):
        assert (await get(client, listing, us))["count"] == 0, listing
    assert (await get(client, "/admin/stats", us))["stats"]["total_conversations"] == 0
    owner = bearer(token(settings, "owner", WORKSPACE))
    (listed,) = (await get(client, "/api/conversations/deleted", owner))["conversations"]
    assert listed["id"] == conversation
    assert listed["deleted_at"] < listed["restorable_until"]
    assert (await get(client, "/api/conversations/deleted", us))["count"] == 0
    assert (await client.post(f"{path}/restore/", headers=us)).status_code == 403
    back = await client.post(f"{path}/restore/", headers=owner)
    assert (back.status_code, back.json()["conversation"]["id"]) == (200, conversation)
    assert (await get(client, path, us))["title"] == "mine"
    assert (await get(client, f"{path}/messages", us))["count"] == 2
    actions = await sql.fetch("select action from audit order by id")
    assert [row["action"] for row in actions] == ["conversation.deleted", "conversation.restored"]


async def test_messages_of_all_conversations_newest_first(
    client: httpx.AsyncClient, sql: asyncpg.Connection, us: dict[str, str], settings: Settings
) -> None:
    first = await talk(sql, WORKSPACE, "first")
    second = await talk(sql, WORKSPACE, "second")
    theirs = await settle(sql, "Theirs")
    page = await get(client, "/api/messages/", us, limit=3)
    assert [row["content"] for row in page["messages"]] == ["second answers", "second asks", "first answers"]
    assert [row["role"] for row in page["messages"]] == ["assistant", "user", "assistant"]
    rest = await get(client, "/api/messages/", us, limit=3, cursor=page["next_cursor"])
    assert ([row["id"] for row in rest["messages"]], rest["next_cursor"]) == ([first[1]], None)
    asked = await get(client, "/api/messages/", us, role="user")
    assert [row["content"] for row in asked["messages"]] == ["second asks", "first asks"]
    one = await get(client, f"/api/messages/{second[2]}/", us)
    assert (one["role"], one["sender_type"], one["content"]) == ("assistant", "bot", "second answers")
    assert {"input_tokens", "output_tokens", "cost"} <= one.keys()
    assert (await client.get(f"/api/messages/{theirs.question}", headers=us)).status_code == 404
    everybody = await get(client, "/api/messages/", bearer(token(settings)))
    assert everybody["count"] == 6


async def test_messages_of_one_conversation_by_either_address(
    client: httpx.AsyncClient, sql: asyncpg.Connection, us: dict[str, str]
) -> None:
    conversation, _, _ = await talk(sql, WORKSPACE, "mine")
    await sql.execute(
        "insert into messages (workspace_id, conversation_id, seq, sender_type, content)"
        " select 1, $1, n, 'system', n::text from generate_series(3, 5) n",
        conversation,
    )
    for path, query in (
        (f"/api/conversations/{conversation}/messages/", {}),
        ("/api/messages/by_conversation/", {"conversation_id": conversation}),
    ):
        page = await get(client, path, us, limit=2, **query)
        assert [row["seq"] for row in page["messages"]] == [4, 5]
        older = await get(client, path, us, limit=2, cursor=page["next_cursor"], **query)
        assert [row["seq"] for row in older["messages"]] == [2, 3]
        oldest = await get(client, path, us, limit=2, cursor=older["next_cursor"], **query)
        assert ([row["seq"] for row in oldest["messages"]], oldest["next_cursor"]) == ([1], None)
        newer = await get(client, path, us, after_seq=3, **query)
        assert [row["seq"] for row in newer["messages"]] == [4, 5]
    assert (await client.get("/api/messages/by_conversation/?conversation_id=999", headers=us)).status_code == 404
