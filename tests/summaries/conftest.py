"""What the tests of summaries share with others."""

from stands.served import sql as sql
