"""The examples of usage and analytics that clients were written from, as they are written, run against our server.

`requests` is a stand-in of the same words over the test's client; only host and token are ours.
"""

import textwrap
from typing import Any

import httpx
import pytest

from stands.app import bearer, token
from switchboard.settings import Settings

EXAMPLES = {
    "Get Chat Analytics": """
        response = requests.get(
            'http://localhost:8000/api/v1/ai/analytics/',
            headers={'Authorization': 'Bearer your_token'}
        )
        """,
    "Get User Usage Statistics": """
        # Get usage stats for last 30 days
        response = requests.get(
            'http://localhost:8000/api/v1/ai/usage/stats/',
            headers={'Authorization': 'Bearer your_token'}
        )
        """,
    "Get User Usage Statistics for a period": """
        # Get usage stats for specific period
        response = requests.get(
            'http://localhost:8000/api/v1/ai/usage/stats/?days=7',
            headers={'Authorization': 'Bearer your_token'}
        )
        """,
    "Get Global Usage Statistics (Admin)": """
        response = requests.get(
            'http://localhost:8000/api/v1/ai/usage/global/',
            headers={'Authorization': 'Bearer your_admin_token'}
        )
        """,
}
DAYS = {"Get User Usage Statistics for a period": 7}


class Requests:
    """`requests.get`, noted instead of done: the client that can do it is asynchronous."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str]]] = []

    def get(self, url: str, headers: dict[str, str]) -> None:
        self.asked.append((url, headers))


@pytest.mark.parametrize("example", EXAMPLES)
async def test_the_example_runs_as_written(client: httpx.AsyncClient, settings: Settings, example: str) -> None:
    requests = Requests()
    exec(textwrap.dedent(EXAMPLES[example]), {"requests": requests})
    ((url, headers),) = requests.asked
    known = {
        "Bearer your_token": bearer(token(settings, "owner", 1)),
        "Bearer your_admin_token": bearer(token(settings)),
    }
    ours = url.replace("http://localhost:8000", str(client.base_url).rstrip("/"))
    answer = await client.get(ours, headers=known[headers["Authorization"]])
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    assert told["days"] == DAYS.get(example, 30)


async def test_global_is_for_admins_alone(client: httpx.AsyncClient, settings: Settings) -> None:
    answer = await client.get("/api/v1/ai/usage/global/", headers=bearer(token(settings, "owner", 1)))
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
