"""The HTML archive in a real browser without a network: it does what it should, and nothing that messages say."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from stands.browser import SECONDS, Visitor, faults, visiting
from stands.hostile import CORPUS, EVALUATED
from switchboard.exports.asked import Options
from switchboard.exports.conversation import Conversation, Message, Part
from switchboard.exports.formats import html
from switchboard.exports.manifest import Manifest
from web_chat.conftest import browser as browser
from web_chat.conftest import chromium as chromium

expect.set_options(timeout=SECONDS * 1000)
BEGUN = datetime(2026, 11, 1, 9, tzinfo=UTC)
RTL = "שלום, איפה החבילה שלי? 1234"
TAGS = {
    *(
        "html",
        "head",
        "meta",
        "title",
        "link",
        "style",
        "body",
        "header",
        "h1",
        "h2",
        "h3",
        "h4",
        "dl",
        "div",
        "dt",
        "dd",
    ),
    *(
        "main",
        "section",
        "p",
        "ol",
        "ul",
        "li",
        "a",
        "span",
        "bdi",
        "time",
        "strong",
        "em",
        "article",
        "label",
        "input",
    ),
    *("button", "svg", "rect", "table", "caption", "thead", "tbody", "tr", "th", "td", "script", "footer", "pre"),
}
ATTRIBUTES = {
    *("lang", "charset", "http-equiv", "content", "name", "rel", "href", "class", "id", "datetime", "dir", "tabindex"),
    *("role", "hidden", "type", "for", "autocomplete", "spellcheck", "scope", "viewbox", "preserveaspectratio"),
    *("x", "y", "width", "height", "aria-label", "aria-labelledby", "aria-hidden"),
}


def said(*texts: str, number: int = 1, judged: str = "fine", **told: Any) -> list[Part]:
    """A conversation in which a guest and the AI say these in turn."""
    values: dict[str, Any] = {
        "title": f"Talk {number}",
        "guest_name": "Anna",
        "summary": None,
        "guest_email": None,
    } | told
    conversation = Conversation(
        conversation_id=number,
        created_at=stamp(number),
        status="closed",
        guest_id=values.pop("guest_id", f"guest-{number}"),
        guest_phone=None,
        ip_address=None,
        channel=values.pop("channel", "facebook"),
        agent_id=1,
        agent=values.pop("agent", "The assistant"),
        **values,
    )
    messages = [
        Message(
            message_id=number * 1000 + place,
            timestamp=stamp(number, place),
            sender_type="ai" if place % 2 else "guest",
            text=text,
            sequence_number=place + 1,
            service="secret-service",
            model="secret-model",
            reply_to=None,
            generated_at=None,
            heard=True,
            attachments=None if place else ["image"],
            ratings=[{"score": 4, "comment": judged}] if place == 1 else None,
            flags=[{"flag_type": "off_topic", "comment": judged, "outcome": None}] if place == 1 else None,
            correction=None,
        )
        for place, text in enumerate(texts)
    ]
    for message in messages:
        conversation.counts[message.sender_type] += 1
    return [Part(conversation, messages, first=True, last=True)]


def stamp(number: int, minutes: int = 0) -> str:
    return (BEGUN + timedelta(days=number % 20, minutes=minutes)).isoformat().replace("+00:00", "Z")


async def written(*parts: list[Part], name: str = "The assistant", **options: Any) -> bytes:
    """The page that is made of these."""
    about = {
        "format": "html",
        "workspace_id": 1,
        "assistant": {"id": 1, "name": name},
        "days": 30,
        "time_zone": "Europe/Berlin",
        "left_out": 2,
        "filters": {"start_date": "2026-10-22", "end_date": "2026-11-20", "agent": 1, "completed": True},
        "options": Options().model_dump(),
        "watermark": {"message_id": 1, "at": "2026-11-20T10:00:00Z"},
    }
    manifest = Manifest(about)

    async def given() -> AsyncIterator[Part]:
        for some in parts:
            for part in some:
                yield part

    rendered = html.render(manifest.counting(given()), manifest, Options(), **options)
    return b"".join([chunk async for chunk in rendered])


class Watched:
    """A page that was opened from the disk, and everything that it wanted besides."""

    def __init__(self, page: Page, visitor: Visitor) -> None:
        self.page = page
        self.visitor = visitor
        self.requests: list[str] = []
        self.dialogs: list[str] = []


@asynccontextmanager
async def opened(browser: Browser, content: bytes, folder: Path, **options: Any) -> AsyncIterator[Watched]:
    """The page, without a network."""
    file = folder / "conversations.html"
    file.write_bytes(content)
    async with visiting(browser, **options) as somebody:
        await somebody.context.set_offline(True)
        page = await somebody.open("about:blank")
        watched = Watched(page, somebody)
        page.on("request", lambda asked: watched.requests.append(asked.url))
        page.on("dialog", lambda dialog: watched.dialogs.append(dialog.message))
        await page.goto(file.as_uri())
        yield watched
        assert watched.requests == [file.as_uri()], "it loads nothing"
        assert watched.dialogs == []
        assert somebody.complaints == []


async def test_whatever_is_said_does_nothing(browser: Browser, tmp_path: Path) -> None:
    everywhere = [
        said(
            text,
            f"Re: {text}",
            number=number,
            title=text,
            guest_name=text,
            guest_email=text,
            guest_id=text,
            channel=text,
            agent=text,
            summary=text,
            judged=text,
        )
        for number, text in enumerate(CORPUS, 1)
    ]
    assert len(everywhere) == 200
    content = await written(*everywhere, name=CORPUS[0])
    async with opened(browser, content, tmp_path) as seen:
        texts = seen.page.locator("article .messages .guest .text")
        await expect(texts).to_have_count(len(CORPUS))
        shown = await texts.evaluate_all("all => all.map(one => one.textContent)")
        assert shown == CORPUS, "it is read as it was written"
        await seen.page.get_by_label("Search what was said").fill("script onerror")
        await expect(seen.page.locator("#found")).to_contain_text("of 200 conversations")
        assert await seen.page.locator("mark").count() > 0
        assert (await seen.page.title()).startswith("Conversations of <script>")
        assert (
            await seen.page.locator("article script, article img, article svg, article iframe, article style").count()
            == 0
        )
        await seen.page.wait_for_timeout(300)
    for mark in EVALUATED[:2]:
        assert mark not in content.decode()


class Tags(HTMLParser):
    """Collects what a page is made of."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.addresses: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attrs)
        self.addresses.update(value or "" for name, value in attrs if name in {"href", "src", "action", "poster"})


