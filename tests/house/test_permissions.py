"""Who may do what: every endpoint of the OpenAPI document, asked by everybody.

A new endpoint fails here until somebody has said who may use it.
"""

import asyncio
import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import asyncpg
import httpx
import pytest

from stands.app import bearer, token
from stands.tenants import Tenant, judge, keep_export, settle, talk
from switchboard import clock
from switchboard.auth import Guest, make_api_key, shared_secret
from switchboard.auth.guest_tokens import GuestTokens
from switchboard.settings import Settings

Who = Literal["nobody", "stranger", "viewer", "support", "owner", "admin", "guest", "other guest"]
EVERYBODY: tuple[Who, ...] = ("nobody", "stranger", "viewer", "support", "owner", "admin", "guest", "other guest")
CAPABILITIES = '{"tools": true, "temperature": true, "streaming": true}'
RANDOM_ID = 4_503_599_627_370_495


@dataclass(frozen=True)
class Rule:
    """Statuses in the order of `EVERYBODY`, and a body that the endpoint takes; ``{conversation}`` is filled in.

    ``guest``: for a visitor whose token is for this very conversation, and for one with another of the workspace.
    """

    told: tuple[int, int, int, int, int, int]
    body: Mapping[str, Any] | None = None
    query: Mapping[str, str] = field(default_factory=dict[str, str])
    guest: int = 403

    @property
    def statuses(self) -> tuple[int, ...]:
        """In the order of `EVERYBODY`."""
        return (*self.told, self.guest, self.guest)


def reads(ok: int = 200, query: Mapping[str, str] | None = None) -> Rule:
    """One thing of a workspace, which everybody in it may see."""
    return Rule((401, 404, ok, ok, ok, ok), query=query or {})


def lists() -> Rule:
    """A list: strangers get their own."""
    return Rule((401, 200, 200, 200, 200, 200))


def changes(body: Mapping[str, Any] | None = None, ok: int = 200) -> Rule:
    """What support and above may do."""
    return Rule((401, 404, 403, ok, ok, ok), body)


def visits(body: Mapping[str, Any] | None = None, ok: int = 200) -> Rule:
    """What a visitor may do in the conversation of their token, and nobody else."""
    return Rule((401, 403, 403, 403, 403, 403), body, guest=ok)


OPEN = Rule((200, 200, 200, 200, 200, 200), guest=200)
SIGNED = Rule((403, 403, 403, 403, 403, 403), {"object": "page", "entry": []})
"""A token is worth nothing where the channel's signature counts."""

