"""Pages for browsers and what they load: files of `templates/`, told apart by their ETags."""

import hashlib
from pathlib import Path

from fastapi import Request
from starlette.responses import Response

_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}


def templates() -> Path:
    """Where the pages are: inside an installed package, or in the checkout this file belongs to."""
    installed = Path(__file__).parents[1] / "templates"
    return installed if installed.is_dir() else Path(__file__).parents[3] / "templates"


def page(name: str) -> str:
    """The text of a file of `templates/`."""
    return (templates() / name).read_text("utf-8")


def asset(request: Request, name: str, caching: str, **headers: str) -> Response:
    """A file of `templates/` that browsers keep as ``caching`` says; 304 for those who have it already."""
    body = page(name).encode()
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {"etag": etag, "cache-control": caching} | {
        key.replace("_", "-"): value for key, value in headers.items()
    }
    if _has(request, etag):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type=_TYPES[Path(name).suffix], headers=headers)


def _has(request: Request, etag: str) -> bool:
    """Source: RFC 9110, section 13.1.2. A proxy that compresses may have made the tag a weak one."""
    given = request.headers.get("if-none-match", "")
    return given.strip() == "*" or etag in (one.strip().removeprefix("W/") for one in given.split(","))
