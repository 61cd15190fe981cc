"""`/api/flags`: what is wrong with an AI message, in the eyes of each person."""

from typing import Any

from fastapi import APIRouter, Response

from switchboard.database.paging import next_place, read_place
from switchboard.dependencies import Asking, Data
from switchboard.errors import Conflict, NotFound
from switchboard.feedback.shapes import (
    Cursor,
    Flag,
    FlagChange,
    FlagList,
    FlagSummary,
    Id,
    Limit,
    MessageId,
    NewFlag,
    Toggled,
    WholeFlag,
)
from switchboard.http.problems import REFUSALS, refusals
from switchboard.http.strict_json import StrictRoute

router = APIRouter(prefix="/api/flags", tags=["feedback"], route_class=StrictRoute, responses=REFUSALS)


@router.get("")
async def list_flags(caller: Asking, database: Data, limit: Limit = 50, cursor: Cursor = None) -> FlagList:
    """Your own flags, newest first, also those in conversations that have been deleted."""
    rows = await database.call("list_flags", caller=caller.as_json(), after=read_place(cursor), max_rows=limit)
    return FlagList(flags=rows, count=len(rows), next_cursor=next_place(rows, limit))


@router.post("", status_code=201, responses={200: {"model": Flag, "description": "You had flagged it so already."}})
async def flag(caller: Asking, database: Data, response: Response, body: NewFlag) -> Flag:
    """Flags an AI message, once for each type: 201 for the first, 200 after that. A safety issue calls a person."""
    done = await _flag(caller, database, body, toggle=False)
    response.status_code = 201 if done["created"] else 200
    response.headers["location"] = f"/api/flags/{done['flag']['id']}"
    return Flag.model_validate(done["flag"])


@router.post("/toggle", responses=refusals(Conflict))
async def toggle(caller: Asking, database: Data, body: NewFlag) -> Toggled:
    """Flags an AI message, or takes your flag of this type back. 409 once a flag is resolved: it stays."""
    return Toggled.model_validate(await _flag(caller, database, body, toggle=True))


@router.get("/by_message")
async def list_by_message(
    caller: Asking, database: Data, message_id: MessageId, limit: Limit = 50, cursor: Cursor = None
) -> FlagList:
    """Everybody's flags of a message, newest first."""
    rows = await database.call(
        "list_flags",
        caller=caller.as_json(),
        message_id=message_id,
        after=read_place(cursor),
        max_rows=limit,
    )
    return FlagList(flags=rows, count=len(rows), next_cursor=next_place(rows, limit))


@router.get("/summary")
async def summarise(caller: Asking, database: Data, message_id: MessageId) -> FlagSummary:
    """How often a message was flagged as what, resolved flags included, and which of these are yours."""
    row = await database.call("flag_summary", caller=caller.as_json(), message_id=message_id)
    return FlagSummary.model_validate(row)


@router.get("/{flag_id}")
async def get_flag(caller: Asking, database: Data, flag_id: Id) -> Flag:
    """One of your flags."""
    row = await database.call("get_flag", caller=caller.as_json(), flag_id=flag_id)
    if row is None:
        raise NotFound("There is no such flag.")
    return Flag.model_validate(row)


@router.put("/{flag_id}", responses=refusals(Conflict))
async def replace_flag(caller: Asking, database: Data, flag_id: Id, body: WholeFlag) -> Flag:
    """Replaces type and comment of your flag; 409 once it is resolved."""
    return await _change(caller, database, flag_id, body)


@router.patch("/{flag_id}", responses=refusals(Conflict))
async def change_flag(caller: Asking, database: Data, flag_id: Id, body: FlagChange) -> Flag:
    """Changes type or comment of your flag, and leaves what is not sent; 409 once it is resolved."""
    return await _change(caller, database, flag_id, body)


@router.delete("/{flag_id}", status_code=204, responses=refusals(Conflict))
async def withdraw_flag(caller: Asking, database: Data, flag_id: Id) -> None:
    """Takes your flag back; 409 once it is resolved."""
    await database.call("withdraw_flag", caller=caller.as_json(), flag_id=flag_id)


async def _flag(caller: Asking, database: Data, body: NewFlag, *, toggle: bool) -> dict[str, Any]:
    done: dict[str, Any] = await database.call(
        "flag_message",
        caller=caller.as_json(),
        message_id=body.message,
        flag_type=body.flag_type,
        comment=body.comment,
        toggle=toggle,
    )
    return done


async def _change(caller: Asking, database: Data, flag_id: int, body: WholeFlag | FlagChange) -> Flag:
    row = await database.call(
        "change_flag",
        caller=caller.as_json(),
        flag_id=flag_id,
        flag_type=body.flag_type,
        comment=body.comment,
        message_id=body.message,
    )
    return Flag.model_validate(row)
