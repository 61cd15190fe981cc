"""Who cannot see, point or move as others do, who writes in other ways, and who writes what should do harm."""

import asyncio
from typing import Any

import pytest
from playwright.async_api import Browser, expect

from stands import plays
from stands.browser import Visitor, faults, visiting
from stands.shop import Shop
from web_chat.conftest import Chat

HOSTILE = (
    "<img src=x onerror=\"document.title='taken'\">",
    "<script>document.title='taken'</script>",
    "{{7*7}} ${7*7} <b>bold</b> &lt;i&gt;",
    "[here](javascript:document.title='taken')",
    "\u202egnirts a\u2066 mixed \u2067up",
)


async def test_markup_is_shown_and_never_obeyed(chat: Chat, shop: Shop) -> None:
    shop.llm.play(*(plays.say(text[:7], text[7:]) for text in HOSTILE))
    for number, text in enumerate(HOSTILE, 1):
        await chat.say(text)
        await expect(chat.said).to_have_count(2 * number)
    await chat.page.reload()
    await expect(chat.said).to_have_count(2 * len(HOSTILE))
    seen = await chat.said.all_text_contents()
    assert seen == [text for text in HOSTILE for _ in range(2)]
    assert await chat.page.title() == "My business"
    assert await chat.page.locator("#log :is(img, script, b, a, i)").count() == 0
    # What turns the writing round ends with its message.
    for text in await chat.said.all():
        style = await text.evaluate("one => [getComputedStyle(one).unicodeBidi, one.dir]")
        assert style == ["plaintext", "auto"]


async def test_everything_is_done_with_the_keyboard_alone(chat: Chat, shop: Shop) -> None:
    keys = chat.page.keyboard
    shop.llm.play(plays.say("Yes."), plays.say("Still."))
    await expect(chat.text).to_be_focused()
    await keys.type("Oat milk?")
    await keys.press("Shift+Enter")
    await keys.type("Or soy?")
    await expect(chat.text).to_have_value("Oat milk?\nOr soy?")
    await keys.press("Enter")
    await chat.shows("Oat milk?\nOr soy?", "Yes.")
    await expect(chat.text).to_be_focused()
    await keys.press("Shift+Tab")
    log = chat.page.get_by_role("log", name="Conversation")
    await expect(log).to_be_focused()
    assert await log.evaluate("one => getComputedStyle(one).outlineStyle") == "solid", "one sees where one is"
    await keys.press("Tab")
    await keys.type("Sure?")
    await keys.press("Tab")
    await expect(chat.page.get_by_role("button", name="Send")).to_be_focused()
    await keys.press("Space")
    await chat.shows("Oat milk?\nOr soy?", "Yes.", "Sure?", "Still.")
    await expect(chat.text).to_be_focused()
    await keys.press("Enter")
    await keys.type("  ")
    await keys.press("Enter")
    await expect(chat.page.locator(".message")).to_have_count(4)


async def test_the_key_that_ends_a_word_being_put_together_does_not_send(chat: Chat, shop: Shop) -> None:
    shop.llm.play(plays.say("はい"))
    typing = await chat.page.context.new_cdp_session(chat.page)
    await typing.send("Input.imeSetComposition", {"text": "こん", "selectionStart": 2, "selectionEnd": 2})
    enter: dict[str, Any] = {"key": "Enter", "code": "Enter"}
    await typing.send("Input.dispatchKeyEvent", {"type": "rawKeyDown", **enter, "windowsVirtualKeyCode": 229})
    await chat.text.dispatch_event("keydown", {**enter, "isComposing": True, "bubbles": True})
    await expect(chat.text).to_have_value("こん")
    await expect(chat.page.locator(".message")).to_have_count(0)
    await typing.send("Input.insertText", {"text": "こんにちは"})
    await chat.text.press("Enter")
    await chat.shows("こんにちは", "はい")


async def test_how_much_more_may_be_written_is_told_in_time(chat: Chat) -> None:
    count = chat.page.locator("#count")
    await chat.text.fill("x" * 3499)
    await expect(count).to_be_empty()
    await chat.text.fill("x" * 3990)
    await expect(count).to_have_text("10 characters left")
    await chat.text.press_sequentially("y" * 12)
    await expect(chat.text).to_have_value("x" * 3990 + "y" * 10)
    await expect(count).to_have_text("0 characters left")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing(browser: Browser, address: str, shop: Shop, scheme: Any) -> None:
    async with visiting(browser, color_scheme=scheme, viewport={"width": 400, "height": 600}) as somebody:
        chat = Chat(await somebody.open(f"{address}/chat"))
        assert await faults(chat.page) == []
        gate = asyncio.Event()
        shop.llm.play(plays.say("We are ", "open. " * 50, pause=gate, pause_after=1))
        await chat.say("When are you open?")
        await expect(chat.draft).to_contain_text("We are")
        assert await faults(chat.page) == [], "while it is written"
        gate.set()
        await expect(chat.said).to_have_count(2)
        await chat.page.route("**/chat/messages/", lambda route: route.abort())
        await chat.say("Sure?")
        await expect(chat.problem).not_to_be_empty()
        await chat.text.fill("x" * 3900)
        assert await faults(chat.page) == [], "while the line is broken"
        await shop.post("/admin/conversations/1/takeover")
        await shop.post("/admin/conversations/1/messages", {"content": "Yes, sure."})
        await expect(chat.page.locator(".human")).to_have_count(1)
        await shop.post("/admin/conversations/1/close")
        await expect(chat.page.locator("#ended")).to_be_visible()
        assert await faults(chat.page) == [], "after its end"
        assert somebody.complaints == []


async def test_it_fits_where_there_is_little_room_and_the_end_stays_in_sight(
    browser: Browser, address: str, shop: Shop
) -> None:
    shop.llm.play(*(plays.say("very" * 60) for _ in range(3)))
    async with visiting(browser, viewport={"width": 320, "height": 500}, reduced_motion="reduce") as somebody:
        chat = Chat(await somebody.open(f"{address}/chat"))
        for number in range(1, 4):
            await chat.say("שלום " + "long" * 40)
            await expect(chat.said).to_have_count(2 * number)
        await chat.page.route("**/chat/messages/", lambda route: route.abort())
        await chat.say("The last one")
        await expect(chat.problem).not_to_be_empty()
        await chat.text.fill("several\nlines\nof\ntext")
        await expect(chat.page.get_by_text("The last one")).to_be_in_viewport(ratio=1)
        wide = (
            "() => [...document.querySelectorAll('*')].filter(one => one.scrollWidth > 320).map(one => one.outerHTML)"
        )
        assert await chat.page.evaluate(wide) == []
        assert await chat.page.evaluate("document.getAnimations().length") == 0


async def test_nothing_comes_from_elsewhere(visitor: Visitor, address: str) -> None:
    asked: list[str] = []
    visitor.context.on("request", lambda request: asked.append(request.url))
    chat = Chat(await visitor.open(f"{address}/chat"))
    await chat.text.press_sequentially("Hi")
    await expect(chat.page.get_by_role("heading")).to_have_text("My business")
    assert {one for one in asked if not one.startswith((address, "data:"))} == set()
    assert await visitor.context.cookies() == []
    assert await chat.page.evaluate("localStorage.length") == 0, "what is kept ends with the tab"
