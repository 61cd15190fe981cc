"""Whether a workspace's config can work: what is wrong, and what is only worth knowing. Nothing is called for it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from switchboard.database import Database, Row
from switchboard.errors import ProviderMisconfigured
from switchboard.providers import Usage
from switchboard.providers.registry import Providers, open_providers
from switchboard.settings import Settings
from switchboard.workspaces.config import with_own_key
from switchboard.workspaces.hours import BusinessHours
from switchboard.workspaces.provider_keys import ProviderKeys


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing about a workspace's config, and what to do. ``field``: as in `/api/v1/ai/config`."""

    workspace_id: int
    state: Literal["wrong", "warning"]
    field: str
    message: str


@dataclass(frozen=True, slots=True)
class Config:
    """A workspace as the checks need it. ``model``: the one in use; ``providers``: with its own key, if it has one."""

    row: Row
    model: str
    providers: Providers
    documents: int


async def validate(database: Database, settings: Settings, workspace_id: int, caller: dict[str, Any]) -> list[Problem]:
    """What is wrong with a workspace's config, or worth knowing; empty when nothing is."""
    row = await database.call("get_ai_config", caller=caller, workspace_id=workspace_id)
    agents = await database.select(
        "agents", columns=["model"], where={"workspace_id": workspace_id, "is_default": True}
    )
    model = (agents[0]["model"] if agents else None) or row["model"] or settings.model
    documents = await database.select(
        "knowledge_documents", columns=["id"], where={"workspace_id": workspace_id}, limit=1
    )
    try:
        providers = await own_providers(database, settings, workspace_id, model)
    except ProviderMisconfigured as error:
        return [Problem(workspace_id, "wrong", "provider_keys", error.message)]
    config = Config(row, model, providers, len(documents))
    found = [*_answering(config), *_model(config), *_hours(config)]
    return [Problem(workspace_id, *one) for one in found]


async def own_providers(database: Database, settings: Settings, workspace_id: int, model: str) -> Providers:
    """The providers a workspace's replies are made with. Raises `ProviderMisconfigured` for a key nobody can open."""
    name = model.partition(":")[0]
    keys = await database.select("provider_keys", where={"workspace_id": workspace_id, "provider": name})
    if not keys:
        return open_providers(settings)
    from pydantic import SecretStr

    key = ProviderKeys(settings.encryption_secret).open(workspace_id, name, keys[0]["sealed"])
    return open_providers(with_own_key(settings, name, SecretStr(key)))


Said = tuple[Literal["wrong", "warning"], str, str]


def _answering(config: Config) -> Iterator[Said]:
    row = config.row
    if not row["auto_response"]:
        if row["default_handler"] == "ai":
            yield (
                "warning",
                "auto_response_enabled",
                "The AI is to get new conversations and is switched off: people get them.",
            )
        return
    if row["default_handler"] != "ai":
        yield "warning", "default_reply_handler", "The AI is switched on, but people get new conversations."
    texts = [name for name in ("handover_text", "unavailable_text") if not row[name].strip()]
    for name in texts:
        yield "warning", name, "It is empty: a customer whom the AI hands over is told nothing."


def _model(config: Config) -> Iterator[Said]:
    on = config.row["auto_response"]
    try:
        config.providers.get(config.model)
    except ProviderMisconfigured as error:
        yield "wrong" if on else "warning", "model", f"No usable provider for {config.model}: {error.message}"
        return
    if config.providers.price(config.model, Usage(1000, 1000)) is None:
        yield "warning", "model", f"Nobody knows the price of {config.model}: the cost of its replies is not known."
    if on and config.model.startswith("extractive:") and not config.documents:
        yield (
            "warning",
            "knowledge",
            "Replies are quotes from the knowledge, and there is none: everybody is handed over.",
        )


def _hours(config: Config) -> Iterator[Said]:
    kept = config.row["business_hours"]
    if kept is None:
        return
    hours = BusinessHours.of_kept(kept)
    never = not any(kept.get("weekly", {}).values()) and not any(kept.get("holidays", {}).values())
    if never:
        yield "wrong", "business_hours", f"It is never open ({hours.time_zone}): nobody is answered."
    if not config.row["out_of_hours_text"].strip():
        yield "warning", "out_of_hours_text", "It is empty: whoever writes while it is closed is told nothing."
