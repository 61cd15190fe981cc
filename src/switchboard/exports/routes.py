"""`/crm/ai-conversations/export`, `statistics` and `preview`, and `POST /api/exports/verify`."""

import asyncio
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated, BinaryIO, cast

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException

from switchboard.dependencies import Asking, Configured, Data, Workspace, which_workspace
from switchboard.errors import Forbidden, Invalid, Malformed, NotFound, TooLarge
from switchboard.exports.asked import Asked
from switchboard.exports.build import begin, note_preview, write
from switchboard.exports.formats import FORMATS
from switchboard.exports.manifest import EMPTY
from switchboard.exports.preview import preview as make_preview
from switchboard.exports.send import FileAnswer
from switchboard.exports.shapes import Preview, Statistics, Verification
from switchboard.exports.verify import verify
from switchboard.http.problems import REFUSALS, refusals
from switchboard.http.strict_json import StrictRoute

router = APIRouter(tags=["exports"], route_class=StrictRoute, responses=REFUSALS)

_FILE = {
    200: {
        "description": "The file. Without its manifest it is not complete.",
        "content": {each.media_type: {"schema": {"type": "string", "format": "binary"}} for each in FORMATS.values()},
    }
}
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_UPLOAD = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": {"type": "string", "format": "binary"}},
                }
            },
            "application/octet-stream": _BINARY,
        },
    }
}


@router.post(
    "/crm/ai-conversations/export",
    response_class=Response,
    responses={**_FILE, **refusals(Malformed, Forbidden, NotFound, Invalid)},
)
async def export(caller: Asking, database: Data, settings: Configured, body: Asked) -> Response:
    """Conversations as a file, written while it is read and stored nowhere. Anonymised unless it is asked not to be.

    For owners of the workspace and admins; every one is written down in the audit trail. A connection that is cut
    before its end leaves a file without a manifest: see `POST /api/exports/verify`.
    """
    workspace = await which_workspace(database, caller, body.workspace)
    begun = await begin(database, settings, caller.as_json(), workspace, body, "export.begun")
    return FileAnswer(write(begun), media_type=begun.format.media_type, file_name=begun.file_name)


@router.post("/crm/ai-conversations/preview", responses=refusals(Malformed, Forbidden, NotFound, Invalid))
async def preview(caller: Asking, database: Data, settings: Configured, body: Asked) -> Preview:
    """The first rows of an export as they would be written, how much it would be, and what hiding may have missed."""
    workspace = await which_workspace(database, caller, body.workspace)
    begun = await begin(database, settings, caller.as_json(), workspace, body)
    found = await make_preview(begun)
    await note_preview(begun, found["counts"])
    return Preview.model_validate(
        {
            **found,
            "format": begun.format.name,
            "file_name": begun.file_name,
            "watermark": begun.watermark,
            "note": None if found["counts"]["conversations"] else EMPTY,
        }
    )


@router.get("/crm/ai-conversations/statistics", responses=refusals(Forbidden, NotFound))
async def statistics(
    caller: Asking,
    database: Data,
    workspace: Workspace,
    days: Annotated[
        int | None, Query(ge=1, le=365, description="How many days, today included; all without it.")
    ] = None,
) -> Statistics:
    """The figures of the export's dashboard, up to this moment."""
    row = await database.call("export_statistics", caller=caller.as_json(), workspace_id=workspace, days=days)
    return Statistics.model_validate(row)


@router.post("/api/exports/verify", openapi_extra=_UPLOAD, responses=refusals(Malformed, TooLarge))
async def verify_export(caller: Asking, request: Request) -> Verification:
    """Whether an exported file is whole and as it was written: it is read to its end, counted again, and not kept."""
    async with _uploaded(request) as file:
        found = await asyncio.to_thread(verify, file)
    return Verification.model_validate(
        {
            "valid": found.valid,
            "complete": found.complete,
            "differences": found.differences,
            "counted": found.counted,
            "manifest": found.manifest,
        }
    )


@asynccontextmanager
async def _uploaded(request: Request) -> AsyncGenerator[BinaryIO]:
    """The file in the body, on the disk without a name. Raises `Malformed` for a form without one."""
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        try:
            async with request.form(max_files=1, max_fields=10) as form:
                file = form.get("file")
                if not isinstance(file, UploadFile):
                    raise Malformed("Send the file in a field of the name `file`, or as the body itself.")
                yield file.file
        except (MultiPartException, KeyError, UnicodeDecodeError):
            raise Malformed("The multipart form cannot be read: say its boundary.") from None
        return
    with tempfile.TemporaryFile() as kept:
        async for chunk in request.stream():
            kept.write(chunk)
        yield cast(BinaryIO, kept)
