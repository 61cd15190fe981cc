"""The main job, in and out over HTTP: a signed Messenger webhook in, one stored and delivered answer out."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from stands.app import APP_SECRET, PAGE, local_settings, rest_settings
from stands.desk import Desk
from stands.graph import echo_of, message, sign, webhook
from stands.shop import open_shop
from switchboard.database import Database
from switchboard.knowledge.put import put_document
from switchboard.settings import Settings


@pytest.fixture(params=["postgres", "postgrest"])
def way(request: pytest.FixtureRequest) -> tuple[Database, Callable[..., Settings]]:
    """A database and settings that lead to it: directly, or by Supabase's address and keys alone."""
    database: Database = request.getfixturevalue(request.param)
    if request.param == "postgres":
        return database, partial(local_settings, request.getfixturevalue("database_url"))
    return database, partial(rest_settings, request.getfixturevalue("supabase"))


async def test_a_message_in_one_answer_out(way: tuple[Database, Callable[..., Settings]]) -> None:
    database, make = way
    desk = Desk(database)
    async with open_shop(make) as shop:
        await database.update("workspaces", {"quiet_seconds": 0.2}, where={"id": 1})
        await put_document(database, 1, "Opening hours", "We are open Monday to Saturday from 8:00 to 18:00.")
        body = webhook(PAGE, message(PAGE, "4711", "mid.1", "When are you open on Saturday?"))
        for _ in range(3):  # Facebook repeats itself
            answer = await shop.client.post("/webhook/", content=body, headers=sign(body, APP_SECRET))
            assert (answer.status_code, answer.json()["success"]) == (200, True)

        (send,) = await shop.graph.wait_for_sends(1)
        assert send.json["message"]["text"] == "We are open Monday to Saturday from 8:00 to 18:00."
        assert (send.recipient, send.json["messaging_type"]) == ("4711", "RESPONSE")
        reply = await shop.until_message(sender_type="bot", delivery_state="sent")
        await shop.is_told(echo_of(send, "m_1", app_id=None))

        listed = await shop.get("/admin/conversations")
        (conversation,) = listed["conversations"]
        assert (listed["success"], listed["count"]) == (True, 1)
        assert (conversation["user_id"], conversation["platform"], conversation["status"]) == (
            "4711",
            "facebook",
            "active",
        )
        seen: list[dict[str, Any]] = await shop.messages(conversation["id"])
        assert [(one["seq"], one["sender_type"]) for one in seen] == [(1, "user"), (2, "bot")]
        assert (reply["model"], reply["cost"], reply["confidence_score"]) == ("quote", 0.0, 1.0)
        assert reply["metadata"]["sources"][0]["title"] == "Opening hours"
        assert (await shop.get("/admin/stats"))["stats"]["total_messages"] == 2

        (delivery,) = await database.select("deliveries")
        assert (delivery["state"], delivery["external_id"], delivery["attempts"]) == ("sent", "m_1", 1)
        assert await desk.events() == [
            "conversation.opened",
            "message.received",
            "reply.answered",
            "delivery.sent",
        ]
        assert len(await database.select("inbox")) == 4, "every webhook is kept as it came"
        assert len(await database.select("usage")) == 1
        assert len(shop.graph.sends) == 1


async def test_a_question_nobody_can_answer_goes_to_a_person_who_answers(
    way: tuple[Database, Callable[..., Settings]],
) -> None:
    database, make = way
    async with open_shop(make) as shop:
        await database.update("workspaces", {"quiet_seconds": 0}, where={"id": 1})
        await shop.hears("Can I bring my own elephant?")
        reply = await shop.until_message(sender_type="bot", delivery_state="sent")
        assert reply["requires_human"] is True
        assert (await shop.conversation())["status"] == "support_active"
        assert (await shop.get("/admin/stats"))["stats"]["messages_requiring_human"] == 1
        (waiting,) = (await shop.get("/admin/conversations", requires_human="true"))["conversations"]

        await shop.post(f"/admin/conversations/{waiting['id']}/messages", {"content": "Only small ones."})
        sends = await shop.graph.wait_for_sends(2)
        assert sends[1].json["message"]["text"] == "Only small ones."
        assert (await shop.get("/admin/stats"))["stats"]["messages_requiring_human"] == 0
        assert (await shop.conversation())["assigned_to"] == "anna"

        await shop.hears("Thanks!", mid="mid.2")
        await shop.post(f"/admin/conversations/{waiting['id']}/handback")
        await shop.until_message(sender_type="bot", seq=5)
        assert [one["sender_type"] for one in await shop.messages()] == ["user", "bot", "human", "user", "bot"]
