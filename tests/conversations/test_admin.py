"""What the admin panel asks: the shapes its clients were written for, filters, pages, and what people do."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx
import pytest

from channels.payloads import body, event, message
from stands.app import bearer, signed, token
from stands.tenants import talk
from switchboard.settings import Settings

WORKSPACE = 1
"""The first workspace, which the service makes when it starts."""


@pytest.fixture
def panel(client: httpx.AsyncClient, settings: Settings) -> "Panel":
    return Panel(client, settings)


class Panel:
    """The client as people of the first workspace use it."""

    def __init__(self, client: httpx.AsyncClient, settings: Settings) -> None:
        self.client = client
        self._settings = settings

    def who(self, name: str = "anna", role: Any = "support") -> dict[str, str]:
        return bearer(token(self._settings, role, WORKSPACE, subject=name))

    async def get(self, path: str, answers: int = 200, **query: Any) -> dict[str, Any]:
        answer = await self.client.get(f"/admin{path}", params=query, headers=self.who())
        assert answer.status_code == answers, answer.text
        return answer.json()

    async def post(self, path: str, content: Any = None, *, by: str = "anna", status: int = 200) -> dict[str, Any]:
        answer = await self.client.post(f"/admin{path}", json=content, headers=self.who(by))
        assert answer.status_code == status, answer.text
        return answer.json()

    async def receive(self, *events: Any) -> None:
        content = body(*events)
        assert (await self.client.post("/webhook", content=content, headers=signed(content))).status_code == 200

    async def found(self, **query: Any) -> list[str]:
        """The customers of a list, in its order."""
        return [row["user_id"] for row in (await self.get("/conversations", **query))["conversations"]]


# Shapes ---------------------------------------------------------------------------------------------------------------


async def test_the_shapes_are_those_the_panel_was_written_for(panel: Panel) -> None:
    await panel.receive(message(text="When are you open?"))
    listed = await panel.get("/conversations", limit=100)
    assert listed.keys() == {"success", "conversations", "count", "next_cursor"}
    assert (listed["success"], listed["count"], len(listed["conversations"])) == (True, 1, 1)
    row = listed["conversations"][0]
    assert row.keys() >= {
        *("id", "user_id", "platform", "status", "priority", "created_at", "updated_at", "last_message_at")
    }
    assert (row["platform"], row["status"], row["priority"]) == ("facebook", "active", 0)
    assert row["user_id"] == message()["sender"]["id"]
    assert isinstance(row["id"], int)

    one = await panel.get(f"/conversations/{row['id']}")
    assert one.keys() == {"success", "conversation", "messages"}
    assert one["success"] is True
    assert one["conversation"] == row

    messages = await panel.get(f"/conversations/{row['id']}/messages", limit=50)
    assert messages.keys() == {"success", "messages", "count", "next_cursor"}
    assert messages["messages"] == one["messages"]
    said = messages["messages"][0]
    assert said.keys() >= {
        *("id", "conversation_id", "sender_type", "content", "timestamp", "confidence_score"),
        *("requires_human", "human_replied", "metadata"),
    }
    assert (said["sender_type"], said["content"]) == ("user", "When are you open?")
    assert (said["requires_human"], said["human_replied"], said["confidence_score"]) == (False, False, None)
    assert said["metadata"]["platform"] == "facebook"

    stats = await panel.get("/stats")
    assert stats.keys() == {"success", "stats"}
    assert stats["stats"].keys() == {
        *("total_conversations", "active_conversations", "total_messages", "messages_requiring_human", "timestamp")
    }
    for moment in (
        row["created_at"],
        row["updated_at"],
        row["last_message_at"],
        said["timestamp"],
        stats["stats"]["timestamp"],
    ):
        # UTC, and said so.
        assert datetime.fromisoformat(moment).utcoffset() == timedelta(0)
        assert moment.endswith(("Z", "+00:00"))

    for path in (f"/messages/{said['id']}/mark-human", f"/messages/{said['id']}/mark-replied"):
        assert (await panel.post(path))["success"] is True
    closed = await panel.post(f"/conversations/{row['id']}/close")
    assert (closed["success"], closed["conversation"]["status"]) == (True, "closed")


async def test_the_statistics_count_what_they_say(panel: Panel, sql: asyncpg.Connection) -> None:
    ids = [await talk(sql, WORKSPACE, f"c{n}", explicit=False) for n in range(6)]
    await panel.post(f"/conversations/{ids[0][0]}/close")
    await panel.post(f"/conversations/{ids[1][0]}/takeover")
    await sql.execute("update conversations set lifecycle = 'resolved' where id = $1", ids[2][0])
    await sql.execute("update conversations set deleted_at = now() where id = $1", ids[3][0])
    for number in (1, 4, 3):
        if number != 3:
            await panel.post(f"/messages/{ids[number][1]}/mark-human")
    await panel.post(f"/messages/{ids[4][2]}/mark-human")
    await panel.post(f"/messages/{ids[4][2]}/mark-replied")
    stats = (await panel.get("/stats"))["stats"]
    del stats["timestamp"]
    assert stats == {
        "total_conversations": 5,
        "active_conversations": 3,
        "total_messages": 10,
        "messages_requiring_human": 2,
    }


# Lists ----------------------------------------------------------------------------------------------------------------


@pytest.fixture
async def crowd(panel: Panel, sql: asyncpg.Connection) -> dict[str, int]:
    """Nine conversations, newest last, by their customer."""
    names = {
        "active": {},
        "taken": {"handler": "human"},
        "resolved": {"lifecycle": "resolved"},
        "archived": {"lifecycle": "archived"},
        "closed": {"lifecycle": "closed"},
        "urgent": {"priority": 90},
        "waiting": {"requires_human": True},
        "streamlit": {},
        "gone": {"deleted_at": datetime.now(UTC)},
    }
    agent = await sql.fetchval("insert into agents (workspace_id, name) values (1, 'other') returning id")
    ids: dict[str, int] = {}
    for place, (name, values) in enumerate(names.items()):
        platform = "streamlit" if name == "streamlit" else "api"
        ids[name], _, _ = await talk(sql, WORKSPACE, f"mark {name}", customer=name, platform=platform)
        moment = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=place)
        changes = {"last_message_at": moment, "agent_id": agent if name == "urgent" else None, **values}
        for column, value in changes.items():
            await sql.execute(f"update conversations set {column} = $1 where id = $2", value, ids[name])
    ids["agent"] = agent
    return ids


async def test_the_open_ones_are_listed_newest_first(panel: Panel, crowd: dict[str, int]) -> None:
    assert await panel.found() == ["streamlit", "waiting", "urgent", "taken", "active"]


async def test_filters(panel: Panel, crowd: dict[str, int]) -> None:
    everybody = ["streamlit", "waiting", "urgent", "closed", "archived", "resolved", "taken", "active"]
    expected: list[tuple[dict[str, Any], list[str]]] = [
        ({"status": "all"}, everybody),
        ({"status": "open"}, ["streamlit", "waiting", "urgent", "taken", "active"]),
        ({"status": "active"}, ["streamlit", "waiting", "urgent", "active"]),
        ({"status": "support_active"}, ["taken"]),
        ({"status": "resolved"}, ["resolved"]),
        ({"status": "archived"}, ["archived"]),
        ({"status": "closed"}, ["closed"]),
        ({"handler": "human"}, ["taken"]),
        ({"handler": "ai"}, ["streamlit", "waiting", "urgent", "active"]),
        ({"requires_human": "true"}, ["waiting"]),
        ({"requires_human": "false"}, ["streamlit", "urgent", "taken", "active"]),
        ({"platform": "streamlit"}, ["streamlit"]),
        ({"platform": "api", "status": "closed"}, ["closed"]),
        ({"platform": "facebook"}, []),
        ({"platform": "nowhere"}, []),
        ({"agent": crowd["agent"]}, ["urgent"]),
        ({"agent": 999_999}, []),
        ({"from": "2024-01-06T00:00:00Z"}, ["streamlit", "waiting", "urgent"]),
        ({"to": "2024-01-06T00:00:00Z"}, ["taken", "active"]),
        ({"from": "2024-01-06", "to": "2024-01-07"}, ["urgent"]),
        ({"from": "2024-01-06T02:00:00+02:00", "to": "2024-01-06T00:00:01Z"}, ["urgent"]),
        ({"from": "2030-01-01"}, []),
        ({"q": "mark waiting"}, ["waiting"]),
        ({"limit": 2}, ["streamlit", "waiting"]),
        ({"sort": "priority", "limit": 1}, ["urgent"]),
        ({"sort": "created_at", "status": "all", "limit": 3}, ["streamlit", "waiting", "urgent"]),
        ({"status": "closed", "handler": "human"}, []),
        # Both say something about who answers: the narrower one does not lose.
        ({"status": "active", "handler": "human"}, []),
        ({"status": "support_active", "handler": "ai"}, []),
    ]
    for query, customers in expected:
        assert await panel.found(**query) == customers, query


async def test_what_was_deleted_is_not_there(panel: Panel, crowd: dict[str, int]) -> None:
    for path in (f"/conversations/{crowd['gone']}", f"/conversations/{crowd['gone']}/messages"):
        await panel.get(path, answers=404)
    await panel.post(f"/conversations/{crowd['gone']}/close", status=404)


async def test_search_finds_words_in_messages_and_in_customers(panel: Panel, sql: asyncpg.Connection) -> None:
    first, _, _ = await talk(sql, WORKSPACE, "x", customer="customer-77")
    await talk(sql, WORKSPACE, "y", customer="z")
    await sql.execute("update customers set name = 'Zoë Müller', email = 'zoe@example.com' where external_id = 'z'")
    await sql.execute(
        "update messages set content = 'Do you have crème brûlée?' where conversation_id = $1 and seq = 1", first
    )
    for words, customers in {
        "brûlée": ["customer-77"],
        "BRÛLÉE": ["customer-77"],
        '"crème brûlée"': ["customer-77"],
        '"brûlée crème"': [],
        "brûlée -crème": [],
        "brûlée or müller": ["z", "customer-77"],
        "Zoë": ["z"],
        "zoe@example.com": ["z"],
        "customer-77": ["customer-77"],
        "nothing": [],
        "' or 1=1 --": [],
        "%": [],
        "\\": [],
        "   ": ["z", "customer-77"],
    }.items():
        assert await panel.found(q=words, sort="created_at") == customers, words


@pytest.mark.parametrize("sort", ["last_message_at", "created_at", "priority"])
async def test_pages_have_no_gap_and_no_double_while_rows_change(
    panel: Panel, sql: asyncpg.Connection, sort: str
) -> None:
    ids = [(await talk(sql, WORKSPACE, f"c{n}"))[0] for n in range(23)]
    # Many of the same moment and priority: only the id tells them apart.
    await sql.execute(
        "update conversations set last_message_at = now() - (id % 3) * interval '1 day', priority = id % 4"
    )
    seen: list[int] = []
    query: dict[str, Any] = {"sort": sort, "limit": 5}
    while True:
        page = await panel.get("/conversations", **query)
        seen += [row["id"] for row in page["conversations"]]
        assert page["count"] == len(page["conversations"]) <= 5
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
        # One of those seen comes to the top, a new one is opened, one of those seen is closed.
        await sql.execute("update conversations set last_message_at = now(), priority = 100 where id = $1", seen[0])
        await talk(sql, WORKSPACE, "new")
        await sql.execute("update conversations set lifecycle = 'closed' where id = $1", seen[-1])
    assert len(seen) == len(set(seen))
    assert set(ids) <= set(seen)


async def test_the_last_page_says_so(panel: Panel, sql: asyncpg.Connection) -> None:
    for _ in range(4):
        await talk(sql, WORKSPACE, "x")
    full = await panel.get("/conversations", limit=4)
    # Exactly full: whether there is more is not known yet, and the next page is empty.
    if full["next_cursor"] is not None:
        assert (await panel.get("/conversations", limit=4, cursor=full["next_cursor"]))["conversations"] == []
    assert (await panel.get("/conversations", limit=5))["next_cursor"] is None


async def test_messages_page_backwards(panel: Panel, sql: asyncpg.Connection) -> None:
    conversation, _, _ = await talk(sql, WORKSPACE, "x")
    await sql.execute(
        "insert into messages (workspace_id, conversation_id, seq, sender_type, content)"
        " select 1, $1, n, 'user', n::text from generate_series(3, 12) n",
        conversation,
    )
    path = f"/conversations/{conversation}/messages"
    pages: list[list[int]] = []
    query: dict[str, Any] = {"limit": 5}
    while True:
        page = await panel.get(path, **query)
        pages.append([row["seq"] for row in page["messages"]])
        assert page["count"] == len(pages[-1])
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert pages == [[8, 9, 10, 11, 12], [3, 4, 5, 6, 7], [1, 2]]
    newest = (await panel.get(f"/conversations/{conversation}", limit=2))["messages"]
    assert [row["seq"] for row in newest] == [11, 12]


async def test_a_long_list_comes_whole(panel: Panel, sql: asyncpg.Connection) -> None:
    # Supabase answers with at most 1,000 rows: a list of 1,000 must not be one short.
    await talk(sql, WORKSPACE, "x", explicit=True)
    await sql.execute(
        "insert into conversations (workspace_id, channel_id, customer_id, explicit)"
        " select workspace_id, channel_id, customer_id, true from conversations, generate_series(1, 1099)"
    )
    page = await panel.get("/conversations", limit=1000)
    assert page["count"] == 1000
    rest = await panel.get("/conversations", limit=1000, cursor=page["next_cursor"])
    assert rest["count"] == 100
    assert rest["next_cursor"] is None


# What people do -------------------------------------------------------------------------------------------------------


async def test_close_and_reopen(panel: Panel, sql: asyncpg.Connection) -> None:
    conversation, _, _ = await talk(sql, WORKSPACE, "x", explicit=False)
    await sql.execute("update turns set due_at = now(), seq_in = 2")
    for _ in range(2):
        closed = (await panel.post(f"/conversations/{conversation}/close"))["conversation"]
        assert (closed["status"], closed["lifecycle"]) == ("closed", "closed")
        assert closed["closed_at"]
    turn = await sql.fetchrow("select due_at, epoch, seq_in - seq_done as left from turns")
    assert turn is not None
    assert tuple(turn) == (None, 1, 0)
    for action in ("takeover", "handback"):
        await panel.post(f"/conversations/{conversation}/{action}", status=409)
    await panel.post(f"/conversations/{conversation}/messages", {"content": "x"}, status=409)
    for _ in range(2):
        opened = (await panel.post(f"/conversations/{conversation}/reopen"))["conversation"]
        assert (opened["status"], opened["closed_at"]) == ("active", None)
    events = [row[0] for row in await sql.fetch("select type from events where type like 'conversation.%' order by id")]
    assert events == ["conversation.closed", "conversation.reopened"]


async def test_a_closed_conversation_is_not_reopened_beside_a_newer_one(panel: Panel) -> None:
    await panel.receive(message(text="first"))
    (old,) = (await panel.get("/conversations"))["conversations"]
    await panel.post(f"/conversations/{old['id']}/close")
    await panel.receive(event(message={"mid": "m_second", "text": "second"}))
    (new,) = (await panel.get("/conversations"))["conversations"]
    assert new["id"] != old["id"]
    refused = await panel.post(f"/conversations/{old['id']}/reopen", status=409)
    assert "newer conversation" in refused["detail"]


async def test_takeover_and_handback(panel: Panel, sql: asyncpg.Connection) -> None:
    await panel.receive(message(text="Is anybody there?"))
    (row,) = (await panel.get("/conversations"))["conversations"]
    path = f"/conversations/{row['id']}"
    taken = (await panel.post(f"{path}/takeover", {"reason": "angry"}))["conversation"]
    assert (taken["status"], taken["handler"], taken["assigned_to"]) == ("support_active", "human", "anna")
    turn = await sql.fetchrow("select due_at, lease_until, epoch from turns")
    assert turn is not None
    assert tuple(turn) == (None, None, 1)
    # Once more does no harm, and raises no epoch.
    await panel.post(f"{path}/takeover")
    assert await sql.fetchval("select epoch from turns") == 1
    refused = await panel.post(f"{path}/takeover", by="ben", status=409)
    assert refused["detail"] == "anna has taken over this conversation already."
    assert refused["code"] == "conflict"

    back = (await panel.post(f"{path}/handback", by="ben"))["conversation"]
    assert (back["status"], back["handler"], back["assigned_to"]) == ("active", "ai", None)
    turn = await sql.fetchrow("select due_at is not null, epoch from turns")
    assert turn is not None
    assert tuple(turn) == (True, 2), "the customer still waits: the AI answers"
    await panel.post(f"{path}/handback")
    assert await sql.fetchval("select epoch from turns") == 2
    audit = [tuple(row) for row in await sql.fetch("select actor, action, subject from audit order by id")]
    subject = f"conversation:{row['id']}"
    assert audit == [("anna", "conversation.taken_over", subject), ("ben", "conversation.handed_back", subject)]


async def test_two_take_over_at_once_and_one_is_told_who_won(panel: Panel, sql: asyncpg.Connection) -> None:
    for _ in range(5):
        conversation, _, _ = await talk(sql, WORKSPACE, "x")
        path = f"/admin/conversations/{conversation}/takeover"
        people = ["anna", "ben", "carla"]
        answers = await asyncio.gather(*(panel.client.post(path, headers=panel.who(name)) for name in people))
        by_name = dict(zip(people, answers, strict=True))
        (winner,) = [name for name, answer in by_name.items() if answer.status_code == 200]
        for name, answer in by_name.items():
            if name != winner:
                assert answer.status_code == 409
                assert winner in answer.json()["detail"]
        assert await sql.fetchval("select assigned_to from conversations where id = $1", conversation) == winner
        assert await sql.fetchval("select epoch from turns where conversation_id = $1", conversation) == 1


async def test_what_nobody_answered_is_the_ais_again_and_what_somebody_answered_is_done(
    panel: Panel, sql: asyncpg.Connection
) -> None:
    await panel.receive(message(text="Question"))
    (row,) = (await panel.get("/conversations"))["conversations"]
    path = f"/conversations/{row['id']}"
    await panel.post(f"{path}/messages", {"content": "Answer"}, status=201)
    await panel.post(f"{path}/handback")
    turn = await sql.fetchrow("select due_at, seq_in - seq_done from turns")
    assert turn is not None
    assert tuple(turn) == (None, 0)


async def test_assign_and_priority(panel: Panel, sql: asyncpg.Connection) -> None:
    conversation, _, _ = await talk(sql, WORKSPACE, "x")
    path = f"/conversations/{conversation}"
    row = (await panel.post(f"{path}/assign", {"assigned_to": "  ben "}))["conversation"]
    assert (row["assigned_to"], row["handler"]) == ("ben", "ai")
    row = (await panel.post(f"{path}/assign", {"assigned_to": None}))["conversation"]
    assert row["assigned_to"] is None
    for priority in (100, 0, 50):
        assert (await panel.post(f"{path}/priority", {"priority": priority}))["conversation"]["priority"] == priority
    assert await sql.fetchval("select epoch from turns where conversation_id = $1", conversation) == 0
    types = [row[0] for row in await sql.fetch("select type from events where type like 'conversation.%' order by id")]
    assert types == ["conversation.assigned"] * 2 + ["conversation.prioritised"] * 3


async def test_marks(panel: Panel, sql: asyncpg.Connection) -> None:
    conversation, question, answer = await talk(sql, WORKSPACE, "x")

    async def state() -> tuple[bool, int]:
        row = (await panel.get(f"/conversations/{conversation}"))["conversation"]
        return row["requires_human"], (await panel.get("/stats"))["stats"]["messages_requiring_human"]

    marked = (await panel.post(f"/messages/{question}/mark-human"))["message"]
    assert (marked["id"], marked["requires_human"], marked["human_replied"]) == (question, True, False)
    assert await state() == (True, 1)
    await panel.post(f"/messages/{answer}/mark-human")
    assert await state() == (True, 2)
    for message_id, left in ((question, 1), (answer, 0)):
        marked = (await panel.post(f"/messages/{message_id}/mark-replied"))["message"]
        assert (marked["requires_human"], marked["human_replied"]) == (True, True)
        assert await state() == (left > 0, left)
    # Who asks for a person again gets one again.
    again = (await panel.post(f"/messages/{question}/mark-human"))["message"]
    assert (again["requires_human"], again["human_replied"]) == (True, False)
    assert await state() == (True, 1)


async def test_a_persons_reply_takes_over_and_settles_what_waited(panel: Panel, sql: asyncpg.Connection) -> None:
    await panel.receive(message(text="Question"))
    (row,) = (await panel.get("/conversations"))["conversations"]
    path = f"/conversations/{row['id']}"
    (question,) = (await panel.get(path))["messages"]
    await panel.post(f"/messages/{question['id']}/mark-human")
    long = "Hello, this is Anna. " * 150
    sent = (await panel.post(f"{path}/messages", {"content": f"  {long}  "}, status=201))["message"]
    assert (sent["sender_type"], sent["author"], sent["seq"]) == ("human", "anna", 2)
    assert sent["content"] == long.strip()
    assert sent["delivery_state"] == "pending"
    after = (await panel.get(path))["conversation"]
    assert (after["status"], after["assigned_to"], after["requires_human"]) == ("support_active", "anna", False)
    parts = await sql.fetch("select text, state, epoch from deliveries order by part")
    assert len(parts) > 1
    assert {(part["state"], part["epoch"]) for part in parts} == {("ready", None)}
    assert all(len(part["text"]) <= 2000 for part in parts)
    assert await sql.fetchval("select due_at is null and seq_done = seq_in and epoch = 1 from turns")
    # A colleague may help out; the conversation stays with whoever has it.
    await panel.post(f"{path}/messages", {"content": "And Ben."}, by="ben", status=201)
    assert (await panel.get(path))["conversation"]["assigned_to"] == "anna"
    assert await sql.fetchval("select epoch from turns") == 1


async def test_a_reply_that_nobody_has_to_carry_is_there_at_once(panel: Panel, sql: asyncpg.Connection) -> None:
    conversation, _, _ = await talk(sql, WORKSPACE, "x", platform="web-chat")
    sent = (await panel.post(f"/conversations/{conversation}/messages", {"content": "Hello"}, status=201))["message"]
    assert sent["delivery_state"] == "sent"
    assert await sql.fetchval("select count(*) from deliveries where message_id = $1", sent["id"]) == 0


async def test_a_page_opened_by_name_is_found_by_that_name(panel: Panel) -> None:
    opened = await panel.client.post(
        "/api/conversations", json={"platform": "facebook", "user_id": "by name"}, headers=panel.who()
    )
    assert opened.status_code == 201
    await panel.receive(message(text="by webhook"))
    for platform in ("facebook", "messenger"):
        assert set(await panel.found(platform=platform)) == {"by name", message()["sender"]["id"]}


async def test_two_changes_at_once_lose_neither(panel: Panel, sql: asyncpg.Connection) -> None:
    conversation, question, answer = await talk(sql, WORKSPACE, "x")
    path = f"/conversations/{conversation}"
    await asyncio.gather(
        *(panel.post(f"{path}/messages", {"content": f"{n}"}, by=f"p{n}", status=201) for n in range(8)),
        panel.post(f"/messages/{question}/mark-human"),
        panel.post(f"/messages/{answer}/mark-human"),
        panel.post(f"{path}/priority", {"priority": 7}),
    )
    rows = await sql.fetch("select seq from messages where conversation_id = $1 order by seq", conversation)
    assert [row[0] for row in rows] == list(range(1, 11))
    flags = await sql.fetchrow(
        "select c.requires_human, c.priority, exists (select from messages m where m.conversation_id = c.id"
        " and m.requires_human and not m.human_replied) from conversations c where c.id = $1",
        conversation,
    )
    assert flags is not None
    assert flags[0] == flags[2]
    assert flags[1] == 7
