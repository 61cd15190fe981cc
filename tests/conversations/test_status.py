"""The word `status`, read and written, for one conversation and for a thousand."""

import asyncio
import json
import time

import asyncpg
import httpx
import pytest

from stands.owner import WORKSPACE, Owner
from stands.tenants import settle, talk
from switchboard.settings import Settings


@pytest.fixture
def owner(client: httpx.AsyncClient, settings: Settings) -> Owner:
    return Owner(client, settings)


async def test_switching_to_a_person_and_back(owner: Owner, sql: asyncpg.Connection) -> None:
    conversation, _, _ = await talk(sql, WORKSPACE, "x")
    path = f"/conversations/{conversation}/status"
    assert (await owner.get(f"{path}/"))["status"] == "active"
    taken = await owner.put(f"{path}/", {"status": "support_active"}, by="anna")
    assert (taken["status"], taken["handler"], taken["assigned_to"]) == ("support_active", "human", "anna")
    assert (await owner.put(path, {"status": "support_active"}, by="anna"))["assigned_to"] == "anna"
    refused = await owner.put(path, {"status": "support_active"}, 409, by="ben")
    assert refused["detail"] == "anna has taken over this conversation already."
    back = await owner.puts_form(f"{path}/", {"status": "active"})
    assert (back["status"], back["assigned_to"], back["detail"]) == ("active", None, None)
    assert await sql.fetchval("select epoch from turns where conversation_id = $1", conversation) == 2
    events = [row[0] for row in await sql.fetch("select type from events where type like 'conversation.%' order by id")]
    assert events == ["conversation.taken_over", "conversation.handed_back"]
    audit = [tuple(row) for row in await sql.fetch("select actor, action from audit order by id")]
    assert audit == [("anna", "conversation.taken_over"), ("olga", "conversation.handed_back")]


async def test_two_operators_at_once_and_the_other_hears_who_won(owner: Owner, sql: asyncpg.Connection) -> None:
    for _ in range(5):
        conversation, _, _ = await talk(sql, WORKSPACE, "x")
        path, people = f"/api/v1/ai/conversations/{conversation}/status", ["anna", "ben", "carla"]
        answers = await asyncio.gather(
            *(owner.client.put(path, json={"status": "support_active"}, headers=owner.who(name)) for name in people)
        )
        (winner,) = [name for name, answer in zip(people, answers, strict=True) if answer.status_code == 200]
        assert await sql.fetchval("select assigned_to from conversations where id = $1", conversation) == winner
        losers = [answer for answer in answers if answer.status_code == 409]
        assert len(losers) == 2
        assert all(winner in answer.json()["detail"] for answer in losers)


@pytest.mark.parametrize("why", ["auto_response", "ai_ready"])
async def test_active_without_an_ai_is_a_persons(owner: Owner, sql: asyncpg.Connection, why: str) -> None:
    conversation, _, _ = await talk(sql, WORKSPACE, "x")
    await sql.execute(f"update workspaces set {why} = false where id = $1", WORKSPACE)
    answered = await owner.put(f"/conversations/{conversation}/status", {"status": "active"})
    assert answered["status"] == "support_active"
    assert answered["detail"].endswith("a person has it.")
    (result,) = (
        await owner.put("/conversations/bulk-status", {"conversation_ids": [conversation], "status": "active"})
    )["results"]
    assert (result["status"], result["result"]) == ("support_active", "unchanged")


async def test_the_five_words(owner: Owner, sql: asyncpg.Connection) -> None:
    conversation, _, _ = await talk(sql, WORKSPACE, "x")
    path = f"/conversations/{conversation}/status"
    for status in ("resolved", "active", "resolved", "support_active", "closed", "archived"):
        assert (await owner.put(path, {"status": status}))["status"] == status
    for status in ("active", "support_active", "resolved"):
        assert "reopen" in (await owner.put(path, {"status": status}, 409))["detail"]
    refused = await owner.put(path, {"status": "sleeping"}, 422)
    assert refused["errors"][0]["field"] == "status"
    assert "'active', 'support_active', 'resolved', 'archived' or 'closed'" in refused["errors"][0]["message"]
    for unknown in ("abc123", "0", "999999", "9" * 30):
        assert (await owner.put(f"/conversations/{unknown}/status", {"status": "active"}, 404))["code"] == "not_found"
        await owner.get(f"/conversations/{unknown}/status", 404)


