"""Agents over HTTP, on both transports, and how they answer."""

import asyncio
from typing import Any

import asyncpg
import httpx
import pytest

from stands.app import bearer, token
from stands.problems import check_problem
from stands.shop import Shop
from switchboard.database.postgres import Postgres
from switchboard.knowledge.put import put_document


async def ask(
    shop: Shop, method: str, path: str, body: Any = None, role: Any = "owner", workspace: int = 1
) -> httpx.Response:
    """The response to somebody with a role in a workspace."""
    headers = bearer(token(shop.settings, role, workspace, subject=f"{role} {workspace}"))
    return await shop.client.request(method, path, json=body, headers=headers)


async def does(shop: Shop, method: str, path: str, body: Any = None, **who: Any) -> Any:
    """What an owner is answered where all is well."""
    answer = await ask(shop, method, path, body, **who)
    assert answer.status_code in (200, 201), answer.text
    return answer.json()


async def says(shop: Shop, text: str, **conversation: Any) -> dict[str, Any]:
    """The reply to somebody who has just begun."""
    opened = await shop.client.post("/api/conversations", json=conversation)
    assert opened.status_code == 201, opened.text
    said = await shop.client.post("/api/messages", json={"conversation": opened.json()["id"], "content": text})
    assert said.status_code == 201, said.text
    return {**said.json()["reply"], "of": opened.json()["agent_id"]}


@pytest.fixture
async def other(sql: asyncpg.Connection, shop: Shop) -> int:
    """Another workspace."""
    made: int = await sql.fetchval("insert into workspaces (name) values ('Other') returning id")
    return made


async def test_an_agent_from_the_first_to_the_last(shop: Shop, sql: asyncpg.Connection) -> None:
    made = await ask(shop, "POST", "/api/agents/", {"name": " Bea ", "role": "barista", "system_prompt": "One."})
    assert made.status_code == 201, made.text
    agent = made.json()
    path = f"/api/agents/{agent['id']}/"
    assert made.headers["location"] == path.rstrip("/")
    assert (agent["name"], agent["prompt_version"], agent["model"], agent["knowledge_documents"]) == (
        "Bea",
        1,
        None,
        None,
    )
    assert (agent["is_public"], agent["is_default"], agent["channels"], agent["created_by"]) == (
        False,
        False,
        [],
        "owner 1",
    )
    changed = await does(shop, "PATCH", path, {"system_prompt": "Two.", "temperature": 0.5})
    assert (changed["prompt_version"], changed["temperature"], changed["role"]) == (2, 0.5, "barista")
    same = await does(shop, "PATCH", path, {"system_prompt": "Two.", "max_tokens": 100})
    assert (same["prompt_version"], same["max_tokens"]) == (2, 100)
    whole = await does(shop, "PUT", path, {"name": "Bea", "system_prompt": "Three."})
    assert (whole["prompt_version"], whole["temperature"], whole["role"]) == (3, None, "")
    versions = (await does(shop, "GET", f"{path}prompts/", role="viewer"))["versions"]
    assert [(one["version"], one["system_prompt"], one["created_by"]) for one in versions] == [
        (3, "Three.", "owner 1"), (2, "Two.", "owner 1"), (1, "One.", "owner 1"),
    ]  # fmt: skip
    listed = (await does(shop, "GET", "/api/agents/", role="viewer"))["agents"]
    assert [one["name"] for one in listed] == ["Bea", "the assistant"]
    assert (await ask(shop, "DELETE", path)).status_code == 204
    check_problem(await ask(shop, "GET", path), 404)
    types = [row[0] for row in await sql.fetch("select type from events where type like 'agent.%' order by id")]
    assert types == ["agent.created", "agent.changed", "agent.changed", "agent.changed", "agent.deleted"]


async def test_it_answers_where_it_is_named_and_its_messages_say_so(shop: Shop) -> None:
    told = {"name": "Bea", "role": "barista", "system_prompt": "Speak of coffee.", "model": "openai:gpt-4.1"}
    agent = await does(shop, "POST", "/api/agents", {**told, "temperature": 0.25, "max_tokens": 77})
    reply = await says(shop, "When are you open?", agent=agent["id"])
    assert (reply["of"], reply["agent_id"], reply["agent_prompt_version"]) == (agent["id"], agent["id"], 1)
    sent = shop.llm.calls[-1].body
    assert (sent["model"], sent["temperature"]) == ("gpt-4.1", 0.25)
    assert "Your role: barista\n\nSpeak of coffee." in str(sent["messages"][0]["content"])
    await does(shop, "PATCH", f"/api/agents/{agent['id']}", {"system_prompt": "Speak of tea."})
    reply = await says(shop, "When are you open?", agent=agent["id"])
    assert reply["agent_prompt_version"] == 2
    # Nobody is named: the default, whose versions are its own.
    reply = await says(shop, "When are you open?")
    assert (reply["of"] != agent["id"], reply["agent_prompt_version"]) == (True, 1)


