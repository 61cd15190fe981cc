"""The running service, for the tests of this room; a webhook that was answered 200 is sorted when a test goes on."""

from stands.served import settings as settings
from stands.served import sorted_client as client  # noqa: F401 - a fixture under this room's name for it
from stands.served import sql as sql
