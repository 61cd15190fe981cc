"""Fixtures for tests that talk to the running service; a room's `conftest.py` takes over those it wants."""

from collections.abc import AsyncGenerator

import asyncpg
import httpx
import pytest

from stands.app import local_settings, running_client, until_ready
from switchboard.settings import Settings


@pytest.fixture
def settings(database_url: str) -> Settings:
    """Settings for a service on this test's database that answers nothing by itself."""
    return local_settings(database_url)


@pytest.fixture
async def client(settings: Settings) -> AsyncGenerator[httpx.AsyncClient]:
    """A client of a service with `settings`, ready to be asked."""
    async with running_client(settings) as opened:
        await until_ready(opened)
        yield opened


@pytest.fixture
async def sql(database_url: str) -> AsyncGenerator[asyncpg.Connection]:
    """A connection to this test's database as its superuser, whom no policy holds back."""
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()
