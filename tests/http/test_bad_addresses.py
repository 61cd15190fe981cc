"""Addresses, queries, cursors, methods and headers that are not as they should be."""

import base64
from typing import Any
from urllib.parse import quote

import httpx

from stands.problems import CANARY, check_problem
from stands.tenants import Tenant
from switchboard.database.paging import encode_cursor


async def test_ids_in_addresses(client: httpx.AsyncClient, admin: dict[str, str], ours: Tenant) -> None:
    strange = [
        "0",
        "-1",
        str(2**53 + 1),
        str(2**63),
        str(2**64),
        "9" * 400,
        "1.5",
        "abc",
        "٣",
        "１",
        "%00",
        "1%00",
        "%2e%2e",
    ]
    strange += [
        "1%20or%201=1",
        "null",
        "true",
        "NaN",
        "1e3",
        "%F0%9F%98%80",
        "%ff",
        "1'--",
        "{conversation_id}",
        "1%0d%0aX: y",
    ]
    for text in strange:
        for path in (
            f"/admin/conversations/{text}",
            f"/admin/conversations/{text}/messages",
            f"/api/conversations/{text}",
        ):
            check_problem(await client.get(path, headers=admin), 404, 422)
        for path in (f"/admin/conversations/{text}/close", f"/admin/messages/{text}/mark-human"):
            check_problem(await client.post(path, headers=admin), 404, 422)


async def test_queries(client: httpx.AsyncClient, admin: dict[str, str], ours: Tenant) -> None:
    wrong: dict[str, list[str]] = {
        "limit": ["0", "-1", "1001", str(2**63), "abc", "1.5", "", "٣", "NaN", "1e2", "%00", CANARY],
        "status": ["", "Active", CANARY, "active,closed", "%00"],
        "handler": ["", "robot", CANARY, "AI"],
        "requires_human": ["", "maybe", CANARY, "2"],
        "agent": ["0", "-1", str(2**63), "x", ""],
        "q": ["x" * 201, "%00", "a%00b"],
        "platform": ["x" * 41, "%00"],
        "from": ["", "yesterday", CANARY, "2024-13-01", "2024-02-30", "99999-01-01", "NaN", "1e400", "%00", "9" * 40],
        "to": ["2024-01-01T25:00:00Z", "0000-01-01", "-1e20", "2024-01-01T00:00:00+99:00", "٢٠٢٤-٠١-٠١"],
        "sort": ["", "id", "last_message_at desc", CANARY, "priority,created_at"],
        "cursor": ["", "x", "garbage!", "%00", CANARY, "e30", "x" * 501, "%F0%9F%98%80"],
    }
    for name, values in wrong.items():
        for value in values:
            encoded = value if value.startswith("%") or "%00" in value else quote(value)
            answer = await client.get(f"/admin/conversations?{name}={encoded}", headers=admin)
            check_problem(answer, 422)
    for query in ("limit=0", "limit=201", "after_seq=-1", "after_seq=x", f"after_seq={2**63}"):
        check_problem(await client.get(f"/api/conversations/{ours.conversation}/messages?{query}", headers=admin), 422)
    # What is not asked for by name is nobody's business, and a long address is only long.
    for query in (
        "unknown=1",
        "limit=5&" + "&".join(f"x{n}=1" for n in range(2_000)),
        "q=" + quote("’; drop table x--"),
    ):
        assert (await client.get(f"/admin/conversations?{query}", headers=admin)).status_code == 200
    for query in ("q=%ff%fe", "q=%ED%A0%80", "%ff=1", "=&&&=", "limit=5&limit=5"):
        assert (await client.get(f"/admin/conversations?{query}", headers=admin)).status_code == 200


