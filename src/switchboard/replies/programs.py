"""Conversations that a program holds for its users: open one, say something, get the reply."""

from typing import Annotated, Any, Literal, cast

from fastapi import APIRouter, Depends, Header, Request, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from switchboard.conversations.shapes import ChatMessage, Conversation
from switchboard.database import Row
from switchboard.dependencies import Asking, Data, which_workspace
from switchboard.errors import Conflict, RateLimited
from switchboard.http.event_stream import EventAnswer, wants_events
from switchboard.http.problems import REFUSALS, refusals
from switchboard.http.rate_limits import limit_customer
from switchboard.http.strict_json import StrictRoute
from switchboard.replies.aloud import STREAMED, Shapes, tell
from switchboard.replies.exchange import Exchange, Saying
from switchboard.replies.say import Programs, name_message

router = APIRouter(prefix="/api", tags=["conversations"], route_class=StrictRoute, responses=REFUSALS)

Name = Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True)]


async def _programs(request: Request) -> Programs:
    return cast(Programs, request.state.programs)


def not_blank(text: str) -> str:
    """The text. Raises `ValueError` for one of white space alone."""
    if not text.strip():
        raise ValueError("Say something: this text is blank")
    return text


Speaking = Annotated[Programs, Depends(_programs)]
Text = Annotated[str, StringConstraints(max_length=20_000), AfterValidator(not_blank)]
Nonce = Annotated[
    str,
    StringConstraints(min_length=1, max_length=200),
    Field(description="A word of yours for this message: sent again with it, it is the same message."),
]


class NewConversation(BaseModel):
    """``workspace`` may be left out where the token has but one."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"title": "Chat with AI", "user_id": "u1"}})

    user_id: Name = Field(default="anonymous", description="The customer, in your own words.")
    platform: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,39}$")] = "api"
    title: Annotated[str, StringConstraints(max_length=500)] | None = None
    agent: int | None = Field(default=None, ge=1, le=2**53)
    workspace: int | None = Field(default=None, ge=1, le=2**53)


class NewMessage(BaseModel):
    """What the customer says."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"conversation": 1, "content": "When are you open?"}}
    )

    conversation: int = Field(ge=1, le=2**53)
    role: Literal["user"] = "user"
    content: Text
    client_nonce: Nonce | None = None


class Said(ChatMessage):
    """A message as it is known when it is said; ``id`` and ``seq`` are null while the database does not have it."""

    # What is not tracked has no id yet, so the type is wider than a stored message's.
    id: int | None  # pyright: ignore[reportIncompatibleVariableOverride]
    seq: int | None = Field(  # pyright: ignore[reportIncompatibleVariableOverride]
        description="Its place in the conversation; grows."
    )


class Spoken(Said):
    """The message and, unless it is still being made, the reply to it."""

    handler: Literal["ai", "human"] = Field(description="Who answers; with `human` no reply comes of itself.")
    tracked: bool = Field(description="False while the database is away: both are kept on disk and stored later.")
    reply: Said | None


@router.post("/conversations", status_code=201, responses=refusals(RateLimited))
async def open_conversation(
    request: Request, caller: Asking, database: Data, response: Response, body: NewConversation
) -> Conversation:
    """Opens a conversation for one of your users."""
    await limit_customer(request, caller, body.user_id)
    row = await database.call(
        "open_conversation",
        caller=caller.as_json(),
        workspace_id=await which_workspace(database, caller, body.workspace),
        platform=body.platform,
        user_id=body.user_id,
        title=body.title,
        agent_id=body.agent,
    )
    response.headers["location"] = f"/api/conversations/{row['id']}"
    return Conversation.model_validate(row)


@router.post(
    "/messages", status_code=201, response_model=Spoken, responses={**refusals(Conflict, RateLimited), **STREAMED}
)
async def say(
    request: Request,
    caller: Asking,
    programs: Speaking,
    response: Response,
    body: NewMessage,
    prefer: Annotated[str | None, Header(description="`respond-async` answers 202 at once.")] = None,
    idempotency_key: Annotated[str | None, Header(include_in_schema=False)] = None,
) -> Spoken | Response:
    """Stores what the customer says and answers with the reply; 202 without it when it takes longer.

    With `Accept: text/event-stream` the reply is told as it is written.
    """
    await limit_customer(request, caller, f"conversation:{body.conversation}")
    name = name_message(caller, body.conversation, body.content, key=idempotency_key, nonce=body.client_nonce)
    begun = await programs.say(
        Saying(
            caller=caller,
            conversation_id=body.conversation,
            content=body.content,
            external_id=name,
            at_once="respond-async" in (prefer or ""),
        )
    )
    if wants_events(request):
        return EventAnswer(
            tell(programs, begun, Shapes(_said, lambda exchange: _spoken(exchange).model_dump(mode="json")))
        )
    exchange = await programs.finish(begun)
    if exchange.is_due:
        response.status_code = 202
    return _spoken(exchange)


def _spoken(exchange: Exchange) -> Spoken:
    return Spoken.model_validate({**exchange.message, "tracked": exchange.tracked, "reply": exchange.reply})


def _said(message: Row) -> dict[str, Any]:
    return {
        "session_id": str(message["conversation_id"]),
        "message": Said.model_validate(message).model_dump(mode="json"),
    }
