"""`/admin/flags`: the queue in which people look at what was flagged."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query

from switchboard.database.paging import next_place, read_place
from switchboard.dependencies import Asking, Data
from switchboard.errors import Conflict
from switchboard.feedback.shapes import Cursor, FlagType, Id, Outcome, Resolution, ReviewAnswer, ReviewList, State
from switchboard.http.problems import REFUSALS, refusals
from switchboard.http.strict_json import StrictRoute

router = APIRouter(prefix="/admin/flags", tags=["admin"], route_class=StrictRoute, responses=REFUSALS)

Number = Annotated[int | None, Query(ge=1, le=2**53)]


@router.get("")
async def list_flags(
    caller: Asking,
    database: Data,
    limit: Annotated[int, Query(ge=1, le=1000, description="How many at most.")] = 50,
    cursor: Cursor = None,
    state: Annotated[
        State | Literal["unresolved", "all"], Query(description="`unresolved` is open and claimed.")
    ] = "unresolved",
    flag_type: Annotated[FlagType | None, Query(description="Flagged as what.")] = None,
    outcome: Annotated[Outcome | None, Query(description="What came of it; with `state=all` or `resolved`.")] = None,
    claimed_by: Annotated[str | None, Query(max_length=200, description="Who looks after it.")] = None,
    message: Number = None,
    conversation: Number = None,
    workspace: Number = None,
    from_: Annotated[datetime | None, Query(alias="from", description="Flagged at or after.")] = None,
    to: Annotated[datetime | None, Query(description="Flagged before.")] = None,
) -> ReviewList:
    """What anybody has flagged, newest first; what nobody has resolved yet unless `state` says otherwise."""
    filters: dict[str, Any] = {
        "state": state if state not in ("unresolved", "all") else None,
        "unresolved": state == "unresolved",
        "flag_type": flag_type,
        "outcome": outcome,
        "claimed_by": claimed_by,
        "message": message,
        "conversation": conversation,
        "workspace": workspace,
        "from": from_.isoformat() if from_ else None,
        "to": to.isoformat() if to else None,
    }
    rows = await database.call(
        "review_flags", caller=caller.as_json(), filters=filters, after=read_place(cursor), max_rows=limit
    )
    return ReviewList(flags=rows, count=len(rows), next_cursor=next_place(rows, limit))


@router.post("/{flag_id}/claim", responses=refusals(Conflict))
async def claim(caller: Asking, database: Data, flag_id: Id) -> ReviewAnswer:
    """Says that you look after it. 409 with their name when a colleague does, whom only an owner may replace."""
    row = await database.call("claim_flag", caller=caller.as_json(), flag_id=flag_id)
    return ReviewAnswer(flag=row)


@router.post("/{flag_id}/resolve", responses=refusals(Conflict))
async def resolve(caller: Asking, database: Data, flag_id: Id, body: Resolution) -> ReviewAnswer:
    """Says what came of it, once: 409 when it is resolved already, or a colleague has claimed it."""
    row = await database.call(
        "resolve_flag", caller=caller.as_json(), flag_id=flag_id, outcome=body.outcome, note=body.note
    )
    return ReviewAnswer(flag=row)
