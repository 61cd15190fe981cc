"""The running service on either transport, a business in it, and something that happens there."""

from collections.abc import AsyncGenerator, Awaitable, Callable

import asyncpg
import pytest

from stands.app import local_settings, rest_settings, running_client, until_ready
from stands.served import sql as sql
from stands.tenants import Tenant, settle
from switchboard.settings import Settings

Happens = Callable[..., Awaitable[None]]


@pytest.fixture(params=["postgres", "postgrest"])
def settings(request: pytest.FixtureRequest, database_url: str) -> Settings:
    """Settings for a service on this test's database, by either transport."""
    if request.param == "postgres":
        return local_settings(database_url)
    return rest_settings(request.getfixturevalue("supabase"), jwt_secret=local_settings().jwt_secret)


@pytest.fixture
async def address(settings: Settings) -> AsyncGenerator[str]:
    """Where the service is, ready to be asked."""
    async with running_client(settings) as client:
        await until_ready(client)
        yield str(client.base_url)


@pytest.fixture
async def ours(sql: asyncpg.Connection) -> Tenant:
    return await settle(sql, "Ours")


@pytest.fixture
async def theirs(sql: asyncpg.Connection) -> Tenant:
    return await settle(sql, "Theirs")


@pytest.fixture
def happens(sql: asyncpg.Connection) -> Happens:
    """Writes an event as any function would, in a transaction of its own."""

    async def write(tenant: Tenant, kind: str = "message.received", conversation: int | None = None) -> None:
        await sql.execute(
            "select write_event($1, $2, null, $3, '{}')", tenant.workspace, conversation or tenant.conversation, kind
        )

    return write