async def test_defaults(shop: Shop, sql: asyncpg.Connection) -> None:
    first = (await does(shop, "GET", "/api/agents"))["agents"][0]
    web = await does(shop, "POST", "/api/agents", {"name": "Web", "channels": ["web", "facebook"]})
    api = await does(shop, "POST", "/api/agents", {"name": "Api", "is_default": True})
    assert web["channels"] == ["facebook", "web"]
    assert (await does(shop, "GET", f"/api/agents/{first['id']}"))["is_default"] is False

    async def answering(platform: str) -> int:
        return (await says(shop, "When are you open?", platform=platform))["agent_id"]

    assert (await answering("web"), await answering("api")) == (web["id"], api["id"])
    await shop.hears("When are you open?")
    query = (
        "select c.agent_id from conversations c join channels ch on ch.id = c.channel_id and ch.platform = 'messenger'"
    )
    assert await shop.until(lambda: sql.fetchval(query)) == web["id"]
    # Moving on: what one agent takes, the other loses.
    await does(shop, "PATCH", f"/api/agents/{api['id']}", {"channels": ["web"]})
    assert (await does(shop, "GET", f"/api/agents/{web['id']}"))["channels"] == ["facebook"]
    assert await answering("web") == api["id"]
    refused = await ask(shop, "PATCH", f"/api/agents/{api['id']}", {"channels": ["instagram"]})
    assert check_problem(refused, 422) == "channels: no account on instagram is connected."
    kept = await does(shop, "PUT", f"/api/agents/{api['id']}", {"name": "Api"})
    assert (kept["is_default"], kept["channels"]) == (True, ["web"])
    chat = await shop.client.post("/api/v1/chat/start", json={})
    assert chat.status_code == 201
    assert await sql.fetchval("select agent_id from conversations order by id desc limit 1") == api["id"]


async def test_one_in_use_is_archived_and_answers_no_new_conversations(shop: Shop) -> None:
    first = (await does(shop, "GET", "/api/agents"))["agents"][0]
    agent = await does(shop, "POST", "/api/agents", {"name": "Bea", "channels": ["web"], "is_default": True})
    path = f"/api/agents/{agent['id']}"
    opened = (await shop.client.post("/api/conversations", json={"agent": agent["id"]})).json()
    archived = await ask(shop, "DELETE", path)
    assert archived.status_code == 200
    assert (archived.json()["archived_at"] is not None, archived.json()["channels"]) == (True, [])
    assert [one["id"] for one in (await does(shop, "GET", "/api/agents"))["agents"]] == [first["id"]]
    assert [one["id"] for one in (await does(shop, "GET", "/api/agents?archived=true"))["agents"]] == [agent["id"]]
    refused = await shop.client.post("/api/conversations", json={"agent": agent["id"]})
    check_problem(refused, 422)
    assert refused.json()["errors"][0]["field"] == "agent"
    said = await shop.client.post("/api/messages", json={"conversation": opened["id"], "content": "When are you open?"})
    assert said.json()["reply"]["agent_id"] == agent["id"]
    assert (await says(shop, "When are you open?"))["of"] is None
    assert "archived" in check_problem(await ask(shop, "PATCH", path, {"is_default": True}), 409)
    back = await does(shop, "PATCH", path, {"archived": False, "is_default": True})
    assert (back["archived_at"], back["is_default"]) == (None, True)
    assert (await says(shop, "When are you open?"))["of"] == agent["id"]


async def test_only_its_documents_are_answered_from(shop: Shop, postgres: Postgres) -> None:
    menu = await put_document(postgres, 1, "Menu", "Soup costs five euros today.")
    rules = await put_document(postgres, 1, "Rules", "Soup may be taken outside.")
    agent = await does(shop, "POST", "/api/agents", {"name": "Menu", "knowledge_documents": [menu]})
    for told, found in (([menu], {"Menu"}), ([rules, menu], {"Menu", "Rules"}), ([], set()), (None, {"Menu", "Rules"})):
        await does(shop, "PATCH", f"/api/agents/{agent['id']}", {"knowledge_documents": told})
        reply = await says(shop, "What does soup cost?", agent=agent["id"])
        assert {one["title"] for one in reply["metadata"].get("sources", [])} == found, told


