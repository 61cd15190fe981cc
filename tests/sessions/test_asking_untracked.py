"""`ask` and the web chat go on while the database is away, and what they said is stored once."""

import asyncio
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from stands import plays
from stands.app import bearer, local_settings, token
from stands.clusters import Cluster, majors
from stands.shop import Shop, open_shop
from stands.told import hear, only, said
from switchboard.database.migrations import migrate

MODEL = "openai:gpt-5.4-mini"


@pytest.fixture
def server() -> Iterator[Cluster]:
    """A migrated Postgres of this test's own, which it may stop."""
    cluster = Cluster(majors()[18])
    cluster.start()
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        runner.run(migrate(cluster.dsn()))
    yield cluster
    cluster.destroy()


async def test_a_customer_and_a_visitor_are_answered_and_stored_once(server: Cluster, tmp_path: Path) -> None:
    make = partial(local_settings, server.dsn(), database_timeout_seconds=1)
    async with open_shop(make, default_model=MODEL, data_dir=tmp_path) as shop:
        shop.client.headers.update(bearer(token(shop.settings, "support", 1, subject="program")))
        session = (await ask(shop, "When are you open?"))["session_id"]
        begun = (await shop.client.post("/api/v1/chat/start/")).json()
        me = bearer(begun["token"])
        assert (await shop.client.post("/api/v1/chat/messages/", json={"content": "Hi"}, headers=me)).status_code == 201
        await asyncio.sleep(0.3)  # what is remembered is read in the background, behind the answer

        server.stop()
        shop.llm.play(plays.say("We bake."), plays.say("Oat ", "milk."))
        first = await ask(shop, "And the cake?", client_nonce="n")
        assert (first["tracked"], first["answer"], first["session_id"]) == (False, "We bake.", session)
        assert (first["customer_id"], first["message_id"], first["auto_response_generated"]) == ("anna", None, True)
        assert (await ask(shop, "And the cake?", client_nonce="n"))["answer"] == "We bake."
        events = await hear(shop.client, "/api/v1/chat/messages/", {"content": "Milk?"}, **me)
        assert [one.name for one in events] == ["message", "delta", "done"], "shown when it is on the disk, not before"
        assert said(events) == only(events, "done")["reply"]["content"] == "Oat milk."
        assert only(events, "done")["tracked"] is False
        refused = await shop.client.post("/api/v1/ai/ask/", json={"question": "Hi", "customer_id": "somebody new"})
        assert (refused.status_code, refused.json()["code"]) == (503, "database_unavailable")

        server.start()

        async def drained() -> bool:
            answer = await shop.client.get("/metrics", headers=bearer(token(shop.settings)))
            return "switchboard_spooled_calls 0.0" in answer.text

        await shop.until(drained, seconds=20)
        assert await contents(shop, int(session)) == ["When are you open?", plays.ANSWER, "And the cake?", "We bake."]
        assert await contents(shop, int(begun["session_id"])) == ["Hi", plays.ANSWER, "Milk?", "Oat milk."]
        again = await ask(shop, "And the cake?", client_nonce="n")
        assert (again["tracked"], again["answer"]) == (True, "We bake.")
        assert len(shop.llm.calls) == 4


async def ask(shop: Shop, question: str, **more: Any) -> dict[str, Any]:
    body = {"question": question, "customer_id": "anna", **more}
    answer = await shop.client.post("/api/v1/ai/ask/", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def contents(shop: Shop, conversation: int) -> list[str]:
    return [one["content"] for one in await shop.messages(conversation)]
