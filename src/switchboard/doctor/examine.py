"""All that the doctor looks at, in the order in which one thing rests on another."""

from contextlib import AsyncExitStack
from functools import partial

from switchboard.database import Database
from switchboard.databases import open_databases
from switchboard.doctor.database import check_clock, check_database, check_schema, check_upkeep, workspace_lines
from switchboard.doctor.line import Line, look
from switchboard.doctor.surroundings import check_broker, check_files, check_spool, health_lines, money_lines
from switchboard.errors import SwitchboardError
from switchboard.opened import Opened, choose
from switchboard.settings import Settings


async def examine(settings: Settings) -> list[Line]:
    """What works and what does not; what rests on a database that does not answer is unknown."""
    lines = [Line("settings", "ok", f"database by {settings.transport}, replies by {settings.model}")]
    async with AsyncExitStack() as stack:
        try:
            database, _ = await open_databases(settings, stack)
        except SwitchboardError as error:
            lines += [Line("database", "wrong", error.message), _not_looked_at()]
        else:
            lines += await _in_database(settings, database)
        lines += [
            await look("broker", partial(check_broker, settings)),
            await look("files", partial(check_files, settings)),
            await look("spool", partial(check_spool, settings)),
            *await money_lines(settings),
        ]
    return lines


async def _in_database(settings: Settings, database: Database) -> list[Line]:
    lines = [
        await look("database", partial(check_database, database)),
        await look("schema", partial(check_schema, database)),
    ]
    if any(line.state == "wrong" for line in lines):
        return [*lines, _not_looked_at()]
    board = Opened(settings, database, await choose(database, None))
    return [
        *lines,
        await look("clock", partial(check_clock, database)),
        await look("upkeep", partial(check_upkeep, board)),
        *await workspace_lines(board),
        *await health_lines(database, settings),
    ]


def _not_looked_at() -> Line:
    return Line("the rest", "unknown", "clock, upkeep, workspaces, providers and channels need the database")
