"""The running service, for the tests of this room; a webhook that was answered 200 is sorted when a test goes on."""

import httpx
import pytest

from stands.served import settings as settings
from stands.served import sorted_client as sorted_client
from stands.served import sql as sql


@pytest.fixture
def client(sorted_client: httpx.AsyncClient) -> httpx.AsyncClient:
    """The client of the service; a webhook that was answered 200 is sorted when a test goes on."""
    return sorted_client
