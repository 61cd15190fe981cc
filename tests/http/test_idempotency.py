"""`Idempotency-Key`: however often a request is sent, it is done once, and always answered the same."""

import asyncio
import json
from typing import Any

import asyncpg
import httpx
import pytest

from stands.app import bearer, token
from stands.tenants import Tenant, settle, talk
from switchboard.auth import make_api_key
from switchboard.settings import Settings


@pytest.fixture
def support(settings: Settings, ours: Tenant) -> dict[str, str]:
    return bearer(token(settings, "support", ours.workspace, subject="anna"))


async def open_one(client: httpx.AsyncClient, headers: dict[str, str], key: str, **body: Any) -> httpx.Response:
    """Opens a conversation under a key."""
    return await client.post("/api/conversations", json=body, headers={**headers, "idempotency-key": key})


async def opened(sql: asyncpg.Connection) -> int:
    """How many conversations have been opened over the API."""
    return await sql.fetchval("select count(*) from events where type = 'conversation.opened'")


def same(first: httpx.Response, second: httpx.Response) -> None:
    """Fails unless the second answer repeats the first."""
    assert second.status_code == first.status_code
    assert second.content == first.content
    for name in ("content-type", "location", "content-length"):
        assert second.headers.get(name) == first.headers.get(name)
    assert second.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers


async def test_the_same_request_is_done_once(
    client: httpx.AsyncClient, support: dict[str, str], sql: asyncpg.Connection
) -> None:
    first = await open_one(client, support, "k1", title="x")
    assert first.status_code == 201
    assert first.headers["location"] == f"/api/conversations/{first.json()['id']}"
    for _ in range(3):
        same(first, await open_one(client, support, "k1", title="x"))
    assert await opened(sql) == 1
    assert (await open_one(client, support, "k2", title="x")).json()["id"] != first.json()["id"]
    assert (await client.post("/api/conversations", json={"title": "x"}, headers=support)).status_code == 201
    assert await opened(sql) == 3


async def test_every_post_takes_a_key(
    client: httpx.AsyncClient, support: dict[str, str], ours: Tenant, sql: asyncpg.Connection
) -> None:
    posts: dict[str, Any] = {
        "/api/messages": {"conversation": ours.conversation, "content": "x"},
        f"/admin/conversations/{ours.conversation}/messages": {"content": "x"},
        f"/admin/conversations/{ours.conversation}/takeover": None,
        f"/admin/messages/{ours.question}/mark-human": None,
        f"/admin/conversations/{ours.conversation}/close": None,
    }
    for path, body in posts.items():
        headers = {**support, "idempotency-key": f"key of {path}", "prefer": "respond-async"}
        first = await client.post(path, json=body, headers=headers)
        assert first.status_code < 300
        events = await sql.fetchval("select max(id) from events")
        same(first, await client.post(path, json=body, headers=headers))
        assert await sql.fetchval("select max(id) from events") == events


async def test_the_slash_and_the_form_are_the_same_request(
    client: httpx.AsyncClient, support: dict[str, str], sql: asyncpg.Connection
) -> None:
    headers = {**support, "idempotency-key": "k"}
    first = await client.post("/api/conversations", data={"title": "x"}, headers=headers)
    as_json = headers | {"content-type": "application/json"}
    same(first, await client.post("/api/conversations/", content=b'{"title":"x"}', headers=as_json))
    assert await opened(sql) == 1


async def test_another_request_under_the_same_key_is_refused(
    client: httpx.AsyncClient, support: dict[str, str], ours: Tenant, sql: asyncpg.Connection
) -> None:
    await open_one(client, support, "k", title="x")
    said = {"conversation": ours.conversation, "content": "x"}
    for path, body in (
        ("/api/conversations", {"title": "y"}),
        ("/api/conversations?x=1", {"title": "x"}),
        ("/api/messages", said),
        ("/api/conversations", {}),
    ):
        answer = await client.post(path, json=body, headers={**support, "idempotency-key": "k"})
        assert answer.status_code == 422
        assert answer.headers["content-type"] == "application/problem+json"
        assert "Idempotency-Key" in answer.json()["detail"]
    assert await opened(sql) == 1


