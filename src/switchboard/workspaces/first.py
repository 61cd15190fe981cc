"""The first workspace of an installation."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from switchboard.database import Database
from switchboard.settings import Settings

_PROMPT: Final = "You answer the customers of a small business. Be warm, brief and exact."


@dataclass(frozen=True, slots=True)
class First:
    """The first workspace, and whether it was made just now."""

    id: int
    created: bool


async def prepare(database: Database, settings: Settings, *, name: str, providers: Iterable[str]) -> First:
    """Makes sure that there is a workspace and that the accounts of the settings are connected to it.

    ``providers`` are those that are configured: workspaces whose model needs another start their conversations with
    people. Raises `Conflict` when one of the accounts is connected to another workspace.
    """
    first = await database.call("ensure_workspace", name=name, agent_name="the assistant", system_prompt=_PROMPT)
    await _connect(database, first["id"], "messenger", settings.facebook_page_id)
    await _connect(database, first["id"], "instagram", settings.instagram_account_id)
    bot = settings.telegram_bot_token.get_secret_value().partition(":")[0] if settings.telegram_bot_token else None
    await _connect(database, first["id"], "telegram", bot)
    await database.call("note_providers", providers=sorted(providers))
    return First(int(first["id"]), bool(first["created"]))


async def _connect(database: Database, workspace_id: int, platform: str, account: str | None) -> None:
    if account is not None:
        await database.call("connect_channel", workspace_id=workspace_id, platform=platform, account=account)
