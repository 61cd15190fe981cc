"""The one word `status`, read and written: for one conversation, or for up to a thousand at once."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from switchboard.conversations.references import as_number, conversation_number
from switchboard.conversations.shapes import Handler, Lifecycle, Status
from switchboard.dependencies import Asking, Data, PeopleActing, TurnsBell, people_act
from switchboard.errors import Conflict, Forbidden, NotFound, SwitchboardError
from switchboard.http.problems import REFUSALS, refusals
from switchboard.http.strict_json import StrictRoute

router = APIRouter(
    prefix="/api/v1/ai",
    tags=["ai"],
    route_class=StrictRoute,
    responses=REFUSALS,
    dependencies=[Depends(people_act)],
)

MOST_AT_ONCE = 1000
_REFUSED: Mapping[str, type[SwitchboardError]] = {
    "not_found": NotFound,
    "forbidden": Forbidden,
    "closed": Conflict,
    "taken": Conflict,
}


def _listed(value: Any) -> Any:
    """A form with one id has no list."""
    return [value] if isinstance(value, str | int) else value


Id = Annotated[str, Path(max_length=100, description="The id, as lists give it.")]
Reference = Annotated[str, Field(max_length=100, coerce_numbers_to_str=True)]


class StatusChange(BaseModel):
    """`active` gives it to the AI, `support_active` to a person; the others end it."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"status": "support_active"}})

    status: Status


class BulkChange(StatusChange):
    """The same for many."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"conversation_ids": [1, 2, 3], "status": "active"}}
    )

    conversation_ids: Annotated[list[Reference], BeforeValidator(_listed), Field(min_length=1, max_length=MOST_AT_ONCE)]


class ConversationStatus(BaseModel):
    """How a conversation stands. ``detail`` says why the status is not the one that was asked for."""

    success: Literal[True] = True
    conversation_id: int
    status: Status
    lifecycle: Lifecycle
    handler: Handler
    assigned_to: str | None
    requires_human: bool = Field(description="Whether one of its messages waits for a person.")
    detail: str | None = None


class Result(BaseModel):
    """What became of one id; ``status`` as it is now, null where there is nothing to see."""

    conversation_id: str
    success: bool
    result: Literal["changed", "unchanged", "not_found", "forbidden", "closed"]
    status: Status | None
    detail: str | None


class BulkAnswer(BaseModel):
    """What became of each id, in the order in which they were sent."""

    success: Literal[True] = True
    results: list[Result]
    updated: int = Field(description="How many have the status that was asked for, or the one that stands in for it.")
    failed: int


@router.get("/conversations/{conversation_id}/status")
async def get_status(caller: Asking, database: Data, conversation_id: Id) -> ConversationStatus:
    """How a conversation stands and who has it."""
    return await _read(database, caller, conversation_number(conversation_id))


@router.put("/conversations/{conversation_id}/status", responses=refusals(Conflict))
async def put_status(
    caller: Asking, database: Data, bell: TurnsBell, conversation_id: Id, body: StatusChange
) -> ConversationStatus:
    """Switches between AI and people, or ends it.

    `support_active` takes it over for you: 409 with their name when a colleague has it. `active` where the AI is
    switched off or has no provider becomes `support_active`, and `detail` says why.
    """
    number = conversation_number(conversation_id)
    (outcome,) = await database.call(
        "set_statuses", caller=caller.as_json(), conversation_ids=[number], status=body.status, personal=True
    )
    if refused := _REFUSED.get(outcome["result"]):
        raise refused(outcome["detail"])
    bell.ring()
    return (await _read(database, caller, number)).model_copy(update={"detail": outcome["detail"]})


@router.put("/conversations/bulk-status")
async def put_statuses(
    caller: Asking, database: Data, bell: TurnsBell, tell: PeopleActing, body: BulkChange
) -> BulkAnswer:
    """Switches up to 1,000 conversations in one step; what cannot be switched is named and stops none of the others.

    `support_active` gives them to the team, to nobody in particular, and leaves with a colleague what they have.
    """
    numbers = {reference: as_number(reference) for reference in body.conversation_ids}
    changed = sorted({number for number in numbers.values() if number is not None})
    for number in changed:
        tell(number)
    try:
        rows = await database.call(
            "set_statuses", caller=caller.as_json(), conversation_ids=changed, status=body.status
        )
    finally:
        for number in changed:
            tell(number)
    bell.ring()
    by_number = {row["id"]: row for row in rows}
    results = [_result(reference, by_number.get(number)) for reference, number in numbers.items()]
    updated = sum(result.success for result in results)
    return BulkAnswer(results=results, updated=updated, failed=len(results) - updated)


async def _read(database: Data, caller: Asking, number: int) -> ConversationStatus:
    row = await database.call("get_conversation", caller=caller.as_json(), conversation_id=number)
    if row is None:
        raise NotFound("There is no such conversation.")
    return ConversationStatus.model_validate({**row, "conversation_id": row["id"]})


def _result(reference: str, row: dict[str, Any] | None) -> Result:
    row = row or {"result": "not_found", "status": None, "detail": "There is no such conversation."}
    done = row["result"] in ("changed", "unchanged")
    return Result.model_validate({**row, "conversation_id": reference, "success": done})
