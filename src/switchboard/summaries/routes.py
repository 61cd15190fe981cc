"""`/api/summaries`: reading them, and asking for one."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from switchboard.conversations.admin import foreign_cursor
from switchboard.conversations.shapes import Summary
from switchboard.database.paging import decode_cursor, encode_cursor
from switchboard.dependencies import Asking, Data
from switchboard.errors import Conflict, NotFound
from switchboard.http.problems import REFUSALS, refusals
from switchboard.http.strict_json import StrictRoute

router = APIRouter(prefix="/api/summaries", tags=["summaries"], route_class=StrictRoute, responses=REFUSALS)


class Wanted(BaseModel):
    """The conversation to sum up."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"conversation": 1}})

    conversation: int = Field(ge=1, le=2**53)


class SummaryList(BaseModel):
    """A page of summaries; ``count`` is the number on it."""

    success: bool = True
    summaries: list[Summary]
    count: int
    next_cursor: str | None = Field(description="Pass it as `cursor` for the next page; null on the last one.")


@router.get("")
async def list_summaries(
    caller: Asking,
    database: Data,
    limit: Annotated[int, Query(ge=1, le=200, description="How many at most.")] = 50,
    cursor: Annotated[str | None, Query(max_length=500, description="`next_cursor` of the page before.")] = None,
) -> SummaryList:
    """The summaries of your workspaces' conversations, the last begun first."""
    rows = await database.call("list_summaries", caller=caller.as_json(), after=_read(cursor), max_rows=limit)
    following = encode_cursor(["summary", rows[-1]["id"]]) if len(rows) == limit else None
    return SummaryList(summaries=rows, count=len(rows), next_cursor=following)


@router.post("", status_code=202, responses=refusals(Conflict))
async def request_summary(request: Request, caller: Asking, database: Data, body: Wanted) -> Summary:
    """Has a conversation summed up now, or what is new in it; `state` says `ready` once it is, usually in seconds."""
    row = await database.call("request_summary", caller=caller.as_json(), conversation_id=body.conversation)
    request.state.summaries_bell.ring()
    return Summary.model_validate(row)


@router.get("/by_conversation")
async def by_conversation(
    caller: Asking,
    database: Data,
    conversation_id: Annotated[int, Query(ge=1, le=2**53, description="Id of the conversation.")],
) -> Summary:
    """The summary of a conversation; 404 while there is none."""
    row = await database.call("find_summary", caller=caller.as_json(), conversation_id=conversation_id)
    if row is None:
        raise NotFound("There is no such summary.")
    return Summary.model_validate(row)


@router.get("/{summary_id}")
async def get_summary(
    caller: Asking, database: Data, summary_id: Annotated[int, Path(ge=1, le=2**53, description="Its id.")]
) -> Summary:
    """One summary."""
    row = await database.call("get_summary", caller=caller.as_json(), summary_id=summary_id)
    if row is None:
        raise NotFound("There is no such summary.")
    return Summary.model_validate(row)


def _read(cursor: str | None) -> int | None:
    match decode_cursor(cursor) if cursor is not None else None:
        case None:
            return None
        case ["summary", int(key)]:
            return key
        case _:
            raise foreign_cursor()
