"""Whatever a client sends is no fault of ours: values drawn for everything, and bytes that are hardly HTTP."""

import asyncio
import random
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

import httpx

from stands.problems import check_problem
from stands.tenants import Tenant


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


async def test_random_requests_are_never_a_fault_of_ours(
    client: httpx.AsyncClient, admin: dict[str, str], ours: Tenant
) -> None:
    """Values drawn for every parameter and body field that the OpenAPI document knows."""
    document = (await client.get("/openapi.json")).json()
    draw = random.Random(20261120)
    ids = ours.ids
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
                if path == "/api/events":
                    query["follow"] = "false"  # without it the answer has no end
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
