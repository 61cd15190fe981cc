"""A webhook: verified, stored once, acknowledged; whatever is in it that nobody understands is kept as it came."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from channels.payloads import AT, IG_TEXT, IGID, PSID, body, event
from stands.app import PAGE, VERIFY_TOKEN, bearer, rest_settings, running_client, signed, token, until_ready
from stands.served import until_sorted
from stands.supabase import Supabase
from switchboard.bell import Bell
from switchboard.channels import Inbound
from switchboard.channels.messenger import parse
from switchboard.database.postgres import Postgres
from switchboard.inbox.accept import Intake
from switchboard.inbox.spool import Spool
from switchboard.settings import Settings

Sql = asyncpg.Connection


def said(mid: str, text: str = "Hello", customer: str = PSID, **rest: Any) -> dict[str, Any]:
    """One message of a customer."""
    return event(customer, message={"mid": mid, "text": text, **rest})


async def post(client: httpx.AsyncClient, content: bytes, address: str = "/webhook") -> httpx.Response:
    return await client.post(address, content=content, headers=signed(content))


async def rows(sql: Sql) -> dict[str, int]:
    """How many rows there are, table by table."""
    tables = await sql.fetch(
        "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r' order by 1"
    )
    return {name: await sql.fetchval(f"select count(*) from {name}") for (name,) in tables}


async def contents(sql: Sql) -> list[str]:
    return [row[0] for row in await sql.fetch("select content from messages order by seq, id")]


# The door -----------------------------------------------------------------------------------------------------------


async def test_what_is_not_signed_leaves_no_trace(client: httpx.AsyncClient, sql: Sql, settings: Settings) -> None:
    good = body(said("m_1"))
    right = signed(good)["x-hub-signature-256"]
    before = await rows(sql)
    forged = {
        "no signature": {},
        "empty": {"x-hub-signature-256": ""},
        "no prefix": {"x-hub-signature-256": right.removeprefix("sha256=")},
        "SHA-1": {"x-hub-signature": right, "x-hub-signature-1": right},
        "another prefix": {"x-hub-signature-256": right.replace("sha256", "sha512")},
        "cut off": {"x-hub-signature-256": right[:-1]},
        "longer": {"x-hub-signature-256": right + "0"},
        "upper case": {"x-hub-signature-256": right.upper()},
        "one digit": {"x-hub-signature-256": right[:-1] + ("0" if right[-1] != "0" else "1")},
        "another secret": signed(good, "x" * 32),
        "an empty secret": signed(good, ""),
        "the verify token": signed(good, VERIFY_TOKEN),
        "another body": signed(good + b" "),
        "spelled otherwise": signed(json.dumps(json.loads(good), indent=1).encode()),
        "an admin's token": bearer(token(settings)),
    }
    for address in ("/webhook", "/webhook/", "/webhooks/messenger", "/webhooks/instagram"):
        for kind, headers in forged.items():
            answer = await client.post(address, content=good, headers=headers)
            assert answer.status_code == 403, kind
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["code"] == "signature_invalid"
            assert right.removeprefix("sha256=")[:12] not in answer.text
    assert await rows(sql) == before
    counted = (await client.get("/metrics", headers=bearer(token(settings)))).text
    assert f'outcome="forged",platform="meta"}} {4 * len(forged)}.0' in counted


async def test_a_signed_form_is_refused_like_any_other_change_of_the_body(client: httpx.AsyncClient) -> None:
    content = b"object=page"
    headers = signed(content) | {"content-type": "application/x-www-form-urlencoded"}
    assert (await client.post("/webhook", content=content, headers=headers)).status_code == 403


async def test_forging_is_cheap_to_refuse(client: httpx.AsyncClient) -> None:
    deep = b"[" * 1_900_000
    started = time.monotonic()
    for _ in range(10):
        assert (await client.post("/webhook", content=deep, headers=signed(deep, "x" * 32))).status_code == 403
    assert time.monotonic() - started < 2


async def test_meta_is_given_its_challenge_back(client: httpx.AsyncClient) -> None:
    right = {"hub.mode": "subscribe", "hub.verify_token": VERIFY_TOKEN, "hub.challenge": "1158201444"}
    for address in ("/webhook", "/webhook/", "/webhooks/messenger", "/webhooks/instagram"):
        answer = await client.get(address, params=right)
        assert (answer.status_code, answer.text) == (200, "1158201444")
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    for wrong, status in (
        ({"hub.verify_token": "guess"}, 403),
        ({"hub.verify_token": ""}, 403),
        ({"hub.mode": "unsubscribe"}, 422),
        ({"hub.challenge": "<script>alert(1)</script>"}, 422),
        ({"hub.challenge": ""}, 422),
    ):
        answer = await client.get("/webhook", params={**right, **wrong})
        assert answer.status_code == status
        assert "script" not in answer.text
        assert "guess" not in answer.text


# What is inside -----------------------------------------------------------------------------------------------------


async def test_one_odd_entry_costs_its_neighbours_nothing(client: httpx.AsyncClient, sql: Sql) -> None:
    odd: list[Any] = [
        {"surprise": {"from": "tomorrow"}},
        event(unheard_of={"x": 1}),
        "just a text",
        None,
        event(message={"text": "no id"}),
        event() | {"sender": {"id": ["a", "list"]}, "message": {"mid": "m_x", "text": "x"}},
    ]
    content = body(said("m_1", "before"), *odd, said("m_2", "after"))
    answer = await post(client, content)
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    assert await contents(sql) == ["before", "after"]
    kept = await sql.fetch("select body, unhandled from inbox")
    assert [row["body"] for row in kept] == [content]
    unhandled = json.loads(kept[0]["unhandled"])
    assert len(unhandled) == len(odd)
    assert [entry["raw"] for entry in unhandled][:3] == odd[:3]
    assert all(entry["reason"] for entry in unhandled)


async def test_what_was_signed_and_is_no_json_is_kept(client: httpx.AsyncClient, sql: Sql) -> None:
    strange = [b"", b"\x00\xff not JSON", b"[]", b"5", b"null", b'{"object": "page"}', b'{"entry": 5}', b"[" * 50_000]
    for content in strange:
        answer = await post(client, content)
        assert answer.status_code == 200, content[:20]
    assert [row[0] for row in await sql.fetch("select body from inbox order by id")] == strange
    assert await sql.fetchval("select count(*) from inbox where workspace_id is not null") == 0
    assert await sql.fetchval("select count(*) from messages") == 0


async def test_text_that_postgres_cannot_hold_is_stored_all_the_same(client: httpx.AsyncClient, sql: Sql) -> None:
    start = f'{{"sender":{{"id":"7"}},"recipient":{{"id":"{PAGE}"}},"timestamp":{AT},'
    events = [
        start + r'"message":{"mid":"m_1","text":"a\u0000b"}}',
        start + r'"message":{"mid":"m_2","text":"\ud83d lone"}}',
        start + r'"x\u0000":[1e999,NaN,' + "9" * 400 + r',"\udc00"]}',
        start + r'"message":{"mid":"m_3","text":"after"}}',
    ]
    nasty = f'{{"object":"page","entry":[{{"id":"{PAGE}","time":{AT},"messaging":[{",".join(events)}]}}]}}'
    content = nasty.encode()
    assert (await post(client, content)).status_code == 200
    assert await contents(sql) == ["a\ufffdb", "\ufffd lone", "after"]
    kept = await sql.fetchrow("select body, unhandled from inbox")
    assert kept is not None
    assert kept["body"] == content
    assert len(json.loads(kept["unhandled"])) == 1


async def test_a_page_of_nobody_is_kept_without_a_workspace(client: httpx.AsyncClient, sql: Sql) -> None:
    content = body(event(PSID, "999", message={"mid": "m_1", "text": "x"}), account="999")
    assert (await post(client, content)).status_code == 200
    kept = await sql.fetchrow("select workspace_id, body, unhandled from inbox")
    assert kept is not None
    assert (kept["workspace_id"], kept["body"]) == (None, content)
    assert json.loads(kept["unhandled"])[0]["reason"] == "no workspace has this account"
    assert await contents(sql) == []


async def test_a_webhook_for_two_businesses_is_kept_apart(client: httpx.AsyncClient, sql: Sql) -> None:
    theirs = await sql.fetchval("insert into workspaces (name) values ('Theirs') returning id")
    await sql.execute("select connect_channel($1, 'messenger', '777')", theirs)
    entries = [
        {"id": page, "time": AT, "messaging": [event(PSID, page, message={"mid": f"m_{page}", "text": f"for {page}"})]}
        for page in (PAGE, "777")
    ]
    assert (await post(client, json.dumps({"object": "page", "entry": entries}).encode())).status_code == 200
    kept = await sql.fetch("select workspace_id, body from inbox order by workspace_id")
    assert [row["workspace_id"] for row in kept] == [1, theirs]
    assert b"for 777" not in kept[0]["body"]
    assert f"for {PAGE}".encode() not in kept[1]["body"]
    assert [tuple(row) for row in await sql.fetch("select workspace_id, content from messages order by 1")] == [
        (1, f"for {PAGE}"),
        (theirs, "for 777"),
    ]


async def test_instagram_is_received_and_waits_for_a_person(client: httpx.AsyncClient, sql: Sql) -> None:
    await sql.execute("select connect_channel(1, 'instagram', $1, 'human')", IGID)
    content = body(IG_TEXT, kind="instagram", account=IGID)
    assert (await post(client, content, "/webhooks/instagram")).status_code == 200
    row = await sql.fetchrow("select c.handler, t.due_at from conversations c join turns t on t.conversation_id = c.id")
    assert row is not None
    assert tuple(row) == ("human", None)


# Once ---------------------------------------------------------------------------------------------------------------


async def test_a_thousand_messages_are_one_statement(client: httpx.AsyncClient, sql: Sql) -> None:
    content = body(*(said(f"m_{n}", f"{n}", customer=f"c{n % 100}") for n in range(1000)))
    started = time.monotonic()
    assert (await post(client, content)).status_code == 200
    assert time.monotonic() - started < 3
    assert await rows_of(sql) == (1000, 100, 100)
    # One transaction, for all have its time, and inside it each event of a conversation after the other.
    assert await sql.fetchval("select count(distinct at) from events") == 1
    assert await sql.fetchval("select count(*) from inbox") == 1
    assert (
        await sql.fetchval(
            "select count(*) from (select conversation_id from messages group by 1 having max(seq) = 10) x"
        )
        == 100
    )


async def test_a_batch_is_one_call(postgres: Postgres, sql: Sql, tmp_path: Path) -> None:
    calls: list[str] = []

    class Counted:
        async def call(self, function: str, /, **arguments: Any) -> Any:
            calls.append(function)
            return await postgres.call(function, **arguments)

    counted: Any = Counted()
    intake = Intake(counted, Spool(tmp_path, 1_000_000), sort_bell=Bell(), spool_bell=Bell())
    contents_sent = [body(*(said(f"m_{size}_{n}") for n in range(size))) for size in (0, 1, 1000, 1001)]
    for content in [*contents_sent, b"\xff\x00"]:
        calls.clear()
        assert await intake.accept("messenger", content) == "stored"
        assert calls == ["accept_webhook"]
    assert [row[0] for row in await sql.fetch("select body from inbox order by id")] == [*contents_sent, b"\xff\x00"]


async def test_one_that_a_fault_of_ours_cannot_read_stops_nobody(
    client: httpx.AsyncClient, sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    understood = parse.parse

    def parse_all_but(content: bytes) -> list[Inbound]:
        if b"m_1" in content:
            raise ZeroDivisionError
        return understood(content)

    monkeypatch.setattr(parse, "parse", parse_all_but)
    for mid in ("m_1", "m_2"):
        assert (await post(client, body(said(mid, mid)))).status_code == 200
    assert await contents(sql) == ["m_2"]
    kept = json.loads(await sql.fetchval("select unhandled from inbox where position('m_1'::bytea in body) > 0"))
    assert kept[0]["reason"] == "it could not be read: ZeroDivisionError"


async def test_what_comes_twice_is_stored_once(client: httpx.AsyncClient, sql: Sql) -> None:
    content = body(said("m_1", "one"), said("m_1", "one"), said("m_2", "two"), said("m_1", "one"))
    for _ in range(3):
        assert (await post(client, content)).status_code == 200
    assert await contents(sql) == ["one", "two"]
    turn = await sql.fetchrow("select seq_in, seq_done from turns")
    assert turn is not None
    assert tuple(turn) == (2, 0)
    assert await sql.fetchval("select last_seq from conversations") == 2
    assert await sql.fetchval("select count(*) from events where type = 'message.received'") == 2


async def test_the_same_webhook_many_times_at_once_is_stored_once(client: httpx.AsyncClient, sql: Sql) -> None:
    content = body(*(said(f"m_{n}", f"{n}", customer=f"c{n % 5}") for n in range(20)))
    answers = await asyncio.gather(*(post(client, content) for _ in range(20)))
    assert {answer.status_code for answer in answers} == {200}
    assert await rows_of(sql) == (20, 5, 5)
    assert await sql.fetchval("select count(*) from events where type = 'message.received'") == 20
    assert await sql.fetchval("select sum(last_seq) from conversations") == 20


async def test_an_album_opens_one_conversation(client: httpx.AsyncClient, sql: Sql) -> None:
    contents_sent = [body(said(f"m_{n}", f"{n}")) for n in range(20)]
    answers = await asyncio.gather(*(post(client, content) for content in contents_sent))
    assert {answer.status_code for answer in answers} == {200}
    assert await rows_of(sql) == (20, 1, 1)
    assert [row[0] for row in await sql.fetch("select seq from messages order by seq")] == list(range(1, 21))


async def test_crossing_batches_do_not_deadlock(client: httpx.AsyncClient, sql: Sql) -> None:
    customers = [f"c{n}" for n in range(30)]
    orders = [customers, customers[::-1], customers[15:] + customers[:15]]
    batches = [
        body(*(said(f"m_{turn}_{number}_{who}", customer=who) for who in order))
        for turn in range(4)
        for number, order in enumerate(orders)
    ]
    answers = await asyncio.gather(*(post(client, batch) for batch in batches))
    assert {answer.status_code for answer in answers} == {200}
    assert await rows_of(sql) == (12 * 30, 30, 30)


async def rows_of(sql: Sql) -> tuple[int, ...]:
    """Messages, conversations, customers."""
    return tuple(
        [await sql.fetchval(f"select count(*) from {name}") for name in ("messages", "conversations", "customers")]
    )


async def test_over_the_rest_api_as_well(supabase: Supabase, sql: Sql) -> None:
    async with running_client(rest_settings(supabase)) as client:
        await until_ready(client)
        content = body(said("m_1", "one\u0007"), {"odd": 1}, said("m_2", "zwölf 👋"), said("m_1", "one"))
        answers = await asyncio.gather(*(post(client, content) for _ in range(4)))
        assert {answer.status_code for answer in answers} == {200}
        assert (await post(client, b"\x00 nothing")).status_code == 200
        await until_sorted(sql)
    assert await contents(sql) == ["one\u0007", "zwölf 👋"]
    assert {row[0] for row in await sql.fetch("select body from inbox")} == {content, b"\x00 nothing"}


async def test_nothing_in_a_message_can_stop_its_neighbours(client: httpx.AsyncClient, sql: Sql) -> None:
    words = " ".join(f"w{n}x{n * 7919}" for n in range(60_000))
    strange: dict[str, dict[str, Any]] = {
        "many different words": said("m_a", words),
        "one long word": said("m_b", "x" * 600_000),
        "a long id": said("m_" + "c" * 10_000),
        "an empty id": said(""),
        "a long customer": said("m_d", customer="d" * 5_000),
        "an empty customer": said("m_e", customer=""),
        "an odd customer": said("m_f", customer="f\n\u0000 '; drop table messages"),
        "the far future": said("m_g") | {"timestamp": 10**18},
        "before time": said("m_h") | {"timestamp": -(10**18)},
        "no time": said("m_i") | {"timestamp": None},
        "a huge time": said("m_j") | {"timestamp": 10**40},
        "a reply to nothing": said("m_k", reply_to={"mid": "x" * 10_000}),
        "odd attachments": said("m_l", attachments=[None, 5, {"type": []}, {"payload": "x" * 100_000}] * 20),
        "a long address": said(
            "m_m", attachments=[{"type": "image", "payload": {"url": "https://x/" + "y" * 200_000}}]
        ),
        "many attachments": said("m_n", attachments=[{"type": "image", "payload": {"url": "https://x"}}] * 2_000),
        "a reaction to nothing": event(reaction={"reaction": "x" * 10_000, "action": "react", "mid": "z" * 10_000}),
        "an edit of nothing": event(message_edit={"mid": "m_none", "text": words, "num_edit": 1}),
        "read before time": event(read={"watermark": -(10**18)}),
        "delivered in the far future": event(delivery={"mids": ["x" * 5_000] * 50, "watermark": 10**18}),
        "an echo of nobody": event(PAGE, PSID, message={"mid": "m_o", "is_echo": True, "metadata": "x" * 10_000}),
    }
    for number, (kind, odd) in enumerate(strange.items()):
        content = body(said(f"m_{number}_1", "before"), odd, said(f"m_{number}_2", "after"))
        answer = await post(client, content)
        assert answer.status_code == 200, (kind, answer.text)
        stored = {row[0] for row in await sql.fetch("select external_id from messages")}
        assert {f"m_{number}_1", f"m_{number}_2"} <= stored, kind
    together = [odd for odd in strange.values() if len(json.dumps(odd)) < 500_000]
    assert (await post(client, body(*together))).status_code == 200
