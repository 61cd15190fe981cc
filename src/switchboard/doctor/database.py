"""What the doctor asks the database."""

from datetime import datetime, timedelta

from switchboard import clock
from switchboard.database import Database
from switchboard.database.migrations import pending
from switchboard.doctor.line import Line, Worth, look
from switchboard.errors import Misconfigured, Unavailable
from switchboard.metrics import Metrics
from switchboard.opened import HERE, Opened
from switchboard.upkeep.tasks import open_upkeep
from switchboard.workspaces.validate import validate

SKEW_WARNING = timedelta(seconds=2)
SKEW_WRONG = timedelta(seconds=30)
LATE_SECONDS = 600.0
"""A task that has been due for longer is overdue: looks are seconds apart, and leases a minute long."""


async def check_database(database: Database) -> str:
    """Whether it answers."""
    rows = await database.select("workspaces", columns=["id"], order=["id"])
    return f"{len(rows)} workspace(s)"


async def check_schema(database: Database) -> str:
    """Whether it is up to date."""
    if missing := await pending(database):
        raise Misconfigured(f"{', '.join(missing)} not applied: run `switchboard migrate`")
    return "up to date"


async def check_clock(database: Database) -> str:
    """Whether this machine's clock says what the database's says: tokens and windows go by ours, leases by its."""
    before = clock.now()
    told = await database.call("database_clock")
    after = clock.now()
    theirs = datetime.fromisoformat(told["now"])
    ahead = max(before - theirs, theirs - after, timedelta(0))
    words = f"{ahead.total_seconds():.1f} s from the database's (Postgres {told['version']})"
    if ahead > SKEW_WRONG:
        raise Misconfigured(f"{words}: let both follow a time server")
    if ahead > SKEW_WARNING:
        raise Worth(f"{words}: let both follow a time server")
    return words


async def check_upkeep(board: Opened) -> str:
    """Whether somebody does the periodic tasks, and they succeed."""
    rows = await board.database.call("list_upkeep")
    known = open_upkeep(board.database, board.settings, Metrics()).tasks
    rows = [row for row in rows if row["name"] in known]
    late = [row["name"] for row in rows if row["late_seconds"] > LATE_SECONDS and not row["running"]]
    if late:
        raise Unavailable(f"{', '.join(late)} overdue: does any `switchboard serve` or `switchboard work` run?")
    failed = [f"{row['name']} ({row['error']})" for row in rows if row["outcome"] == "failed"]
    if failed:
        raise Unavailable(f"failed: {', '.join(failed)}")
    return f"{len(rows)} task(s) in time" if rows else "not begun yet"


async def workspace_lines(board: Opened) -> list[Line]:
    """A line for each workspace: the worst there is to say about its config."""
    lines: list[Line] = []
    for workspace, name in board.workspaces.items():

        async def check(workspace: int = workspace) -> str:
            found = await validate(board.database, board.settings, workspace, HERE)
            told = "; ".join(f"{one.field}: {one.message}" for one in found)
            if any(one.state == "wrong" for one in found):
                raise Misconfigured(told)
            if found:
                raise Worth(told)
            return "config can work"

        lines.append(await look(f"workspace {name}", check))
    return lines
