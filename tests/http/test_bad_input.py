"""Whatever a client sends, it is told what is wrong: a problem, never a fault of ours, never its own words repeated."""

import asyncio
import base64
import json
import random
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

import asyncpg
import httpx
import pytest

from stands.app import bearer, token
from stands.tenants import Tenant, settle
from switchboard.database.paging import encode_cursor
from switchboard.settings import Settings

CANARY = "Zebra7Canary"
JSON = {"content-type": "application/json"}
FORM = {"content-type": "application/x-www-form-urlencoded"}


@pytest.fixture
async def ours(sql: asyncpg.Connection, client: httpx.AsyncClient) -> Tenant:
    return await settle(sql, "Ours")


@pytest.fixture
def admin(settings: Settings) -> dict[str, str]:
    return bearer(token(settings))


def check_problem(answer: httpx.Response, *statuses: int) -> str:
    """Fails unless the answer is a problem (RFC 9457) with one of the statuses, if given, that gives nothing away."""
    text = answer.text
    assert 400 <= answer.status_code < 500, (answer.status_code, text[:300])
    assert not statuses or answer.status_code in statuses, (answer.status_code, text[:300])
    assert answer.headers["content-type"] == "application/problem+json", text[:300]
    body = answer.json()
    assert body["success"] is False
    assert body["status"] == answer.status_code
    assert body["type"] == "about:blank"
    assert body["title"]
    assert body["code"]
    assert body["request_id"] == answer.headers["x-request-id"]
    assert len(body["detail"]) > 10, body
    assert all(set(error) == {"field", "message"} for error in body["errors"])
    assert CANARY not in text, text
    assert len(text) < 2000, text[:3000]
    for secret in ("Traceback", "select ", "PostgresError", "asyncpg", "pydantic", 'File "', "errors.pydantic"):
        assert secret not in text
    return str(body["detail"])


NO_JSON = {
    "cut off": b'{"content": "Zebra7Canary',
    "not JSON": b"Zebra7Canary",
    "nothing but spaces": b"   ",
    "NaN": b'{"content": NaN}',
    "infinity": b'{"content": -Infinity}',
    "a lone surrogate": b'{"content": "Zebra7Canary \\ud800"}',
    "a lone low surrogate as a name": b'{"\\udc00Zebra7Canary": 1}',
    "no UTF-8": b'{"content": "Zebra7Canary \xff\xfe"}',
    "surrogates in UTF-8": b'{"content": "\xed\xa0\x80"}',
    "UTF-16": '{"content": "Zebra7Canary"}'.encode("utf-16"),
    "deep lists": b"[" * 100_000,
    "deep objects": b'{"a":' * 100_000,
    "deep and closed": b"[" * 5_000 + b"]" * 5_000,
    "two values": b'{"content": "x"} {"content": "x"}',
    "a comment": b'{"content": "x" /* Zebra7Canary */}',
    "single quotes": b"{'content': 'Zebra7Canary'}",
    "a control character": b'{"content": "a\x01Zebra7Canary"}',
}
WRONG_SHAPES = {
    "a list": b'["Zebra7Canary"]',
    "a text": b'"Zebra7Canary"',
    "null": b"null",
    "a number": b"5",
    "1e400": b'{"content": 1e400}',
    "NUL": b'{"content": "Zebra7Canary \\u0000"}',
    "NUL in a name": b'{"Zebra7Canary\\u0000": 1}',
    "an unknown field": b'{"content": "x", "conversation": 1, "Zebra7Canary <b>": 1}',
    "a very long name": json.dumps({"content": "x", "conversation": 1, "Zebra7Canary" * 10_000: 1}).encode(),
    "many unknown fields": json.dumps({f"{CANARY}-{n}": n for n in range(2_000)}).encode(),
    "a name that means something to Python": b'{"__class__": "Zebra7Canary", "self": 1, "model_config": {}}',
}
BODIES = ("/api/conversations", "/api/messages", "/admin/conversations/{c}/messages", "/admin/conversations/{c}/assign")


