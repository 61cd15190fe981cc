"""`/api/v1/chat`: visitors of a web page. A public start gives out a token; the token opens that one conversation."""

import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, cast

from fastapi import APIRouter, Header, Query, Request, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from switchboard import clock
from switchboard.auth import Auth, Caller, Guest
from switchboard.database import Row
from switchboard.dependencies import Configured, Data, FileLinks, Visiting
from switchboard.errors import Conflict, Forbidden, RateLimited, Unauthenticated, Unavailable
from switchboard.http.event_stream import EventAnswer, wants_events
from switchboard.http.problems import REFUSALS, refusals
from switchboard.http.rate_limits import limit_customer, limit_start
from switchboard.http.strict_json import StrictRoute
from switchboard.replies.aloud import STREAMED, Shapes, tell
from switchboard.replies.exchange import Exchange, Saying
from switchboard.replies.programs import Nonce, Speaking, not_blank
from switchboard.replies.say import name_message

router = APIRouter(prefix="/api/v1/chat", tags=["chat"], route_class=StrictRoute, responses=REFUSALS)

MOST_SAID = 4000
"""Characters of one message of a visitor."""
_FILE = ("name", "kind", "content_type", "bytes", "link")


class Start(BaseModel):
    """``workspace`` may be left out where there is but one."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"name": "Anna", "locale": "en-GB"}})

    workspace: int | None = Field(default=None, ge=1, le=2**53)
    name: Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True)] | None = None
    locale: Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{2,8}([-_][A-Za-z0-9]{1,8}){0,4}$")] | None = None


class Started(BaseModel):
    """A visitor's conversation and the token that opens it, and nothing else."""

    success: Literal[True] = True
    token: str = Field(description="Send it as `Authorization: Bearer <token>`.")
    expires_at: datetime
    session_id: str
    workspace: str = Field(description="The name of the business.")
    handler: Literal["ai", "human"]
    disclosure: str | None = Field(description="What the visitor is to be told before: that an AI answers, say.")


class GuestSays(BaseModel):
    """What the visitor says."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"content": "When are you open?", "client_nonce": "a1"}}
    )

    content: Annotated[str, StringConstraints(max_length=MOST_SAID), AfterValidator(not_blank)]
    client_nonce: Nonce | None = None


class GuestMessage(BaseModel):
    """A message as the visitor sees it: what was said, by which kind of party, and nothing of how it came about."""

    id: int | None
    seq: int | None = Field(description="Its place in the conversation; grows. Null while the database is away.")
    sender_type: Literal["user", "bot", "human", "system"]
    content: str
    timestamp: datetime
    edited_at: datetime | None
    attachments: list[dict[str, Any]]


class GuestMessages(BaseModel):
    """Messages in their order, and who answers now."""

    success: Literal[True] = True
    session_id: str
    status: str
    handler: Literal["ai", "human"]
    messages: list[GuestMessage]
    count: int


class GuestAnswer(BaseModel):
    """The visitor's message and the reply to it. Without one: see ``pending``, or a person answers."""

    success: Literal[True] = True
    session_id: str
    message: GuestMessage
    reply: GuestMessage | None
    pending: bool = Field(description="Whether the AI's reply is still to come.")
    handler: Literal["ai", "human"]
    handed_over: bool
    tracked: bool


@router.post("/start", status_code=201, responses=refusals(RateLimited, Unavailable))
async def start(request: Request, database: Data, settings: Configured, body: Start | None = None) -> Started:
    """Opens a conversation for a visitor of a web page, and gives them a token for it. Needs no token itself.

    403 where `WEB_CHAT` is switched off.
    """
    if not settings.web_chat:
        raise Forbidden("The web chat is switched off here.")
    asked = body or Start()
    await limit_start(request, asked.workspace)
    row = await database.call(
        "start_chat",
        external_id=f"guest:{secrets.token_hex(12)}",
        workspace_id=asked.workspace,
        name=asked.name,
        locale=asked.locale,
    )
    guest = Guest(row["workspace_id"], row["conversation_id"])
    token, expires_at = cast(Auth, request.state.auth).admit(guest)
    return Started(
        token=token,
        expires_at=expires_at,
        session_id=str(guest.conversation_id),
        workspace=row["workspace_name"],
        handler=row["handler"],
        disclosure=row["disclosure"],
    )


