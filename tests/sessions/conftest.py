"""A business that answers with a model of ours, on both transports; its client is a program of the workspace."""

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest

from stands.app import bearer, local_settings, rest_settings, token
from stands.served import sql as sql
from stands.shop import MakeSettings, Shop, open_shop
from switchboard.database.postgres import Postgres
from switchboard.knowledge.put import put_document

MODEL = "openai:gpt-5.4-mini"


@pytest.fixture(params=["postgres", "postgrest"])
def make(request: pytest.FixtureRequest, database_url: str) -> MakeSettings:
    """Settings for either transport."""
    if request.param == "postgres":
        return partial(local_settings, database_url)
    return partial(rest_settings, request.getfixturevalue("supabase"))


@pytest.fixture
def told() -> dict[str, Any]:
    """Settings that a test module adds."""
    return {}


@pytest.fixture
async def shop(make: MakeSettings, told: dict[str, Any], postgres: Postgres) -> AsyncIterator[Shop]:
    """The business; `shop.client` speaks as a program with the role support."""
    async with open_shop(make, **({"default_model": MODEL} | told)) as opened:
        await put_document(postgres, 1, "Opening hours", "We are open from nine to five.")
        opened.client.headers.update(bearer(token(opened.settings, "support", 1, subject="program")))
        yield opened
