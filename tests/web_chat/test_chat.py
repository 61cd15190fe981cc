"""The chat page in a real browser: what is said is seen, once, by whoever should see it."""

import asyncio

import asyncpg
from playwright.async_api import expect

from stands import plays
from stands.browser import Visitor
from stands.shop import Shop
from stands.tenants import settle
from web_chat.conftest import Chat


async def test_the_answer_is_seen_as_it_is_written(chat: Chat, shop: Shop, sql: asyncpg.Connection) -> None:
    await sql.execute("update workspaces set disclosure_text = 'An AI answers here.'")
    await expect(chat.text).to_be_focused()
    assert await sql.fetchval("select count(*) from conversations") == 0, "whoever only looks has begun nothing"
    await chat.text.press_sequentially("When are you open?")
    await expect(chat.page.locator("#disclosure")).to_have_text("An AI answers here.")
    await expect(chat.page.get_by_role("heading")).to_have_text("My business")
    assert await sql.fetchval("select count(*) from messages") == 0, "told before anything is said"
    gate = asyncio.Event()
    shop.llm.play(plays.say("We are ", "open.", pause=gate, pause_after=1))
    await chat.text.press("Enter")
    await expect(chat.draft).to_contain_text("We are")
    await expect(chat.page.locator(".draft .state")).to_have_text("The assistant is writing …")
    await expect(chat.page.locator(".draft .text")).to_have_attribute("aria-hidden", "true")
    gate.set()
    await chat.shows("When are you open?", "An AI answers here.\n\nWe are open.")
    await expect(chat.draft).to_have_count(0)
    await expect(chat.text).to_have_value("")


async def test_a_reload_shows_what_was_said(chat: Chat, shop: Shop, sql: asyncpg.Connection) -> None:
    shop.llm.play(plays.say("Yes."), plays.say("No."))
    await chat.say("Oat milk?")
    await chat.shows("Oat milk?", "Yes.")
    await chat.page.reload()
    await chat.shows("Oat milk?", "Yes.")
    await chat.say("Goat milk?")
    await chat.shows("Oat milk?", "Yes.", "Goat milk?", "No.")
    assert await sql.fetchval("select count(*) from conversations") == 1


async def test_another_tab_is_another_visitor(chat: Chat, shop: Shop, visitor: Visitor, address: str) -> None:
    shop.llm.play(plays.say("Yes."))
    await chat.say("Oat milk?")
    await chat.shows("Oat milk?", "Yes.")
    other = Chat(await visitor.open(f"{address}/chat"))
    await expect(other.page.locator("#welcome")).to_be_visible()
    await other.shows()


async def test_a_persons_answer_is_seen_when_it_is_given(chat: Chat, shop: Shop) -> None:
    shop.llm.play(plays.say("Yes."))
    await chat.say("Oat milk?")
    await chat.shows("Oat milk?", "Yes.")
    await shop.post("/admin/conversations/1/takeover")
    await chat.say("Are you sure?")
    await chat.shows("Oat milk?", "Yes.", "Are you sure?")
    await expect(chat.page.locator("#handler")).to_have_text("A person will answer here.")
    await expect(chat.draft).to_have_count(0)
    await shop.post("/admin/conversations/1/messages", {"content": "It is on us!"})
    await chat.shows("Oat milk?", "Yes.", "Are you sure?", "It is on us!")
    await expect(chat.page.locator(".human .who")).to_have_text("Our team")
    await expect(chat.page.locator("#handler")).to_have_text("A person answers here.")


async def test_a_hand_over_is_told(chat: Chat, shop: Shop) -> None:
    shop.llm.play(plays.call_tool("hand_over", '{"reason": "asked"}', text="One moment."))
    await chat.say("I want to talk to a person")
    await expect(chat.page.locator("#handler")).to_have_text("A person will answer here.")


async def test_outside_the_hours_it_says_so(chat: Chat, shop: Shop, sql: asyncpg.Connection) -> None:
    await sql.execute("""update workspaces set business_hours = '{"zone": "UTC", "week": {}, "holidays": []}'""")
    await chat.say("Anybody there?")
    await chat.shows("Anybody there?", "We are closed right now. A colleague will get back to you here.")
    await expect(chat.page.locator(".system .who")).to_have_text("Notice")


async def test_a_closed_chat_offers_another_and_says_there_what_was_not_said(
    chat: Chat, shop: Shop, sql: asyncpg.Connection
) -> None:
    shop.llm.play(plays.say("Yes."), plays.say("Still."))
    await chat.say("Oat milk?")
    await chat.shows("Oat milk?", "Yes.")
    await shop.post("/admin/conversations/1/close")
    await expect(chat.page.get_by_text("This chat has ended.")).to_be_visible()
    await expect(chat.text).to_be_disabled()
    await chat.page.get_by_role("button", name="Start a new chat").press("Enter")
    await expect(chat.text).to_be_focused()
    await chat.say("And now?")
    await chat.shows("And now?", "Still.")
    assert await sql.fetchval("select count(*) from conversations") == 2


async def test_an_erased_chat_is_gone_after_a_reload(chat: Chat, shop: Shop, sql: asyncpg.Connection) -> None:
    shop.llm.play(plays.say("Yes."), plays.say("Again."))
    await chat.say("Oat milk?")
    await chat.shows("Oat milk?", "Yes.")
    await sql.execute("delete from conversations")
    await chat.page.reload()
    await chat.shows()
    await chat.say("Hello again")
    await chat.shows("Hello again", "Again.")


async def test_each_business_has_its_own(visitor: Visitor, address: str, shop: Shop, sql: asyncpg.Connection) -> None:
    theirs = await settle(sql, "Theirs")
    page = await visitor.open(f"{address}/chat?workspace={theirs.workspace}")
    await page.get_by_label("Your message").press_sequentially("Hi")
    await expect(page.get_by_role("heading")).to_have_text("Theirs Ltd")
    for query in ("", "?workspace=999"):
        page = await visitor.open(f"{address}/chat{query}")
        await page.get_by_label("Your message").press_sequentially("Hi")
        await expect(page.get_by_text("There is no chat here.")).to_be_visible()


async def test_it_speaks_other_languages(visitor: Visitor, address: str) -> None:
    page = await visitor.open(f"{address}/chat/?lang=de-AT")
    await expect(page.get_by_role("button", name="Senden")).to_be_visible()
    await expect(page.locator("html")).to_have_attribute("lang", "de-AT")
