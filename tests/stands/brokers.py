"""The real brokers of this machine, as `BROKER_URL` names them."""

import os
import socket
from urllib.parse import urlsplit

import pytest

BROKERS = ["redis://127.0.0.1:6379/9", "nats://127.0.0.1:4222", "amqp://guest:guest@127.0.0.1:5672/"]
NAMES = ["redis", "nats", "rabbitmq"]


def need(url: str) -> None:
    """Skips without the broker; fails in CI, where a broker that is not there is a hole in what we prove."""
    address = urlsplit(url)
    try:
        socket.create_connection((address.hostname or "", address.port or 0), timeout=1).close()
    except OSError:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"nothing listens at {url}")
