"""What is remembered for an outage is fresh or not used, read seldom, and never more than fits."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest

from stands.desk import ANNA, Desk
from switchboard.auth import Caller
from switchboard.database.postgres import Postgres
from switchboard.replies.remember import FRESH_SECONDS, REFRESH_SECONDS, Memory

PROGRAM = {"subject": "program", "admin": False, "roles": {"1": "support"}}


@dataclass
class Watched:
    """The real database; counts what is read for the memory, and can make it wait."""

    database: Postgres
    reads: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def call(self, function: str, /, **arguments: Any) -> Any:
        self.reads += 1
        found = await self.database.call(function, **arguments)
        await self.gate.wait()
        return found


@dataclass
class Scene:
    """A memory with a clock of its own, and somebody who chats."""

    desk: Desk
    watched: Watched
    memory: Memory
    now: float = 1000.0

    async def exchange(self, text: str, conversation: int = 1) -> None:
        """One tracked exchange, heard of as `Programs.say` does, and what happens behind it."""
        since = self.memory.now
        message = await self.desk.database.call(
            "add_user_message", caller=PROGRAM, conversation_id=conversation, content=text
        )
        await self.desk.answers(f"To {text}", parts=[])
        found = await self.desk.database.call(
            "find_reply", caller=PROGRAM, conversation_id=conversation, seq=message["seq"]
        )
        self.memory.heard(message, found["reply"], found["handler"], since)
        await self.settle()

    async def settle(self) -> None:
        """Lets what was begun in the background come to its end."""
        for _ in range(20):
            await asyncio.sleep(0.005)

    def transcript(self) -> list[str]:
        known = self.memory.recall(1)
        assert known is not None
        return [line["content"] for line in orjson.loads(known.context)["turn"]["transcript"]]


@pytest.fixture
async def scene(postgres: Postgres) -> AsyncGenerator[Scene]:
    desk, watched = Desk(postgres), Watched(postgres)
    watched.gate.set()
    await desk.open()
    for _ in range(3):
        await postgres.call("open_conversation", caller=PROGRAM, workspace_id=1, platform="api", user_id="u1")
    database: Any = watched
    made = Scene(desk, watched, Memory(database, clock=lambda: made.now, most=2))
    yield made
    await made.memory.close()


async def test_it_is_read_once_a_minute_and_added_to_in_between(scene: Scene) -> None:
    for text in ("one", "two", "three"):
        await scene.exchange(text)
    assert scene.watched.reads == 1
    assert scene.transcript() == ["one", "To one", "two", "To two", "three", "To three"]
    scene.now += REFRESH_SECONDS + 1
    await scene.exchange("four")
    assert scene.watched.reads == 2
    assert scene.transcript()[-2:] == ["four", "To four"]


async def test_it_is_not_used_when_it_is_old(scene: Scene) -> None:
    assert not scene.memory.is_answerable(1)
    await scene.exchange("one")
    scene.now += FRESH_SECONDS - 1
    assert scene.memory.is_answerable(1)
    scene.now += 2
    assert not scene.memory.is_answerable(1)
    await scene.exchange("two")
    assert scene.memory.is_answerable(1)


async def test_people_come_before_what_was_read_meanwhile(scene: Scene) -> None:
    await scene.exchange("one")
    scene.now += REFRESH_SECONDS + 1
    scene.watched.gate.clear()
    await scene.exchange("two")
    anna = Caller("anna", admin=False, roles={1: "support"})
    scene.memory.people_act(anna, 1)
    scene.watched.gate.set()
    await scene.settle()
    assert scene.watched.reads == 2
    assert not scene.memory.is_answerable(1)


async def test_an_exchange_begun_before_a_takeover_says_nothing_about_what_is_now(scene: Scene) -> None:
    await scene.exchange("one")
    since = scene.memory.now
    scene.memory.silence(1)
    message = await scene.desk.database.call("add_user_message", caller=PROGRAM, conversation_id=1, content="two")
    scene.memory.heard(message, None, "ai", since)
    assert not scene.memory.is_answerable(1)
    await scene.desk.answers("To two", parts=[])
    await scene.exchange("three")
    assert scene.memory.is_answerable(1)


async def test_a_takeover_elsewhere_is_heard_of_with_the_next_message(scene: Scene) -> None:
    await scene.exchange("one")
    await scene.desk.database.call("take_over", caller=ANNA, conversation_id=1)
    message = await scene.desk.database.call("add_user_message", caller=PROGRAM, conversation_id=1, content="two")
    scene.memory.heard(message, None, message["handler"], scene.memory.now)
    assert not scene.memory.is_answerable(1)


async def test_those_silent_for_longest_leave_first(scene: Scene) -> None:
    for conversation in (1, 2, 1, 3):
        await scene.exchange("Hi", conversation)
    assert [scene.memory.is_answerable(conversation) for conversation in (1, 2, 3)] == [True, False, True]


async def test_what_was_disclosed_is_remembered(scene: Scene) -> None:
    def is_disclosed() -> bool:
        known = scene.memory.recall(1)
        assert known is not None
        return orjson.loads(known.context)["turn"]["disclosed"]

    await scene.desk.database.update("workspaces", {"disclosure_text": "I am an AI."}, where={"id": 1})
    await scene.exchange("one")
    scene.memory.add(1, reply={"disclosed": False})
    assert not is_disclosed()
    scene.memory.add(1, reply={"disclosed": True})
    scene.memory.add(1, reply={})
    assert is_disclosed()


async def test_a_long_transcript_keeps_its_end(scene: Scene) -> None:
    await scene.exchange("one")
    for number in range(3):
        await scene.exchange(f"{number}" + "x" * 7_000)
    assert [text[:4] for text in scene.transcript()] == ["2xxx", "To 2"]
