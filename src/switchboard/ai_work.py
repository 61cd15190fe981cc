"""What `switchboard ai` does and shows, as rows."""

from dataclasses import asdict
from typing import Any

from switchboard.errors import Conflict, ProviderMisconfigured, Unavailable
from switchboard.metrics import Metrics
from switchboard.opened import HERE, Opened, run
from switchboard.providers.registry import open_providers
from switchboard.upkeep.health import Finding, ask_model
from switchboard.upkeep.reconcile import reconcile
from switchboard.upkeep.tasks import open_upkeep
from switchboard.workspaces.validate import own_providers, validate

__all__ = ["breakdown", "findings", "overview", "problems", "run", "switch", "sync"]

Row = dict[str, Any]


async def overview(board: Opened) -> list[Row]:
    """Whether the AI answers, with which model, and who has the conversations."""
    counts = {row["workspace_id"]: row for row in await breakdown(board)}
    found: list[Row] = []
    for workspace, name in board.workspaces.items():
        row = await board.database.call("get_ai_config", caller=HERE, workspace_id=workspace)
        model = await model_of(board, workspace, row["model"])
        able = await _is_usable(board, workspace, model)
        to_ai = row["default_handler"] == "ai" and row["auto_response"] and able
        counted = counts[workspace]
        found.append(
            {
                "workspace_id": workspace,
                "workspace": name,
                "ai": "on" if row["auto_response"] else "off",
                "able": able,
                "default_reply_handler": "AI" if row["default_handler"] == "ai" else "Manual",
                "new_conversations": "active" if to_ai else "support_active",
                "model": model,
                "open_now": row["closed_since"] is None,
                **{what: counted[what] for what in ("active", "support_active", "requires_human")},
            }
        )
    return found


async def breakdown(board: Opened) -> list[Row]:
    """How many conversations of each workspace have which status."""
    counted = {row["workspace_id"]: row for row in await board.database.call("count_statuses", caller=HERE)}
    nothing: Row = {"statuses": {}, "total": 0, "requires_human": 0}
    found: list[Row] = []
    for workspace, name in board.workspaces.items():
        row = counted.get(workspace, nothing)
        statuses = dict.fromkeys(("active", "support_active", "resolved", "closed", "archived"), 0) | row["statuses"]
        rest = {"total": row["total"], "requires_human": row["requires_human"]}
        found.append({"workspace_id": workspace, "workspace": name, **statuses, **rest})
    return found


async def switch(board: Opened, *, on: bool) -> list[Row]:
    """Switches automatic answers on or off; how it is then, and whether that is new."""
    providers = sorted(open_providers(board.settings).by_name)
    changed: dict[int, bool] = {}
    for workspace in board.workspaces:
        before = await board.database.call("get_ai_config", caller=HERE, workspace_id=workspace)
        changed[workspace] = before["auto_response"] != on
        await board.database.call(
            "set_ai_config", caller=HERE, workspace_id=workspace, changes={"auto_response": on}, providers=providers
        )
    return [{**row, "changed": changed[row["workspace_id"]]} for row in await overview(board)]


async def sync(board: Opened) -> list[Row]:
    """Mends what differs between conversations and their messages."""
    found: list[Row] = []
    for workspace, name in board.workspaces.items():
        done = await reconcile(board.database, Metrics(), {}, only=workspace, seconds=float("inf"))
        found.append({"workspace_id": workspace, "workspace": name, **done})
    return found


async def findings(board: Opened, *, everything: bool) -> list[Row]:
    """What models and channels say: all of the installation's, and the workspaces' with their own keys.

    Raises `Conflict` when another process asks them at this moment.
    """
    rows = await _installation(board) if everything else []
    for workspace, name in board.workspaces.items():
        row = await board.database.call("get_ai_config", caller=HERE, workspace_id=workspace)
        model = await model_of(board, workspace, row["model"])
        if not everything or model.partition(":")[0] in row["provider_keys"]:
            rows.append({"workspace": name, **_told(await _ask(board, workspace, model))})
    return rows


async def problems(board: Opened) -> list[Row]:
    """What is wrong with the configs, or worth knowing; a line for each that is fine."""
    found: list[Row] = []
    for workspace, name in board.workspaces.items():
        some = await validate(board.database, board.settings, workspace, HERE)
        fine = {"workspace_id": workspace, "state": "ok", "field": None, "message": None}
        found += [{"workspace": name, **row} for row in ([asdict(one) for one in some] or [fine])]
    return found


async def model_of(board: Opened, workspace: int, chosen: str | None) -> str:
    """The model in use: the default agent's, the workspace's, or the installation's."""
    where = {"workspace_id": workspace, "is_default": True}
    agents = await board.database.select("agents", columns=["model"], where=where)
    return (agents[0]["model"] if agents else None) or chosen or board.settings.model


async def _installation(board: Opened) -> list[Row]:
    upkeep = open_upkeep(board.database, board.settings, Metrics())
    done = await upkeep.do("health", forced=True)
    if done is None:
        raise Conflict("Another process asks them at this moment: try again in a minute.")
    if done.outcome != "done":
        raise Unavailable(f"The test was not finished: {done.error or 'another process took it over'}.")
    rows = await board.database.select("health_checks", order=["kind", "name"])
    return [{"workspace": None, **row, "state": "ok" if row["ok"] else "wrong"} for row in rows]


async def _ask(board: Opened, workspace: int, model: str) -> Finding:
    try:
        providers = await own_providers(board.database, board.settings, workspace, model)
    except ProviderMisconfigured as error:
        return Finding("provider", model, False, error.message, 0)
    try:
        return await ask_model(board.database, providers, model, workspace)
    finally:
        await providers.close()


def _told(finding: Finding) -> Row:
    return {**asdict(finding), "state": "ok" if finding.ok else "wrong"}


async def _is_usable(board: Opened, workspace: int, model: str) -> bool:
    try:
        (await own_providers(board.database, board.settings, workspace, model)).alone(model)
    except ProviderMisconfigured:
        return False
    return True
