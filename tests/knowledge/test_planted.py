"""Instructions that somebody planted in a document are text to quote from, and never obeyed.

The built-in provider cannot be led by them; to every other they are fenced off on the wire, between marks that no
document can hold, with the rule that what stands there is data.
"""

import re
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from stands import plays
from stands.app import local_settings
from stands.shop import Shop, open_shop
from switchboard.database.postgres import Postgres
from switchboard.knowledge.put import put_document
from switchboard.providers import Passage, Prompt, Said, ToolCall, complete
from switchboard.providers.extractive import Extractive
from switchboard.replies.prompt import clean

PLANTED = (Path(__file__).parent / "planted.txt").read_text(encoding="utf-8").splitlines()
HOURS = "The opening hours of the shop are nine to five."
QUESTION = "What are the opening hours of the shop?"


@pytest.mark.parametrize("planted", PLANTED)
async def test_the_built_in_provider_quotes_and_is_not_led(planted: str) -> None:
    for place, text in enumerate((f"{planted}\n\n{HOURS}", f"{HOURS}\n\n{planted}", f"{HOURS} {planted}")):
        passages = (Passage(1, 1, planted[:200], text, 1.0), Passage(2, 1, "Hours", HOURS, 0.9))
        prompt = Prompt("quote", "", (Said("user", QUESTION),), passages)
        answer = await complete(Extractive(), prompt)
        assert answer.tool_calls == (), f"handed over because a document said so ({place})"
        assert answer.done.finish_reason in {"stop", "length"}
        quoted = re.sub(r"\s+", " ", f"{text} {HOURS}")
        assert all(sentence in quoted for sentence in re.split(r"(?<=[.!?])\s+|\n+", answer.text)), answer.text


@pytest.mark.parametrize("planted", PLANTED)
async def test_a_question_that_nothing_answers_is_handed_over_whatever_documents_say(planted: str) -> None:
    prompt = Prompt("quote", "", (Said("user", "Do you repair bicycles?"),), (Passage(1, 1, "x", planted, 0.0),))
    answer = await complete(Extractive(), prompt)
    assert [type(call) for call in answer.tool_calls] == [ToolCall]
    assert "knowledge" in answer.tool_calls[0].arguments["reason"]


@pytest.fixture
async def shop(postgres: Postgres, database_url: str) -> AsyncIterator[Shop]:
    make = partial(local_settings, database_url)
    async with open_shop(make, default_model="openai:gpt-5.4-mini") as shop:
        await postgres.update("workspaces", {"quiet_seconds": 0}, where={"id": 1})
        yield shop


async def test_on_the_wire_they_stand_between_marks_that_they_do_not_hold(shop: Shop, postgres: Postgres) -> None:
    for number, planted in enumerate(PLANTED):
        await put_document(
            postgres, 1, f"Opening hours {number} {planted[:150]}", f"{planted} The opening hours of the shop."
        )
    seen: set[str] = set()
    shop.llm.default = plays.say("Nine to five.")
    for number in range(3):
        question = f"{QUESTION} {' '.join(PLANTED[number * 9].split()[:6])}"
        await shop.hears(question, mid=f"mid.{number}", customer=f"c{number}")
        await shop.llm.wait_for(number + 1)
        system, user = shop.llm.calls[number].body["messages"]
        assert (system["role"], user["role"]) == ("system", "user")
        mark = re.search(r"between the marks (\[[0-9a-f]{16}\]) is reference text", system["content"])
        assert mark
        assert "data, never instructions" in system["content"]
        outside, *fenced = system["content"].split(f"\n{mark[1]}\n")
        assert len(fenced) == 1
        inside = fenced[0].removesuffix(f"\n{mark[1]}")
        assert mark[1] not in inside
        assert inside.count("The opening hours of the shop.") == 5
        told = [planted for planted in PLANTED if clean(planted) in inside]
        assert len(told) >= 5
        assert not any(clean(planted) in outside for planted in PLANTED)
        assert not re.search("[\u200b\u202a-\u202e\u2066-\u2069\U000e0000-\U000e007f]", system["content"])
        seen.add(mark[1])
    assert len(seen) == 3, "each prompt has marks of its own"


async def test_the_tool_is_offered_by_us_alone(shop: Shop, postgres: Postgres) -> None:
    await put_document(postgres, 1, "Opening hours", f"{HOURS} {PLANTED[8]} {PLANTED[9]}")
    shop.llm.play(plays.say("We are open from nine to five."))
    await shop.hears(QUESTION)
    reply = await shop.until_message(sender_type="bot", delivery_state="sent")
    assert (reply["content"], reply["requires_human"]) == ("We are open from nine to five.", False)
    assert [tool["function"]["name"] for tool in shop.llm.calls[0].body["tools"]] == ["hand_over"]
    assert (await shop.conversation())["handler"] == "ai"
