"""A customer who takes back what they said: nothing is answered, and nobody else waits because of it."""

from functools import partial

from stands.app import PAGE, local_settings
from stands.shop import open_shop
from switchboard.database.postgres import Postgres


async def test_what_was_taken_back_is_not_answered_and_silences_nobody(postgres: Postgres, database_url: str) -> None:
    async with open_shop(partial(local_settings, database_url)) as shop:
        await postgres.update("workspaces", {"quiet_seconds": 0.5}, where={"id": 1})
        await shop.hears("never mind", mid="mid.1", customer="one")
        await shop.until_message(content="never mind")
        await shop.is_told(
            {
                "sender": {"id": "one"},
                "recipient": {"id": PAGE},
                "timestamp": 1_790_000_000_000,
                "message": {"mid": "mid.1", "is_deleted": True},
            }
        )

        async def dropped() -> bool:
            (turn,) = await postgres.select("turns")
            return turn["due_at"] is None and turn["lease_until"] is None and turn["seq_done"] == turn["seq_in"]

        await shop.until(dropped)
        await shop.hears("hello", mid="mid.2", customer="two")
        await shop.graph.wait_for_sends(1)
        assert [send.recipient for send in shop.graph.sends] == ["two"]
