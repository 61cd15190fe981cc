"""The chat goes on while the database is away: from memory, stored once, never answered twice, nothing lost."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from faults.proxy import Line
from stands import plays
from stands.app import bearer, local_settings, rest_settings, token
from stands.clusters import Cluster, majors
from stands.shop import Shop, open_shop
from stands.supabase import SupabaseServer
from switchboard import clock
from switchboard.database.migrations import migrate
from switchboard.database.postgres import open_postgres
from switchboard.knowledge.put import put_document

MODEL = "openai:gpt-5.4-mini"
CLOSED = {
    "time_zone": "UTC",
    "weekly": {str((clock.now().isoweekday() + 3) % 7 + 1): [[540, 600]]},
    "holidays": {},
}
"""Hours of a business that is open on another day than today."""
HOURS = "The café is open from nine to five. On Sundays the café is closed."


@pytest.fixture
def server() -> Iterator[Cluster]:
    """A migrated Postgres of this test's own, which it may stop and freeze."""
    cluster = Cluster(majors()[18])
    cluster.start()
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        runner.run(migrate(cluster.dsn()))
    yield cluster
    cluster.thaw()
    cluster.destroy()


@asynccontextmanager
async def chatting(server: Cluster, folder: Path, **overrides: Any) -> AsyncGenerator[Shop]:
    """A shop on this server with one conversation, number 1, in which a first exchange has been had and remembered."""
    overrides = {"default_model": MODEL, "data_dir": folder} | overrides
    make = overrides.pop("make", partial(local_settings, server.dsn(), database_timeout_seconds=1))
    async with open_shop(make, **overrides) as shop:
        shop.client.headers.update(bearer(token(shop.settings, "support", 1, subject="program")))
        database = await open_postgres(server.dsn(), pool_size=1, timeout=5)
        await put_document(database, 1, "Opening hours", HOURS)
        await database.close()
        await shop.post("/api/conversations", {"user_id": "u1"})
        assert (await say(shop, "When is the café open?"))["tracked"] is True
        await remembered(shop)
        yield shop


async def remembered(shop: Shop) -> None:
    """Returns when what happens in the background after an exchange has happened."""
    await asyncio.sleep(0.2)


async def send(shop: Shop, text: str, conversation: int = 1, headers: dict[str, str] | None = None) -> httpx.Response:
    body = {"conversation": conversation, "content": text}
    return await shop.client.post("/api/messages", json=body, headers=headers)


async def say(shop: Shop, text: str, status: int = 201, headers: dict[str, str] | None = None) -> dict[str, Any]:
    answer = await send(shop, text, headers=headers)
    assert answer.status_code == status, answer.text
    return answer.json()


async def settled(shop: Shop, count: int) -> list[tuple[str, str]]:
    """The conversation, once it has ``count`` messages and nothing waits; fails if another one comes after that."""

    async def drained() -> bool:
        answer = await shop.client.get("/metrics", headers=bearer(token(shop.settings)))
        return "switchboard_spooled_calls 0.0" in answer.text and len(await shop.messages()) >= count

    await shop.until(drained, seconds=20)
    await asyncio.sleep(0.3)
    messages = await shop.messages()
    assert [message["seq"] for message in messages] == list(range(1, len(messages) + 1))
    assert len(messages) == count, messages
    return [(message["sender_type"], message["content"]) for message in messages]


async def booked(server: Cluster) -> list[str]:
    """The outcomes of all calls to models that were paid for."""
    connection = await asyncpg.connect(server.dsn())
    rows = await connection.fetch("select outcome from usage order by id")
    await connection.close()
    return [row[0] for row in rows]


