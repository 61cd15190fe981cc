import json
import subprocess
import sys
from decimal import Decimal

import pytest

from providers.prompts import ask
from stands.llm import LlmStand, hang
from switchboard.errors import ProviderBusy, ProviderMisconfigured
from switchboard.providers import Usage, complete
from switchboard.providers.registry import open_providers
from switchboard.settings import Settings, load

SDKS = ["openai", "httpx2", "genai_prices", "anthropic", "mistralai", "google.genai"]


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "DEFAULT_MODEL"):
        monkeypatch.delenv(name, raising=False)


def settings(**overrides: object) -> Settings:
    return load(_env_file=None, **overrides)


async def test_without_a_key_there_is_the_built_in_provider():
    providers = open_providers(settings())
    provider, model = providers.get(settings().model)
    assert (provider.name, model) == ("extractive", "quote")
    assert (await complete(provider, ask("hi"))).text == "Hello! How can I help?"
    await providers.warm()
    await providers.close()


@pytest.mark.parametrize(
    ("model_ref", "words"),
    [
        ("openai:gpt-5.4-mini", "OPENAI_API_KEY, or OPENAI_BASE_URL"),
        ("acme:x", "'acme' in 'acme:x' is no provider: use extractive or openai"),
        ("", "no provider"),
        ("quote", "no provider"),
        ("extractive:", "names no model"),
        ("extractive", "names no model"),
        ("extractive:gpt-5", "names no model"),
    ],
)
def test_what_is_not_there_says_what_to_set(model_ref: str, words: str):
    with pytest.raises(ProviderMisconfigured, match=words):
        open_providers(settings()).get(model_ref)


async def test_a_configured_provider_answers_and_closes(llm: LlmStand):
    providers = open_providers(settings(openai_base_url=llm.openai_url, openai_api_key="sk-1"))
    await providers.warm()
    provider, model = providers.get("openai:vendor/model:free")
    assert model == "vendor/model:free"
    done = (await complete(provider, ask("Hi", model=model))).done
    assert done.finish_reason == "stop"
    await providers.close()
    with pytest.raises(ProviderBusy):
        await complete(provider, ask("Hi"))


async def test_deadlines_come_from_the_settings(llm: LlmStand):
    llm.play(hang())
    providers = open_providers(
        settings(openai_base_url=llm.openai_url, provider_first_token_seconds=0.1, provider_total_seconds=9)
    )
    await providers.warm()
    provider, model = providers.get("openai:m")
    with pytest.raises(ProviderBusy, match=r"0\.1 seconds"):
        await complete(provider, ask("Hi", model=model))
    await providers.close()


def test_prices_hold_for_openai_itself_alone():
    usage = Usage(input_tokens=1_000_000)
    at_openai = open_providers(settings(openai_api_key="sk-1"))
    in_europe = open_providers(settings(openai_api_key="sk-1", openai_base_url="https://eu.api.openai.com/v1"))
    elsewhere = open_providers(settings(openai_base_url="https://api.openai.com.example/v1"))
    assert at_openai.price("openai:gpt-4o-mini", usage) == Decimal("0.15")
    assert in_europe.price("openai:gpt-4o-mini", usage) == Decimal("0.15")
    assert elsewhere.price("openai:gpt-4o-mini", usage) is None
    assert at_openai.price("openai:unheard-of", usage) is None
    assert at_openai.price("acme:gpt-4o-mini", usage) is None
    assert at_openai.price("extractive:quote", usage) == 0


LAZY = """
import asyncio, json, sys
def loaded(): return [name for name in json.loads(sys.argv[1]) if name in sys.modules]
import switchboard.providers.registry as registry
from switchboard.settings import load
seen = [loaded()]
async def main():
    nothing = registry.open_providers(load(_env_file=None))
    await nothing.warm()
    nothing.get("extractive:quote")
    seen.append(loaded())
    providers = registry.open_providers(load(_env_file=None, openai_api_key="k"))
    providers.get("openai:m")
    seen.append(loaded())
    await providers.warm()
    seen.append(loaded())
    await providers.close()
asyncio.run(main())
print(json.dumps(seen))
"""


def test_an_sdk_is_imported_when_it_is_configured_and_not_before():
    process = subprocess.run(
        [sys.executable, "-c", LAZY, json.dumps(SDKS)], capture_output=True, text=True, check=True, timeout=60
    )
    on_import, without_key, on_get, warm = json.loads(process.stdout)
    assert (on_import, without_key, on_get) == ([], [], [])
    assert warm == ["openai", "httpx2", "genai_prices"]
