"""Keeping the list of models: what the price lists name, and what the installation, its workspaces and agents use."""

import asyncio
from dataclasses import asdict
from typing import Any

from pydantic import SecretStr

from switchboard import clock
from switchboard.database import Database
from switchboard.providers.catalogue import Listed, catalogue
from switchboard.providers.registry import Providers, open_providers
from switchboard.settings import USUAL_MODELS, Settings


async def refresh_models(database: Database, settings: Settings) -> dict[str, int]:
    """Writes down what has changed: ``{"written": 3, "ended": 1}``, the second those that can be asked no more."""
    chosen: list[str] = await database.call("models_chosen")
    # The lists take a while to load, in which others want to be answered.
    found = await asyncio.to_thread(models_of, settings, chosen)
    done: dict[str, int] = await database.call("refresh_models", listed=found)
    return done


def models_of(settings: Settings, chosen: list[str]) -> list[dict[str, Any]]:
    """All models worth naming, as `refresh_models` takes them; ``chosen`` are those of workspaces and agents."""
    usable, known = open_providers(settings), open_providers(_with_all_vendors(settings))
    found = {(one.provider, one.name): one for one in catalogue(known, clock.now())}
    for reference in (settings.model, *settings.fallbacks, *chosen):
        provider, _, name = reference.partition(":")
        if provider in known.by_name:
            found.setdefault((provider, name), Listed(provider, name))
    return [_as_json(one, usable, known) for one in found.values()]


def _with_all_vendors(settings: Settings) -> Settings:
    """The settings as if every vendor had a key: nothing is asked of them, only what is known of their models."""
    missing = [name for name in USUAL_MODELS if name != "extractive" and not settings.is_configured(name)]
    return settings.model_copy(update={f"{name}_api_key": SecretStr("none") for name in missing})


def _as_json(one: Listed, usable: Providers, known: Providers) -> dict[str, Any]:
    capabilities = asdict(known.by_name[one.provider].capabilities(one.name))
    prices = {name: _text(getattr(one, name)) for name in ("input_price", "cached_input_price", "output_price")}
    active = one.provider in usable.by_name
    return {**asdict(one), **prices, "capabilities": capabilities | {"streaming": True}, "active": active}


def _text(price: object) -> str | None:
    return None if price is None else str(price)
