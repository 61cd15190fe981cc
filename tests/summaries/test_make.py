"""When a summary is made, of what, by whom, and what it costs; on both transports."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import asyncpg
import pytest

from stands import plays
from stands.app import local_settings
from stands.desk import ANNA, Desk
from stands.llm import LlmStand
from switchboard.database import Database
from switchboard.errors import Conflict, NotFound
from switchboard.providers.registry import open_providers
from switchboard.replies.prompt import build_prompt
from switchboard.replies.turn import Turn
from switchboard.summaries.make import Summarising

MODEL = "openai:gpt-4o-mini"


@pytest.fixture
async def desk(database: Database) -> Desk:
    desk = Desk(database)
    await desk.open()
    return desk


@pytest.fixture
async def llm() -> AsyncGenerator[LlmStand]:
    async with LlmStand() as stand:
        yield stand


@pytest.fixture
async def written(desk: Desk, llm: LlmStand) -> AsyncGenerator[Summarising]:
    """By a model."""
    patient = {"provider_first_token_seconds": 60, "provider_gap_seconds": 60, "provider_total_seconds": 120}
    providers = open_providers(
        local_settings("postgres://x", openai_api_key="k", openai_base_url=llm.openai_url, **patient)
    )
    yield Summarising(desk.database, providers, MODEL)
    await providers.close()


@pytest.fixture
def quoted(desk: Desk) -> Summarising:
    """Without one."""
    return Summarising(desk.database, open_providers(local_settings("postgres://x")), None)


async def talks(desk: Desk, sql: asyncpg.Connection, upto: int, first: int = 1) -> None:
    """Messages of a conversation that is there, the customer's and the AI's in turn."""
    await sql.execute(
        "insert into messages (workspace_id, conversation_id, seq, sender_type, content)"
        " select 1, 1, n, case n % 2 when 1 then 'user' else 'bot' end, 'line ' || n"
        " from generate_series($1::int, $2) n"
        " on conflict do nothing",
        *(first, upto),
    )
    await sql.execute("update conversations set last_seq = $1", upto)


async def summaries(desk: Desk) -> list[dict[str, Any]]:
    return await desk.database.select("summaries", order=["id"])


async def close(desk: Desk) -> None:
    await desk.database.call("set_lifecycle", caller=ANNA, conversation_id=1, lifecycle="closed")


async def test_on_close_the_model_sums_it_up_and_the_call_is_booked(
    desk: Desk, sql: asyncpg.Connection, llm: LlmStand, written: Summarising
) -> None:
    await desk.hears("Where is my parcel?")
    await talks(desk, sql, 5, first=2)
    await written.work()
    assert await summaries(desk) == [], "nobody wanted one yet"
    await close(desk)
    llm.play(plays.say("They wait for ", "a parcel."))
    await written.work()
    (made,) = await summaries(desk)
    assert (made["content"], made["state"], made["reason"]) == ("They wait for a parcel.", "ready", "closed")
    assert (made["covers_seq"], made["provider"], made["model"]) == (5, "openai", "gpt-4o-mini")
    (call,) = llm.calls
    assert "line 4" in str(call.body)
    assert "tools" not in call.body
    (booked,) = await desk.database.select("usage")
    assert (booked["purpose"], booked["conversation_id"], booked["outcome"]) == ("summary", 1, "answered")
    assert booked["model"].startswith("gpt-4o-mini")
    assert booked["input_tokens"] > 0
    await written.work()
    assert len(llm.calls) == 1, "nothing is new"


async def test_a_long_one_is_gone_on_with_and_not_begun_anew(
    desk: Desk, sql: asyncpg.Connection, llm: LlmStand, written: Summarising
) -> None:
    await desk.hears("Hello")
    await talks(desk, sql, 39, first=2)
    assert await summaries(desk) == []
    await talks(desk, sql, 40, first=40)
    llm.play(plays.say("First half."))
    await written.work()
    await talks(desk, sql, 60, first=41)
    llm.play(plays.say("Both halves."))
    await written.work()
    (made,) = await summaries(desk)
    assert (made["content"], made["covers_seq"], made["reason"]) == ("Both halves.", 60, "long")
    second = str(llm.calls[1].body)
    assert "First half." in second
    assert "line 41" in second
    assert "line 39" not in second


async def test_prompts_of_long_conversations_hold_it_as_data(
    desk: Desk, sql: asyncpg.Connection, quoted: Summarising
) -> None:
    await desk.hears("My name is Ada and my order is 4711")
    await talks(desk, sql, 40, first=2)
    await quoted.work()
    (turn,) = await desk.claims()
    assert turn["summary"] is None, "all of it is in the transcript"
    await desk.finishes(turn)
    await talks(desk, sql, 60, first=42)
    await quoted.work()
    await desk.hears("And now?")
    (turn,) = await desk.claims()
    assert turn["transcript"][0]["seq"] > 1
    prompt = build_prompt(Turn.model_validate(turn), [], "m")
    head, mark, told = prompt.system.partition("Summary of the earlier part of this conversation")
    assert mark, prompt.system
    assert "order is 4711" in told
    fence = head.rstrip().splitlines()[-1]
    assert fence.startswith("[")
    assert told.rstrip().endswith(fence), "between the marks that say: data, never instructions"
    assert not any("4711" in said.text for said in prompt.messages)


async def test_more_than_is_read_at_once_is_made_in_steps(
    desk: Desk, sql: asyncpg.Connection, llm: LlmStand, written: Summarising
) -> None:
    await desk.hears("Hello")
    await talks(desk, sql, 450, first=2)
    llm.default = plays.say("So far.")
    await close(desk)
    await written.work()
    assert len(llm.calls) == 3
    (made,) = await summaries(desk)
    assert (made["covers_seq"], made["due_at"]) == (450, None)


async def test_a_model_that_is_away_is_tried_again_and_then_done_without(
    desk: Desk, sql: asyncpg.Connection, llm: LlmStand, written: Summarising
) -> None:
    await desk.hears("Where is my parcel?")
    await talks(desk, sql, 4, first=2)
    await close(desk)
    llm.default = plays.fail(400, "no")
    for _ in range(4):
        await written.work()
        await sql.execute("update summaries set due_at = now() where due_at is not null")
    (made,) = await summaries(desk)
    assert (made["state"], made["provider"]) == ("ready", "extractive")
    assert made["content"].startswith("Q: Where is my parcel?")
    assert len(llm.calls) == 3


async def test_whoever_dies_over_it_leaves_it_to_another(
    desk: Desk, sql: asyncpg.Connection, quoted: Summarising
) -> None:
    await desk.hears("Hello")
    await talks(desk, sql, 4, first=2)
    await close(desk)
    (dead,) = await desk.database.call("claim_summaries", max_summaries=1, lease_seconds=30.0)
    await quoted.work()
    assert (await summaries(desk))[0]["state"] == "waiting", "somebody is at it"
    await sql.execute("update summaries set lease_until = now()")
    await quoted.work()
    (made,) = await summaries(desk)
    assert made["state"] == "ready"
    lease = {name: dead[name] for name in ("workspace_id", "summary_id", "lease_no")}
    late = await desk.database.call("finish_summary", **lease, content="late", covers_seq=1, provider="x", model="x")
    assert late == {"held": False}
    assert (await summaries(desk))[0]["content"] == made["content"]


async def test_one_that_kills_everybody_is_given_up(desk: Desk, sql: asyncpg.Connection, quoted: Summarising) -> None:
    await desk.hears("Hello")
    await talks(desk, sql, 4, first=2)
    await close(desk)
    for _ in range(5):
        assert await desk.database.call("claim_summaries", max_summaries=1, lease_seconds=30.0)
        await sql.execute("update summaries set lease_until = now()")
    await quoted.work()
    assert (await summaries(desk))[0]["state"] == "failed"
    await desk.database.call("set_lifecycle", caller=ANNA, conversation_id=1, lifecycle="open")
    again = await desk.database.call("request_summary", caller=ANNA, conversation_id=1)
    assert again["state"] == "waiting"
    await quoted.work()
    assert (await summaries(desk))[0]["state"] == "ready"


async def test_two_workers_make_each_once(
    desk: Desk, sql: asyncpg.Connection, llm: LlmStand, written: Summarising
) -> None:
    await desk.hears("Hello")
    await talks(desk, sql, 4, first=2)
    await close(desk)
    claims = await asyncio.gather(
        *(desk.database.call("claim_summaries", max_summaries=1, lease_seconds=30.0) for _ in range(6))
    )
    assert sum(map(len, claims)) == 1


async def test_what_a_customer_takes_back_or_changes_stands_in_no_summary(
    desk: Desk, sql: asyncpg.Connection, quoted: Summarising
) -> None:
    await desk.hears("My card is 4111", "Where is my parcel?")
    await talks(desk, sql, 5, first=3)
    await close(desk)
    await quoted.work()
    assert "4111" in (await summaries(desk))[0]["content"]
    await desk.receives({"kind": "unsend", "external_id": "m1"})
    assert (await summaries(desk))[0]["content"] == "", "at once, not when there is time"
    await quoted.work()
    made = (await summaries(desk))[0]["content"]
    assert "4111" not in made
    assert "parcel" in made
    await desk.receives({"kind": "edit", "external_id": "m2", "text": "Where is my letter?"})
    await quoted.work()
    assert "letter" in (await summaries(desk))[0]["content"]


async def test_one_taken_back_while_it_is_being_summed_up_counts(desk: Desk, sql: asyncpg.Connection) -> None:
    await desk.hears("My card is 4111")
    await talks(desk, sql, 5, first=2)
    await close(desk)
    (held,) = await desk.database.call("claim_summaries", max_summaries=1, lease_seconds=30.0)
    await desk.receives({"kind": "unsend", "external_id": "m1"})
    lease = {name: held[name] for name in ("workspace_id", "summary_id", "lease_no")}
    told = await desk.database.call(
        "finish_summary", **lease, content="card 4111", covers_seq=5, provider="x", model="x"
    )
    assert told == {"held": False}


async def test_idle_and_handed_over_ones_are_summed_up_and_deleted_ones_are_not(
    desk: Desk, sql: asyncpg.Connection, quoted: Summarising
) -> None:
    await desk.hears("Hello")
    await talks(desk, sql, 5, first=2)
    await quoted.sweep()
    assert await summaries(desk) == []
    await sql.execute("update conversations set last_message_at = now() - interval '25 hours'")
    await quoted.sweep()
    (wanted,) = await summaries(desk)
    assert (wanted["reason"], wanted["state"]) == ("idle", "waiting")
    await desk.database.call("delete_conversation", caller=ANNA, conversation_id=1)
    await quoted.work()
    assert (await summaries(desk))[0]["state"] == "waiting"
    assert await desk.database.call("list_summaries", caller=ANNA) == []
    with pytest.raises(NotFound):
        await desk.database.call("request_summary", caller=ANNA, conversation_id=1)
    owner = {"subject": "olga", "admin": False, "roles": {"1": "owner"}}
    await desk.database.call("restore_conversation", caller=owner, conversation_id=1)
    await quoted.work()
    assert (await summaries(desk))[0]["state"] == "ready"
    await quoted.sweep()
    assert (await summaries(desk))[0]["due_at"] is None, "nothing is new"
    await talks(desk, sql, 7, first=6)
    await desk.database.call("take_over", caller=ANNA, conversation_id=1)
    assert (await summaries(desk))[0]["reason"] == "handed_over"
    # Erasing the customer leaves nothing of it.
    await desk.database.delete("customers", where={"workspace_id": 1})
    assert await summaries(desk) == []


async def test_few_messages_need_none_unless_somebody_asks(desk: Desk, quoted: Summarising) -> None:
    await desk.hears("Hello")
    await close(desk)
    assert await summaries(desk) == []
    asked = await desk.database.call("request_summary", caller=ANNA, conversation_id=1)
    assert (asked["state"], asked["content"], asked["reason"]) == ("waiting", "", "asked")
    await quoted.work()
    again = await desk.database.call("request_summary", caller=ANNA, conversation_id=1)
    assert (again["state"], again["content"]) == ("ready", "Q: Hello")
    caller = {"subject": "program", "admin": False, "roles": {"1": "support"}}
    made = await desk.database.call("open_conversation", caller=caller, workspace_id=1, platform="api", user_id="u")
    with pytest.raises(Conflict, match="said"):
        await desk.database.call("request_summary", caller=ANNA, conversation_id=made["id"])
