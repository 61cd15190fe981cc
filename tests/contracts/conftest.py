from collections.abc import AsyncIterator

import pytest

from stands.llm import LlmStand


@pytest.fixture
async def llm() -> AsyncIterator[LlmStand]:
    async with LlmStand() as stand:
        yield stand