@pytest.mark.parametrize("path", [*BODIES, "/admin/conversations/{c}/priority", "/admin/conversations/{c}/takeover"])
async def test_bodies_that_are_no_json(
    client: httpx.AsyncClient, admin: dict[str, str], ours: Tenant, path: str
) -> None:
    address = path.format(c=ours.conversation)
    for kind, body in NO_JSON.items():
        answer = await client.post(address, content=body, headers=admin | JSON)
        detail = check_problem(answer, 400)
        assert answer.json()["code"] == "malformed", kind
        assert "JSON" in detail, kind


async def test_a_typing_error_is_named(client: httpx.AsyncClient, admin: dict[str, str], ours: Tenant) -> None:
    said = {"conversation": ours.conversation, "contnet": CANARY}
    answer = await client.post("/api/messages", json=said, headers=admin)
    assert {error["field"] for error in answer.json()["errors"]} == {"content", "contnet"}
    assert "contnet: There is no such field" in check_problem(answer, 422)
    answer = await client.get("/admin/conversations?status=clsoed&cursor=x", headers=admin)
    assert check_problem(answer, 422).startswith("status: Input should be 'active'")
    assert check_problem(await client.get("/admin/conversations?cursor=x", headers=admin), 422).startswith("cursor: ")


@pytest.mark.parametrize("path", BODIES)
async def test_bodies_of_another_shape(
    client: httpx.AsyncClient, admin: dict[str, str], ours: Tenant, path: str
) -> None:
    for body in WRONG_SHAPES.values():
        answer = await client.post(path.format(c=ours.conversation), content=body, headers=admin | JSON)
        check_problem(answer, 400, 422)


async def test_bodies_of_another_type(client: httpx.AsyncClient, admin: dict[str, str], ours: Tenant) -> None:
    body = json.dumps({"conversation": ours.conversation, "content": CANARY}).encode()
    types = (
        "text/plain",
        "text/plain;charset=UTF-8",
        "application/xml",
        "multipart/form-data; boundary=x",
        "json",
        "/",
    )
    for content_type in (*types, "application/jsonp", "image/png", "application/x-www-form-urlencoded-not"):
        answer = await client.post("/api/messages", content=body, headers=admin | {"content-type": content_type})
        assert "Content-Type: application/json" in check_problem(answer, 400)
    assert "Content-Type: application/json" in check_problem(
        await client.post("/api/messages", content=body, headers=admin), 400
    )
    # What curl sends when it is not told otherwise.
    assert "application/json" in check_problem(
        await client.post("/api/messages", content=body, headers=admin | FORM), 400
    )
    assert "body" in check_problem(await client.post("/api/messages", headers=admin | JSON), 422)


VALUES: list[Any] = [5, 1.5, True, None, [], {}, [CANARY], {"a": CANARY}, "", "  \n\t ", "x" * 20_001, "x" * 1_000_000]
IDS: list[Any] = [
    *(0, -1, 2**53 + 1, 2**63, 2**64, 10**30, 1.5, "abc", "٣", "1_0x", "", None, [], {}, "1; drop table messages"),
    *("NaN", "1e5", "0x10", "1" * 5_000),
]


async def test_values_that_do_not_fit(client: httpx.AsyncClient, admin: dict[str, str], ours: Tenant) -> None:
    conversation = ours.conversation
    priorities: list[Any] = [-1, 101, 2**31, 2**63, 1.5, "abc", None, [], "NaN"]
    names: list[Any] = [5, [], {}, "", "   ", "x" * 201, CANARY * 100]
    wrong: list[tuple[str, str, dict[str, Any], list[Any]]] = [
        ("/api/messages", "content", {"conversation": conversation}, VALUES),
        (f"/admin/conversations/{conversation}/messages", "content", {}, VALUES),
        ("/api/messages", "conversation", {"content": "x"}, IDS),
        ("/api/messages", "role", {"conversation": conversation, "content": "x"}, ["assistant", "system", "", None, 5]),
        (f"/admin/conversations/{conversation}/priority", "priority", {}, priorities),
        (f"/admin/conversations/{conversation}/assign", "assigned_to", {}, names),
        ("/api/conversations", "user_id", {}, [5, None, [], {}, "", "  ", "x" * 201]),
        ("/api/conversations", "platform", {}, ["", "X", "9", "a b", "x" * 41, "a\n", "messenger", CANARY, None, "é"]),
        ("/api/conversations", "title", {}, [5, [], {}, "x" * 501]),
        ("/api/conversations", "agent", {}, [0, -1, 2**63, "x", [], ours.agent + 1_000_000]),
        ("/api/conversations", "workspace", {}, [0, -1, 2**63, "x", [], ours.workspace + 1_000_000]),
    ]
    for path, field, others, values in wrong:
        for value in values:
            answer = await client.post(path, json={**others, field: value}, headers=admin)
            # A workspace that is not there is as unknown as one that is somebody else's.
            check_problem(answer, 404 if (field, value) == ("workspace", ours.workspace + 1_000_000) else 422)


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


