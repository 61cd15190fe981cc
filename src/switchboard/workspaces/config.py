"""How a workspace is answered for, read and changed: `/api/v1/ai/config` and `/api/v1/ai/default-handler`."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from fastapi import APIRouter
from pydantic import SecretStr

from switchboard.database import Row
from switchboard.dependencies import Asking, Configured, Data, Models, Workspace
from switchboard.errors import Invalid, ProviderMisconfigured
from switchboard.http.problems import REFUSALS
from switchboard.http.strict_json import StrictRoute
from switchboard.providers.registry import Providers, open_providers
from switchboard.settings import Settings
from switchboard.workspaces.config_shapes import (
    HANDLERS,
    PROMPTS,
    Config,
    ConfigChange,
    DefaultHandler,
    HandlerChange,
    ReplyHandler,
)
from switchboard.workspaces.hours import BusinessHours
from switchboard.workspaces.provider_keys import ProviderKeys

router = APIRouter(prefix="/api/v1/ai", tags=["ai"], route_class=StrictRoute, responses=REFUSALS)

_NAMED: dict[str, ReplyHandler] = {kept: name for name, kept in HANDLERS.items()}
_COLUMNS = {"auto_response_enabled": "auto_response", "default_reply_handler": "default_handler"}
"""Fields that the table calls by another name."""


@router.get("/config")
async def get_config(caller: Asking, database: Data, settings: Configured, workspace: Workspace) -> Config:
    """The config in force, and whether it is open now."""
    row = await database.call("get_ai_config", caller=caller.as_json(), workspace_id=workspace)
    return await _shown(database, settings, row)


@router.put("/config")
async def put_config(
    caller: Asking, database: Data, settings: Configured, providers: Models, workspace: Workspace, body: ConfigChange
) -> Config:
    """Changes what the body names and leaves the rest; a changed prompt makes a new version of the four. For owners."""
    before = await database.call("get_ai_config", caller=caller.as_json(), workspace_id=workspace)
    given = body.given()
    keys: dict[str, SecretStr | None] = given.pop("provider_keys", {})
    sealed = _seal(settings, workspace, keys)
    if given.get("model") is not None:
        own = {name for name in {**before["provider_keys"], **keys} if keys.get(name, name) is not None}
        _check_model(settings, providers, given["model"], own)
    prompts = {name: given.pop(name) for name in PROMPTS if name in given}
    row = await database.call(
        "set_ai_config",
        caller=caller.as_json(),
        workspace_id=workspace,
        changes=_changes(given),
        prompts=prompts,
        sealed_keys=sealed,
        providers=sorted(providers.by_name),
    )
    return await _shown(database, settings, row)


@router.get("/default-handler")
async def get_default_handler(caller: Asking, database: Data, workspace: Workspace) -> DefaultHandler:
    """Who gets new conversations."""
    return _handler(await database.call("get_ai_config", caller=caller.as_json(), workspace_id=workspace))


@router.put("/default-handler")
async def put_default_handler(
    caller: Asking, database: Data, providers: Models, workspace: Workspace, body: HandlerChange
) -> DefaultHandler:
    """Says who gets new conversations; those that are open stay with whoever has them. For owners."""
    row = await database.call(
        "set_ai_config",
        caller=caller.as_json(),
        workspace_id=workspace,
        changes={"default_handler": HANDLERS[body.default_reply_handler]},
        providers=sorted(providers.by_name),
    )
    return _handler(row)


def own_key_providers() -> Iterable[str]:
    """The providers for which a workspace may bring its own key: those that have a setting for one."""
    return (name.removesuffix("_api_key") for name in Settings.model_fields if name.endswith("_api_key"))


def with_own_key(settings: Settings, provider: str, key: SecretStr) -> Settings:
    """The settings as they would be if the installation's key for ``provider`` were this one."""
    return settings.model_copy(update={f"{provider}_api_key": key})


def _seal(settings: Settings, workspace: int, keys: dict[str, SecretStr | None]) -> dict[str, str | None]:
    allowed = sorted(own_key_providers())
    cipher = ProviderKeys(settings.encryption_secret)
    sealed: dict[str, str | None] = {}
    for name, key in keys.items():
        if name not in allowed:
            raise _wrong("provider_keys", f"There is no provider of this name: use {' or '.join(allowed)}.")
        word = key.get_secret_value().strip() if key else None
        if word is not None and not (word.isascii() and word.isprintable() and " " not in word):
            raise _wrong(f"provider_keys.{name}", "This holds characters that no key has: copy it again.")
        sealed[name] = None if word is None else cipher.seal(workspace, name, word)
    return sealed


def _check_model(settings: Settings, providers: Providers, model: str, own: set[str]) -> None:
    """Raises `Invalid`, naming what may be used, for a provider that neither we nor the workspace has a key for."""
    name = model.partition(":")[0]
    if name in own:
        providers = open_providers(with_own_key(settings, name, SecretStr("own")))
    try:
        providers.get(model)
    except ProviderMisconfigured as error:
        usable = ", ".join(sorted({*providers.by_name, *own}))
        raise _wrong("model", f"{error.message} Usable here: {usable}.") from error


def _changes(given: dict[str, Any]) -> dict[str, Any]:
    changes = {_COLUMNS.get(name, name): value for name, value in given.items()}
    if "default_handler" in changes:
        changes["default_handler"] = HANDLERS[given["default_reply_handler"]]
    hours = changes.get("business_hours")
    if isinstance(hours, BusinessHours):
        changes["business_hours"] = hours.kept()
    return changes


async def _shown(database: Data, settings: Settings, row: Row) -> Config:
    agents = await database.select("agents", columns=["model"], where={"workspace_id": row["id"], "is_default": True})
    hours = BusinessHours.of_kept(row["business_hours"]) if row["business_hours"] else None
    closed = row["closed_since"] is not None
    prompts = row["prompts"] or {"version": 0, **dict.fromkeys(PROMPTS, "")}
    return Config.model_validate(
        {
            **row,
            **prompts,
            "workspace": row["id"],
            "model_in_use": (agents[0]["model"] if agents else None) or row["model"] or settings.model,
            "auto_response_enabled": row["auto_response"],
            "default_reply_handler": _NAMED[row["default_handler"]],
            "ai_available": row["auto_response"] and row["ai_ready"],
            "business_hours": hours,
            "open_now": not closed,
            "opens_at": hours.opens_after(datetime.fromisoformat(row["now"])) if hours and closed else None,
            "prompt_version": prompts["version"],
        }
    )


def _handler(row: Row) -> DefaultHandler:
    able = row["default_handler"] == "ai" and row["auto_response"] and row["ai_ready"]
    return DefaultHandler(
        default_reply_handler=_NAMED[row["default_handler"]],
        new_conversations="active" if able else "support_active",
    )


def _wrong(field: str, message: str) -> Invalid:
    return Invalid(message, errors=[{"field": field, "message": message}])