RULES: dict[str, Rule] = {
    "GET /webhook": Rule(SIGNED.told),
    "POST /webhook": SIGNED,
    "GET /webhooks/messenger": Rule(SIGNED.told),
    "POST /webhooks/messenger": SIGNED,
    "GET /webhooks/instagram": Rule(SIGNED.told),
    "POST /webhooks/instagram": SIGNED,
    "POST /webhooks/telegram": SIGNED,
    # The signature in its link counts, whoever has it.
    "GET /attachments/{attachment_id}": Rule(SIGNED.told),
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
    "GET /admin/flags": lists(),
    "GET /api/corrections": lists(),
    "POST /admin/messages/{message_id}/correct": changes({"content": "x"}, ok=201),
    "POST /admin/flags/{flag_id}/claim": changes(),
    "POST /admin/flags/{flag_id}/resolve": changes({"outcome": "dismissed"}),
    "GET /api/agents": lists(),
    "POST /api/agents": Rule((401, 404, 403, 403, 201, 201), {"workspace": "{workspace}", "name": "x"}),
    "GET /api/agents/{agent_id}": reads(),
    "GET /api/agents/{agent_id}/prompts": reads(),
    "PUT /api/agents/{agent_id}": Rule((401, 404, 403, 403, 200, 200), {"name": "x"}),
    "PATCH /api/agents/{agent_id}": Rule((401, 404, 403, 403, 200, 200), {"name": "x"}),
    # Nothing uses it, so it is gone; one that is used would be archived and shown (200).
    "DELETE /api/agents/{agent_id}": Rule((401, 404, 403, 403, 204, 204)),
    # The same for all workspaces.
    "GET /api/models": lists(),
    "GET /api/models/{model_id}": Rule((401, 200, 200, 200, 200, 200)),
    "GET /api/ratings": lists(),
    # What people think is their own, whatever their role: each of these asks for one of theirs.
    "POST /api/ratings": Rule((401, 404, 201, 201, 201, 201), {"message": "{answer}", "score": 5}),
    "GET /api/ratings/by_message": reads(query={"message_id": "{answer}"}),
    "GET /api/ratings/summary": reads(query={"message_id": "{answer}"}),
    "GET /api/ratings/{rating_id}": reads(),
    "PUT /api/ratings/{rating_id}": Rule((401, 404, 200, 200, 200, 200), {"score": 4}),
    "PATCH /api/ratings/{rating_id}": Rule((401, 404, 200, 200, 200, 200), {"score": 4}),
    "DELETE /api/ratings/{rating_id}": reads(ok=204),
    "GET /api/flags": lists(),
    "POST /api/flags": Rule((401, 404, 201, 201, 201, 201), {"message": "{answer}", "flag_type": "outdated"}),
    "POST /api/flags/toggle": Rule((401, 404, 200, 200, 200, 200), {"message": "{answer}", "flag_type": "outdated"}),
    "GET /api/flags/by_message": reads(query={"message_id": "{answer}"}),
    "GET /api/flags/summary": reads(query={"message_id": "{answer}"}),
    "GET /api/flags/{flag_id}": reads(),
    "PUT /api/flags/{flag_id}": Rule((401, 404, 200, 200, 200, 200), {"flag_type": "off_topic"}),
    "PATCH /api/flags/{flag_id}": Rule((401, 404, 200, 200, 200, 200), {"comment": "x"}),
    "DELETE /api/flags/{flag_id}": reads(ok=204),
    "POST /api/conversations": changes({"workspace": "{workspace}"}, ok=201),
    "GET /api/conversations": lists(),
    "GET /api/conversations/deleted": lists(),
    "GET /api/conversations/{conversation_id}": reads(),
    "PUT /api/conversations/{conversation_id}": changes({"title": "x"}),
    "PATCH /api/conversations/{conversation_id}": changes({"title": "x"}),
    "DELETE /api/conversations/{conversation_id}": changes(ok=204),
    "POST /api/conversations/{conversation_id}/restore": Rule((401, 404, 403, 403, 200, 200)),
    "GET /api/conversations/{conversation_id}/messages": reads(),
    "GET /api/messages": lists(),
    "GET /api/messages/by_conversation": reads(query={"conversation_id": "{conversation}"}),
    "GET /api/messages/{message_id}": reads(),
    "GET /api/summaries": lists(),
    "POST /api/summaries": changes({"conversation": "{conversation}"}, ok=202),
    "GET /api/summaries/by_conversation": reads(query={"conversation_id": "{conversation}"}),
    "GET /api/summaries/{summary_id}": reads(),
    # 202: this service answers nothing by itself, and whoever asks so is not kept waiting.
    "POST /api/messages": changes({"conversation": "{conversation}", "content": "x"}, ok=202),
    "POST /api/v1/ai/ask": changes({"workspace": "{workspace}", "question": "x", "customer_id": "{unique}"}, ok=202),
    "GET /api/v1/ai/sessions": lists(),
    "GET /api/v1/ai/sessions/{session_id}": reads(),
    "POST /api/v1/ai/sessions/{session_id}/send": changes({"message": "x"}, ok=202),
    # Public; a token makes no difference.
    "POST /api/v1/chat/start": Rule((201, 201, 201, 201, 201, 201), {"workspace": "{workspace}"}, guest=201),
    "GET /api/v1/chat/messages": visits(),
    "POST /api/v1/chat/messages": visits({"content": "x"}, ok=202),
    # Whoever has but one workspace means it; a stranger gets, and sets, their own.
    "GET /api/v1/ai/config": lists(),
    "PUT /api/v1/ai/config": Rule((401, 200, 403, 403, 200, 200), {"quiet_seconds": 2}),
    "GET /api/v1/ai/config/prompts": lists(),
    "GET /api/v1/ai/default-handler": lists(),
    "PUT /api/v1/ai/default-handler": Rule((401, 200, 403, 403, 200, 200), {"default_reply_handler": "AI"}),
    "GET /api/v1/ai/conversations/{conversation_id}/status": reads(),
    "PUT /api/v1/ai/conversations/{conversation_id}/status": changes({"status": "support_active"}),
    # Says of each id what it may not; a status of 200 is for the list.
    "PUT /api/v1/ai/conversations/bulk-status": Rule(
        (401, 200, 200, 200, 200, 200), {"conversation_ids": "{conversation}", "status": "resolved"}
    ),
    "GET /api/v1/ai/usage/stats": lists(),
    "GET /api/v1/ai/usage/global": Rule((401, 403, 403, 403, 403, 200)),
    "GET /api/v1/ai/analytics": lists(),
    "GET /api/usage": lists(),
    "GET /api/trends": lists(),
    "GET /api/usage/summary": lists(),
    "GET /api/usage/daily": lists(),
    "GET /api/model-performance": lists(),
    "GET /api/knowledge": lists(),
    "POST /api/knowledge": changes({"workspace": "{workspace}", "title": "{unique}", "content": "x"}, ok=201),
    "POST /api/knowledge/search": Rule((401, 404, 200, 200, 200, 200), {"workspace": "{workspace}", "query": "x"}),
    "GET /api/knowledge/unanswered": lists(),
    "GET /api/knowledge/{document_id}": reads(),
    "PUT /api/knowledge/{document_id}": changes({"title": "{unique}", "content": "x"}),
    "DELETE /api/knowledge/{document_id}": changes(ok=204),
    # The keys and accounts of the installation.
    "GET /api/v1/ai/health": Rule((401, 403, 403, 403, 403, 200)),
    "POST /api/v1/ai/test": Rule((401, 403, 403, 403, 403, 200)),
    "POST /crm/ai-conversations/export": Rule((401, 404, 403, 403, 200, 200), {"workspace": "{workspace}"}),
    "POST /crm/ai-conversations/preview": Rule((401, 404, 403, 403, 200, 200), {"workspace": "{workspace}"}),
    "GET /crm/ai-conversations/statistics": Rule((401, 404, 403, 403, 200, 200), query={"workspace": "{workspace}"}),
    # Whoever has the file has it; nothing is looked up for it.
    "GET /api/exports": lists(),
    "POST /api/exports": changes({"assistant_id": "{agent}", "days": 7}, ok=202),
    # Each is one's own, whatever the role; the file is for support and above, and not ready yet.
    "GET /api/exports/{export_id}": reads(),
    "DELETE /api/exports/{export_id}": reads(ok=204),
    "GET /api/exports/{export_id}/download": changes(ok=409),
    "GET /api/exports/{export_id}/open": changes(ok=409),
    "POST /api/exports/verify": Rule((401, 200, 200, 200, 200, 200), {"anything": "else"}),
    "GET /health/live": OPEN,
    "GET /health/ready": OPEN,
    # Ends when all is told; strangers get what is theirs.
    "GET /api/events": Rule((401, 200, 200, 200, 200, 200), query={"after": "0", "follow": "false"}, guest=200),
    # Counts of all workspaces together.
    "GET /metrics": Rule((401, 403, 403, 403, 403, 200)),
}