async def test_it_is_made_of_nothing_but_what_we_put_there() -> None:
    found = Tags()
    found.feed((await written(*(said(text, text, number=n, title=text) for n, text in enumerate(CORPUS, 1)))).decode())
    assert found.tags <= TAGS, found.tags - TAGS
    assert found.attributes <= ATTRIBUTES, found.attributes - ATTRIBUTES
    assert {address for address in found.addresses if not re.fullmatch(r"#c\d+|data:,", address)} == set()


async def test_the_policy_comes_first_and_lets_nothing_in() -> None:
    text = (await written(said("Hi", "Hello"))).decode()
    head = text.partition("<title>")[0]
    assert head.index("Content-Security-Policy") < head.index("viewport")
    policy = html_policy(text)
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert "secret-service" not in text
    assert "secret-model" not in text


def html_policy(text: str) -> str:
    found = re.search(r'Content-Security-Policy" content="([^"]+)"', text)
    assert found is not None
    return found[1].replace("&#39;", "'")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing(browser: Browser, tmp_path: Path, scheme: Any) -> None:
    content = await written(
        *(said("Where is it?", "On its way.", RTL, number=n, summary="They wait.") for n in range(1, 40)),
        said("=1+1", "<b>", number=40, guest_name=None, title=None),
    )
    async with opened(browser, content, tmp_path, color_scheme=scheme, viewport={"width": 700, "height": 900}) as seen:
        assert await faults(seen.page) == []
        await seen.page.get_by_label("Search what was said").fill("way")
        await expect(seen.page.locator("mark")).to_have_count(39)
        await seen.page.get_by_role("button", name="Next").click()
        await expect(seen.page.locator("mark.current")).to_have_count(1)
        assert await faults(seen.page) == []


