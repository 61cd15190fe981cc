"""The knowledge endpoints, on both transports, with a service that indexes and one that does not."""

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

import asyncpg
import httpx
import pytest

from stands import files
from stands.app import bearer, local_settings, rest_settings, running_client, token, until_ready
from stands.problems import check_problem
from switchboard.settings import Settings


@pytest.fixture(params=["postgres", "postgrest"])
def settings(request: pytest.FixtureRequest, database_url: str) -> Settings:
    if request.param == "postgres":
        return local_settings(database_url, reply_concurrency=2)
    return rest_settings(request.getfixturevalue("supabase"), reply_concurrency=2)


@pytest.fixture
async def client(settings: Settings) -> AsyncGenerator[httpx.AsyncClient]:
    async with running_client(settings) as opened:
        await until_ready(opened)
        opened.headers.update(bearer(token(settings, "support", 1)))
        yield opened


async def until(client: httpx.AsyncClient, document: int, *states: str) -> dict[str, Any]:
    async with asyncio.timeout(30):
        while True:
            answer = await client.get(f"/api/knowledge/{document}")
            assert answer.status_code == 200, answer.text
            found: dict[str, Any] = answer.json()["document"]
            if found["state"] in states:
                return found
            await asyncio.sleep(0.05)


async def search(client: httpx.AsyncClient, query: str) -> list[str]:
    answer = await client.post("/api/knowledge/search", json={"query": query})
    assert answer.status_code == 200, answer.text
    return [row["text"] for row in answer.json()["results"]]


