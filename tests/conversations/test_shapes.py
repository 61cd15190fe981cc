"""The answers that the admin panel was written for."""

from datetime import datetime, timedelta

import asyncpg

from channels.payloads import message
from stands.panel import WORKSPACE, Panel
from stands.tenants import talk


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
    # The summary came later, for whoever takes over: one more name, and all the others as they were.
    assert one.keys() == {"success", "conversation", "summary", "messages"}
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
