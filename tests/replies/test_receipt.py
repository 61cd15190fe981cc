"""What is kept of a draft: who wrote it, and every call to a model until then."""

from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from providers.prompts import ask
from providers.scripted import Scripted
from switchboard import clock
from switchboard.errors import ProviderBusy
from switchboard.providers.breaker import Breaker
from switchboard.providers.fallback import Candidate, Fallback
from switchboard.providers.registry import Providers
from switchboard.replies.answer import receipt_of
from switchboard.replies.draft import Draft, write

LIMITED = ProviderBusy("slow down", fault="limit", retry_after=60, turned_away=True)


async def receipt(*providers: Any) -> dict[str, Any]:
    """Of a draft that these write, or fail to; the second kind of it is priced as OpenAI's."""
    draft = Draft(ask("When do you open?", model="gpt-4o-mini"))
    try:
        await write(draft, Fallback([Candidate(provider, "gpt-4o-mini") for provider in providers]))
        draft.whole()
    except ProviderBusy:
        assert draft.done is None or not draft.text
    turn: Any = SimpleNamespace(prompt_version=7, agent=None)
    return receipt_of(turn, Providers({}, {"b": "openai"}), "a:gpt-4o-mini", draft, [], clock.now())


async def test_every_attempt_has_its_own_tokens_and_cost():
    told = await receipt(
        Scripted("a", [LIMITED]), Scripted("b", ["Twelve chars", ProviderBusy()]), Scripted("b", ["At 9."])
    )
    assert (told["text"], told["provider"], told["model"]) == ("At 9.", "b", "gpt-4o-mini-dated")
    assert told["prompt_version"] == 7
    limited, broken, good = told["attempts"]
    assert (limited["provider"], limited["outcome"], limited["reason"]) == ("a", "limit", "slow down")
    assert (limited["input_tokens"], limited["estimated"], limited["cost"]) == (0, False, "0"), "it was turned away"
    assert (broken["outcome"], broken["output_tokens"], broken["estimated"]) == ("server", 3, True)
    assert Decimal(broken["cost"]) > 0
    assert (good["outcome"], good["input_tokens"], good["output_tokens"]) == ("answered", 11, 7)
    assert Decimal(told["cost"]) == Decimal(broken["cost"]) + Decimal(good["cost"]), "what failed is paid for as well"
    assert len({limited["call_id"], broken["call_id"], good["call_id"]}) == 3


async def test_with_one_call_of_unknown_price_the_whole_is_unknown():
    told = await receipt(Scripted("a", ["Twelve chars", ProviderBusy()]), Scripted("b", ["At 9."]))
    unknown, known = told["attempts"]
    assert (unknown["cost"], told["cost"]) == (None, None), "unknown is not 0"
    assert Decimal(known["cost"]) > 0


async def test_an_answer_of_nothing_is_a_call_that_failed():
    told = await receipt(Scripted("b", []))
    (attempt,) = told["attempts"]
    assert (attempt["outcome"], attempt["input_tokens"]) == ("broken", 11)


async def test_where_all_failed_the_last_call_counts():
    told = await receipt(Scripted("a", [LIMITED]), Scripted("b", ["Twelve chars", ProviderBusy()]))
    assert (told["provider"], told["model"], told["output_tokens"]) == ("b", "gpt-4o-mini", 3)
    assert [attempt["outcome"] for attempt in told["attempts"]] == ["limit", "server"]


@pytest.mark.parametrize("before", [0, 1])
async def test_where_no_call_was_made_nobody_is_named(before: int):
    breaker = Breaker(Scripted("a", [LIMITED]))
    await receipt(breaker)
    told = await receipt(*[Scripted("b", [LIMITED])] * before, breaker)
    assert told["provider"] == (None if not before else "b")
    assert told["attempts"][-1]["outcome"] == "skipped"
    assert (told["input_tokens"], told["output_tokens"]) == (0, 0)
