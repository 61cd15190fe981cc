"""A file as the answer: to be saved, or to be looked at where it can do nothing but be seen."""

from collections.abc import AsyncIterator
from typing import Any, Final

from starlette.responses import RedirectResponse, Response, StreamingResponse

from switchboard.errors import Conflict
from switchboard.storage import Storage

LINK_SECONDS: Final = 60
"""How long an address of the storage holds that somebody is sent on to."""
_PRIVATE: Final = {"Cache-Control": "private, no-store", "Referrer-Policy": "no-referrer"}
_NOT_SHOWN: Final = {"application/zip", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"}
_SANDBOX: Final = "sandbox allow-scripts; frame-ancestors 'none'"
"""With an origin of its own: the script of a page that is shown is nobody here, and has no token of anybody."""


async def saved(storage: Storage, file: dict[str, Any]) -> Response:
    """The file to be saved: from the storage itself where that can be, else through us. Raises `NotFound`."""
    address = await storage.link(file["key"], file["name"], LINK_SECONDS)
    if address is not None:
        return RedirectResponse(address, status_code=302, headers=_PRIVATE)
    headers = {"Content-Security-Policy": "sandbox; default-src 'none'"}
    return await _through_us(storage, file, "attachment", file["content_type"], headers)


async def shown(storage: Storage, file: dict[str, Any]) -> Response:
    """The file in place. Raises `Conflict` for one that no browser shows, and `NotFound`."""
    if file["content_type"] in _NOT_SHOWN:
        raise Conflict("A browser cannot show this one: download it.")
    # What is no page of ours is text to a browser, whatever is in it.
    shown_as = file["content_type"] if file["format"] == "html" else "text/plain; charset=utf-8"
    return await _through_us(
        storage, file, "inline", shown_as, {"Content-Security-Policy": f"{file['policy']}; {_SANDBOX}"}
    )


async def _through_us(
    storage: Storage, file: dict[str, Any], how: str, media_type: str, headers: dict[str, str]
) -> Response:
    pieces = storage.read(file["key"])
    first = await anext(pieces, b"")  # what is missing is said before anything else is
    told = {
        **_PRIVATE,
        **headers,
        "Content-Disposition": f'{how}; filename="{file["name"]}"',
        "Content-Length": str(file["bytes"]),
    }
    return StreamingResponse(_all(first, pieces), media_type=media_type, headers=told)


async def _all(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in rest:
        yield piece
