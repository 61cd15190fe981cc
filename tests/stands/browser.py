"""A real browser without a window: the system's Chromium, driven by Playwright."""

import re
import shutil
import subprocess
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any

from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, async_playwright

AXE = Path(__file__).parents[1] / "node_modules" / "axe-core" / "axe.min.js"
NAMES = ("chromium", "chromium-browser", "google-chrome")
SECONDS = 30
"""How long anything may take to appear: a busy machine is no error."""
LEVELS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def missing() -> str | None:
    """Why there can be no browser here."""
    if not any(map(shutil.which, NAMES)):
        return "there is no Chromium: install Debian's `chromium`, or Chrome"
    return None if AXE.exists() else "axe-core is not installed: run `make setup-dev`"


@contextmanager
def running_chromium(folder: Path) -> Iterator[str]:
    """Chromium with its profile in ``folder``, for as many tests as there are; the address it is driven by."""
    path = next(filter(None, map(shutil.which, NAMES)))
    # Whoever runs as root, in a container, has no other choice; nothing but our own pages is looked at.
    options = ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--no-first-run", "--disable-extensions"]
    with subprocess.Popen(
        [path, *options, "--remote-debugging-port=0", f"--user-data-dir={folder}", "about:blank"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        log = Thread(target=list, args=[process.stderr], daemon=True)  # read to its end, or it would stand still
        try:
            ready = next(filter(None, (re.search(r"listening on (ws://\S+)", line) for line in process.stderr)))
            log.start()
            yield ready[1]
        finally:
            process.terminate()
            process.wait(10)
            log.join(10)


@asynccontextmanager
async def driven(address: str) -> AsyncGenerator[Browser]:
    """The browser at ``address``, for one test: what drives it belongs to the loop of that test."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.connect_over_cdp(address)
        yield browser
        await browser.close()


@dataclass
class Visitor:
    """Somebody with a browser of their own. ``complaints``: what it had to say against the pages they saw."""

    context: BrowserContext
    complaints: list[str] = field(default_factory=list[str])

    async def open(self, address: str) -> Page:
        """A page in a tab of its own."""
        page = await self.context.new_page()
        page.set_default_timeout(SECONDS * 1000)
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        await page.goto(address)
        return page

    def _console(self, message: ConsoleMessage) -> None:
        # That a request was refused or lost is for the page to deal with. That it broke a policy is not.
        if message.type in {"error", "warning"} and "Failed to load resource" not in message.text:
            self.complaints.append(message.text)


@asynccontextmanager
async def visiting(browser: Browser, **options: Any) -> AsyncGenerator[Visitor]:
    """A visitor with a fresh browser, of whom nothing is known."""
    context = await browser.new_context(**({"locale": "en-GB"} | options))
    yield Visitor(context)
    await context.close()


async def faults(page: Page) -> list[str]:
    """What axe finds wrong for people who see, hear or move otherwise."""
    await page.evaluate(AXE.read_text())
    found = await page.evaluate(
        "levels => axe.run(document, {runOnly: levels, iframes: false}).then(result => result.violations)", LEVELS
    )
    return [f"{one['id']}: {node['html']} ({node['failureSummary']})" for one in found for node in one["nodes"]]