async def test_forms(client: httpx.AsyncClient, admin: dict[str, str], ours: Tenant) -> None:
    async def post(path: str, form: str | bytes, kind: str = "application/x-www-form-urlencoded") -> httpx.Response:
        content = form.encode() if isinstance(form, str) else form
        return await client.post(path, content=content, headers=admin | {"content-type": kind})

    said = f"conversation={ours.conversation}&content="
    for form in ("", "conversation", f"{said}%00", f"{said}{CANARY}%00", f"{said}a&content=b", said, f"{said}+++"):
        check_problem(await post("/api/messages", form), 400, 422)
    for form in (f"{said}%ff", f"{said}%ED%A0%80", said.encode() + b"\xff", "&".join(f"a{n}=1" for n in range(1_001))):
        assert "form cannot be read" in check_problem(await post("/api/messages", form), 400)
    for form in (
        f"{said}a&{CANARY}%20=1",
        f"conversation=1&conversation=2&content={CANARY}",
        "content[]=x&conversation[a]=1",
    ):
        check_problem(await post("/api/messages", form), 422)
    path = f"/admin/conversations/{ours.conversation}/priority"
    check_problem(await post(path, "priority=1&priority=2"), 422)
    for kind in ("application/x-www-form-urlencoded", "Application/X-WWW-Form-Urlencoded; charset=utf-8"):
        answer = await post(path, "priority=7", kind)
        assert answer.status_code == 200
        assert answer.json()["conversation"]["priority"] == 7
    answer = await post(
        f"/admin/conversations/{ours.conversation}/messages/", "content=Gr%C3%BC%C3%9Fe+%26+%F0%9F%91%8B%0A%2B"
    )
    assert answer.status_code == 201
    assert answer.json()["message"]["content"] == "Grüße & 👋\n+"


async def test_a_slash_at_the_end_is_the_same_address(
    client: httpx.AsyncClient, admin: dict[str, str], ours: Tenant
) -> None:
    document = (await client.get("/openapi.json")).json()
    for path, operations in document["paths"].items():
        concrete = path.format(conversation_id=ours.conversation, message_id=ours.question)
        for method in operations:
            headers = admin | {"prefer": "respond-async"}
            plain = await client.request(method, concrete, headers=headers)
            for slashes in ("/", "//"):
                slashed = await client.request(method, concrete + slashes, headers=headers)
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
        "/api/conversations": "POST",
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


async def test_paths_that_try_to_climb(client: httpx.AsyncClient) -> None:
    for path in (
        "/../etc/passwd",
        "/try.js/../../settings.py",
        "/..%2f..%2fetc%2fpasswd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "//etc/passwd",
        "/try.js%00.html",
        "/static/..\\..\\x",
        "/admin/../admin/stats",
        "/./admin/stats",
    ):
        status, headers, body = await speak(
            client, f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode()
        )
        assert status in {400, 404}, path
        assert b"root:" not in body
        if status == 404:
            assert headers["content-type"] == "application/problem+json"