async def test_cursors_of_somebody_elses_making(client: httpx.AsyncClient, admin: dict[str, str], ours: Tenant) -> None:
    now = "2024-01-15T10:30:00+00:00"
    foreign: list[list[Any]] = [
        *([], [1], [None], ["last_message_at"], ["last_message_at", now], ["created_at", now, 1], ["priority", 1, 1]),
        *(["last_message_at", None, 1], ["last_message_at", 5, 1], ["last_message_at", now, "1"], ["id", now, 1]),
        *(["last_message_at", now, 1, 1], ["last_message_at", [now], 1], ["last_message_at", now, 1.5], [now, 1, 1]),
        *(
            ["last_message_at", "yesterday; drop", 1],
            ["last_message_at", "infinity-ish", 1],
            ["last_message_at", {}, 1],
        ),
    ]
    cursors = [encode_cursor(values) for values in foreign]
    cursors += [
        base64.urlsafe_b64encode(text).decode().rstrip("=") for text in (b'{"a": 1}', b"[" * 300, b"5", b"null")
    ]
    cursors += [base64.urlsafe_b64encode(f'["last_message_at", "{now}", {2**64 - 1}]'.encode()).decode().rstrip("=")]
    for cursor in cursors:
        check_problem(await client.get("/admin/conversations", params={"cursor": cursor}, headers=admin), 422)
    for values in (["priority", "high", 1], ["priority", None, 1], ["priority", 2**40, 1], ["last_message_at", now, 1]):
        query = {"cursor": encode_cursor(values), "sort": "priority"}
        check_problem(await client.get("/admin/conversations", params=query, headers=admin), 422)
    messages = f"/admin/conversations/{ours.conversation}/messages"
    for values in ([], ["x"], [None], [1, 2], [[1]], [2**64 - 1], ["last_message_at", now, 1], [1.5]):
        query = {"cursor": encode_cursor(values)}
        check_problem(await client.get(messages, params=query, headers=admin), 422)


async def test_a_slash_at_the_end_is_the_same_address(
    client: httpx.AsyncClient, admin: dict[str, str], ours: Tenant
) -> None:
    document = (await client.get("/openapi.json")).json()
    for path, operations in document["paths"].items():
        ids = ours.ids
        for method in operations:
            # What is deleted is not there the second time: such a request asks for what never was.
            concrete = path.format(**(dict.fromkeys(ids, 2**40) if method == "delete" else ids))
            headers = admin | {"prefer": "respond-async"}
            query = {"follow": "false"} if path == "/api/events" else {}  # without it the answer has no end
            plain = await client.request(method, concrete, params=query, headers=headers)
            for slashes in ("/", "//"):
                slashed = await client.request(method, concrete + slashes, params=query, headers=headers)
                assert slashed.status_code == plain.status_code, (method, path)
                assert not slashed.is_redirect
    for query in ("?limit=1", "/?limit=1"):
        assert (await client.get(f"/admin/conversations{query}", headers=admin)).json()["count"] == 1


async def test_addresses_and_methods_that_are_not_there(
    client: httpx.AsyncClient, admin: dict[str, str], ours: Tenant
) -> None:
    for path in (
        "/nothing",
        "/admin",
        "/api",
        "/admin/conversations/1/2/3",
        "/ADMIN/stats",
        "/.env",
        "/try.html",
        f"/{CANARY}",
    ):
        assert "/docs" in check_problem(await client.get(path, headers=admin), 404)
    allowed = {
        "/admin/conversations": "GET",
        f"/admin/conversations/{ours.conversation}": "GET",
        f"/admin/conversations/{ours.conversation}/messages": "GET, POST",
        f"/admin/conversations/{ours.conversation}/close": "POST",
        "/api/conversations": "GET, POST",
        "/webhook": "GET, POST",
        "/health/live": "GET",
    }
    for path, methods in allowed.items():
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"):
            if method in methods:
                continue
            answer = await client.request(method, path, headers=admin)
            assert methods in check_problem(answer, 405)
            assert answer.headers["allow"] == methods
    for path in allowed:
        head = await client.head(path, headers=admin)
        assert (head.status_code, head.content) == (405, b"")
    assert (await client.get("/metrics", headers=admin)).text.count("PROPFIND") == 0


async def test_headers_of_all_kinds(client: httpx.AsyncClient, admin: dict[str, str], ours: Tenant) -> None:
    for authorization in (
        "",
        "Bearer",
        "Basic eDp4",
        "Bearer " + "x" * 9_000,
        "Bearer a.b.c",
        "bearer\tx",
        "Bearer ' or 1=1",
        "Bearer sbk_x",
        "Bearer é",
    ):
        raw = [(b"authorization", authorization.encode())]
        answer = await client.get("/admin/stats", headers=raw)
        check_problem(answer, 401)
        assert answer.headers["www-authenticate"] == "Bearer"
    # A page on another site may ask, and its browser will not let it read the answer.
    answer = await client.get(
        "/admin/stats", headers=admin | {"origin": "https://evil.example", "host": "evil.example"}
    )
    assert answer.status_code == 200
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    for prefer in ("respond-async, wait=5", "\xff", "x" * 5_000):
        said = {"conversation": ours.conversation, "content": "x"}
        headers = [(name.encode(), value.encode()) for name, value in admin.items()]
        answer = await client.post(
            "/api/messages", json=said, headers=[*headers, (b"prefer", b"respond-async;" + prefer.encode())]
        )
        assert answer.status_code == 202
