"""The running service on both transports, and people of its first workspace."""

import httpx
import pytest

from stands.app import local_settings, rest_settings
from stands.owner import Owner
from stands.served import client as client
from stands.served import sql as sql
from switchboard.settings import Settings

SECRET = "an-encryption-secret-for-the-tests-only"


@pytest.fixture(params=["postgres", "postgrest"])
def settings(request: pytest.FixtureRequest, database_url: str) -> Settings:
    """A service that keeps workspaces' own keys, on either transport."""
    if request.param == "postgres":
        return local_settings(database_url, encryption_secret=SECRET)
    return rest_settings(request.getfixturevalue("supabase"), encryption_secret=SECRET)


@pytest.fixture
def owner(client: httpx.AsyncClient, settings: Settings) -> Owner:
    """The owner of the first workspace."""
    return Owner(client, settings)
