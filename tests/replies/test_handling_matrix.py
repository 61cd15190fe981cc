"""The table in docs/guide/handling.md, cell by cell: who has it × open or closed × what the customer does."""

import asyncio
import random
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from stands.app import local_settings
from stands.desk import ANNA
from switchboard.database import Database
from switchboard.database.postgres import Postgres
from switchboard.knowledge.cafe import put_cafe
from switchboard.providers.registry import open_providers
from switchboard.replies.answer import Desk, Generate, answer
from switchboard.replies.models import Models
from switchboard.replies.turn import Turn
from switchboard.upkeep.watchdog import watch

GUIDE = Path(__file__).parents[2] / "docs/guide/handling.md"
ALWAYS_TODAY = {"time_zone": "UTC", "weekly": {str(n): [[0, 1440]] for n in range(1, 8)}, "holidays": {}}
TEXT = "We are closed."
LONG_AGO = "2026-01-01T00:00:00+00:00"
QUESTION = "When are you open?"


def closed_today() -> dict[str, Any]:
    """Open on one day of the week, neither yesterday nor today nor tomorrow: the closed period began days ago."""
    return ALWAYS_TODAY | {"weekly": {str((datetime.now(UTC).isoweekday() + 3) % 7 + 1): [[0, 1440]]}}


def rows() -> list[tuple[str, str, str, str, str]]:
    """The table of the guide."""
    found = re.findall(
        r"^\| ((?:the AI|people)[^|]*) \| (\w+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", GUIDE.read_text(), re.M
    )
    assert len(found) == 8
    return found


class Room:
    """A workspace whose conversations are answered by the real reply path with the built-in provider."""

    def __init__(self, database: Database) -> None:
        self.database = database
        settings = local_settings("postgresql:///unused")
        shared = open_providers(settings)
        self.desk = Desk(database, Models(shared, settings), {}, "extractive:quote")

    async def open(self) -> None:
        await self.database.call("ensure_workspace", name="Café", agent_name="the assistant", system_prompt="Be kind.")
        await put_cafe(self.database, 1)
        await self.configure(out_of_hours_text=TEXT)

    async def configure(self, **values: Any) -> None:
        await self.database.update("workspaces", values, where={"id": 1})

    async def begin(self) -> int:
        made = await self.database.call(
            "open_conversation", caller=ANNA, workspace_id=1, platform="api", user_id=str(random.random())
        )
        return int(made["id"])

    async def says(self, conversation: int, text: str = QUESTION) -> int:
        said = await self.database.call("add_user_message", caller=ANNA, conversation_id=conversation, content=text)
        return int(said["id"])

    async def work(self) -> list[str]:
        """Answers all that is due; the outcomes."""
        outcomes: list[str] = []
        while claimed := await self.database.call("claim_turns", max_turns=10, lease_seconds=30.0, per_workspace=10):
            for row in claimed:
                outcomes.append(await answer(Turn.model_validate(row), self.desk, Generate()))
        return outcomes

    async def time_passes(self) -> int:
        """Longer than a customer may wait; how many were flagged by the watchdog then."""
        await self.database.update("messages", {"created_at": LONG_AGO}, where={"sender_type": "user"})
        for turn in await self.database.select("turns"):
            if turn["watch_at"]:
                where = {"conversation_id": turn["conversation_id"], "workspace_id": turn["workspace_id"]}
                await self.database.update("turns", {"watch_at": LONG_AGO}, where=where)
        return await watch(self.database)

    async def after(self, message: int, conversation: int) -> str:
        """What came after a message of the customer's, in the words of the guide."""
        (asked,) = await self.database.select("messages", where={"id": message})
        later = await self.database.select("messages", where={"conversation_id": conversation}, order=["seq"])
        heard = [one for one in later if one["seq"] > asked["seq"] and one["sender_type"] in ("bot", "system")]
        (standing,) = await self.database.select("conversations", where={"id": conversation})
        assert len(heard) <= 1, "never two automatic messages to one of the customer's"
        assert standing["requires_human"] >= asked["requires_human"]
        match [one["sender_type"] for one in heard], asked["requires_human"]:
            case ["bot"], False:
                return "reply"
            case ["system"], True:
                assert heard[0]["content"] == TEXT
                return "text and flag"
            case [], True:
                return "flag"
            case [], False:
                return "nothing" if await self.time_passes() == 0 else "watched"
            case found:
                raise AssertionError(found)


@pytest.fixture
async def room(database: Database) -> Room:
    made = Room(database)
    await made.open()
    return made


@pytest.mark.parametrize(("who", "when", "first", "another", "taken_back"), rows())
async def test_each_cell(room: Room, who: str, when: str, first: str, another: str, taken_back: str) -> None:
    conversation, other = await room.begin(), await room.begin()
    await room.configure(
        business_hours=ALWAYS_TODAY if when == "open" else closed_today(), auto_response="switched off" not in who
    )
    for each in (conversation, other):
        if who.startswith("people"):
            await room.database.update("conversations", {"handler": "human"}, where={"id": each})
        if "who are there" in who:
            await room.database.call("take_over", caller=ANNA, conversation_id=each)
    for expected in (first, another):
        message = await room.says(conversation)
        await room.work()
        assert await room.after(message, conversation) == expected
    message = await room.says(other)
    await room.database.update("messages", {"unsent_at": LONG_AGO}, where={"id": message})
    await room.work()
    assert await room.after(message, other) == taken_back
    for turn in await room.database.select("turns"):
        assert turn["lease_until"] is None


async def test_no_hours_are_always_open(room: Room) -> None:
    conversation = await room.begin()
    message = await room.says(conversation)
    assert await room.work() == ["answered"]
    assert await room.after(message, conversation) == "reply"