async def test_a_document_from_text_to_answer_to_gone(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/knowledge/", json={"title": "Hours", "content": "We open at nine."})
    assert answer.status_code == 201, answer.text
    document = answer.json()["document"]["id"]
    assert answer.headers["location"] == f"/api/knowledge/{document}"
    ready = await until(client, document, "ready")
    assert (ready["chunks"], ready["kind"], ready["error"]) == (1, "text", None)
    assert await search(client, "When do you open?") == ["We open at nine."]

    again = await client.post("/api/knowledge", json={"title": "Hours", "content": "We open at ten."})
    assert "exists already" in check_problem(again, 409)
    replaced = await client.put(f"/api/knowledge/{document}", data={"title": "Times", "content": "We open at ten."})
    assert replaced.json()["changed"] is True
    await until(client, document, "ready")
    assert await search(client, "When do you open?") == ["We open at ten."]

    assert (await client.delete(f"/api/knowledge/{document}/")).status_code == 204
    assert await search(client, "When do you open?") == []
    check_problem(await client.get(f"/api/knowledge/{document}"), 404)
    check_problem(await client.delete(f"/api/knowledge/{document}"), 404)


async def test_files_of_every_kind(client: httpx.AsyncClient) -> None:
    given: dict[str, tuple[bytes, str]] = {
        "notes.txt": (b"The wifi is called Heron.", "wifi called heron"),
        "rules.md": (b"# House rules\n\nSmoking is not allowed.", "smoking allowed"),
        "page.html": (b"<h1>Parking</h1><p>Parking is behind the house.</p>", "parking behind house"),
        "menu.pdf": (files.pdf("Soup costs five euros."), "soup costs"),
        "team.docx": (files.docx(("h1", "Team"), ("", "Anna leads the kitchen.")), "anna leads kitchen"),
        "faq.csv": (b"question,answer\nDo you have vouchers?,Yes from ten euros.\n", "vouchers"),
    }
    ids: dict[str, int] = {}
    for name, (body, _) in given.items():
        answer = await client.post("/api/knowledge", files={"file": (name, body)}, data={"language": "english"})
        assert answer.status_code == 201, answer.text
        document = answer.json()["document"]
        assert (document["file_name"], document["title"]) == (name, name.partition(".")[0])
        ids[name] = document["id"]
    for name, (_, question) in given.items():
        found = await until(client, ids[name], "ready", "failed")
        assert (found["state"], found["error"]) == ("ready", None), name
        assert len(await search(client, question)) >= 1, name
    listed = (await client.get("/api/knowledge", params={"limit": 4})).json()
    assert [row["id"] for row in listed["documents"]] == sorted(ids.values(), reverse=True)[:4]
    rest = (await client.get("/api/knowledge", params={"limit": 4, "cursor": listed["next_cursor"]})).json()
    assert [row["id"] for row in rest["documents"]] == sorted(ids.values(), reverse=True)[4:]
    assert rest["next_cursor"] is None


async def test_a_broken_pdf_is_failed_with_its_reason(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/knowledge", files={"file": ("menu.pdf", b"%PDF-1.4 oh no")})
    assert answer.status_code == 201
    failed = await until(client, answer.json()["document"]["id"], "failed")
    assert "The PDF is broken" in failed["error"]
    for state, count in (("failed", 1), ("ready", 0), ("waiting", 0)):
        assert (await client.get("/api/knowledge", params={"state": state})).json()["count"] == count


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no title": ({"json": {"content": "x"}}, "title"),
    "a blank title": ({"json": {"content": "x", "title": " "}}, "title"),
    "blank content": ({"json": {"content": " ", "title": "x"}}, "content"),
    "a PDF as text": ({"json": {"content": "x", "title": "x", "kind": "pdf"}}, "kind"),
    "an unknown field": ({"json": {"content": "x", "title": "x", "contnet": "x"}}, "contnet"),
    "an unknown language": ({"json": {"content": "x", "title": "x", "language": "klingon"}}, "german"),
    "a long title": ({"json": {"content": "x", "title": "x" * 301}}, "title"),
    "no file": ({"files": {"other": ("a.txt", b"x")}}, "file"),
    "an empty file": ({"files": {"file": ("a.txt", b"")}}, "file"),
    "a program": ({"files": {"file": ("a.exe", b"MZ")}}, "file"),
    "a file without a name": ({"files": {"file": ("", b"x")}}, "file"),
    "a wrong kind": ({"files": {"file": ("a.txt", b"x")}, "data": {"kind": "poem"}}, "kind"),
    "a field of a file": ({"files": {"file": ("a.txt", b"x")}, "data": {"color": "red"}}, "color"),
}


@pytest.mark.parametrize(("request_", "named"), WRONG.values(), ids=WRONG.keys())
async def test_what_is_wrong_is_named(client: httpx.AsyncClient, request_: dict[str, Any], named: str) -> None:
    answer = await client.post("/api/knowledge", **request_)
    assert named in check_problem(answer, 422, 400)
    assert (await client.get("/api/knowledge")).json()["count"] == 0


async def test_bodies_that_are_none(client: httpx.AsyncClient) -> None:
    for kind, body in (
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Disp"),
        ("multipart/form-data; boundary=x", b"--x\r\n\r\n\r\n--x--\r\n"),
        ("application/json", b'{"title": "x", "content": '),
        ("application/json", b'{"title": "x", "content": "\\u0000"}'),
        ("text/plain", b"x"),
        ("application/pdf", files.pdf("x")),
    ):
        answer = await client.post("/api/knowledge", content=body, headers={"content-type": kind})
        check_problem(answer, 400, 422)
    large = await client.post("/api/knowledge", files={"file": ("a.txt", b"x" * 6_000_000)})
    check_problem(large, 413)


async def test_the_same_upload_under_one_key_is_one_document(client: httpx.AsyncClient) -> None:
    upload = {"title": "Hours", "content": "We open at nine."}
    answers = [await client.post("/api/knowledge", json=upload, headers={"idempotency-key": "k1"}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()


async def test_the_file_name_is_shown_and_nothing_else(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/knowledge", files={"file": ("../../etc/pass  wd.txt", b"x marks the spot")})
    document = answer.json()["document"]
    assert (document["file_name"], document["title"]) == ("pass  wd.txt", "pass wd")


async def test_questions_that_found_nothing_are_kept_once_and_listed(
    client: httpx.AsyncClient, database_url: str
) -> None:
    await client.post("/api/knowledge", json={"title": "Hours", "content": "We open at nine."})
    document = (await client.get("/api/knowledge")).json()["documents"][0]["id"]
    await until(client, document, "ready")
    said = [
        "When do you open?",
        "Do you repair bicycles?",
        "do you repair BICYCLES",
        "Hello!",
        "Can I talk to a person?",
    ]
    conversations: list[int] = []
    for text in said:
        opened = (await client.post("/api/conversations", json={})).json()
        answer = await client.post("/api/messages", json={"conversation": opened["id"], "content": text})
        assert answer.status_code == 201, answer.text
        conversations.append(opened["id"])
    found = (await client.get("/api/knowledge/unanswered")).json()
    (question,) = found["questions"]
    assert (question["question"], question["times"], question["best_score"]) == ("do you repair BICYCLES", 2, 0.0)
    assert question["conversation_id"] == conversations[2]
    # What was asked goes with the conversation in which it was asked.
    sql = await asyncpg.connect(database_url)
    await sql.execute("delete from conversations where id = any($1)", conversations)
    await sql.close()
    assert (await client.get("/api/knowledge/unanswered")).json()["count"] == 0


async def test_an_answer_keeps_its_sources(client: httpx.AsyncClient) -> None:
    added = await client.post(
        "/api/knowledge", json={"title": "Guide", "kind": "markdown", "content": "# Hours\n\nWe open at nine."}
    )
    document = added.json()["document"]["id"]
    await until(client, document, "ready")
    opened = (await client.post("/api/conversations", json={})).json()
    said = {"conversation": opened["id"], "content": "When do you open?"}
    reply = (await client.post("/api/messages", json=said)).json()["reply"]
    assert reply["content"] == "We open at nine."
    (source,) = reply["metadata"]["sources"]
    assert (source["document_id"], source["title"], source["score"]) == (document, "Guide › Hours", 1.0)


async def test_a_service_that_indexes_nothing_leaves_it_to_others(settings: Settings, database_url: str) -> None:
    async with running_client(settings.model_copy(update={"reply_concurrency": 0})) as idle:
        await until_ready(idle)
        idle.headers.update(bearer(token(settings, "support", 1)))
        answer = await idle.post("/api/knowledge", json={"title": "Hours", "content": "We open at nine."})
        document = answer.json()["document"]["id"]
        await asyncio.sleep(0.3)
        assert (await until(idle, document, "waiting"))["chunks"] == 0
    async with running_client(settings) as busy:
        await until_ready(busy)
        busy.headers.update(bearer(token(settings, "support", 1)))
        await until(busy, document, "ready")


async def test_the_description_says_what_may_be_sent(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    body = document["paths"]["/api/knowledge"]["post"]["requestBody"]["content"]
    assert set(body) == {"application/json", "application/x-www-form-urlencoded", "multipart/form-data"}
    assert "file" in body["multipart/form-data"]["schema"]["properties"]
    assert "$ref" not in json.dumps(body)
