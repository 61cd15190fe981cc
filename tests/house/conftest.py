"""The running service, for the tests of this room."""

from stands.served import client as client
from stands.served import settings as settings
from stands.served import sql as sql