async def test_public_ones_are_seen_and_used_by_all_and_changed_by_their_owners(
    shop: Shop, other: int, sql: asyncpg.Connection
) -> None:
    document = await sql.fetchval(
        "insert into knowledge_documents (workspace_id, title, kind) values ($1, 'x', 'text') returning id", other
    )
    theirs = await does(
        shop,
        "POST",
        "/api/agents",
        {"name": "Theirs", "knowledge_documents": [document], "is_default": True},
        workspace=other,
    )
    path = f"/api/agents/{theirs['id']}"
    for method, body in (("GET", None), ("PATCH", {"name": "x"}), ("PUT", {"name": "x"}), ("DELETE", None)):
        assert check_problem(await ask(shop, method, path, body), 404) == "There is no such agent."
    check_problem(await shop.client.post("/api/conversations", json={"agent": theirs["id"]}), 422)

    await does(shop, "PATCH", path, {"is_public": True}, workspace=other)
    seen = await does(shop, "GET", path, role="viewer")
    assert (seen["name"], seen["knowledge_documents"], seen["is_default"], seen["created_by"]) == (
        "Theirs",
        None,
        False,
        None,
    )
    assert theirs["id"] in [one["id"] for one in (await does(shop, "GET", "/api/agents"))["agents"]]
    for method, body in (("PATCH", {"name": "x"}), ("PUT", {"name": "x"}), ("DELETE", None)):
        check_problem(await ask(shop, method, path, body), 403)
    check_problem(await ask(shop, "GET", f"{path}/prompts"), 404)
    reply = await says(shop, "When are you open?", agent=theirs["id"])
    assert reply["agent_id"] == theirs["id"]
    # Its choice of documents is among its own; here it has all of ours.
    assert [one["title"] for one in reply["metadata"]["sources"]] == ["Opening hours"]
    await sql.execute("delete from workspaces where id = $1", other)
    assert await sql.fetchval("select agent_id from conversations order by id desc limit 1") is None


async def test_what_is_wrong_is_named(shop: Shop, other: int, sql: asyncpg.Connection) -> None:
    document = await sql.fetchval(
        "insert into knowledge_documents (workspace_id, title, kind) values ($1, 'x', 'text') returning id", other
    )
    for body, field, named in (
        ({"role": "x"}, "name", "required"),
        ({"name": " "}, "name", ""),
        ({"name": "x" * 201}, "name", "200"),
        ({"name": "x", "model": "gpt"}, "model", ""),
        ({"name": "x", "model": "mistral:small"}, "model", "Usable here: extractive, openai."),
        ({"name": "x", "model": "nobody:x"}, "model", "Usable here: extractive, openai."),
        ({"name": "x", "model": "extractive:gpt"}, "model", "extractive:quote"),
        ({"name": "x", "temperature": 2.1}, "temperature", "2"),
        ({"name": "x", "max_tokens": 0}, "max_tokens", "1"),
        ({"name": "x", "system_prompt": "x" * 20_001}, "system_prompt", "20000"),
        ({"name": "x", "knowledge_documents": [document]}, "knowledge_documents", f"no document {document}"),
        ({"name": "x", "channels": ["instagram"]}, "channels", "no account on instagram"),
        ({"name": "x", "nmae": "x"}, "nmae", ""),
    ):
        refused = await ask(shop, "POST", "/api/agents", body)
        check_problem(refused, 422)
        (error,) = refused.json()["errors"]
        assert (error["field"].partition(".")[0], named in error["message"]) == (field, True), refused.text
    assert await sql.fetchval("select count(*) from agents") == 1
    agent = (await does(shop, "GET", "/api/agents"))["agents"][0]
    for change in ({"name": None}, {"system_prompt": None}, {"is_default": None}, {"name": ""}):
        check_problem(await ask(shop, "PATCH", f"/api/agents/{agent['id']}", change), 422)


async def test_a_workspaces_own_key_makes_its_provider_usable_unless_public(
    shop: Shop, sql: asyncpg.Connection
) -> None:
    await sql.execute("insert into provider_keys (workspace_id, provider, sealed) values (1, 'mistral', 'x')")
    made = await does(shop, "POST", "/api/agents", {"name": "x", "model": "mistral:small"})
    refused = await ask(shop, "PATCH", f"/api/agents/{made['id']}", {"is_public": True})
    assert "Usable here: extractive, openai." in check_problem(refused, 422)


async def test_prompts_written_at_once_are_versions_one_after_the_other(shop: Shop) -> None:
    made = await does(shop, "POST", "/api/agents", {"name": "x"})
    path = f"/api/agents/{made['id']}"
    await asyncio.gather(
        *(does(shop, "PATCH", path, {"system_prompt": f"Prompt {n}", "is_default": n % 2 == 0}) for n in range(20))
    )
    versions = (await does(shop, "GET", f"{path}/prompts"))["versions"]
    assert [one["version"] for one in versions] == list(range(21, 0, -1))
    assert len({one["system_prompt"] for one in versions}) == 21
    page = await does(shop, "GET", f"{path}/prompts?limit=5")
    rest = await does(shop, "GET", f"{path}/prompts?limit=200&cursor={page['next_cursor']}")
    assert len(page["versions"] + rest["versions"]) == 21
