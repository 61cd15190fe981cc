"""Conversations that a program holds for its users: open one, say something, get the reply."""

import asyncio
import time
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Path, Query, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from switchboard.conversations.shapes import Conversation, Message
from switchboard.database import Database
from switchboard.dependencies import Asking, Data, TurnsBell
from switchboard.errors import Conflict, Invalid, NotFound
from switchboard.http.problems import REFUSALS, refusals
from switchboard.http.strict_json import StrictRoute

router = APIRouter(prefix="/api", tags=["conversations"], route_class=StrictRoute, responses=REFUSALS)

REPLY_SECONDS = 60.0
"""How long a request waits for its reply before it answers 202."""

Id = Annotated[int, Path(ge=1, le=2**53)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True)]


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("Say something: this text is blank")
    return text


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
    content: Annotated[str, StringConstraints(max_length=20_000), AfterValidator(_not_blank)]


class Spoken(Message):
    """The stored message and, unless it is still being made, the reply to it."""

    role: Literal["user"] = "user"
    handler: Literal["ai", "human"] = Field(description="Who answers; with `human` no reply comes of itself.")
    reply: Message | None


class Messages(BaseModel):
    """Messages in their order."""

    success: Literal[True] = True
    messages: list[Message]
    count: int


@router.post("/conversations", status_code=201)
async def open_conversation(caller: Asking, database: Data, response: Response, body: NewConversation) -> Conversation:
    """Opens a conversation for one of your users."""
    row = await database.call(
        "open_conversation",
        caller=caller.as_json(),
        workspace_id=await _workspace(database, caller, body.workspace),
        platform=body.platform,
        user_id=body.user_id,
        title=body.title,
        agent_id=body.agent,
    )
    response.headers["location"] = f"/api/conversations/{row['id']}"
    return Conversation.model_validate(row)


@router.get("/conversations/{conversation_id}")
async def get_conversation(caller: Asking, database: Data, conversation_id: Id) -> Conversation:
    """One conversation."""
    row = await database.call("get_conversation", caller=caller.as_json(), conversation_id=conversation_id)
    if row is None:
        raise NotFound("There is no such conversation.")
    return Conversation.model_validate(row)


@router.get("/conversations/{conversation_id}/messages")
async def list_messages(
    caller: Asking,
    database: Data,
    conversation_id: Id,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    after_seq: Annotated[int | None, Query(ge=0, le=2**53, description="Only what came after this `seq`.")] = None,
) -> Messages:
    """The newest messages, or those after a `seq`: what a client polls with."""
    rows = await database.call(
        "list_messages",
        caller=caller.as_json(),
        conversation_id=conversation_id,
        after_seq=after_seq,
        max_rows=limit,
    )
    return Messages(messages=rows, count=len(rows))


@router.post("/messages", status_code=201, responses=refusals(Conflict))
async def say(
    caller: Asking,
    database: Data,
    bell: TurnsBell,
    response: Response,
    body: NewMessage,
    prefer: Annotated[str | None, Header(description="`respond-async` answers 202 at once.")] = None,
) -> Spoken:
    """Stores what the customer says and answers with the reply; 202 without it when it takes longer."""
    message = await database.call(
        "add_user_message", caller=caller.as_json(), conversation_id=body.conversation, content=body.content
    )
    bell.ring()
    reply = None
    if message["handler"] == "ai":
        at_once = "respond-async" in (prefer or "")
        reply = None if at_once else await _await_reply(database, caller, body.conversation, message["seq"])
        if reply is None:
            response.status_code = 202
    return Spoken.model_validate({**message, "reply": reply})


async def _await_reply(database: Database, caller: Asking, conversation_id: int, seq: int) -> Any:
    """Looks for the reply, ever more seldom; None when it does not come in time or a person has to give it."""
    deadline = time.monotonic() + REPLY_SECONDS
    pause = 0.01
    while time.monotonic() < deadline:
        found = await database.call("find_reply", caller=caller.as_json(), conversation_id=conversation_id, seq=seq)
        if found is None or found["reply"] is not None or not found["waiting"]:
            return found and found["reply"]
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, 0.25)
    return None


async def _workspace(database: Database, caller: Asking, asked: int | None) -> int:
    """The workspace that is meant. Raises `Invalid` when the token has several and none is named."""
    if asked is not None:
        return asked
    if len(caller.roles) == 1:
        return next(iter(caller.roles))
    if caller.admin:
        rows = await database.select("workspaces", columns=["id"], order=["id"], limit=1)
        if rows:
            return int(rows[0]["id"])
    message = "Say which workspace: your token has not exactly one."
    raise Invalid(message, errors=[{"field": "workspace", "message": message}])
