import json
import subprocess
import sys
import time
from decimal import Decimal

import pytest

from providers.prompts import ask
from stands.llm import LlmStand, fail, hang, say
from switchboard.errors import ProviderBusy, ProviderMisconfigured
from switchboard.metrics import Metrics
from switchboard.providers import Usage, complete
from switchboard.providers.registry import open_providers
from switchboard.settings import Settings, load

SDKS = ["openai", "httpx2", "genai_prices", "anthropic", "mistralai", "google.genai"]


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


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
        ("gemini:gemini-3.8-flash", "GEMINI_API_KEY, or GEMINI_BASE_URL"),
        ("acme:x", "'acme' in 'acme:x' is no provider: use anthropic or extractive or gemini or mistral or openai"),
        ("", "no provider"),
        ("quote", "no provider"),
        ("extractive:", "names no model"),
        ("extractive", "names no model"),
        ("extractive:gpt-5", "names no model"),
    ],
)
def test_what_is_not_there_says_what_to_set(model_ref: str, words: str):
    for find in (open_providers(settings()).get, open_providers(settings()).alone):
        with pytest.raises(ProviderMisconfigured, match=words):
            find(model_ref)


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


@pytest.mark.parametrize(
    ("key", "model"),
    [
        ("openai_api_key", "openai:gpt-5.4-mini"),
        ("anthropic_api_key", "anthropic:claude-haiku-5-5"),
        ("mistral_api_key", "mistral:mistral-small-latest"),
        ("gemini_api_key", "gemini:gemini-3.8-flash"),
    ],
)
def test_the_usual_model_of_every_vendor_has_a_price(key: str, model: str):
    configured = settings(**{key: "k"})
    assert configured.model == model
    providers = open_providers(configured)
    assert providers.price(model, Usage(input_tokens=1_000_000, output_tokens=1_000_000)) > 0
    elsewhere = settings(**{key: "k", key.replace("api_key", "base_url"): "https://gateway.example"})
    assert open_providers(elsewhere).price(model, Usage(input_tokens=1_000_000)) is None


async def test_further_servers_have_names_keys_and_no_prices(llm: LlmStand):
    configured = settings(
        openai_servers=f"acme={llm.openai_url}, other=http://127.0.0.1:9/v1",
        openai_server_keys="acme=sk-acme-1",
        default_model="acme:llama3.3:70b",
    )
    providers = open_providers(configured)
    provider, model = providers.get(configured.model)
    assert (provider.name, model) == ("acme", "llama3.3:70b")
    await complete(provider, ask("Hi", model=model))
    assert llm.calls[0].headers["authorization"] == "Bearer sk-acme-1"
    assert providers.price("acme:llama3.3:70b", Usage(1, 1)) is None
    llm.play(fail(401))
    with pytest.raises(ProviderMisconfigured, match="OPENAI_SERVER_KEYS"):
        await complete(provider, ask("Hi"))
    await providers.close()


async def test_fallbacks_follow_whatever_model_is_asked_for(llm: LlmStand):
    metrics = Metrics()
    configured = settings(
        openai_api_key="k",
        openai_base_url=llm.openai_url,
        anthropic_api_key="k",
        anthropic_base_url=llm.url,
        fallback_models="anthropic:claude-haiku-5-5 openai:gpt-5.4-mini extractive:quote",
    )
    providers = open_providers(configured, metrics)
    await providers.warm()
    llm.play(fail(500), fail(503), fail(500))
    provider, model = providers.get("openai:of-an-agent")
    answer = await complete(provider, ask("When do you open?", "We open at nine.", model=model))
    assert answer.text == "We open at nine."
    asked = ["of-an-agent", "claude-haiku-5-5", "gpt-5.4-mini"]
    assert [call.body["model"] for call in llm.calls] == asked
    assert b'switchboard_provider_attempts_total{outcome="server",provider="openai"} 2.0' in metrics.render()
    llm.play(fail(500))
    alone, model = providers.alone("openai:gpt-5.4-mini")
    with pytest.raises(ProviderBusy):
        await complete(alone, ask("Hi", model=model))
    await providers.close()


async def test_all_attempts_together_have_one_deadline(llm: LlmStand):
    configured = settings(
        openai_api_key="k",
        openai_base_url=llm.openai_url,
        anthropic_base_url=llm.url,
        fallback_models="anthropic:claude-haiku-5-5",
        provider_total_seconds=2,
        provider_first_token_seconds=0.8,
    )
    providers = open_providers(configured)
    await providers.warm()
    llm.play(say(*["x"] * 1000, delay=0.02), say(*["y"] * 1000, delay=0.02))
    provider, model = providers.get("openai:m")
    began = time.monotonic()
    with pytest.raises(ProviderBusy, match="2 seconds for the whole answer"):
        await complete(provider, ask("Hi", model=model))
    assert 1.9 < time.monotonic() - began < 3
    assert [call.vendor for call in llm.calls] == ["openai", "anthropic"], "the first left time for another to begin"
    await llm.wait_for_gone(2)
    await providers.close()


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
    name = sys.argv[2]
    providers = registry.open_providers(load(_env_file=None, **{name + "_api_key": "k"}))
    providers.get(name + ":m")
    seen.append(loaded())
    await providers.warm()
    seen.append(loaded())
    await providers.close()
asyncio.run(main())
print(json.dumps(seen))
"""


@pytest.mark.parametrize(
    ("name", "package"),
    [("openai", "openai"), ("anthropic", "anthropic"), ("mistral", "mistralai"), ("gemini", "google.genai")],
)
def test_an_sdk_is_imported_when_it_is_configured_and_not_before(name: str, package: str):
    command = [sys.executable, "-c", LAZY, json.dumps(SDKS), name]
    process = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    on_import, without_key, on_get, warm = json.loads(process.stdout)
    assert (on_import, without_key, on_get) == ([], [], [])
    assert set(warm) == {package, "httpx2", "genai_prices"}