async def test_broken_http_is_no_fault_of_ours(client: httpx.AsyncClient) -> None:
    good = b"host: x\r\nconnection: close\r\n"
    for request in (
        b"GARBAGE\r\n\r\n",
        b"GET /health/live HTTP/9.9\r\n" + good + b"\r\n",
        b"POST /webhook HTTP/1.1\r\n" + good + b"content-length: abc\r\n\r\n",
        b"POST /webhook HTTP/1.1\r\n" + good + b"content-length: -5\r\n\r\n",
        b"POST /webhook HTTP/1.1\r\n" + good + b"content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /webhook HTTP/1.1\r\n" + good + b"transfer-encoding: chunked\r\n\r\nzz\r\n",
        b"GET /health/live HTTP/1.1\r\n" + good + b"bad header\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\n" + good + b"\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
    ):
        status, _, body = await speak(client, request)
        assert 400 <= status < 500, request
        assert b"Traceback" not in body
    assert (await client.get("/health/live")).status_code == 200


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


async def test_random_requests_are_never_a_fault_of_ours(
    client: httpx.AsyncClient, admin: dict[str, str], ours: Tenant
) -> None:
    """Values drawn for every parameter and body field that the OpenAPI document knows."""
    document = (await client.get("/openapi.json")).json()
    draw = random.Random(20261120)
    ids = {"conversation_id": ours.conversation, "message_id": ours.question}
    asked = 0
    for _ in range(40):
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                places = {name: draw.choice([good, quote(str(drawn(draw)), safe="")]) for name, good in ids.items()}
                query = {
                    parameter["name"]: str(drawn(draw))
                    for parameter in operation.get("parameters", [])
                    if parameter["in"] == "query" and draw.random() < 0.3
                }
                answer = await client.request(
                    method,
                    f"{path.format(**places)}?{urlencode(query)}",
                    json=drawn_body(draw, document, operation),
                    headers=admin | {"prefer": "respond-async"},
                )
                asked += 1
                assert answer.status_code < 500, (method, path, places, query, answer.text)
                if answer.status_code >= 400:
                    check_problem(answer)
    assert asked > 800


def drawn(draw: random.Random) -> Any:
    """A value that somebody might send, or nobody."""
    return draw.choice(
        [
            *(
                "",
                " ",
                "x",
                "0",
                "-1",
                "1e400",
                "NaN",
                "null",
                "true",
                "2024-01-01",
                "2024-01-01T00:00:00Z",
                "active",
                "ai",
            ),
            *(
                "' or 1=1 --",
                "%s",
                "{}",
                "../..",
                "\u202e",
                "\u0301" * 50,
                "😀" * 70,
                "a\r\nb",
                "\x00",
                "\x1b[31m",
                "𝟛",
                "ﷺ",
            ),
            *("9" * 30, "x" * 300, str(2**31), str(2**63), "1970-01-01T00:00:00+23:59", "priority", "facebook"),
            draw.randint(-(2**70), 2**70),
            draw.random(),
        ]
    )


def drawn_body(draw: random.Random, document: Mapping[str, Any], operation: Mapping[str, Any]) -> Any:
    schema = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    if schema is None or draw.random() < 0.1:
        return draw.choice([None, [], "x", {"a": None}])
    while "$ref" in schema or "anyOf" in schema:
        schema = (
            schema["anyOf"][0]
            if "anyOf" in schema
            else document["components"]["schemas"][schema["$ref"].rsplit("/")[-1]]
        )
    names = [*schema.get("properties", {}), *(["unknown"] if draw.random() < 0.1 else [])]
    drawn_values = {name: drawn(draw) for name in names if draw.random() < 0.8}
    return {name: draw.choice([value, value, [value], {"a": value}, None]) for name, value in drawn_values.items()}


async def speak(client: httpx.AsyncClient, request: bytes) -> tuple[int, dict[str, str], bytes]:
    """Says these bytes on a connection of their own: status, headers and body of the answer."""
    url = client.base_url
    reader, writer = await asyncio.open_connection(url.host, url.port)
    try:
        writer.write(request)
        await writer.drain()
        async with asyncio.timeout(10):
            head = await reader.readuntil(b"\r\n\r\n")
            first, *lines = head.decode("latin-1").split("\r\n")
            headers = {
                name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)
            }
            body = await reader.read(int(headers.get("content-length", "0")))
    finally:
        writer.close()
    return int(first.split(" ")[1]), headers, body
