"""Lines that break, services that are away, and visitors who say too much: what was written arrives, once."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from playwright.async_api import Error, Route, expect

from faults.proxy import Line
from stands import plays
from stands.app import local_settings
from stands.browser import Visitor
from stands.clusters import Cluster, majors
from stands.shop import Shop, open_shop
from switchboard.database.migrations import migrate
from web_chat.conftest import MODEL, Chat, until_counted

MESSAGES = "**/api/v1/chat/messages/"
FROM_VISITORS = "select count(*) from messages where sender_type = 'user'"


@pytest.fixture
def line(shop: Shop) -> Line:
    """The line between the visitor and the service."""
    assert shop.client.base_url.port
    return Line(shop.client.base_url.port)


async def test_what_is_written_while_nobody_is_there_arrives_once_they_are(
    visitor: Visitor, shop: Shop, line: Line, sql: asyncpg.Connection
) -> None:
    shop.llm.play(plays.say("One."), plays.say("Two."), plays.say("Three."))
    async with line.listen():
        chat = Chat(await visitor.open(f"http://127.0.0.1:{line.port}/chat"))
        await chat.say("First")
        await chat.shows("First", "One.")
    # Nobody listens there any more.
    await expect(chat.problem).to_contain_text("The connection is lost.")
    await chat.say("Second")
    await chat.say("Third")
    await expect(chat.page.locator(".message.user[data-state=waiting]")).to_have_count(1)
    await expect(chat.page.locator(".message.user[data-state]")).to_have_count(2)
    assert await sql.fetchval(FROM_VISITORS) == 1
    async with line.listen():
        with suppress(Error):  # it has tried again by itself, and the button is gone
            await chat.page.get_by_role("button", name="Try again now").click(timeout=1000)
        await chat.shows("First", "One.", "Second", "Two.", "Third", "Three.")
        await expect(chat.problem).to_be_empty()
        await shop.post("/admin/conversations/1/messages", {"content": "The line is back."})
        await expect(chat.said).to_have_count(7)
        await visitor.context.close()
    assert await sql.fetchval(FROM_VISITORS) == 3


async def test_a_line_that_breaks_within_the_answer_doubles_nothing(
    visitor: Visitor, shop: Shop, line: Line, sql: asyncpg.Connection
) -> None:
    gate = asyncio.Event()
    shop.llm.play(plays.say("We are ", "open.", pause=gate, pause_after=1))
    async with line.listen():
        chat = Chat(await visitor.open(f"http://127.0.0.1:{line.port}/chat"))
        sent: list[Any] = []
        chat.page.on("request", lambda asked: asked.method == "POST" and sent.append(asked.post_data_json))
        await chat.say("When are you open?")
        await expect(chat.draft).to_contain_text("We are")
        line.cut()
        await expect(chat.problem).to_contain_text("The connection is lost.")
        gate.set()
        await chat.shows("When are you open?", "We are open.")
        await expect(chat.problem).to_be_empty()
        await visitor.context.close()
    said = [one["client_nonce"] for one in sent if "content" in one]
    assert (len(said) > 1, len(set(said))) == (True, 1), "sent again, as the same message"
    assert await sql.fetchval("select count(*) from messages") == 2
    assert len(shop.llm.calls) == 1


async def test_an_answer_that_never_came_back_doubles_nothing(chat: Chat, shop: Shop, sql: asyncpg.Connection) -> None:
    """The service has it, the browser does not know."""
    shop.llm.play(plays.say("Yes."))

    async def lose(route: Route) -> None:
        if route.request.method != "POST":
            return await route.continue_()
        await route.fetch()
        await route.abort()
        return None

    await chat.page.route(MESSAGES, lose)
    await chat.say("Oat milk?")
    await expect(chat.problem).not_to_be_empty()
    await until_counted(sql, 1, FROM_VISITORS)
    await chat.page.unroute_all(behavior="wait")
    await chat.shows("Oat milk?", "Yes.")
    await chat.page.reload()
    await chat.shows("Oat milk?", "Yes.")
    assert await sql.fetchval("select count(*) from messages") == 2


async def test_what_was_not_sent_outlives_a_reload(chat: Chat, shop: Shop, sql: asyncpg.Connection) -> None:
    shop.llm.play(plays.say("Yes."))

    async def refuse(route: Route) -> None:
        await route.abort()

    await chat.page.route(MESSAGES, refuse)
    await chat.text.fill("Oat milk?")
    await expect(chat.page.get_by_role("heading")).to_have_text("My business")
    await chat.text.press("Enter")
    await expect(chat.page.locator("[data-state=waiting] .state")).to_have_text("Not sent yet")
    await chat.page.unroute_all(behavior="wait")
    await chat.page.reload()
    await chat.shows("Oat milk?", "Yes.")
    assert await sql.fetchval(FROM_VISITORS) == 1


class TestLimited:
    """One message a minute, and no more."""

    @pytest.fixture
    def told(self) -> dict[str, Any]:
        return {"rate_limit_customer": 1}

    async def test_it_says_when_it_goes_on(self, chat: Chat, shop: Shop) -> None:
        shop.llm.play(plays.say("Yes."))
        await chat.say("Oat milk?")
        await chat.shows("Oat milk?", "Yes.")
        await chat.say("And soy?")
        await expect(chat.problem).to_contain_text("It goes on by itself in")
        await expect(chat.page.locator("[data-state=waiting] .text")).to_have_text("And soy?")


@pytest.fixture
def server() -> Iterator[Cluster]:
    """A migrated Postgres of this test's own, which it may stop."""
    cluster = Cluster(majors()[18])
    cluster.start()
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        runner.run(migrate(cluster.dsn()))
    yield cluster
    cluster.destroy()


async def test_it_goes_on_while_the_database_is_away(visitor: Visitor, server: Cluster, tmp_path: Path) -> None:
    make = partial(local_settings, server.dsn(), database_timeout_seconds=1)
    async with open_shop(make, default_model=MODEL, data_dir=tmp_path) as shop:
        shop.llm.play(plays.say("Hello."), plays.say("Oat milk."))
        chat = Chat(await visitor.open(f"{shop.client.base_url}/chat"))
        await chat.say("Hi")
        await chat.shows("Hi", "Hello.")
        await asyncio.sleep(0.3)  # what is remembered is read in the background, behind the answer
        server.stop()
        await chat.say("Milk?")
        untracked = chat.page.locator(".message:not([data-state]) .text")
        await expect(untracked).to_have_text(["Hi", "Hello.", "Milk?", "Oat milk."])
        server.start()
        await chat.shows("Hi", "Hello.", "Milk?", "Oat milk.")
        await expect(untracked).to_have_text(["Hi", "Hello.", "Milk?", "Oat milk."])
        await visitor.context.close()
