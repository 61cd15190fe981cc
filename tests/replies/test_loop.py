"""Two machines that answer one another: ours stops, and tells a person."""

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from stands.app import local_settings
from stands.shop import open_shop
from switchboard.database.postgres import Postgres
from switchboard.replies.loop import AT_ONCE_SECONDS, MOST_ANSWERS, is_loop
from switchboard.replies.turn import Line, Turn

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


async def test_a_machine_at_the_other_end_is_answered_ten_times_at_most(postgres: Postgres, database_url: str) -> None:
    async with open_shop(partial(local_settings, database_url), default_model="openai:gpt-5.4-mini") as shop:
        await postgres.update("workspaces", {"quiet_seconds": 0}, where={"id": 1})

        async def replies() -> list[Any]:
            return [one for one in await shop.messages() if one["sender_type"] == "bot"]

        for number in range(20):
            await shop.hears(f"Thank you for your message number {number}.", mid=f"mid.{number}")
            if number and (await shop.conversation())["handler"] == "human":
                break

            async def answered(count: int = number + 1) -> bool:
                return len(await replies()) >= count

            await shop.until(answered)
        said = await replies()
        assert len(said) == MOST_ANSWERS + 1 <= 10
        assert said[-1]["content"].startswith("I cannot answer right now.")
        assert said[-1]["requires_human"]
        assert len(shop.llm.calls) == MOST_ANSWERS


def turn(*lines: tuple[str, float], account: str = "page") -> Turn:
    """A turn whose transcript has these senders at these seconds."""
    transcript = [
        Line(id=seq, seq=seq, sender_type=sender, content="x", sent_at=NOON + timedelta(seconds=at), attachments=0)
        for seq, (sender, at) in enumerate(lines, 1)
    ]
    return Turn.model_construct(account=account, transcript=transcript)


def talk(seconds: float, times: int = MOST_ANSWERS) -> list[tuple[str, float]]:
    """So many answers, and a message so long after each."""
    told: list[tuple[str, float]] = [("user", 0)]
    for number in range(times):
        told += [("bot", number * 100 + 1), ("user", number * 100 + 1 + seconds)]
    return told


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        (turn(*talk(0.5)), True),
        (turn(*talk(0.5), ("user", 10_000)), True),  # the newest are several messages
        (turn(*talk(0.5, MOST_ANSWERS - 1)), False),
        (turn(*talk(AT_ONCE_SECONDS + 1)), False),
        (turn(("user", 0), ("bot", 1), ("user", 60), *talk(0.5, MOST_ANSWERS - 1)[1:]), False),
        (turn(*talk(0.5, 4), ("human", 5), *talk(0.5, 4)), False),
        (turn(*talk(0.5), account="workspace:1"), False),
        (turn(("user", 0)), False),
        (turn(), False),
    ],
)
def test_only_answers_at_once_again_and_again_are_a_loop(asked: Turn, wanted: bool) -> None:
    assert is_loop(asked) is wanted