async def test_requests_at_the_same_time_have_one_effect(
    client: httpx.AsyncClient, support: dict[str, str], sql: asyncpg.Connection
) -> None:
    answers = await asyncio.gather(*(open_one(client, support, "k", title="x") for _ in range(30)))
    by_status: dict[int, list[httpx.Response]] = {}
    for answer in answers:
        by_status.setdefault(answer.status_code, []).append(answer)
    assert by_status.keys() <= {201, 409}
    assert len({answer.content for answer in by_status[201]}) == 1
    for answer in by_status.get(409, []):
        assert answer.json()["code"] == "still_running"
        assert answer.headers["retry-after"] == "1"
    assert await opened(sql) == 1


async def test_a_first_run_that_still_runs_holds_the_others(
    client: httpx.AsyncClient, support: dict[str, str], ours: Tenant, sql: asyncpg.Connection, database_url: str
) -> None:
    path = f"/admin/conversations/{ours.conversation}/messages"
    headers = {**support, "idempotency-key": "k"}
    blocker = await asyncpg.connect(database_url)
    try:
        async with blocker.transaction():
            await blocker.execute("select from conversations where id = $1 for update", ours.conversation)
            first = asyncio.create_task(client.post(path, json={"content": "x"}, headers=headers))
            async with asyncio.timeout(5):
                while not await sql.fetchval("select exists (select from idempotency_keys)"):
                    await asyncio.sleep(0.01)
            second = await client.post(path, json={"content": "x"}, headers=headers)
            assert (second.status_code, second.headers["retry-after"]) == (409, "1")
        assert (await first).status_code == 201
    finally:
        await blocker.close()
    same(await first, await client.post(path, json={"content": "x"}, headers=headers))
    assert await sql.fetchval("select count(*) from messages where sender_type = 'human'") == 1


async def test_a_key_belongs_to_its_caller(
    client: httpx.AsyncClient, settings: Settings, sql: asyncpg.Connection, ours: Tenant
) -> None:
    theirs = await settle(sql, "Theirs")
    api_key, prefix, key_hash = make_api_key()
    await sql.execute(
        "insert into api_keys (workspace_id, name, prefix, key_hash, role) values ($1, 'k', $2, $3, 'owner')",
        *(ours.workspace, prefix, key_hash),
    )
    # All local tokens are about `cli` unless somebody says otherwise: the name alone tells nobody apart.
    callers = {
        "ours": bearer(token(settings, "owner", ours.workspace, subject="cli")),
        "theirs": bearer(token(settings, "owner", theirs.workspace, subject="cli")),
        "a colleague": bearer(token(settings, "owner", ours.workspace, subject="ben")),
        "an api key": bearer(api_key),
    }
    seen: dict[str, int] = {}
    for who, headers in callers.items():
        answer = await open_one(client, headers, "k")
        assert answer.status_code == 201, who
        seen[who] = answer.json()["id"]
    assert len(set(seen.values())) == len(callers)
    for who, headers in callers.items():
        assert (await open_one(client, headers, "k")).json()["id"] == seen[who]


async def test_who_has_lost_a_role_is_not_told_again(
    client: httpx.AsyncClient, settings: Settings, ours: Tenant
) -> None:
    owner = bearer(token(settings, "owner", ours.workspace, subject="anna"))
    assert (await open_one(client, owner, "k")).status_code == 201
    viewer = bearer(token(settings, "viewer", ours.workspace, subject="anna"))
    assert (await open_one(client, viewer, "k")).status_code == 403
    assert (await open_one(client, {}, "k")).status_code == 401


async def test_refusals_are_answered_again_too(
    client: httpx.AsyncClient, support: dict[str, str], ours: Tenant, sql: asyncpg.Connection
) -> None:
    for body, status in (({"title": "x" * 501}, 422), ({"workspace": 999_999}, 404)):
        first = await open_one(client, support, f"k{status}", **body)
        assert first.status_code == status
        same(first, await open_one(client, support, f"k{status}", **body))


async def test_faults_of_ours_are_not_kept(
    client: httpx.AsyncClient, support: dict[str, str], sql: asyncpg.Connection
) -> None:
    await sql.execute("alter function open_conversation rename to open_conversation_hidden")
    first = await open_one(client, support, "k")
    assert first.status_code == 500
    assert first.json()["code"] in {"misconfigured", "internal"}
    assert first.headers["content-type"] == "application/problem+json"
    assert await sql.fetchval("select count(*) from idempotency_keys") == 0
    await sql.execute("alter function open_conversation_hidden rename to open_conversation")
    assert (await open_one(client, support, "k")).status_code == 201


