"""The first workspace of an installation."""

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


async def prepare(database: Database, settings: Settings, *, name: str) -> First:
    """Makes sure that there is a workspace and that the accounts of the settings are connected to it.

    Raises `Conflict` when one of the accounts is connected to another workspace.
    """
    first = await database.call("ensure_workspace", name=name, agent_name="the assistant", system_prompt=_PROMPT)
    await _connect(database, first["id"], "messenger", settings.facebook_page_id, None)
    # Instagram can be read but not yet answered: its conversations begin with people.
    await _connect(database, first["id"], "instagram", settings.instagram_account_id, "human")
    return First(int(first["id"]), bool(first["created"]))


async def _connect(
    database: Database, workspace_id: int, platform: str, account: str | None, handler: str | None
) -> None:
    if account is not None:
        await database.call(
            "connect_channel", workspace_id=workspace_id, platform=platform, account=account, default_handler=handler
        )
