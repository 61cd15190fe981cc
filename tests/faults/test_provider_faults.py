"""What models do to us, while customers write: the next one answers, once, and nothing of the first is heard."""

import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from faults.field import Field, Server, open_field
from faults.outcome import Outcome, share
from faults.storm import Storm, rage

pytestmark = [pytest.mark.xdist_group("faults-providers"), pytest.mark.asyncio(loop_scope="session")]

DEADLINE = 1.0
"""Seconds for the first word, and for each next one; eight by default."""
SECOND = "From the second: we are open."


class Models:
    """The first model of an installation, which is in trouble, and the second."""

    def __init__(self, field: Field, second: Server) -> None:
        self.field = field
        self.first = field.model
        self.second = second

    async def storm(self, seed: int, *plays: list[Any], messages: int = 40, calls: int = 200) -> Outcome:
        """A storm in which each call to the first gets the next of ``plays``, and again from the beginning."""

        async def trouble(storm: Storm) -> None:
            await self.first.script(plays=[plays[number % len(plays)] for number in range(calls)])

        outcome = await rage(self.field, trouble, seed=seed, messages=messages, takeovers=0)
        outcome.raise_if_wrong()
        return outcome

    async def calls(self) -> int:
        """How often the first was asked."""
        return (await self.first.state())["calls"]


@asynccontextmanager
async def installation(folder: Path, **env: str) -> AsyncGenerator[Models]:
    """Two processes that both answer, by a first and a second model."""
    second = Server.start("llm", folder, 1)
    told = {
        "OPENAI_SERVERS": f"second={second.url}",
        "FALLBACK_MODELS": "second:m",
        "PROVIDER_FIRST_TOKEN_SECONDS": str(DEADLINE),
        "PROVIDER_GAP_SECONDS": str(DEADLINE),
        "PROVIDER_TOTAL_SECONDS": "6",
    }
    try:
        async with open_field(seed=22, serving=("a",), **told | env) as field:
            await second.script(plays=[["say", [SECOND], {}]] * 500)
            yield Models(field, second)
    finally:
        second.stop()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def whole_models(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Models]:
    """One installation for the tests of this module."""
    async with installation(tmp_path_factory.mktemp("second")) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="session")
async def models(whole_models: Models) -> Models:
    """The installation with processes that have just started, so that no breaker remembers the test before."""
    await whole_models.field.fleet.kill()
    await whole_models.field.fleet.start()
    await whole_models.second.script(seed=1, plays=[["say", [SECOND], {}]] * 500)
    return whole_models


def said(outcome: Outcome) -> set[str]:
    """All that the AI said."""
    return {row["content"] for row in outcome.evidence.messages if row["sender_type"] == "bot"}


TROUBLES: dict[str, list[list[Any]]] = {
    "F22 its rate limit": [["fail", [429, "slow down"], {"retry_after": "30"}]],
    "F23 broken": [["fail", [500, "no"], {}], ["fail", [502, "no"], {}], ["fail", [503, "no"], {}]],
    "F24 it never begins": [["hang", [], {}]],
    "F25 it falls silent": [["stall", ["We", " are"], {}]],
    "F26 cut off": [["cut", [], {}], ["cut", ["We are"], {}]],
    "F27 nonsense": [["html", [], {}], ["empty", [], {}], ["junk", ["We"], {}], ["end_early", ["We are"], {}]],
    "F28 an error in a stream": [["error_in_stream", ["We are"], {}]],
    "F31 a revoked key": [["fail", [401, "no such key"], {}]],
}


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_the_second_model_answers(models: Models, trouble: str) -> None:
    before = await models.calls()
    outcome = await models.storm(list(TROUBLES).index(trouble) + 2200, *TROUBLES[trouble])
    assert said(outcome) == {SECOND}, "not a word of the first"
    asked = await models.calls() - before
    # Two processes with a breaker each; some calls are under way when it opens. Then one probe in five seconds.
    assert 0 < asked <= 2 * (6 + 8), f"the first was asked {asked} times"
    if trouble.startswith(("F22", "F31")):
        assert asked <= 2 * 6, "what says itself how long, or needs a person, is left alone at once"
    assert share(outcome.answers, 0.5) < 2 * DEADLINE + 2


async def test_f23_the_first_is_not_there(tmp_path: Path) -> None:
    async with installation(tmp_path, OPENAI_BASE_URL="http://127.0.0.1:9/v1") as models:
        outcome = await models.storm(2309, ["say", ["nobody hears this"], {}])
    assert said(outcome) == {SECOND}
    assert share(outcome.answers, 0.5) < 3


async def test_f29_every_model_is_down(models: Models) -> None:
    down = ["fail", [503, "no"], {}]
    await models.second.script(plays=[down] * 500)
    outcome = await models.storm(2900, down)
    notices = [row for row in outcome.evidence.messages if row["sender_type"] == "bot"]
    talks = {row["conversation_id"] for row in outcome.evidence.messages if row["sender_type"] == "user"}
    assert {row["conversation_id"] for row in notices} == talks
    assert len(notices) == len(talks), "one notice for each conversation, and a person has it"
    assert all(row["handler"] == "human" for row in outcome.evidence.conversations)


async def test_f30_answers_without_end(models: Models) -> None:
    before = models.field.fleet.memory()
    began = time.monotonic()
    outcome = await models.storm(3000, ["bomb", [], {}], ["babble", [], {}], messages=20, calls=8)
    # After them the first answers again, as it should.
    assert SECOND in said(outcome)
    assert all(len(text) < 3_000 for text in said(outcome))
    assert time.monotonic() - began < 40
    for name, memory in models.field.fleet.memory().items():
        assert memory < before[name] + 40_000_000, f"{name} grew from {before[name]} to {memory} bytes"
