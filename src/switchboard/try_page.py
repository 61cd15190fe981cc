"""The page to try the service with: a chat in the browser that uses the same endpoints as everybody."""

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from switchboard.http.pages import page

router = APIRouter()

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'"
)


@router.get("/", include_in_schema=False)
async def chat() -> HTMLResponse:
    """The chat; its token comes in the address after `#`, which browsers do not send."""
    return HTMLResponse(page("try.html"), headers={"content-security-policy": _POLICY})


@router.get("/try.js", include_in_schema=False)
async def script() -> HTMLResponse:
    """What the page does."""
    return HTMLResponse(page("try.js"), media_type="text/javascript")


@router.get("/try.css", include_in_schema=False)
async def style() -> HTMLResponse:
    """How the page looks."""
    return HTMLResponse(page("try.css"), media_type="text/css")