async def test_a_key_holds_for_a_day(
    client: httpx.AsyncClient, support: dict[str, str], sql: asyncpg.Connection
) -> None:
    first = await open_one(client, support, "k", title="x")
    await sql.execute("update idempotency_keys set created_at = now() - interval '23 hours 59 minutes'")
    same(first, await open_one(client, support, "k", title="x"))
    await sql.execute("update idempotency_keys set created_at = now() - interval '24 hours 1 second'")
    second = await open_one(client, support, "k", title="y")
    assert second.status_code == 201
    assert second.json()["id"] != first.json()["id"]
    same(second, await open_one(client, support, "k", title="y"))


async def test_a_first_run_that_died_gives_its_key_free(
    client: httpx.AsyncClient, support: dict[str, str], sql: asyncpg.Connection
) -> None:
    await open_one(client, support, "k", title="x")
    dead = "update idempotency_keys set status = null, headers = null, body = null, created_at = now() - $1::interval"
    await sql.execute(dead.replace("$1", "'1 minute'"))
    assert (await open_one(client, support, "k", title="x")).status_code == 409
    await sql.execute(dead.replace("$1", "'3 minutes'"))
    assert (await open_one(client, support, "k", title="y")).status_code == 422
    again = await open_one(client, support, "k", title="x")
    assert again.status_code == 201
    same(again, await open_one(client, support, "k", title="x"))


async def test_keys_that_are_none(client: httpx.AsyncClient, support: dict[str, str], sql: asyncpg.Connection) -> None:
    for key in (b"", b'""', b"x" * 256, b"a\tb", b"\x80"):
        headers = [(name.encode(), value.encode()) for name, value in support.items()]
        answer = await client.post("/api/conversations", json={}, headers=[*headers, (b"idempotency-key", key)])
        assert answer.status_code == 422, key
        assert answer.headers["content-type"] == "application/problem+json"
        assert "1 to 255 printable characters" in answer.json()["detail"]
    assert await opened(sql) == 0
    for key in ("x" * 255, '"8e03978e-40d5-43dd-bc93-6894a57f9324"', "ü ' ; --"):
        headers = [(name.encode(), value.encode()) for name, value in support.items()]
        raw = (b"idempotency-key", key.encode("latin-1"))
        answer = await client.post("/api/conversations", json={}, headers=[*headers, raw])
        assert answer.status_code == 201
    # The quotes are how structured headers write a text, not part of the key.
    assert (await open_one(client, support, "8e03978e-40d5-43dd-bc93-6894a57f9324")).headers["idempotency-replayed"]


async def test_a_key_on_anything_but_a_post_means_nothing(
    client: httpx.AsyncClient, support: dict[str, str], ours: Tenant, sql: asyncpg.Connection
) -> None:
    for _ in range(2):
        answer = await client.get("/admin/stats", headers={**support, "idempotency-key": "k"})
        assert "idempotency-replayed" not in answer.headers
    webhook = await client.post("/webhook", content=b"{}", headers={"idempotency-key": "k"})
    assert webhook.status_code == 403
    assert await sql.fetchval("select count(*) from idempotency_keys") == 0


async def test_what_is_kept_is_only_what_is_needed(
    client: httpx.AsyncClient, support: dict[str, str], ours: Tenant, sql: asyncpg.Connection
) -> None:
    said = {"conversation": ours.conversation, "content": "Zebra7Canary"}
    await client.post(
        "/api/messages", json=said, headers={**support, "idempotency-key": "k", "prefer": "respond-async"}
    )
    kept = await sql.fetchrow("select caller, request_hash, headers, body from idempotency_keys")
    assert kept is not None
    assert kept["caller"].startswith("anna ")
    assert "Zebra7Canary" not in kept["request_hash"]
    assert [name for name, _ in json.loads(kept["headers"])] == ["content-type"]


async def test_a_key_works_the_same_for_two_people_in_one_conversation(
    client: httpx.AsyncClient, settings: Settings, ours: Tenant, sql: asyncpg.Connection
) -> None:
    """Two colleagues take over at once, each repeating their own request."""
    conversation, _, _ = await talk(sql, ours.workspace, "x")
    people = [bearer(token(settings, "support", ours.workspace, subject=name)) for name in ("anna", "ben")]
    path = f"/admin/conversations/{conversation}/takeover"
    answers = await asyncio.gather(
        *(client.post(path, headers={**person, "idempotency-key": "k"}) for person in people for _ in range(2))
    )
    done = [answer for answer in answers if answer.status_code == 200]
    assert {answer.json()["conversation"]["assigned_to"] for answer in done} in ({"anna"}, {"ben"})