@pytest.fixture
async def tenants(sql: asyncpg.Connection, client: httpx.AsyncClient) -> tuple[Tenant, Tenant]:
    await sql.execute("insert into models (provider, name, capabilities) values ('x', 'y', $1)", CAPABILITIES)
    return await settle(sql, "OursOurs"), await settle(sql, "TheirsTheirs")


def endpoints(document: Mapping[str, Any]) -> Iterator[str]:
    for path, operations in document["paths"].items():
        for method in operations:
            yield f"{method.upper()} {path}"


def keys(settings: Settings, ours: Tenant, theirs: Tenant, conversation: int) -> dict[Who, dict[str, str]]:
    """The headers of everybody; the guest's are for ``conversation``, the other guest's for another one of ours."""
    return {
        "nobody": {},
        "stranger": bearer(token(settings, "owner", theirs.workspace)),
        "viewer": bearer(token(settings, "viewer", ours.workspace)),
        "support": bearer(token(settings, "support", ours.workspace)),
        "owner": bearer(token(settings, "owner", ours.workspace)),
        "admin": bearer(token(settings, "admin")),
        "guest": visitor(settings, ours, conversation),
        "other guest": visitor(settings, ours, ours.conversation),
    }


def visitor(settings: Settings, ours: Tenant, conversation: int) -> dict[str, str]:
    """The headers of a visitor with this conversation."""
    made, _ = GuestTokens(lambda: shared_secret(settings), clock.now).make(Guest(ours.workspace, conversation))
    return bearer(made)


def ids_of(tenant: Tenant) -> dict[str, int]:
    """What the words in braces of rules and addresses stand for."""
    return {
        "conversation": tenant.conversation,
        "message": tenant.question,
        "answer": tenant.answer,
        "workspace": tenant.workspace,
        "document": tenant.document,
        "rating": tenant.rating,
        "flag": tenant.flag,
        "agent": tenant.agent,
        "summary": tenant.summary,
        "export": tenant.export,
    }