async def test_what_is_searched_for_is_found_and_marked(browser: Browser, tmp_path: Path) -> None:
    content = await written(
        said("Wo ist mein Päckchen?", "Unterwegs (heute).", number=1),
        said("Where is my parcel?", "The parcel is lost, PARCEL 7.", number=2),
        said(RTL, "a.c and abc", number=3, title="Third"),
    )
    async with opened(browser, content, tmp_path) as seen:
        box, told, articles = (
            seen.page.get_by_label("Search"),
            seen.page.locator("#found"),
            seen.page.locator("article"),
        )
        await box.fill("parcel")
        await expect(told).to_have_text("1 of 3 conversations, 3 places")
        await expect(articles.nth(1)).to_be_visible()
        await expect(articles.nth(0)).to_be_hidden()
        await expect(seen.page.locator(".list li").nth(0)).to_be_hidden()
        assert await seen.page.locator("mark").all_inner_texts() == ["parcel", "parcel", "PARCEL"]
        await box.press("Enter")
        await box.press("Enter")
        await expect(seen.page.locator("mark").nth(1)).to_have_class("current")
        await box.fill("parcel lost 7")
        await expect(told).to_have_text("1 of 3 conversations, 5 places")
        await box.fill("a.c")
        await expect(told).to_have_text("1 of 3 conversations, 1 places")
        for words, many in (("(heute).", 1), ("PÄCKCHEN", 1), ("החבילה", 1), ("nowhere", 0), ("[*+?^${}|\\", 0)):
            await box.fill(words)
            await expect(told).to_contain_text(f"{many} of 3 conversations")
        await box.fill("")
        await expect(told).to_be_empty()
        await expect(articles).to_have_count(3)
        await expect(articles.nth(0)).to_be_visible()
        await expect(seen.page.locator("mark")).to_have_count(0)
        assert await seen.page.locator("article .guest .text").first.evaluate("one => one.childNodes.length") == 1


async def test_print_has_all_of_it(browser: Browser, tmp_path: Path) -> None:
    content = await written(*(said(f"question {n}", f"answer {n} " + "word " * 300, number=n) for n in range(1, 31)))
    async with opened(browser, content, tmp_path, color_scheme="dark") as seen:
        await seen.page.get_by_label("Search").fill("question 7")
        await expect(seen.page.locator("article").nth(0)).to_be_hidden()
        await seen.page.emulate_media(media="print")
        await expect(seen.page.locator("article:visible")).to_have_count(30)
        await expect(seen.page.locator(".list li:visible")).to_have_count(30)
        await expect(seen.page.locator(".finder")).to_be_hidden()
        clipped = "all => all.filter(one => one.scrollHeight > one.clientHeight + 1).length"
        assert await seen.page.locator(".list, article, .text").evaluate_all(clipped) == 0
        assert await seen.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert await seen.page.locator(".who").first.evaluate("one => getComputedStyle(one).breakAfter") == "avoid"
        assert len(await seen.page.pdf()) > 50_000


async def test_other_directions_are_kept_apart(browser: Browser, tmp_path: Path) -> None:
    content = await written(
        said(RTL, "Yes: \u202eevil\u2067 unclosed", number=1, guest_name="\u202eאנה", title="\u202eabc"),
        said("x", number=2),
    )
    async with opened(browser, content, tmp_path) as seen:
        text = seen.page.locator(".guest .text").first
        assert await text.evaluate("one => getComputedStyle(one).direction") == "rtl"
        others = seen.page.locator(".ai .text, .who, h1, #c2 .text")
        assert set(await others.evaluate_all("all => all.map(one => getComputedStyle(one).direction)")) == {"ltr"}
        # Beside a name that would turn everything round, the time still stands to the right of it.
        places = "one => [one.querySelector('bdi'), one.querySelector('time')].map(x => x.getBoundingClientRect().x)"
        name, time = await seen.page.locator(".who").first.evaluate(places)
        assert name < time
        shown = await seen.page.locator(".who time").first.inner_text()
        assert shown == "2026-11-02 10:00", "on the clock of the business"


async def test_figures_are_told_and_drawn() -> None:
    text = (
        await written(*(said("a", "b", number=n, channel="web" if n % 4 else "api") for n in range(1, 13)))
    ).decode()
    assert "<dd>12</dd>" in text
    assert "<dd>24</dd>" in text
    assert "4.0 of 5" in text
    assert "75.0 %" in text
    assert text.count("<title>2026-11-") == 12
    assert "Messages a day from 2026-11-02 to 2026-11-13" in text


async def test_what_no_file_can_hold_is_mended() -> None:
    content = await written(said("lone \ud800 surrogate", "\x01\x1b[31m \U000e0041", "x" * 1_000_000, number=1))
    text = content.decode()
    assert "lone \ufffd surrogate" in text
    assert "x" * 1_000_000 in text
