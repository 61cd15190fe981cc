from datetime import UTC, datetime, timedelta

import pytest

from switchboard.errors import ProviderMisconfigured
from switchboard.providers.failures import Server, from_status, reason, retry_after, shorten

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
SERVER = Server("Acme AI", "ACME_KEY", "ACME_URL", "secret-1")


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "12"}, 12),
        ({"retry-after": " 1.5 "}, 1.5),
        ({"retry-after": "Fri, 20 Nov 2026 12:00:30 GMT"}, 30),
        ({"retry-after": "Fri, 20 Nov 2026 13:00:30 +0100"}, 30),
        ({"retry-after": "Fri, 20 Nov 2026 12:00:30 -0000"}, 30),
        ({"retry-after": "Fri, 20 Nov 2026 11:00:00 GMT"}, 0),
        ({"retry-after": "Fri, 20 Nov 2099 11:00:00 GMT"}, 600),
        ({"retry-after": "Fri, 99 Nov 2026 11:00:00 GMT"}, None),
        ({"retry-after": "1e999"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "-1"}, 0),
        ({"retry-after": "tomorrow"}, None),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after-ms": "x", "retry-after": "9"}, 9),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None):
    assert retry_after(headers, NOW) == seconds


def test_retry_after_counts_from_now():
    header = {"retry-after": "Fri, 20 Nov 2026 12:00:30 GMT"}
    assert retry_after(header, NOW + timedelta(seconds=10)) == 20


@pytest.mark.parametrize("body", [None, "", "  ", 7, [], {}, {"message": ""}, {"message": None}, {"message": {"a": 1}}])
def test_a_body_without_a_reason(body: object):
    assert reason(body, SERVER) == "no reason given"


def test_a_reason_is_short_printable_and_without_the_key():
    said = reason({"message": "Key secret-1 is\x00 wrong.\r\n" + "x" * 5_000}, SERVER)
    assert said.startswith("Key *** is wrong. xxx")
    assert len(said) == 300
    assert reason("plain secret-1", SERVER) == "plain ***"


def test_a_key_at_the_cut_does_not_show_in_part():
    assert "secret" not in reason("x" * 295 + "secret-1", SERVER)


def test_shorten_keeps_what_is_short():
    assert shorten("Zu viele Anfragen – später") == "Zu viele Anfragen – später"


def test_messages_name_the_variables_of_their_provider():
    without_key = Server("Acme AI", "ACME_KEY", "ACME_URL", None)
    assert from_status(401, {}, {}, model="m", server=SERVER).message == "Acme AI rejects the key: check ACME_KEY."
    assert from_status(401, {}, {}, model="m", server=without_key).message == "Acme AI wants a key: set ACME_KEY."
    not_found = from_status(404, "<html>", {}, model="m\n" * 999, server=SERVER)
    assert isinstance(not_found, ProviderMisconfigured)
    assert "ACME_URL" in not_found.message
    assert len(not_found.message) < 500
    assert "secret-1" not in repr(SERVER)
