"""What `/chat`, its files and `/widget.js` answer."""

from typing import Any

import pytest

from stands.browser import Visitor
from stands.shop import Shop
from switchboard.errors import Misconfigured
from switchboard.http.pages import templates
from switchboard.settings import load
from switchboard.web_chat.pages import FILES


async def test_the_page_may_do_nothing_but_what_it_is_for(shop: Shop) -> None:
    for path in ("/chat", "/chat/", "/chat?workspace=2"):
        answer = await shop.client.get(path)
        assert answer.status_code == 200
        policy = dict(part.strip().partition(" ")[::2] for part in answer.headers["content-security-policy"].split(";"))
        assert policy["default-src"] == policy["base-uri"] == policy["form-action"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
        assert policy["frame-ancestors"] == "'self'"
        assert "x-frame-options" not in answer.headers, "it would contradict what the policy allows"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "<script>" not in answer.text
        assert "style=" not in answer.text
    assert '"../chat/page.js"' in (await shop.client.get("/chat/")).text
    assert (await shop.client.get("/")).headers["x-frame-options"] == "DENY"


async def test_all_its_files_are_there_and_no_others(shop: Shop) -> None:
    there = {one.name for one in (templates() / "chat").iterdir()} - {"chat.html", "widget.js"}
    assert there == FILES
    for name in FILES:
        answer = await shop.client.get(f"/chat/{name}")
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "no-cache"
        assert answer.headers["content-type"].startswith("text/css" if name.endswith("css") else "text/javascript")
        for forbidden in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
            assert forbidden not in answer.text, name
    for name in ("chat.html", "nothing.js", "..%2ftry.js", "..%2f..%2f.env"):
        assert (await shop.client.get(f"/chat/{name}")).status_code == 404


async def test_what_a_browser_has_it_is_not_sent_again(shop: Shop) -> None:
    for path in ("/widget.js", "/chat/page.js"):
        first = await shop.client.get(path)
        etag = first.headers["etag"]
        for known in (etag, f'W/{etag}, "other"', "*"):
            again = await shop.client.get(path, headers={"if-none-match": known})
            assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
        assert (await shop.client.get(path, headers={"if-none-match": '"other"'})).status_code == 200
    widget = await shop.client.get("/widget.js")
    assert widget.headers["cache-control"].startswith("public, max-age=300")
    assert widget.headers["cross-origin-resource-policy"] == "cross-origin"


async def test_a_wrong_workspace_is_named(shop: Shop) -> None:
    for wrong in ("x", "0", "-1", "99999999999999999999"):
        refused = await shop.client.get("/chat", params={"workspace": wrong})
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "workspace")


class TestSwitchedOff:
    @pytest.fixture
    def told(self) -> dict[str, Any]:
        return {"web_chat": False}

    async def test_there_is_no_page_and_no_button(self, shop: Shop) -> None:
        for path in ("/chat", "/widget.js"):
            refused = await shop.client.get(path)
            assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")


class TestEverywhere:
    @pytest.fixture
    def told(self) -> dict[str, Any]:
        return {"chat_origins": "https://a.example, https://*.b.example:8443/, http://localhost:*"}

    async def test_pages_that_may_show_it_are_named(self, shop: Shop) -> None:
        policy = (await shop.client.get("/chat")).headers["content-security-policy"]
        assert policy.endswith("frame-ancestors 'self' https://a.example https://*.b.example:8443 http://localhost:*")


@pytest.mark.parametrize(
    "wrong", ["shop.example", "https://shop.example/path", "https://a.example; script-src *", "'none'", "https://"]
)
def test_what_is_no_origin_is_refused_at_the_start(wrong: str) -> None:
    with pytest.raises(Misconfigured, match="CHAT_ORIGINS"):
        load(chat_origins=wrong)


async def test_a_browser_without_storage_has_a_chat_all_the_same(visitor: Visitor, address: str, shop: Shop) -> None:
    await visitor.context.add_init_script("Object.defineProperty(window, 'sessionStorage', {get() { throw 1 }})")
    page = await visitor.open(f"{address}/chat")
    await page.get_by_label("Your message").press_sequentially("Hi")
    await page.get_by_role("heading", name="My business").wait_for()
