"""`/chat`, what it loads, and `/widget.js`, which puts it into other pages."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse
from starlette.responses import Response

from switchboard.dependencies import Configured
from switchboard.errors import Forbidden, NotFound
from switchboard.http.pages import asset, page
from switchboard.settings import Settings

router = APIRouter(include_in_schema=False)

FILES = frozenset(
    {
        *("chat.css", "page.js", "conversation.js", "feed.js", "wire.js", "waiting.js", "keep.js"),
        *("view.js", "message.js", "composer.js", "words.js"),
    }
)
"""What the page loads."""
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'; frame-ancestors "
)
_ASKED_EACH_TIME = "no-cache"
"""The files of the page belong together: a browser must not put those of two versions side by side."""
_WIDGET_KEPT = "public, max-age=300, stale-while-revalidate=86400"


@router.get("/chat")
async def chat(
    request: Request,
    settings: Configured,
    workspace: Annotated[int | None, Query(ge=1, le=2**53, description="Which business is meant.")] = None,
) -> HTMLResponse:
    """The chat of a business. Whether there is such a business is told by the start of a conversation."""
    _is_on(settings)
    text = page("chat/chat.html")
    if request.scope.get("slashed"):
        text = text.replace('="chat/', '="../chat/')
    policy = _POLICY + " ".join(("'self'", *settings.framing_origins))
    return HTMLResponse(text, headers={"content-security-policy": policy})


@router.get("/chat/{name}")
async def file(request: Request, name: str) -> Response:
    """What the page loads."""
    if name not in FILES:
        raise NotFound("There is no such address: see /docs.")
    return asset(request, f"chat/{name}", _ASKED_EACH_TIME)


@router.get("/widget.js")
async def widget(request: Request, settings: Configured) -> Response:
    """The script that other pages include, wherever they are."""
    _is_on(settings)
    return asset(request, "chat/widget.js", _WIDGET_KEPT, cross_origin_resource_policy="cross-origin")


def _is_on(settings: Settings) -> None:
    if not settings.web_chat:
        raise Forbidden("The web chat is switched off here.")
