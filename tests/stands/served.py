"""Fixtures for tests that talk to the running service; a room's `conftest.py` takes over those it wants."""

import asyncio
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


@pytest.fixture
async def sorted_client(settings: Settings, sql: asyncpg.Connection) -> AsyncGenerator[httpx.AsyncClient]:
    """The same as `client`; after each acknowledged POST it waits until nothing in the inbox is unsorted."""

    one_at_a_time = asyncio.Lock()

    async def wait(answer: httpx.Response) -> None:
        if answer.request.method == "POST" and answer.status_code == 200:
            async with one_at_a_time:
                await until_sorted(sql)

    async with running_client(settings) as opened:
        await until_ready(opened)
        opened.event_hooks["response"].append(wait)
        yield opened


async def until_sorted(sql: asyncpg.Connection) -> None:
    """Returns when every webhook that was accepted has become messages."""
    async with asyncio.timeout(15):
        while await sql.fetchval("select exists (select from inbox where sorted_at is null)"):
            await asyncio.sleep(0.01)
