"""The running service on both transports, and people of two workspaces who think something of an answer."""

from dataclasses import dataclass
from typing import Any

import asyncpg
import httpx
import pytest

from stands.app import bearer, local_settings, rest_settings, token
from stands.served import client as client
from stands.served import sql as sql
from stands.tenants import Tenant, settle
from switchboard.settings import Settings


@pytest.fixture(params=["postgres", "postgrest"])
def settings(request: pytest.FixtureRequest, database_url: str) -> Settings:
    """Settings for either transport."""
    if request.param == "postgres":
        return local_settings(database_url)
    return rest_settings(request.getfixturevalue("supabase"))


@dataclass
class Team:
    """The people of a workspace; whoever asks is named."""

    client: httpx.AsyncClient
    settings: Settings
    tenant: Tenant

    async def ask(self, who: str, method: str, path: str, body: Any = None, role: Any = "viewer", **query: Any) -> Any:
        """The response to a person, whatever it is."""
        headers = bearer(token(self.settings, role, self.tenant.workspace, subject=who))
        return await self.client.request(method, path, json=body, params=query, headers=headers)

    async def does(self, who: str, method: str, path: str, body: Any = None, role: Any = "viewer", **query: Any) -> Any:
        """What a person is answered where all is well."""
        answer = await self.ask(who, method, path, body, role, **query)
        assert answer.status_code in (200, 201, 204), answer.text
        return answer.json() if answer.content else None


@pytest.fixture
async def ours(client: httpx.AsyncClient, settings: Settings, sql: asyncpg.Connection) -> Team:
    """A workspace without any feedback yet."""
    team = Team(client, settings, await settle(sql, "OursOurs"))
    await sql.execute("delete from ratings")
    await sql.execute("delete from flags")
    return team


@pytest.fixture
async def theirs(client: httpx.AsyncClient, settings: Settings, ours: Team, sql: asyncpg.Connection) -> Team:
    """Another one."""
    return Team(client, settings, await settle(sql, "TheirsTheirs"))