async def ask(
    client: httpx.AsyncClient, endpoint: str, rule: Rule, headers: Mapping[str, str], ids: Mapping[str, int]
) -> httpx.Response:
    """The endpoint's answer about the things with these ids."""
    method, path = endpoint.split(" ")
    body = None
    if rule.body is not None:
        body = {name: ids.get(str(value).strip("{}"), value) for name, value in rule.body.items()}
        body = {name: f"{uuid.uuid4()}" if value == "{unique}" else value for name, value in body.items()}
    # Nobody gets anywhere with the id of a file alone, so any will do.
    path = path.format(
        conversation_id=ids["conversation"],
        session_id=ids["conversation"],
        # Only what the AI said can be corrected.
        message_id=ids["answer" if path.endswith("/correct") else "message"],
        document_id=ids["document"],
        attachment_id=1,
        rating_id=ids["rating"],
        flag_id=ids["flag"],
        agent_id=ids["agent"],
        model_id=1,
        summary_id=ids["summary"],
        export_id=ids["export"],
    )
    query = {name: ids.get(value.strip("{}"), value) for name, value in rule.query.items()}
    waiting = {"prefer": "respond-async"}
    return await client.request(method, path, json=body, params=query, headers={**waiting, **headers})


async def test_every_endpoint_has_a_rule(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    assert set(endpoints(document)) == RULES.keys()


async def test_everybody_may_do_what_the_rules_say(
    client: httpx.AsyncClient, settings: Settings, sql: asyncpg.Connection, tenants: tuple[Tenant, Tenant]
) -> None:
    ours, theirs = tenants
    wrong: list[str] = []
    for endpoint, rule in RULES.items():
        for who, expected in zip(EVERYBODY, rule.statuses, strict=True):
            # A conversation of its own for each, so that one's doing is not another's refusal.
            conversation, question, answer_id = await talk(sql, ours.workspace, ours.mark)
            headers = keys(settings, ours, theirs, conversation)[who]
            document = await sql.fetchval(
                "insert into knowledge_documents (workspace_id, title, kind) values ($1, $2, 'text') returning id",
                *(ours.workspace, f"{ours.mark} {endpoint} {who}"),
            )
            # A stranger goes by the name of our owner: what they think and export elsewhere is none of ours.
            whose = "owner" if who == "stranger" else who
            rating, flag = await judge(sql, ours.workspace, question, whose)
            agent = await sql.fetchval(
                "insert into agents (workspace_id, name) values ($1, $2) returning id", ours.workspace, ours.mark
            )
            summary = await sql.fetchval(
                "insert into summaries (workspace_id, conversation_id, content, reason) values ($1, $2, $3, 'asked')"
                " returning id",
                *(ours.workspace, conversation, ours.mark),
            )
            export = await keep_export(sql, ours.workspace, ours.agent, whose, ours.mark)
            ids = {
                "conversation": conversation,
                "message": question,
                "answer": answer_id,
                "workspace": ours.workspace,
                "document": document,
                "rating": rating,
                "flag": flag,
                "agent": agent,
                "summary": summary,
                "export": export,
            }
            answer = await ask(client, endpoint, rule, headers, ids)
            if answer.status_code != expected:
                wrong.append(f"{endpoint} asked by {who}: {answer.status_code} {answer.text[:200]}")
            public = endpoint == "POST /api/v1/chat/start"  # says whose page it is
            if who == "stranger" and ours.mark in answer.text and not public:
                wrong.append(f"{endpoint} tells a stranger: {answer.text[:200]}")
            if who == "other guest" and f'"conversation_id":{conversation},' in answer.text:
                wrong.append(f"{endpoint} tells another guest: {answer.text[:200]}")
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
    ids = ids_of(ours)
    async with asyncio.timeout(10):  # what has happened gets its place in the feed, whoever asks for what
        while await sql.fetchval("select exists (select from events where position is null)"):
            await asyncio.sleep(0.02)
    before = await count_everything(sql)
    for endpoint, rule in RULES.items():
        everybody = keys(settings, ours, theirs, ours.conversation)
        for headers, status in zip(everybody.values(), rule.statuses, strict=True):
            if status >= 400:
                await ask(client, endpoint, rule, headers, ids)
    assert await count_everything(sql) == before


async def test_what_belongs_to_others_looks_like_what_is_not_there(
    client: httpx.AsyncClient, settings: Settings, tenants: tuple[Tenant, Tenant]
) -> None:
    ours, theirs = tenants
    stranger = keys(settings, ours, theirs, ours.conversation)["stranger"]
    real = ids_of(ours)
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
