"""The running service on both transports: what the admin panel sees must not depend on how the database is reached."""

import pytest

from stands.app import local_settings, rest_settings
from stands.served import sorted_client as client  # noqa: F401 - a fixture under this room's name for it
from stands.served import sql as sql
from switchboard.settings import Settings


@pytest.fixture(params=["postgres", "postgrest"])
def settings(request: pytest.FixtureRequest, database_url: str) -> Settings:
    """Settings for a service that reaches this test's database directly, and for one with Supabase's keys alone."""
    if request.param == "postgres":
        return local_settings(database_url)
    return rest_settings(request.getfixturevalue("supabase"))
