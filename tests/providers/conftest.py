from collections.abc import AsyncIterator

import pytest

from stands.llm import LlmStand
from switchboard.providers.openai import OpenAI

KEY = "sk-canary-0123456789"


@pytest.fixture
def key() -> str:
    """The key that `openai` sends; it must appear nowhere else."""
    return KEY


@pytest.fixture
async def llm() -> AsyncIterator[LlmStand]:
    async with LlmStand() as stand:
        yield stand


@pytest.fixture
async def openai(llm: LlmStand) -> AsyncIterator[OpenAI]:
    provider = OpenAI(api_key=KEY, base_url=llm.openai_url, patience=5)
    yield provider
    await provider.close()
