"""The running service on both transports: what the admin panel sees must not depend on how the database is reached."""

import httpx
import pytest

from stands.app import local_settings, rest_settings
from stands.panel import Panel
from stands.served import sorted_client as sorted_client
from stands.served import sql as sql
from switchboard.settings import Settings


@pytest.fixture(params=["postgres", "postgrest"])
def settings(request: pytest.FixtureRequest, database_url: str) -> Settings:
    """Settings for a service that reaches this test's database directly, and for one with Supabase's keys alone."""
    if request.param == "postgres":
        return local_settings(database_url)
    return rest_settings(request.getfixturevalue("supabase"))


@pytest.fixture
def panel(client: httpx.AsyncClient, settings: Settings) -> Panel:
    """The admin panel of the service."""
    return Panel(client, settings)


@pytest.fixture
def client(sorted_client: httpx.AsyncClient) -> httpx.AsyncClient:
    """The client of the service; a webhook that was answered 200 is sorted when a test goes on."""
    return sorted_client
