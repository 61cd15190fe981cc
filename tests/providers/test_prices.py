import subprocess
import sys
from decimal import Decimal

import pytest

from switchboard.providers import Usage
from switchboard.providers.prices import price

USAGE = Usage(input_tokens=1_000_000, output_tokens=100_000)


def test_a_known_model_costs_what_its_list_says():
    # gpt-4o-mini: $0.15 and $0.60 a million tokens, $0.075 cached, https://platform.openai.com/docs/pricing
    assert price("gpt-4o-mini", "openai", USAGE) == Decimal("0.21")


def test_cached_tokens_are_part_of_the_input_and_cost_less():
    half = Usage(input_tokens=1_000_000, cached_tokens=500_000)
    assert price("gpt-4o-mini", "openai", half) == Decimal("0.1125")


def test_a_model_by_its_dated_name_costs_the_same():
    assert price("gpt-4o-mini-2024-07-18", "openai", USAGE) == price("gpt-4o-mini", "openai", USAGE)


@pytest.mark.parametrize("model", ["gpt-99", "", "quote", "llama3.3", "ft:gpt-4o-mini:acme::1", "gpt-4o-mini-of-mine"])
def test_an_unknown_price_is_unknown(model: str):
    assert price(model, "openai", USAGE) is None


def test_an_unknown_list_is_unknown():
    assert price("gpt-4o-mini", None, USAGE) is None
    assert price("gpt-4o-mini", "nobody", USAGE) is None


def test_the_built_in_provider_is_free():
    assert price("quote", "extractive", USAGE) == Decimal(0)


def test_more_cached_than_sent_is_no_crash():
    assert price("gpt-4o-mini", "openai", Usage(input_tokens=10, cached_tokens=20)) == Decimal("0.00000075")


def test_free_and_unknown_prices_need_no_list():
    code = (
        "import sys; from switchboard.providers.prices import price; from switchboard.providers import Usage;"
        "price('quote', 'extractive', Usage()); price('x', None, Usage()); sys.exit('genai_prices' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
