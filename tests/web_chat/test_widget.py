"""`/widget.js` in a page of somebody else: one line, a strict policy, and nothing of theirs or ours gets in the way."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from playwright.async_api import FrameLocator, Page, expect
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route

from stands import plays
from stands.app import serving
from stands.browser import Visitor, faults
from stands.shop import Shop

PAGE = """<!doctype html><html lang="en"><head><title>A shop</title>
<meta name="viewport" content="width=device-width"></head>
<body><main><h1>A shop</h1><a href="#x">A link</a></main>{scripts}</body></html>"""


class Host:
    """A web site on another origin; ``attributes`` of each script it includes."""

    def __init__(self) -> None:
        self.desk = ""
        self.attributes: list[str] = []
        self.styles = ""

    async def answer(self, request: Request) -> HTMLResponse:
        """Its page, with a policy that allows our script and our frame and nothing else."""
        scripts = "".join(f'<script src="{self.desk}/widget.js" {more} async></script>' for more in self.attributes)
        policy = f"default-src 'none'; script-src {self.desk}; frame-src {self.desk}; style-src 'self'"
        return HTMLResponse(
            PAGE.format(scripts=scripts),
            headers={"content-security-policy": f"{policy}; require-trusted-types-for 'script'; trusted-types 'none'"},
        )


@pytest.fixture
def host() -> Host:
    return Host()


@pytest.fixture
async def site(host: Host) -> AsyncIterator[str]:
    """Where the site is, before there is a desk that must know it."""
    async with serving(Starlette(routes=[Route("/", host.answer)])) as address:
        yield address


@pytest.fixture
def told(site: str) -> dict[str, Any]:
    return {"chat_origins": f"https://shop.example, {site}/"}


@pytest.fixture
def embed(host: Host, address: str) -> Callable[..., None]:
    """Puts the line into the site's page, once for each of the attributes."""

    def put(*attributes: str) -> None:
        host.desk, host.attributes = address, list(attributes)

    return put


def framed(page: Page) -> FrameLocator:
    """The chat inside the page."""
    return page.frame_locator("[data-switchboard-chat] iframe")


async def test_one_line_puts_a_chat_into_a_page(
    embed: Callable[..., None], visitor: Visitor, site: str, shop: Shop
) -> None:
    embed(*['data-workspace="1" data-label="Ask us" data-lang="de"'] * 2)
    shop.llm.play(plays.say("Ja."))
    page = await visitor.open(site)
    names = "() => Object.keys(window).filter(name => /switchboard|chat|widget/i.test(name))"
    button = page.get_by_role("button", name="Ask us")
    await expect(button).to_have_attribute("aria-expanded", "false")
    await expect(page.locator("[data-switchboard-chat]")).to_have_count(1)  # though it is included twice
    assert [one.url for one in page.frames[1:]] == ["about:blank"], "nothing is loaded before it is wanted"
    assert await page.evaluate(names) == []
    assert await faults(page) == []

    await button.press("Enter")
    text = framed(page).get_by_label("Ihre Nachricht")
    await expect(text).to_be_focused()
    await page.keyboard.type("Hafermilch?")
    await page.keyboard.press("Enter")
    said = framed(page).locator(".message[data-seq]:not([data-seq=Infinity]) .text")
    await expect(said).to_have_text(["Hafermilch?", "Ja."])
    assert await faults(page) == []

    await page.reload()
    await expect(said).to_have_text(["Hafermilch?", "Ja."])  # still open, and the same conversation
    await expect(page.locator("body")).to_be_focused()  # whoever only loads a page has not asked for the chat
    await text.focus()
    await page.keyboard.press("Escape")
    await expect(button).to_have_attribute("aria-expanded", "false")
    await expect(button).to_be_focused()
    await expect(text).to_be_hidden()
    await button.press("Enter")
    await expect(text).to_be_focused()
    await page.keyboard.press("Shift+Tab")
    await button.focus()
    await page.keyboard.press("Escape")
    await expect(text).to_be_hidden()


async def test_it_stands_where_it_is_told_and_fits(
    embed: Callable[..., None], visitor: Visitor, site: str, shop: Shop
) -> None:
    embed('data-position="left"')
    page = await visitor.open(site)
    await page.set_viewport_size({"width": 320, "height": 480})
    await page.get_by_role("button", name="Chat").click()
    frame = page.locator("[data-switchboard-chat] iframe")
    await expect(framed(page).get_by_label("Your message")).to_be_focused()
    for one in (frame, page.get_by_role("button", name="Chat")):
        box = await one.bounding_box()
        assert box
        assert box["x"] == 16
        assert box["y"] >= 0
        assert box["x"] + box["width"] <= 320
        assert box["y"] + box["height"] <= 480


async def test_a_page_that_is_not_allowed_shows_no_chat(
    embed: Callable[..., None], visitor: Visitor, site: str, shop: Shop
) -> None:
    embed("")
    elsewhere = site.replace("127.0.0.1", "localhost")
    page = await visitor.open(elsewhere)
    async with page.expect_console_message(lambda said: "frame-ancestors" in said.text):
        await page.get_by_role("button", name="Chat").click()
    await expect(framed(page).get_by_label("Your message")).to_have_count(0)
    visitor.complaints.clear()
