"""Who may do what: every endpoint of the OpenAPI document, asked by everybody.

A new endpoint fails here until somebody has said who may use it.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import asyncpg
import httpx
import pytest

from stands.app import bearer, token
from stands.tenants import Tenant, settle, talk
from switchboard.auth import make_api_key
from switchboard.settings import Settings

Who = Literal["nobody", "stranger", "viewer", "support", "owner", "admin"]
EVERYBODY: tuple[Who, ...] = ("nobody", "stranger", "viewer", "support", "owner", "admin")
RANDOM_ID = 4_503_599_627_370_495


@dataclass(frozen=True)
class Rule:
    """Statuses in the order of `EVERYBODY`, and a body that the endpoint takes; ``{conversation}`` is filled in."""

    statuses: tuple[int, int, int, int, int, int]
    body: Mapping[str, Any] | None = None
    query: Mapping[str, str] = field(default_factory=dict[str, str])


def reads(ok: int = 200) -> Rule:
    """One thing of a workspace, which everybody in it may see."""
    return Rule((401, 404, ok, ok, ok, ok))


def lists() -> Rule:
    """A list: strangers get their own."""
    return Rule((401, 200, 200, 200, 200, 200))


def changes(body: Mapping[str, Any] | None = None, ok: int = 200) -> Rule:
    """What support and above may do."""
    return Rule((401, 404, 403, ok, ok, ok), body)


OPEN = Rule((200, 200, 200, 200, 200, 200))
SIGNED = Rule((403, 403, 403, 403, 403, 403), {"object": "page", "entry": []})
"""A token is worth nothing where the channel's signature counts."""

RULES: dict[str, Rule] = {
    "GET /webhook": Rule(SIGNED.statuses),
    "POST /webhook": SIGNED,
    "GET /webhooks/messenger": Rule(SIGNED.statuses),
    "POST /webhooks/messenger": SIGNED,
    "GET /webhooks/instagram": Rule(SIGNED.statuses),
    "POST /webhooks/instagram": SIGNED,
    "GET /admin/conversations": lists(),
    "GET /admin/conversations/{conversation_id}": reads(),
    "GET /admin/conversations/{conversation_id}/messages": reads(),
    "POST /admin/conversations/{conversation_id}/messages": changes({"content": "x"}, ok=201),
    "POST /admin/conversations/{conversation_id}/close": changes(),
    "POST /admin/conversations/{conversation_id}/reopen": changes(),
    "POST /admin/conversations/{conversation_id}/takeover": changes({"reason": "x"}),
    "POST /admin/conversations/{conversation_id}/handback": changes(),
    "POST /admin/conversations/{conversation_id}/assign": changes({"assigned_to": "x"}),
    "POST /admin/conversations/{conversation_id}/priority": changes({"priority": 5}),
    "POST /admin/messages/{message_id}/mark-human": changes(),
    "POST /admin/messages/{message_id}/mark-replied": changes(),
    "GET /admin/stats": lists(),
    "POST /api/conversations": changes({"workspace": "{workspace}"}, ok=201),
    "GET /api/conversations/{conversation_id}": reads(),
    "GET /api/conversations/{conversation_id}/messages": reads(),
    # 202: this service answers nothing by itself, and whoever asks so is not kept waiting.
    "POST /api/messages": changes({"conversation": "{conversation}", "content": "x"}, ok=202),
    "GET /health/live": OPEN,
    "GET /health/ready": OPEN,
    # Counts of all workspaces together.
    "GET /metrics": Rule((401, 403, 403, 403, 403, 200)),
}


@pytest.fixture
async def tenants(sql: asyncpg.Connection, client: httpx.AsyncClient) -> tuple[Tenant, Tenant]:
    return await settle(sql, "OursOurs"), await settle(sql, "TheirsTheirs")


def endpoints(document: Mapping[str, Any]) -> Iterator[str]:
    for path, operations in document["paths"].items():
        for method in operations:
            yield f"{method.upper()} {path}"


def keys(settings: Settings, ours: Tenant, theirs: Tenant) -> dict[Who, dict[str, str]]:
    return {
        "nobody": {},
        "stranger": bearer(token(settings, "owner", theirs.workspace)),
        "viewer": bearer(token(settings, "viewer", ours.workspace)),
        "support": bearer(token(settings, "support", ours.workspace)),
        "owner": bearer(token(settings, "owner", ours.workspace)),
        "admin": bearer(token(settings, "admin")),
    }


async def ask(
    client: httpx.AsyncClient, endpoint: str, rule: Rule, headers: Mapping[str, str], ids: Mapping[str, int]
) -> httpx.Response:
    """The endpoint's answer about the things with these ids."""
    method, path = endpoint.split(" ")
    body = None
    if rule.body is not None:
        body = {name: ids.get(str(value).strip("{}"), value) for name, value in rule.body.items()}
    path = path.format(conversation_id=ids["conversation"], message_id=ids["message"])
    waiting = {"prefer": "respond-async"}
    return await client.request(method, path, json=body, params=rule.query, headers={**waiting, **headers})


