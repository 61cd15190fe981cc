"""The figures of the dashboard: equal to a recount at every moment, counted by the day or not yet."""

import json
from typing import Any

import asyncpg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exports.conftest import Archive, Desk

_RECOUNT = """
with c as (
  select c.*, wire_status(c.lifecycle, c.handler) as status, (
    select count(*) from messages m where m.workspace_id = c.workspace_id and m.conversation_id = c.id
  ) as many, exists (
    select from messages m where m.workspace_id = c.workspace_id and m.conversation_id = c.id and m.sender_type = 'bot'
  ) as answered
  from conversations c where c.workspace_id = $1 and c.deleted_at is null
)
select jsonb_build_object(
  'total_conversations', count(*), 'total_ai_conversations', count(*) filter (where answered),
  'total_messages', coalesce(sum(many) filter (where answered), 0),
  'active', count(*) filter (where answered and status = 'active'),
  'resolved', count(*) filter (where answered and status = 'resolved'),
  'closed', count(*) filter (where answered and status = 'closed'),
  'rating_count', (
    select count(*) from ratings r join messages m on m.id = r.message_id join c x on x.id = m.conversation_id
    where r.workspace_id = $1
  ),
  'flag_count', (
    select count(*) from flags r join messages m on m.id = r.message_id join c x on x.id = m.conversation_id
    where r.workspace_id = $1
  )
) from c
"""


async def recounted(sql: asyncpg.Connection, workspace: int) -> dict[str, int]:
    found: dict[str, int] = json.loads(await sql.fetchval(_RECOUNT, workspace))
    return found


async def told(sql: asyncpg.Connection, archive: Archive) -> dict[str, int]:
    row = json.loads(
        await sql.fetchval("select export_statistics($1, $2)", json.dumps(archive.caller()), archive.workspace)
    )
    return {
        **{name: row[name] for name in ("total_conversations", "total_ai_conversations", "total_messages")},
        **{status: row["outcomes"][status] for status in ("active", "resolved", "closed")},
        "rating_count": row["effectiveness"]["rating_count"],
        "flag_count": row["effectiveness"]["flag_count"],
    }


class Happening:
    """Things that happen in conversations, each with its event, as the service's functions write them."""

    def __init__(self, sql: asyncpg.Connection, archive: Archive) -> None:
        self._sql = sql
        self._archive = archive

    async def do(self, deed: str, which: int) -> None:
        archive, sql = self._archive, self._sql
        known = list(archive.said)
        if deed == "open" or not known:
            await archive.holds("Hi", *(["Hello"] if which % 2 else []))
            return
        one = known[which % len(known)]
        match deed:
            case "answer":
                await archive.more(one, "An answer", sender="bot")
                await self._event(one, "reply.answered")
            case "say":
                await archive.more(one, "More")
                await self._event(one, "message.received")
            case "resolve" | "close":
                state = {"resolve": "resolved", "close": "closed"}[deed]
                await sql.execute("update conversations set lifecycle = $2 where id = $1", one, state)
                await self._event(one, f"conversation.{state}")
            case "delete" | "restore":
                when = "now()" if deed == "delete" else "null"
                await sql.execute(f"update conversations set deleted_at = {when} where id = $1", one)
                await self._event(one, f"conversation.{deed}d")
            case "rate":
                await sql.execute(
                    "insert into ratings (workspace_id, message_id, rated_by, score) select workspace_id, id, $2, $3"
                    " from messages where conversation_id = $1 and sender_type = 'bot' order by seq limit 1"
                    " on conflict on constraint ratings_once do update set score = excluded.score",
                    *(one, f"person {which % 3}", 1 + which % 5),
                )
                await self._event(one, "rating.given")
            case "unrate":
                await sql.execute(
                    "delete from ratings where message_id in (select id from messages where conversation_id = $1)", one
                )
                await self._event(one, "rating.withdrawn")
            case "flag":
                await sql.execute(
                    "insert into flags (workspace_id, message_id, flagged_by, flag_type)"
                    " select workspace_id, id, 'x', 'outdated'"
                    " from messages where conversation_id = $1 and sender_type = 'bot' order by seq limit 1"
                    " on conflict do nothing",
                    one,
                )
                await self._event(one, "flag.raised")
            case "erase":
                await sql.execute("delete from conversations where id = $1", one)
                del archive.said[one]
            case "place":
                await sql.execute("select follow_events(0)")
            case "roll up":
                await sql.execute("select roll_up_activity($1)", 1 + which % 5)
            case _:
                raise AssertionError(deed)

    async def _event(self, conversation: int, kind: str) -> None:
        await self._sql.execute(
            "insert into events (workspace_id, conversation_id, type) values ($1, $2, $3)",
            *(self._archive.workspace, conversation, kind),
        )


