"""A person gives the better answer to something the AI has said."""

from typing import Annotated, Literal

from fastapi import APIRouter, Path
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from switchboard.auth import require
from switchboard.conversations.shapes import Message
from switchboard.dependencies import Asking, Connected, Data, DeliveriesBell, PeopleActing
from switchboard.errors import Conflict, NotFound
from switchboard.feedback.corrections import Correction
from switchboard.http.problems import REFUSALS, refusals
from switchboard.http.strict_json import StrictRoute
from switchboard.replies.people import parts_of
from switchboard.replies.programs import not_blank

router = APIRouter(prefix="/admin", tags=["admin"], route_class=StrictRoute, responses=REFUSALS)


class BetterAnswer(BaseModel):
    """What the AI should have said."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"content": "We close at six on Fridays.", "send": True}}
    )

    content: Annotated[str, StringConstraints(max_length=20_000, strip_whitespace=True), AfterValidator(not_blank)]
    send: bool = Field(default=True, description="Whether the customer gets it as your reply, which takes over.")


class Corrected(BaseModel):
    """The pair that was kept, and the message that was sent."""

    success: Literal[True] = True
    correction: Correction
    message: Message | None


@router.post("/messages/{message_id}/correct", status_code=201, responses=refusals(Conflict))
async def correct(
    caller: Asking,
    database: Data,
    channels: Connected,
    bell: DeliveriesBell,
    tell: PeopleActing,
    message_id: Annotated[int, Path(ge=1, le=2**53)],
    body: BetterAnswer,
) -> Corrected:
    """Keeps a better answer to an AI message, and sends it to the customer unless `send` is false.

    Given again for the same message it replaces the one before. 409 where it cannot be sent, because the
    conversation is closed.
    """
    found = await database.call("find_message", caller=caller.as_json(), message_id=message_id)
    if not found:
        raise NotFound("There is no such message.")
    number: int = found[0]["conversation_id"]
    require(caller, found[0]["workspace_id"], "support")
    conversation = await database.call("get_conversation", caller=caller.as_json(), conversation_id=number)
    if conversation is None:
        raise NotFound("There is no such message.")
    if body.send:
        tell(number)
    try:
        done = await database.call(
            "correct_message",
            caller=caller.as_json(),
            message_id=message_id,
            content=body.content,
            parts=parts_of(channels, conversation, body.content),
            send=body.send,
        )
    finally:
        if body.send:
            tell(number)
    bell.ring()
    return Corrected.model_validate(done)
