"""`/api/exports/`: asking for exports, and what has become of them."""

from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response

from switchboard.archives.asked import StoredExport, StoredExports, Wanted
from switchboard.archives.take import saved, shown
from switchboard.conversations.admin import foreign_cursor
from switchboard.database import Database
from switchboard.database.paging import decode_cursor, encode_cursor
from switchboard.dependencies import Asking, Data, Files
from switchboard.errors import Conflict, Forbidden, Invalid, Malformed, NotFound, SwitchboardError
from switchboard.http.problems import REFUSALS, refusals
from switchboard.http.strict_json import StrictRoute
from switchboard.storage import Storage

router = APIRouter(prefix="/api/exports", tags=["exports"], route_class=StrictRoute, responses=REFUSALS)
log = structlog.get_logger()

ExportId = Annotated[int, Path(ge=1, le=2**53, description="Its id.")]
_FILE: dict[int | str, dict[str, Any]] = {
    200: {"description": "The file.", "content": {"*/*": {"schema": {"type": "string", "format": "binary"}}}}
}
_ELSEWHERE: dict[int | str, dict[str, Any]] = {302: {"description": "The file is in Supabase Storage: `Location`."}}


@router.post("", status_code=202, responses=refusals(Malformed, Forbidden, NotFound, Invalid))
async def request_export(
    request: Request, response: Response, caller: Asking, database: Data, files: Files, body: Wanted
) -> StoredExport:
    """Has an assistant's conversations exported; `Location` says where to look how far it is.

    Completed conversations only, unless `include_open`. At most twenty are kept for each person in a workspace: the
    oldest goes when there are more. Each is there for 30 days.
    """
    made = await database.call(
        "request_export_job",
        caller=caller.as_json(),
        assistant_id=body.assistant_id,
        workspace_id=body.workspace,
        days=body.days,
        format=body.format_name,
        options=body.options,
        include_open=body.include_open,
    )
    request.state.exports_bell.ring()
    for one in made["removed"]:
        await _forget(database, files, one)
    response.headers["location"] = f"/api/exports/{made['job']['id']}"
    return StoredExport.model_validate(made["job"])


@router.get("")
async def list_exports(
    caller: Asking,
    database: Data,
    limit: Annotated[int, Query(ge=1, le=200, description="How many at most.")] = 50,
    cursor: Annotated[str | None, Query(max_length=500, description="`next_cursor` of the page before.")] = None,
) -> StoredExports:
    """Your own exports, newest first."""
    rows = await database.call("list_export_jobs", caller=caller.as_json(), after=_read(cursor), max_rows=limit)
    following = encode_cursor(["export", rows[-1]["id"]]) if len(rows) == limit else None
    return StoredExports(exports=rows, count=len(rows), next_cursor=following)


@router.get("/{export_id}", responses=refusals(NotFound))
async def get_export(caller: Asking, database: Data, export_id: ExportId) -> StoredExport:
    """One export of yours: `queued`, `running`, `ready`, `failed` or `expired`."""
    row = await database.call("get_export_job", caller=caller.as_json(), job_id=export_id)
    return StoredExport.model_validate(row)


@router.get(
    "/{export_id}/download",
    response_class=Response,
    responses={**_FILE, **_ELSEWHERE, **refusals(Forbidden, NotFound, Conflict)},
)
async def download_export(caller: Asking, database: Data, files: Files, export_id: ExportId) -> Response:
    """The file, to be saved. Your role counts as it is now; 409 until it is ready."""
    return await saved(files, await _take(database, caller.as_json(), export_id, "export.downloaded"))


@router.get(
    "/{export_id}/open", response_class=Response, responses={**_FILE, **refusals(Forbidden, NotFound, Conflict)}
)
async def open_export(caller: Asking, database: Data, files: Files, export_id: ExportId) -> Response:
    """The file, to be looked at in a browser, where it can load nothing and reach nobody."""
    return await shown(files, await _take(database, caller.as_json(), export_id, "export.opened"))


@router.delete("/{export_id}", status_code=204, responses=refusals(NotFound))
async def delete_export(caller: Asking, database: Data, files: Files, export_id: ExportId) -> None:
    """Deletes an export of yours with its file, also while it is being made. It cannot be had back."""
    removed = await database.call("delete_export_job", caller=caller.as_json(), job_id=export_id)
    await _forget(database, files, removed)


async def _take(database: Database, caller: dict[str, Any], export_id: int, deed: str) -> dict[str, Any]:
    file: dict[str, Any] = await database.call("take_export_job", caller=caller, job_id=export_id, deed=deed)
    return file


async def _forget(database: Database, files: Storage, removed: dict[str, Any] | None) -> None:
    """Deletes the files of what is out of sight already. Where that fails, upkeep does it."""
    if removed is None:
        return
    try:
        for key in removed["files"]:
            await files.delete(key)
        await database.call("forget_export_job", workspace_id=removed["workspace_id"], job_id=removed["job_id"])
    except SwitchboardError as error:
        log.warning("file of a removed export not deleted yet", export=removed["job_id"], code=error.code)


def _read(cursor: str | None) -> int | None:
    match decode_cursor(cursor) if cursor is not None else None:
        case None:
            return None
        case ["export", int(key)]:
            return key
        case _:
            raise foreign_cursor()
