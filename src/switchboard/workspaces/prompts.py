"""The versions of a workspace's prompts; they are changed with the rest of the config."""

from typing import Annotated

from fastapi import APIRouter, Query

from switchboard.database.paging import decode_cursor, encode_cursor
from switchboard.dependencies import Asking, Data, Workspace
from switchboard.errors import Invalid
from switchboard.http.problems import REFUSALS
from switchboard.http.strict_json import StrictRoute
from switchboard.workspaces.config_shapes import PromptVersions

router = APIRouter(prefix="/api/v1/ai", tags=["ai"], route_class=StrictRoute, responses=REFUSALS)


@router.get("/config/prompts")
async def list_prompts(
    caller: Asking,
    database: Data,
    workspace: Workspace,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, Query(max_length=500, description="`next_cursor` of the page before.")] = None,
) -> PromptVersions:
    """All versions of the prompts; a message of the AI's names the one it was made with as `prompt_version`."""
    rows = await database.call(
        "list_prompts",
        caller=caller.as_json(),
        workspace_id=workspace,
        before_version=_read_cursor(cursor),
        max_rows=limit,
    )
    following = encode_cursor([rows[-1]["version"]]) if len(rows) == limit and rows[-1]["version"] > 1 else None
    return PromptVersions(versions=rows, count=len(rows), next_cursor=following)


def _read_cursor(cursor: str | None) -> int | None:
    match decode_cursor(cursor) if cursor is not None else None:
        case None:
            return None
        case [int(version)]:
            return version
        case _:
            message = "This cursor belongs to another list: begin without one."
            raise Invalid(message, errors=[{"field": "cursor", "message": message}])
