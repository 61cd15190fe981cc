"""Lists: filters, search, and pages without gap or double."""

from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from stands.panel import WORKSPACE, Panel
from stands.tenants import talk


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
