"""A workspace that knows nothing yet, on both transports."""

from typing import Any

import asyncpg
import pytest

from stands.served import sql as sql
from switchboard.database import Database

OWNER: dict[str, Any] = {"subject": "anna", "admin": False, "roles": {"1": "owner"}}


@pytest.fixture
async def workspace(database: Database, sql: asyncpg.Connection) -> int:
    """The id of a workspace."""
    found: int = await sql.fetchval("insert into workspaces (name) values ('Tea & Co') returning id")
    assert found == 1
    return found


@pytest.fixture
async def workspace_of_commands(sql: asyncpg.Connection) -> None:
    """One workspace, for commands that take the first."""
    await sql.execute("insert into workspaces (name) values ('Tea & Co')")