DEEDS = (
    *("open", "answer", "say", "resolve", "close", "delete", "restore", "rate", "unrate", "flag", "erase"),
    *("place", "roll up", "roll up", "roll up"),
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(DEEDS), st.integers(0, 50)), min_size=5, max_size=25))
async def test_equal_to_a_recount_whatever_happens(sql: asyncpg.Connection, deeds: list[tuple[str, int]]) -> None:
    archive = await Archive.make(sql, f"Ours {await sql.fetchval('select gen_random_uuid()')}")
    happening = Happening(sql, archive)
    for deed, which in deeds:
        await happening.do(deed, which)
        assert await told(sql, archive) == await recounted(sql, archive.workspace), deed
    await sql.execute("select follow_events(0)")
    while json.loads(await sql.fetchval("select roll_up_activity()"))["more"]:
        pass
    assert await told(sql, archive) == await recounted(sql, archive.workspace)


async def test_what_no_event_told_is_counted_when_asked(sql: asyncpg.Connection, archive: Archive) -> None:
    await archive.holds("Hi", "Hello")
    await sql.execute("delete from events")
    assert (await told(sql, archive))["total_conversations"] == 0
    await sql.execute("select recount_conversations($1)", archive.workspace)
    assert await told(sql, archive) == await recounted(sql, archive.workspace)


async def test_the_dashboard(desk: Desk) -> None:
    archive = desk.archive
    await archive.holds("Hi", "Hello", at="2026-03-01T10:00:00Z")
    await archive.holds("Hi", "Hello", "And", "Yes", at="2026-03-01T12:00:00Z", lifecycle="resolved")
    await archive.holds("Nobody answered", at="2026-03-02T10:00:00Z")
    await archive.holds("Hi", "Hello", at="2026-03-05T10:00:00Z")
    for provider, many in (("mistral", 3), ("openai", 1)):
        for n in range(many):
            await archive.sql.execute(
                "select record_call($1, 'reply', $2)",
                *(archive.workspace, json.dumps({"provider": provider, "model": f"m{n}", "outcome": "answered"})),
            )
    for kind in ("reply.answered", "reply.answered", "reply.handed_over", "message.sent_by_human"):
        await archive.sql.execute("insert into events (workspace_id, type) values ($1, $2)", archive.workspace, kind)
    answer = next(iter(archive.said.values()))[1]
    await archive.sql.execute(
        "insert into ratings (workspace_id, message_id, rated_by, score) values ($1, $2, 'a', 4), ($1, $2, 'b', 5)",
        *(archive.workspace, answer),
    )
    found = await desk.statistics()
    effect = found.pop("effectiveness")
    today = found["most_active_days"].pop()
    assert today["responses"] == 3
    assert found == {
        "success": True,
        "workspace": archive.workspace,
        "days": None,
        "total_ai_conversations": 3,
        "total_conversations": 4,
        "total_messages": 8,
        "ai_services": [
            {"service": "mistral", "responses": 3, "share": 0.75},
            {"service": "openai", "responses": 1, "share": 0.25},
        ],
        "outcomes": {"active": 2, "support_active": 0, "resolved": 1, "archived": 0, "closed": 0},
        "average_conversation_length": 2.67,
        "most_active_days": [
            {"day": "2026-03-01", "conversations": 2, "responses": 0},
            {"day": "2026-03-05", "conversations": 1, "responses": 0},
        ],
    }
    times = effect.pop("response_times")
    assert times["count"] == 0
    assert effect == {
        "average_rating": 4.5,
        "rating_count": 2,
        "flag_count": 0,
        "hand_over_rate": 0.3333,
        "ai_share": 0.75,
    }
    recent = await desk.statistics(days=7)
    assert (recent["days"], recent["total_conversations"], recent["average_conversation_length"]) == (7, 0, None)


async def test_another_workspace_counts_for_itself(desk: Desk, theirs: Archive) -> None:
    await theirs.holds("Hi", "Hello")
    found = await desk.statistics()
    assert (found["total_conversations"], found["ai_services"], found["most_active_days"]) == (0, [], [])


async def test_days_of_the_workspaces_clock_add_up(sql: asyncpg.Connection, archive: Archive) -> None:
    zone: dict[str, Any] = {"time_zone": "Europe/Berlin"}
    await sql.execute("update workspaces set business_hours = $1 where id = $2", json.dumps(zone), archive.workspace)
    # The night in which the clocks go forward, and the one in which they go back.
    for at in ("2026-03-28T22:59:59Z", "2026-03-28T23:00:00Z", "2026-03-29T21:59:59Z", "2026-03-29T22:00:00Z"):
        await archive.holds("Hi", "Hello", at=at)
    for at in ("2026-10-24T21:59:59Z", "2026-10-24T22:00:00Z", "2026-10-25T22:59:59Z", "2026-10-25T23:00:00Z"):
        await archive.holds("Hi", "Hello", at=at)
    row = json.loads(
        await sql.fetchval("select export_statistics($1, $2)", json.dumps(archive.caller()), archive.workspace)
    )
    by_day = {each["day"]: each["conversations"] for each in row["most_active_days"]}
    assert by_day == {
        "2026-03-28": 1,
        "2026-03-29": 2,
        "2026-03-30": 1,
        "2026-10-24": 1,
        "2026-10-25": 2,
        "2026-10-26": 1,
    }
    assert sum(by_day.values()) == row["total_ai_conversations"] == 8
