"""The running service, a business in it, and who may do everything."""

import asyncpg
import httpx
import pytest

from stands.app import bearer, token
from stands.served import client as client
from stands.served import settings as settings
from stands.served import sql as sql
from stands.tenants import Tenant, settle
from switchboard.settings import Settings


@pytest.fixture
async def ours(sql: asyncpg.Connection, client: httpx.AsyncClient) -> Tenant:
    """A workspace of our own, beside the service's first one."""
    return await settle(sql, "Ours")


@pytest.fixture
def admin(settings: Settings) -> dict[str, str]:
    """The headers of an admin."""
    return bearer(token(settings))