async def test_every_endpoint_has_a_rule(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    assert set(endpoints(document)) == RULES.keys()


async def test_everybody_may_do_what_the_rules_say(
    client: httpx.AsyncClient, settings: Settings, sql: asyncpg.Connection, tenants: tuple[Tenant, Tenant]
) -> None:
    ours, theirs = tenants
    wrong: list[str] = []
    for endpoint, rule in RULES.items():
        for (who, headers), expected in zip(keys(settings, ours, theirs).items(), rule.statuses, strict=True):
            # A conversation of its own for each, so that one's doing is not another's refusal.
            conversation, question, _ = await talk(sql, ours.workspace, ours.mark)
            ids = {"conversation": conversation, "message": question, "workspace": ours.workspace}
            answer = await ask(client, endpoint, rule, headers, ids)
            if answer.status_code != expected:
                wrong.append(f"{endpoint} asked by {who}: {answer.status_code} {answer.text[:200]}")
            if who == "stranger" and ours.mark in answer.text:
                wrong.append(f"{endpoint} tells a stranger: {answer.text[:200]}")
            if answer.status_code >= 400 and rule is not OPEN:
                assert answer.headers["content-type"] == "application/problem+json", endpoint
                assert answer.json()["success"] is False
            if answer.status_code == 401:
                assert answer.headers["www-authenticate"] == "Bearer"
    assert wrong == []


async def test_what_is_refused_has_changed_nothing(
    client: httpx.AsyncClient, settings: Settings, sql: asyncpg.Connection, tenants: tuple[Tenant, Tenant]
) -> None:
    ours, theirs = tenants
    ids = {"conversation": ours.conversation, "message": ours.question, "workspace": ours.workspace}
    before = await count_everything(sql)
    for endpoint, rule in RULES.items():
        for (_, headers), status in zip(keys(settings, ours, theirs).items(), rule.statuses, strict=True):
            if status >= 400:
                await ask(client, endpoint, rule, headers, ids)
    assert await count_everything(sql) == before


async def test_what_belongs_to_others_looks_like_what_is_not_there(
    client: httpx.AsyncClient, settings: Settings, tenants: tuple[Tenant, Tenant]
) -> None:
    ours, theirs = tenants
    stranger = keys(settings, ours, theirs)["stranger"]
    real = {"conversation": ours.conversation, "message": ours.question, "workspace": ours.workspace}
    made_up = dict.fromkeys(real, RANDOM_ID)
    compared = 0
    for endpoint, rule in RULES.items():
        if rule.statuses[1] != 404:
            continue
        answers = [await ask(client, endpoint, rule, stranger, ids) for ids in (real, made_up)]
        bodies = [{**answer.json(), "request_id": ""} for answer in answers]
        assert bodies[0] == bodies[1], endpoint
        assert [answer.status_code for answer in answers] == [404, 404]
        names = [[name for name in answer.headers if name != "date"] for answer in answers]
        assert names[0] == names[1], endpoint
        compared += 1
    assert compared > 10


async def test_api_keys_open_what_their_role_opens(
    client: httpx.AsyncClient, sql: asyncpg.Connection, tenants: tuple[Tenant, Tenant]
) -> None:
    ours, theirs = tenants
    expected: dict[tuple[str, int | None], tuple[int, int, int]] = {
        ("viewer", ours.workspace): (200, 403, 403),
        ("support", ours.workspace): (200, 200, 403),
        ("owner", theirs.workspace): (404, 404, 403),
        ("admin", None): (200, 200, 200),
    }
    for (role, workspace), statuses in expected.items():
        key, prefix, key_hash = make_api_key()
        await sql.execute(
            "insert into api_keys (workspace_id, name, prefix, key_hash, role) values ($1, 'k', $2, $3, $4)",
            *(workspace, prefix, key_hash, role),
        )
        path = f"/admin/conversations/{ours.conversation}"
        answers = [
            await client.get(path, headers=bearer(key)),
            await client.post(f"{path}/priority", json={"priority": 3}, headers=bearer(key)),
            await client.get("/metrics", headers=bearer(key)),
        ]
        assert tuple(answer.status_code for answer in answers) == statuses, role


async def test_lists_and_numbers_are_the_callers_own(
    client: httpx.AsyncClient, settings: Settings, sql: asyncpg.Connection, tenants: tuple[Tenant, Tenant]
) -> None:
    ours, theirs = tenants
    for _ in range(3):
        await talk(sql, ours.workspace, ours.mark)
    for tenant, other, conversations in ((ours, theirs, 4), (theirs, ours, 1)):
        headers = bearer(token(settings, "viewer", tenant.workspace))
        for query in ("", "?q=asks", "?status=all&sort=priority", "?sort=created_at&platform=api"):
            found = (await client.get(f"/admin/conversations{query}", headers=headers)).json()
            assert found["count"] == conversations
            assert other.mark not in json.dumps(found)
        stats = (await client.get("/admin/stats", headers=headers)).json()["stats"]
        assert (stats["total_conversations"], stats["total_messages"]) == (conversations, 2 * conversations)


async def count_everything(sql: asyncpg.Connection) -> dict[str, Any]:
    """Rows and their versions, table by table."""
    names = await sql.fetch(
        "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')"
    )
    return {
        name: await sql.fetchval(f"select coalesce(string_agg(ctid::text || xmin, ' ' order by ctid), '') from {name}")
        for (name,) in names
    }
