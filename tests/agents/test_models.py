"""The list of models, on both transports."""

import asyncio
from decimal import Decimal
from typing import Any

import asyncpg
import httpx

from stands.app import bearer, local_settings, token
from stands.problems import check_problem
from stands.shop import Shop
from switchboard.agents.refresh import models_of, refresh_models
from switchboard.database import Database
from switchboard.metrics import Metrics
from switchboard.providers import Usage
from switchboard.providers.registry import open_providers
from switchboard.settings import Settings
from switchboard.upkeep.tasks import open_upkeep


def with_keys(**told: Any) -> Settings:
    return local_settings(
        "postgresql://nobody@localhost/x", **({"openai_api_key": "sk-x", "default_model": "openai:gpt-4.1"} | told)
    )


def listed(settings: Settings, *chosen: str) -> dict[str, dict[str, Any]]:
    return {f"{one['provider']}:{one['name']}": one for one in models_of(settings, list(chosen))}


def test_what_is_listed() -> None:
    models = listed(with_keys(fallback_models="openai:my-own"), "mistral:tuned", "nobody:x")
    own = models["openai:gpt-4.1"]
    assert (own["active"], Decimal(own["input_price"]), Decimal(own["output_price"])) == (True, 2, 8)
    assert own["context_window"] >= 1_000_000
    assert own["capabilities"] == {"tools": True, "temperature": True, "streaming": True}
    assert models["anthropic:claude-haiku-5-5"]["active"] is False
    assert (models["extractive:quote"]["active"], models["extractive:quote"]["input_price"]) == (True, "0")
    assert (models["openai:my-own"]["active"], models["openai:my-own"]["input_price"]) == (True, None)
    assert models["mistral:tuned"]["active"] is False
    assert "nobody:x" not in models
    assert {one["provider"] for one in models.values()} == {"openai", "anthropic", "mistral", "gemini", "extractive"}
    assert not any(word in name for name in models for word in ("embed", "whisper", "tts", "image", "gemini:claude"))


def test_prices_are_those_that_calls_are_booked_at() -> None:
    settings = with_keys()
    providers = open_providers(settings)
    for name, one in listed(settings).items():
        if one["provider"] == "openai" and one["input_price"] is not None:
            booked = providers.price(name, Usage(input_tokens=1000))
            assert booked == Decimal(one["input_price"]) / 1000, name


def test_a_server_of_ones_own_has_neither_list_nor_prices() -> None:
    models = listed(with_keys(openai_base_url="http://localhost:1", default_model="openai:llama"))
    assert [name for name in models if name.startswith("openai:")] == ["openai:llama"]
    assert models["openai:llama"]["input_price"] is None


async def test_a_model_is_never_removed(database: Database) -> None:
    settings = with_keys()
    first = await refresh_models(database, settings)
    assert first["written"] > 100
    assert await refresh_models(database, settings) == {"written": 0, "ended": 0}
    await database.insert("models", [{"provider": "openai", "name": "gone"}])
    await database.update("models", {"input_price": 7}, where={"provider": "openai", "name": "gpt-4.1"})
    assert await refresh_models(database, settings) == {"written": 1, "ended": 1}
    rows = await database.select("models", where={"provider": "openai", "name": ["gone", "gpt-4.1"]}, order=["name"])
    assert [(row["name"], row["active"]) for row in rows] == [("gone", False), ("gpt-4.1", True)]
    # Without the key its models stay, and are not to be asked.
    await refresh_models(database, with_keys(openai_api_key=None, default_model=None))
    (row,) = await database.select("models", where={"provider": "openai", "name": "gpt-4.1"})
    assert row["active"] is False


async def test_two_at_once(database: Database) -> None:
    settings = with_keys()
    await asyncio.gather(*(refresh_models(database, settings) for _ in range(4)))
    rows = await database.call("list_models", max_rows=1000)
    assert len(rows) == len({(row["provider"], row["name"]) for row in rows}) > 100


async def test_upkeep_does_it(database: Database) -> None:
    done = await open_upkeep(database, with_keys(), Metrics()).do("models", forced=True)
    assert done is not None
    assert (done.outcome, done.result["written"] > 100) == ("done", True)


async def test_it_is_there_once_the_service_works(shop: Shop, sql: asyncpg.Connection) -> None:
    viewer = bearer(token(shop.settings, "viewer", 1))

    async def get(path: str, **query: Any) -> httpx.Response:
        return await shop.client.get(path, params=query, headers=viewer)

    async def there() -> bool:
        return bool((await get("/api/models/")).json()["count"])

    await shop.until(there)
    page = (await get("/api/models", active="true", limit=1)).json()
    rest = (await get("/api/models", active="true", limit=200, cursor=page["next_cursor"])).json()
    named = [one["model"] for one in page["models"] + rest["models"]]
    # The stand's server has no list: what is known of it is what the settings name.
    assert sorted(named) == ["extractive:quote", "openai:gpt-5.4-mini"]
    assert page["next_cursor"] is not None
    anthropic = (await get("/api/models", provider="anthropic")).json()["models"]
    assert {(one["provider"], one["active"]) for one in anthropic} == {("anthropic", False)}
    one = (await get(f"/api/models/{anthropic[0]['id']}/")).json()
    assert one == anthropic[0]
    check_problem(await get("/api/models/999999"), 404)
    check_problem(await get("/api/models", active="perhaps"), 422)
    check_problem(await shop.client.post("/api/models", json={}, headers=viewer), 405)
