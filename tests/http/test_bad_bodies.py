"""Bodies that are broken, of another shape, of another type, or full of values that do not fit."""

import json
from typing import Any

import httpx
import pytest

from stands.problems import CANARY, check_problem
from stands.tenants import Tenant

JSON = {"content-type": "application/json"}
FORM = {"content-type": "application/x-www-form-urlencoded"}


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