async def test_what_became_of_each(owner: Owner, sql: asyncpg.Connection) -> None:
    theirs = await settle(sql, "Theirs")
    mine = [(await talk(sql, WORKSPACE, "x"))[0] for _ in range(4)]
    await owner.put(f"/conversations/{mine[1]}/status", {"status": "closed"})
    await owner.put(f"/conversations/{mine[2]}/status", {"status": "support_active"}, by="anna")
    ids = [*map(str, mine), str(theirs.conversation), "abc123", "999999", str(mine[0])]
    done = await owner.put("/conversations/bulk-status/", {"conversation_ids": ids, "status": "support_active"})
    results = [(row["conversation_id"], row["result"], row["status"]) for row in done["results"]]
    assert results == [
        (ids[0], "changed", "support_active"),
        (ids[1], "closed", "closed"),
        (ids[2], "unchanged", "support_active"),
        (ids[3], "changed", "support_active"),
        (ids[4], "not_found", None),
        (ids[5], "not_found", None),
        (ids[6], "not_found", None),
    ]
    assert (done["updated"], done["failed"]) == (3, 4)
    assigned = await sql.fetch("select assigned_to from conversations where id = any($1::bigint[]) order by id", mine)
    assert [row[0] for row in assigned] == [None, None, "anna", None], "the team has them, and Anna keeps hers"
    assert await sql.fetchval("select handler from conversations where id = $1", theirs.conversation) == "ai"


async def test_forms_with_one_id_and_with_several(owner: Owner, sql: asyncpg.Connection) -> None:
    mine = [(await talk(sql, WORKSPACE, "x"))[0] for _ in range(2)]
    for ids in (mine, mine[:1]):
        done = await owner.puts_form("/conversations/bulk-status/", {"conversation_ids": ids, "status": "resolved"})
        assert [row["conversation_id"] for row in done["results"]] == [str(number) for number in ids]
        assert done["failed"] == 0
    bad = {"conversation_ids": list(range(1, 1002)), "status": "active"}
    assert (await owner.put("/conversations/bulk-status", bad, 422))["errors"][0]["field"] == "conversation_ids"
    await owner.put("/conversations/bulk-status", {"conversation_ids": [], "status": "active"}, 422)


async def test_a_thousand_in_one_step_while_messages_come(
    owner: Owner, sql: asyncpg.Connection, database_url: str
) -> None:
    """F42: no lock for longer than a second; messages that come meanwhile are stored, and nothing deadlocks."""
    await sql.execute("select connect_channel($1, 'messenger', 'page')", WORKSPACE)

    async def receive(connection: asyncpg.Connection, n: int) -> None:
        event = {"kind": "message", "platform": "messenger", "account": "page", "text": "x", "data": {}}
        events = [
            event | {"customer": f"c{n}_{k}", "external_id": f"m{n}_{k}_{time.monotonic_ns()}"} for k in range(50)
        ]
        part = {"platform": "messenger", "account": "page", "body": None, "events": events}
        async with connection.transaction():  # the service, which looks for webhooks as well, sees none
            new = "insert into inbox (platform, body) values ('messenger', '{}') returning id"
            read = [{"id": await connection.fetchval(new), "parts": [part]}]
            await connection.execute("select sort_inbox($1::text::jsonb)", json.dumps(read))

    for n in range(20):
        await receive(sql, n)
    ids = [row[0] for row in await sql.fetch("select id from conversations order by id")]
    assert len(ids) == 1000
    done = False
    took: list[float] = []

    async def messages_come() -> None:
        other = await asyncpg.connect(database_url)
        n = 0
        while not done:
            started = time.monotonic()
            await receive(other, n % 20)
            took.append(time.monotonic() - started)
            n += 1
            await asyncio.sleep(0.01)
        await other.close()

    coming = asyncio.create_task(messages_come())
    # The statement is the transaction: its locks are held for no longer than it takes.
    held: list[float] = []
    caller = json.dumps({"subject": "olga", "admin": False, "roles": {str(WORKSPACE): "owner"}})
    for status in ("support_active", "active", "support_active", "resolved"):
        started = time.monotonic()
        plan = json.loads(await sql.fetchval("select set_statuses($1::text::jsonb, $2, $3)", caller, ids, status))
        held.append(time.monotonic() - started)
        # A message that comes opens a resolved one again; that is no failure.
        assert {row["result"] for row in plan} <= {"changed", "unchanged"}
    answer = await owner.put("/conversations/bulk-status", {"conversation_ids": ids, "status": "active"})
    assert (answer["updated"], answer["failed"]) == (1000, 0)
    done = True
    await coming
    assert max(held) < 1.0, held
    assert max(took) < 1.0, took