async def test_an_empty_text_is_a_flag(room: Room) -> None:
    await room.configure(business_hours=closed_today(), out_of_hours_text="")
    conversation = await room.begin()
    message = await room.says(conversation)
    assert await room.work() == ["left"]
    assert await room.after(message, conversation) == "flag"


async def test_the_next_closed_period_has_a_text_of_its_own(room: Room) -> None:
    await room.configure(business_hours=closed_today())
    conversation = await room.begin()
    for _ in range(2):
        await room.says(conversation)
        await room.work()
    await room.database.update("turns", {"closed_told_at": LONG_AGO}, where={"workspace_id": 1})
    message = await room.says(conversation)
    assert await room.work() == ["out_of_hours"]
    assert await room.after(message, conversation) == "text and flag"
    assert len(await room.database.select("messages", where={"sender_type": "system"})) == 2


async def test_it_opens_while_a_turn_is_held(room: Room) -> None:
    await room.configure(business_hours=closed_today())
    conversation = await room.begin()
    message = await room.says(conversation)
    (held,) = await room.database.call("claim_turns", max_turns=1, lease_seconds=30.0, per_workspace=10)
    await room.configure(business_hours=ALWAYS_TODAY)
    assert await answer(Turn.model_validate(held), room.desk, Generate()) == "retried"
    assert await room.work() == ["answered"]
    assert await room.after(message, conversation) == "reply"


async def test_a_takeover_stops_the_text(room: Room) -> None:
    await room.configure(business_hours=closed_today())
    conversation = await room.begin()
    await room.says(conversation)
    (held,) = await room.database.call("claim_turns", max_turns=1, lease_seconds=30.0, per_workspace=10)
    await room.database.call("take_over", caller=ANNA, conversation_id=conversation)
    assert await answer(Turn.model_validate(held), room.desk, Generate()) == "taken_over"
    assert await room.database.select("messages", where={"sender_type": "system"}) == []


async def test_two_workers_who_both_find_it_closed_say_it_once(room: Room) -> None:
    await room.configure(business_hours=closed_today())
    conversation = await room.begin()
    await room.says(conversation)
    (first,) = await room.database.call("claim_turns", max_turns=1, lease_seconds=0.05, per_workspace=10)
    await asyncio.sleep(0.1)
    (second,) = await room.database.call("claim_turns", max_turns=1, lease_seconds=30.0, per_workspace=10)
    turns = [Turn.model_validate(row) for row in (first, second, second)]
    outcomes = [await answer(turn, room.desk, Generate()) for turn in turns]
    assert outcomes == ["lost", "out_of_hours", "out_of_hours"], "the same call again says the same"
    assert len(await room.database.select("messages", where={"sender_type": "system"})) == 1


async def test_messages_on_a_channel_in_closed_hours(room: Room) -> None:
    """By webhook, with a person at the desk: the text is due there too, and not sent where nothing can be sent."""
    from stands.desk import Desk as Door

    await room.configure(business_hours=closed_today(), default_handler="human")
    door = Door(room.database)
    await door.open()
    await door.hears("Hi", "anybody there?")
    assert await room.work() == ["left"], "no channel is open to send it on"
    (conversation,) = await room.database.select("conversations")
    assert (conversation["handler"], conversation["requires_human"]) == ("human", True)


@pytest.mark.parametrize("seed", range(6))
async def test_whatever_happens_nobody_waits_unseen(postgres: Postgres, seed: int) -> None:
    """A day of chance: customers, hours, switches and people, in any order; then what must hold."""
    room = Room(postgres)
    await room.open()
    draw = random.Random(seed)
    conversations = [await room.begin() for _ in range(4)]
    for _ in range(80):
        conversation = draw.choice(conversations)
        here = {"caller": ANNA, "conversation_id": conversation}
        match draw.choice(
            ["says"] * 5 + ["work"] * 4 + ["hours", "switch", "take", "back", "person", "bulk", "unsend"]
        ):
            case "says":
                await room.says(conversation, draw.choice([QUESTION, "Can you repair my carburettor?", "Hello"]))
            case "work":
                await room.work()
            case "hours":
                await room.configure(business_hours=draw.choice([None, ALWAYS_TODAY, closed_today(), closed_today()]))
            case "switch":
                await room.configure(auto_response=draw.random() < 0.7)
            case "take":
                await postgres.call("take_over", **here)
            case "back":
                await postgres.call("hand_back", **here)
            case "person":
                await postgres.call("post_human_reply", content="Anna here", parts=[], **here)
            case "bulk":
                status = draw.choice(["active", "support_active"])
                await postgres.call("set_statuses", caller=ANNA, conversation_ids=conversations, status=status)
            case _:
                said = await postgres.select("messages", where={"conversation_id": conversation, "sender_type": "user"})
                if said:
                    await postgres.update("messages", {"unsent_at": LONG_AGO}, where={"id": said[-1]["id"]})
    await room.work()
    await room.time_passes()
    for conversation in conversations:
        lines = await postgres.select("messages", where={"conversation_id": conversation}, order=["seq"])
        told = [line for line in lines if line["sender_type"] == "system"]
        assert len(told) <= 1, "the closed period was always the same one"
        last = max((line["seq"] for line in lines if line["sender_type"] in ("bot", "human")), default=0)
        waiting = [
            line for line in lines if line["sender_type"] == "user" and line["seq"] > last and not line["unsent_at"]
        ]
        assert not waiting or any(line["requires_human"] or line["human_replied"] for line in waiting), lines
    replies = await postgres.select("replies")
    kept = [
        (row["conversation_id"], row["answered_seq"])
        for row in replies
        if row["outcome"] in ("answered", "handed_over")
    ]
    assert len(kept) == len(set(kept))
