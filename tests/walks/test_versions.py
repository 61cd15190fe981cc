"""The whole job on every Postgres there is on this machine: those of the wheel, and the system's own."""

from collections.abc import Iterator
from functools import partial

import pytest

from stands.app import local_settings
from stands.clusters import Cluster, majors
from stands.shop import open_shop
from switchboard.database.migrations import migrate
from switchboard.database.postgres import open_postgres
from switchboard.knowledge.put import put_document


@pytest.fixture(params=sorted(majors()), ids=lambda major: f"Postgres {major}")
def server(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    cluster = Cluster(majors()[request.param])
    cluster.start()
    yield cluster
    cluster.destroy()


async def test_a_message_is_answered_taken_over_and_handed_back(server: Cluster) -> None:
    dsn = server.dsn(await server.create_database())
    await migrate(dsn)
    async with open_shop(partial(local_settings, dsn)) as shop:
        database = await open_postgres(dsn, pool_size=2, timeout=5)
        await database.update("workspaces", {"quiet_seconds": 0}, where={"id": 1})
        await put_document(database, 1, "Opening hours", "We are open on Saturday from 8:00 to 18:00.")
        await shop.hears("When are you open on Saturday?")
        await shop.until_message(sender_type="bot", delivery_state="sent")
        await shop.post("/admin/conversations/1/messages", {"content": "And on Sunday, says Anna."})
        await shop.until_message(sender_type="human", delivery_state="sent")
        await shop.hears("Are you open on Saturday?", mid="mid.2")
        await shop.post("/admin/conversations/1/handback")
        await shop.until_message(sender_type="bot", seq=5, delivery_state="sent")
        (found,) = (await shop.get("/admin/conversations", q="sunday"))["conversations"]
        assert found["status"] == "active"
        await database.close()