@pytest.mark.parametrize("transport", ["postgres", "postgrest"])
async def test_the_chat_goes_on_and_is_stored_once(
    transport: str, server: Cluster, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if transport == "postgres":
        await check_going_on(server, tmp_path, partial(local_settings, server.dsn(), database_timeout_seconds=1))
        return
    supabase: SupabaseServer = request.getfixturevalue("supabase_server")
    with supabase.project(server.dsn()) as project:
        await check_going_on(server, tmp_path, partial(rest_settings, project), first_status=(201, 202))


async def check_going_on(server: Cluster, folder: Path, make: Any, first_status: tuple[int, ...] = (201,)) -> None:
    async with chatting(server, folder, make=make) as shop:
        shop.llm.play(plays.say("We bake our own."), plays.say("Yes, oat milk."), plays.say("Bye."))
        server.stop()
        first = await send(shop, "And the cake?")
        # Over REST a connection that broke under the request does not tell whether it was done.
        assert first.status_code in first_status, first.text
        assert (first.json()["tracked"], first.json()["id"], first.json()["seq"]) == (False, None, None)
        second = await say(shop, "Do you have oat milk?")
        assert (second["tracked"], second["handler"], second["role"]) == (False, "ai", "user")
        reply = second["reply"]
        assert (reply["id"], reply["seq"], reply["sender_type"], reply["input_tokens"]) == (None, None, "bot", 11)
        # The second answer was written knowing what was said before, tracked or not.
        told = str(shop.llm.calls[-1].body["messages"])
        assert "When is the café open?" in told
        assert "And the cake?" in told
        assert ("We bake our own." in told) == (first.status_code == 201)
        server.start()
        answers = [answer for answer in (first.json()["reply"], reply) if answer is not None]
        expected = [
            ("user", "When is the café open?"),
            ("bot", plays.ANSWER),
            ("user", "And the cake?"),
            *([("bot", answers[0]["content"])] if len(answers) == 2 else []),
            ("user", "Do you have oat milk?"),
            ("bot", reply["content"]),
        ]
        assert await settled(shop, len(expected)) == expected
        assert await booked(server) == ["answered"] * (1 + len(answers))
        stats = (await shop.get("/admin/stats"))["stats"]
        assert stats["total_messages"] == len(expected)
        again = await send(shop, "Thank you")
        # The REST server may still hold a connection to the database that was, and find out by a timeout only.
        assert again.status_code in first_status, again.text
        if again.status_code == 201:
            assert (again.json()["tracked"], again.json()["seq"]) == (True, len(expected) + 1)
        await settled(shop, len(expected) + 2)


async def test_an_outcome_nobody_knows_is_answered_later_and_once(server: Cluster, tmp_path: Path) -> None:
    # A claim under way when it froze may be done when it thaws, after nobody waits for it: leased until the lease ends.
    make = partial(local_settings, server.dsn(), database_timeout_seconds=1, turn_lease_seconds=1)
    async with chatting(server, tmp_path, make=make) as shop:
        server.freeze()
        said = await say(shop, "And the cake?", 202)
        assert (said["tracked"], said["reply"], said["handler"]) == (False, None, "ai")
        server.thaw()
        assert [text for _, text in await settled(shop, 4)][2] == "And the cake?"
        assert await booked(server) == ["answered"] * 2


async def test_while_it_is_frozen_the_next_message_is_answered(server: Cluster, tmp_path: Path) -> None:
    async with chatting(server, tmp_path) as shop:
        server.freeze()
        await say(shop, "And the cake?", 202)
        assert (await say(shop, "Hello?"))["reply"]["content"] == plays.ANSWER
        assert "And the cake?" in str(shop.llm.calls[-1].body["messages"])
        server.thaw()
        senders = [sender for sender, _ in await settled(shop, 5)]
        assert senders == ["user", "bot", "user", "user", "bot"]


async def test_a_message_whose_acknowledgement_got_lost_is_there_once(server: Cluster, tmp_path: Path) -> None:
    async with Line(server.port).listen() as line:
        dsn = server.dsn().replace(str(server.port), str(line.port))
        # A claim whose answer got lost as well leaves its turn leased to nobody, until the lease ends.
        make = partial(local_settings, dsn, database_timeout_seconds=1, turn_lease_seconds=1)
        async with chatting(server, tmp_path, make=make) as shop:
            for number in range(6):
                line.lose(1.0, seed=number)
                answer = await send(shop, f"Question {number}")
                line.lose(0.0, seed=0)
                assert answer.status_code in (201, 202), answer.text
                await asyncio.sleep(0.1)
            assert line.lost > 0

            async def answered() -> bool:
                return (await shop.messages())[-1]["sender_type"] == "bot"

            await shop.until(answered)
            messages = await shop.messages()
    questions = [message["content"] for message in messages if message["sender_type"] == "user"]
    assert questions == ["When is the café open?", *(f"Question {number}" for number in range(6))]
    connection = await asyncpg.connect(server.dsn())
    twice = "select count(*) - count(distinct answered_seq) from replies where outcome in ('answered', 'handed_over')"
    assert await connection.fetchval(twice) == 0
    await connection.close()


@pytest.mark.parametrize(
    "config",
    [{"auto_response": False}, {"business_hours": CLOSED}],
    ids=["switched off", "closed"],
)
async def test_it_says_nothing_while_closed_or_switched_off(
    server: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: dict[str, Any]
) -> None:
    monkeypatch.setattr("switchboard.replies.remember.REFRESH_SECONDS", 0.0)
    monkeypatch.setattr("switchboard.replies.remember.ANSWERED_SECONDS", 0.0)
    async with chatting(server, tmp_path) as shop:
        database = await open_postgres(server.dsn(), pool_size=1, timeout=5)
        await database.update("workspaces", config, where={"id": 1})
        await database.close()
        await send(shop, "Anybody?")
        await remembered(shop)
        calls = len(shop.llm.calls)
        server.stop()
        said = await say(shop, "And the cake?", 202)
        assert (said["tracked"], said["reply"]) == (False, None)
        assert len(shop.llm.calls) == calls
        server.start()


async def test_a_takeover_silences_the_memory(server: Cluster, tmp_path: Path) -> None:
    async with chatting(server, tmp_path) as shop:
        await shop.post("/admin/conversations/1/takeover")
        calls = len(shop.llm.calls)
        server.stop()
        assert (await say(shop, "Anna?", 503))["code"] == "database_unavailable"
        assert len(shop.llm.calls) == calls


async def test_a_takeover_that_is_tried_during_the_outage_ends_the_answers(server: Cluster, tmp_path: Path) -> None:
    async with chatting(server, tmp_path) as shop:
        server.stop()
        await say(shop, "And the cake?")
        tried = await shop.client.post("/admin/conversations/1/takeover")
        assert tried.status_code == 503
        calls = len(shop.llm.calls)
        # Behind the exchange that waits, so that the order stays.
        said = await say(shop, "Hello?", 202)
        assert (said["reply"], said["handler"]) == (None, "human")
        assert len(shop.llm.calls) == calls
        server.start()
        # Nobody took over in the end, so the AI answers it.
        assert [sender for sender, _ in await settled(shop, 6)] == ["user", "bot"] * 3


async def test_a_stranger_cannot_silence_it(server: Cluster, tmp_path: Path) -> None:
    async with chatting(server, tmp_path) as shop:
        server.stop()
        for headers in (bearer(token(shop.settings, "support", 2)), bearer(token(shop.settings, "viewer", 1))):
            await shop.client.post("/admin/conversations/1/takeover", headers=headers)
        await shop.client.post("/admin/conversations/1/takeover", headers={"authorization": ""})
        assert (await say(shop, "And the cake?"))["reply"]["content"] == plays.ANSWER


async def test_a_takeover_while_the_reply_is_being_written_keeps_it_back(server: Cluster, tmp_path: Path) -> None:
    async with chatting(server, tmp_path) as shop:
        server.stop()
        gate = asyncio.Event()
        shop.llm.play(plays.say("I am", " still writing", pause=gate, pause_after=1))
        calls = len(shop.llm.calls)
        asking = asyncio.create_task(send(shop, "And the cake?"))
        await shop.llm.wait_for(calls + 1)
        assert (await shop.client.post("/admin/conversations/1/takeover")).status_code == 503
        gate.set()
        answer = await asking
        assert (answer.status_code, answer.json()["reply"]) == (202, None)
        server.start()
        await settled(shop, 4)
        assert await booked(server) == ["answered", "taken_over", "answered"]


async def test_messages_at_the_same_time_are_answered_one_after_the_other(server: Cluster, tmp_path: Path) -> None:
    async with chatting(server, tmp_path) as shop:
        server.stop()
        shop.llm.play(*(plays.say(f"Answer {number}", delay=0.05) for number in range(4)))
        calls = len(shop.llm.calls)
        answers = await asyncio.gather(*(say(shop, f"Question {number}") for number in range(4)))
        pairs = {answer["content"]: answer["reply"]["content"] for answer in answers}
        for number, call in enumerate(shop.llm.calls[calls:]):
            told = str(call.body["messages"])
            assert [f"Answer {earlier}" in told for earlier in range(4)] == [earlier < number for earlier in range(4)]
        server.start()
        messages = (await settled(shop, 10))[2:]
        assert [sender for sender, _ in messages] == ["user", "bot"] * 4
        assert {question[1]: reply[1] for question, reply in zip(messages[::2], messages[1::2], strict=True)} == pairs


async def test_a_provider_that_fails_loses_nothing(server: Cluster, tmp_path: Path) -> None:
    async with chatting(server, tmp_path) as shop:
        server.stop()
        shop.llm.play(plays.fail(500))
        said = await say(shop, "And the cake?", 202)
        assert (said["tracked"], said["reply"]) == (False, None)
        server.start()
        assert (await settled(shop, 4))[2:] == [("user", "And the cake?"), ("bot", plays.ANSWER)]
        assert (await booked(server))[-1] == "answered"


async def test_who_does_not_wait_is_answered_when_the_database_is_back(server: Cluster, tmp_path: Path) -> None:
    async with chatting(server, tmp_path) as shop:
        server.stop()
        calls = len(shop.llm.calls)
        await say(shop, "And the cake?", 202, {"prefer": "respond-async"})
        assert len(shop.llm.calls) == calls
        server.start()
        await settled(shop, 4)


async def test_a_person_who_is_asked_for_gets_the_conversation(server: Cluster, tmp_path: Path) -> None:
    async with chatting(server, tmp_path, default_model="extractive:quote") as shop:
        server.stop()
        said = await say(shop, "Can I talk to a person?")
        assert (said["reply"]["requires_human"], said["reply"]["confidence_score"]) == (True, 0.0)
        more = await say(shop, "It is about my order.", 202)
        assert (more["handler"], more["reply"]) == ("human", None)
        server.start()
        assert [sender for sender, _ in await settled(shop, 5)] == ["user", "bot", "user", "bot", "user"]
        conversation = await shop.conversation()
        assert (conversation["status"], conversation["requires_human"]) == ("support_active", True)


async def test_the_built_in_provider_quotes_what_it_remembers(server: Cluster, tmp_path: Path) -> None:
    async with chatting(server, tmp_path, default_model="extractive:quote") as shop:
        server.stop()
        said = await say(shop, "Is the café open on Sundays?")
        assert "On Sundays the café is closed." in said["reply"]["content"]
        assert said["reply"]["metadata"]["sources"]
        said = await say(shop, "Can you repair my motorcycle?")
        assert said["reply"]["requires_human"] is True


async def test_only_who_may_speak_is_answered(server: Cluster, tmp_path: Path) -> None:
    async with chatting(server, tmp_path) as shop:
        server.stop()
        calls = len(shop.llm.calls)
        for stranger in (
            bearer(token(shop.settings, "viewer", 1)),
            bearer(token(shop.settings, "owner", 2)),
            bearer(token(shop.settings, "support", 2)),
        ):
            assert (await say(shop, "Hello?", 503, stranger))["code"] == "database_unavailable"
        assert (await send(shop, "Hello?", conversation=2)).status_code == 503
        assert len(shop.llm.calls) == calls
        assert (await say(shop, "Hello?", headers=bearer(token(shop.settings))))["tracked"] is False


async def test_without_room_nothing_is_shown(server: Cluster, tmp_path: Path) -> None:
    async with chatting(server, tmp_path, spool_max_megabytes=1, rate_limit_customer=0) as shop:
        server.stop()
        codes: list[str] = []
        for number in range(60):
            answer = await send(shop, f"{number} " + "x" * 19_000)
            codes.append(answer.json().get("code", "shown"))
        assert codes[0] == "shown"
        assert codes[-1] == "spool_full"
        shown = codes.count("shown")
        server.start()

        async def stored() -> bool:
            return (await shop.get("/admin/stats"))["stats"]["total_messages"] >= 2 + 2 * shown

        await shop.until(stored)
        assert await booked(server) == ["answered"] * (1 + shown)


async def test_a_key_is_not_answered_while_it_cannot_be_kept(server: Cluster, tmp_path: Path) -> None:
    async with chatting(server, tmp_path) as shop:
        first = await say(shop, "And the cake?", headers={"idempotency-key": "k"})
        server.stop()
        assert (await say(shop, "Hello?", 503, headers={"idempotency-key": "k2"}))["code"] == "database_unavailable"
        server.start()
        assert await say(shop, "And the cake?", headers={"idempotency-key": "k"}) == first
        await settled(shop, 4)


async def test_what_waits_survives_the_process(server: Cluster, tmp_path: Path) -> None:
    async with chatting(server, tmp_path) as shop:
        server.stop()
        shown = (await say(shop, "And the cake?"))["reply"]["content"]
    server.start()
    async with open_shop(partial(local_settings, server.dsn()), data_dir=tmp_path, default_model=MODEL) as shop:
        assert (await settled(shop, 4))[2:] == [("user", "And the cake?"), ("bot", shown)]


async def test_a_stored_message_whose_reply_cannot_be_looked_for_is_not_answered_here(
    server: Cluster, tmp_path: Path
) -> None:
    async with chatting(server, tmp_path) as shop:
        gate = asyncio.Event()
        shop.llm.play(plays.say("Fresh", " cake.", pause=gate, pause_after=1))
        calls = len(shop.llm.calls)
        asking = asyncio.create_task(send(shop, "And the cake?"))
        await shop.llm.wait_for(calls + 1)
        server.stop()
        answer = await asking
        assert (answer.status_code, answer.json()["tracked"], answer.json()["seq"]) == (202, True, 3)
        server.start()
        gate.set()
        assert (await settled(shop, 4))[2:] == [("user", "And the cake?"), ("bot", "Fresh cake.")]


async def test_it_is_counted_and_logged_without_its_words(
    server: Cluster, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    async with chatting(server, tmp_path) as shop:
        server.stop()
        await say(shop, "Zebra7Canary")
        shown = await shop.client.get("/metrics", headers=bearer(token(shop.settings)))
        assert 'switchboard_replies_total{outcome="untracked"} 1.0' in shown.text
    log = capfd.readouterr().err
    assert "answered untracked" in log
    assert "Zebra7Canary" not in log


@pytest.mark.parametrize("before", [True, False], ids=["before the message", "while the reply is being written"])
async def test_a_takeover_elsewhere_counts_as_soon_as_the_database_is_back(
    before: bool, server: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def take_over() -> None:
        connection = await asyncpg.connect(server.dsn())
        await connection.execute("update conversations set handler = 'human'")
        await connection.close()

    # What waits is not replayed in this test's time: as when a long outage left a lot.
    monkeypatch.setattr("switchboard.inbox.sort.REPLAY_SECONDS", 60.0)
    async with chatting(server, tmp_path) as shop:
        gate = asyncio.Event()
        shop.llm.play(plays.say("First."), plays.say("Never", " shown.", pause=gate, pause_after=1))
        server.stop()
        assert (await say(shop, "Hello?"))["reply"]["content"] == "First."
        if not before:
            asking = asyncio.create_task(say(shop, "And now?", 202))
            await shop.llm.wait_for(3)
        server.start()
        await take_over()
        gate.set()
        answer = await (say(shop, "And now?", 202) if before else asking)
        assert (answer["reply"], answer["tracked"]) == (None, False)
        assert len(shop.llm.calls) == (2 if before else 3)
