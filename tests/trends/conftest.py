"""The running service on either transport, and a workspace with weeks behind it."""

import pytest

from stands.app import local_settings, rest_settings
from stands.served import client as client
from stands.served import sql as sql
from switchboard.settings import Settings


@pytest.fixture(params=["postgres", "postgrest"])
def settings(request: pytest.FixtureRequest, database_url: str) -> Settings:
    """Settings for a service on this test's database, by either transport."""
    if request.param == "postgres":
        return local_settings(database_url)
    return rest_settings(request.getfixturevalue("supabase"))
