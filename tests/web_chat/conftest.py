"""A business, and visitors of its page with browsers of their own."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import asyncpg
import pytest
from playwright.async_api import Browser, Locator, Page, expect

from stands import browser as stand
from stands.app import local_settings
from stands.browser import SECONDS, Visitor, driven, running_chromium, visiting
from stands.served import sql as sql
from stands.shop import Shop, open_shop

MODEL = "openai:gpt-5.4-mini"
expect.set_options(timeout=SECONDS * 1000)


@dataclass
class Chat:
    """The page as a visitor uses it."""

    page: Page

    @property
    def text(self) -> Locator:
        return self.page.get_by_label("Your message")

    @property
    def said(self) -> Locator:
        """The texts of the messages that are stored, as they are shown."""
        return self.page.locator(".message[data-seq]:not([data-seq=Infinity]) .text")

    @property
    def draft(self) -> Locator:
        return self.page.locator(".draft .text")

    @property
    def problem(self) -> Locator:
        return self.page.locator("#problem")

    async def say(self, text: str) -> None:
        await self.text.fill(text)
        await self.text.press("Enter")

    async def shows(self, *texts: str) -> None:
        """Waits until these, and no others, are what was said."""
        await expect(self.said).to_have_text(list(texts), use_inner_text=True)


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The one browser of all tests. Not to have one is a choice on somebody's machine, and a hole in what we prove
    anywhere else."""
    if reason := stand.missing():
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)
    with running_chromium(tmp_path_factory.mktemp("chromium")) as address:
        yield address


@pytest.fixture
async def browser(chromium: str) -> AsyncIterator[Browser]:
    async with driven(chromium) as opened:
        yield opened


@pytest.fixture
async def visitor(browser: Browser) -> AsyncIterator[Visitor]:
    """Somebody whose browser must find nothing wrong with what it is given."""
    async with visiting(browser) as somebody:
        yield somebody
        assert somebody.complaints == []


@pytest.fixture
def told() -> dict[str, Any]:
    """Settings that a test module adds."""
    return {}


@pytest.fixture
async def shop(database_url: str, told: dict[str, Any]) -> AsyncIterator[Shop]:
    """The business, answered for by a model of ours; what differs by transport is tested in `sessions`."""
    async with open_shop(partial(local_settings, database_url), **({"default_model": MODEL} | told)) as opened:
        yield opened


@pytest.fixture
def address(shop: Shop) -> str:
    """Where the service is."""
    return str(shop.client.base_url).rstrip("/")


@pytest.fixture
async def chat(visitor: Visitor, address: str) -> Chat:
    return Chat(await visitor.open(f"{address}/chat"))


async def until_counted(sql: asyncpg.Connection, count: int, question: str) -> None:
    """Returns when the answer to a `select count(*)` is ``count``."""
    async with asyncio.timeout(SECONDS):
        while await sql.fetchval(question) != count:
            await asyncio.sleep(0.02)
