"""What `switchboard upkeep` does and shows."""

from typing import Any

from switchboard.errors import Conflict, NotFound
from switchboard.metrics import Metrics
from switchboard.opened import Opened, run
from switchboard.upkeep.run import Done
from switchboard.upkeep.tasks import open_upkeep

__all__ = ["do", "run", "tasks"]


async def tasks(board: Opened) -> list[dict[str, Any]]:
    """All tasks with what came of each last."""
    upkeep = open_upkeep(board.database, board.settings, Metrics())
    kept = {row["name"]: row for row in await board.database.call("list_upkeep")}
    found: list[dict[str, Any]] = []
    for task in upkeep.tasks.values():
        row = kept.get(task.name, {"due_at": None, "ended_at": None, "outcome": None, "result": {}, "error": None})
        told = "is running" if row.get("running") else row["error"] or row["result"]
        found.append({**row, "name": task.name, "about": task.about, "schedule": task.schedule, "told": told})
    return found


async def do(board: Opened, name: str) -> Done:
    """Does a task now. Raises `NotFound`, and `Conflict` when another process is at it."""
    upkeep = open_upkeep(board.database, board.settings, Metrics())
    if name not in upkeep.tasks:
        raise NotFound(f"There is no task {name!r}: there is {', '.join(upkeep.tasks)}.")
    done = await upkeep.do(name, forced=True)
    if done is None:
        raise Conflict("Another process is at it: `switchboard upkeep list` shows when it is done.")
    return done
