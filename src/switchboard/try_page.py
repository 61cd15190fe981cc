"""The page to try the service with: a chat in the browser that uses the same endpoints as everybody."""

from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

router = APIRouter()

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'"
)


def templates() -> Path:
    """Where the pages are: inside an installed package, or in the checkout this file belongs to."""
    installed = Path(__file__).parent / "templates"
    return installed if installed.is_dir() else Path(__file__).parents[2] / "templates"


@router.get("/", include_in_schema=False)
async def page() -> HTMLResponse:
    """The chat; its token comes in the address after `#`, which browsers do not send."""
    return HTMLResponse((templates() / "try.html").read_text("utf-8"), headers={"content-security-policy": _POLICY})


@router.get("/try.js", include_in_schema=False)
async def script() -> HTMLResponse:
    """What the page does."""
    return HTMLResponse((templates() / "try.js").read_text("utf-8"), media_type="text/javascript")


@router.get("/try.css", include_in_schema=False)
async def style() -> HTMLResponse:
    """How the page looks."""
    return HTMLResponse((templates() / "try.css").read_text("utf-8"), media_type="text/css")
