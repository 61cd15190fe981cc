"""A file of a message, for whoever holds a signed link to it."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Path, Query
from fastapi.responses import StreamingResponse

from switchboard import clock
from switchboard.dependencies import Data, FileLinks, Files
from switchboard.errors import NotFound, SignatureInvalid
from switchboard.http.problems import refusals
from switchboard.storage.kinds import header_name, is_inline

router = APIRouter(tags=["attachments"])

HEADERS = {
    "Content-Security-Policy": "sandbox; default-src 'none'",
    "Cross-Origin-Resource-Policy": "cross-origin",
}
"""What is shown is somebody else's: it runs nothing and is nobody here. `nosniff` comes with every answer."""


@router.get(
    "/attachments/{attachment_id}",
    responses=refusals(SignatureInvalid, NotFound),
    response_class=StreamingResponse,
)
async def show(
    database: Data,
    files: Files,
    links: FileLinks,
    attachment_id: Annotated[int, Path(ge=1, le=2**53)],
    expires: Annotated[int, Query(ge=0, le=2**53, description="When the link ends, in seconds since 1970.")] = 0,
    signature: Annotated[str, Query(max_length=100, description="What makes the link one of ours.")] = "",
) -> StreamingResponse:
    """A file that a customer or a person has sent; messages carry links to theirs, each good for five minutes.

    Pictures, sound and video are shown in place, everything else is to be saved.
    """
    links.check(attachment_id, expires, signature, clock.now())
    found = await database.call("find_attachment", attachment_id=attachment_id)
    if found is None:
        raise NotFound("The file is not there any more.")
    pieces = files.read(found["storage_key"])
    first = await anext(pieces, b"")  # what is missing is said before anything else is
    shown = "inline" if is_inline(found["content_type"]) else "attachment"
    headers = {
        **HEADERS,
        "Content-Disposition": f'{shown}; filename="{header_name(found["name"])}"',
        "Content-Length": str(found["bytes"]),
    }
    return StreamingResponse(_all(first, pieces), media_type=found["content_type"], headers=headers)


async def _all(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in rest:
        yield piece