@router.get("/messages")
async def list_messages(
    caller: Visiting,
    database: Data,
    links: FileLinks,
    after_seq: Annotated[int, Query(ge=0, le=2**53, description="Only what came after this `seq`.")] = 0,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> GuestMessages:
    """What was said in the visitor's conversation, oldest first."""
    found = await database.call("list_guest_messages", caller=caller.as_json(), after_seq=after_seq, max_rows=limit)
    links.add(found["messages"], clock.now())
    shown = [guest_message(row) for row in found["messages"]]
    return GuestMessages(
        session_id=str(_of(caller).conversation_id),
        status=found["status"],
        handler=found["handler"],
        messages=shown,
        count=len(shown),
    )


@router.post(
    "/messages",
    status_code=201,
    response_model=GuestAnswer,
    responses={**refusals(Conflict, RateLimited, Unavailable, Unauthenticated), **STREAMED},
)
async def say(
    request: Request,
    caller: Visiting,
    programs: Speaking,
    response: Response,
    body: GuestSays,
    prefer: Annotated[str | None, Header(description="`respond-async` answers 202 at once.")] = None,
    idempotency_key: Annotated[str | None, Header(include_in_schema=False)] = None,
) -> GuestAnswer | Response:
    """Says something and answers with the reply, as `ask` does; 409 once the conversation was closed."""
    guest = _of(caller)
    await limit_customer(request, caller, "messages")
    begun = await programs.say(
        Saying(
            caller=_speaker(caller),
            conversation_id=guest.conversation_id,
            content=body.content,
            external_id=name_message(
                caller, guest.conversation_id, body.content, key=idempotency_key, nonce=body.client_nonce
            ),
            at_once="respond-async" in (prefer or ""),
        )
    )
    if wants_events(request):
        shapes = Shapes(_said, lambda exchange: _answer(exchange).model_dump(mode="json"), sources=False)
        return EventAnswer(tell(programs, begun, shapes))
    exchange = await programs.finish(begun)
    if exchange.waiting:
        response.status_code = 202
    return _answer(exchange)


def guest_message(row: Row) -> GuestMessage:
    """What a visitor is shown of a message; nothing that is not named here."""
    files = [
        {name: one[name] for name in _FILE if name in one} for one in row["attachments"] if one.get("state") == "stored"
    ]
    return GuestMessage(
        id=row["id"],
        seq=row["seq"],
        sender_type=row["sender_type"],
        content=row["content"],
        timestamp=row["timestamp"],
        edited_at=row["edited_at"],
        attachments=files,
    )


def _answer(exchange: Exchange) -> GuestAnswer:
    return GuestAnswer(
        session_id=str(exchange.message["conversation_id"]),
        message=guest_message(exchange.message),
        reply=guest_message(exchange.reply) if exchange.reply else None,
        pending=exchange.waiting,
        handler=cast(Literal["ai", "human"], exchange.handler),
        handed_over=exchange.handed_over,
        tracked=exchange.tracked,
    )


def _said(message: Row) -> Mapping[str, Any]:
    return {
        "session_id": str(message["conversation_id"]),
        "message": guest_message(message).model_dump(mode="json"),
    }


def _of(caller: Caller) -> Guest:
    if caller.guest is None:
        raise Forbidden
    return caller.guest


def _speaker(caller: Caller) -> Caller:
    """Who speaks in the guest's conversation on their behalf, as a program does for its users.

    The conversation's number comes from the token alone, so this opens nothing else.
    """
    return Caller(caller.subject, admin=False, roles={_of(caller).workspace_id: "support"})
