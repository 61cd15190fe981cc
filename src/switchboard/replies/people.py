"""A person answers from the admin panel."""

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, StringConstraints

from switchboard.conversations.shapes import MessageAnswer
from switchboard.dependencies import Asking, Connected, Data, DeliveriesBell
from switchboard.errors import Conflict, NotFound
from switchboard.http.problems import REFUSALS, refusals
from switchboard.http.strict_json import StrictRoute

router = APIRouter(prefix="/admin", tags=["admin"], route_class=StrictRoute, responses=REFUSALS)


class Reply(BaseModel):
    """What a person says to the customer."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"content": "Hello, this is Anna."}})

    content: Annotated[str, StringConstraints(min_length=1, max_length=20_000, strip_whitespace=True)]


@router.post("/conversations/{conversation_id}/messages", status_code=201, responses=refusals(Conflict))
async def send_message(
    caller: Asking,
    database: Data,
    channels: Connected,
    bell: DeliveriesBell,
    conversation_id: Annotated[int, Path(ge=1, le=2**53)],
    body: Reply,
) -> MessageAnswer:
    """Sends a person's reply, which takes the conversation over: an AI reply not yet on its way is not sent."""
    conversation = await database.call("get_conversation", caller=caller.as_json(), conversation_id=conversation_id)
    if conversation is None:
        raise NotFound("There is no such conversation.")
    sender = channels.senders.get("messenger" if conversation["platform"] == "facebook" else conversation["platform"])
    direct = conversation["account"].startswith("workspace:")
    parts = [] if direct else sender.split(body.content) if sender else [body.content]
    row = await database.call(
        "post_human_reply",
        caller=caller.as_json(),
        conversation_id=conversation_id,
        content=body.content,
        parts=parts,
    )
    bell.ring()
    return MessageAnswer(message=row)
