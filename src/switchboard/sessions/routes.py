"""`/api/v1/ai/ask` and the sessions: a question in, the answer out."""

import time
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from switchboard import clock
from switchboard.conversations.admin import by_status, foreign_cursor
from switchboard.conversations.references import conversation_number
from switchboard.conversations.shapes import Handler, Message, Status, StatusFilter
from switchboard.database import Row
from switchboard.database.paging import decode_cursor, encode_cursor
from switchboard.dependencies import Asking, Data, FileLinks, which_workspace
from switchboard.errors import Conflict, Invalid, NotFound, RateLimited, Unavailable
from switchboard.http.problems import REFUSALS, refusals
from switchboard.http.rate_limits import limit_customer
from switchboard.http.strict_json import StrictRoute
from switchboard.replies.aloud import STREAMED
from switchboard.replies.exchange import Question, Saying
from switchboard.replies.programs import Name, Nonce, Speaking, Text
from switchboard.replies.say import name_message
from switchboard.sessions.asked import Answer, respond

router = APIRouter(prefix="/api/v1/ai", tags=["ai"], route_class=StrictRoute, responses=REFUSALS)

Id = Annotated[str, Path(max_length=100, description="The session's id, as it was given.")]
Prefer = Annotated[str | None, Header(description="`respond-async` answers 202 at once.")]
Key = Annotated[str | None, Header(include_in_schema=False)]
_SAID = {**refusals(Conflict, RateLimited, Unavailable), **STREAMED, 202: {"model": Answer}}


class Ask(BaseModel):
    """A question of one of your customers, in your words for them."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {"question": "What are your business hours?", "customer_id": "customer@example.com"}
        },
    )

    question: Text
    customer_id: Name
    session_id: Annotated[str, Field(max_length=100, coerce_numbers_to_str=True)] | None = Field(
        default=None,
        description="To go on in this session; without it in the customer's newest open one, or a new one.",
    )
    agent: int | None = Field(default=None, ge=1, le=2**53, description="Who answers, where a session is opened.")
    workspace: int | None = Field(default=None, ge=1, le=2**53)
    client_nonce: Nonce | None = None


class Send(BaseModel):
    """What the customer says next."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"message": "Can you tell me more about your services?"}}
    )

    message: Text
    client_nonce: Nonce | None = None


class Session(BaseModel):
    """A conversation, whatever its platform. ``status`` is `active` while it is open and the AI's."""

    session_id: str
    customer_id: str
    customer_name: str | None
    platform: str
    title: str | None
    status: Status
    handler: Handler
    requires_human: bool
    agent_id: int | None
    created_at: Any
    last_message_at: Any
    closed_at: Any


class SessionList(BaseModel):
    """A page of sessions; ``count`` is the number on it."""

    success: Literal[True] = True
    sessions: list[Session]
    count: int
    next_cursor: str | None = Field(description="Pass it as `cursor` for the next page; null on the last one.")


class SessionWithMessages(Session):
    """A session and its newest messages, oldest first."""

    success: Literal[True] = True
    messages: list[Message]


@router.post("/ask", response_model=Answer, responses=_SAID)
async def ask(
    request: Request,
    caller: Asking,
    database: Data,
    programs: Speaking,
    body: Ask,
    prefer: Prefer = None,
    idempotency_key: Key = None,
) -> Response:
    """Asks for a customer and answers with the reply, without any quiet time.

    The customer's newest open session goes on; one that was closed or archived is over, and a new one begins.
    202 with `answer: null` when it takes longer than a minute. With `Accept: text/event-stream` the reply is told as
    it is written.
    """
    began = time.monotonic()
    await limit_customer(request, caller, body.customer_id)
    at_once = "respond-async" in (prefer or "")
    if body.session_id is not None:
        row = await _session(database, caller, body.session_id)
        if row["user_id"] != body.customer_id:
            raise _wrong("session_id", "This is another customer's session: leave it out, or name that customer.")
        saying = Saying(
            caller,
            row["id"],
            body.question,
            name_message(caller, row["id"], body.question, key=idempotency_key, nonce=body.client_nonce),
            at_once,
        )
        return await respond(request, programs, await programs.say(saying), began)
    workspace = await which_workspace(database, caller, body.workspace)
    place = f"{workspace}/{body.customer_id}"
    question = Question(
        caller=caller,
        workspace_id=workspace,
        customer_id=body.customer_id,
        content=body.question,
        external_id=name_message(caller, place, body.question, key=idempotency_key, nonce=body.client_nonce),
        agent_id=body.agent,
        at_once=at_once,
    )
    return await respond(request, programs, await programs.ask(question), began)


@router.get("/sessions")
async def list_sessions(
    caller: Asking,
    database: Data,
    limit: Annotated[int, Query(ge=1, le=200, description="How many at most.")] = 50,
    cursor: Annotated[str | None, Query(max_length=500, description="`next_cursor` of the page before.")] = None,
    status: Annotated[StatusFilter, Query(description="Without it: all.")] = "all",
    customer_id: Annotated[str | None, Query(max_length=500, description="Only this customer's.")] = None,
) -> SessionList:
    """Sessions, newest message first, of every platform."""
    rows = await database.call(
        "list_sessions",
        caller=caller.as_json(),
        filters=by_status(status),
        customer_id=customer_id,
        after=_read_cursor(cursor),
        max_rows=limit,
    )
    following = encode_cursor(["sessions", rows[-1]["last_message_at"], rows[-1]["id"]]) if len(rows) == limit else None
    return SessionList(sessions=[_shown(row) for row in rows], count=len(rows), next_cursor=following)


@router.get("/sessions/{session_id}")
async def get_session(
    caller: Asking,
    database: Data,
    links: FileLinks,
    session_id: Id,
    limit: Annotated[int, Query(ge=1, le=200, description="How many messages at most.")] = 50,
) -> SessionWithMessages:
    """One session with its newest messages."""
    row = await _session(database, caller, session_id)
    messages = await database.call("list_messages", caller=caller.as_json(), conversation_id=row["id"], max_rows=limit)
    links.add(messages, clock.now())
    return SessionWithMessages.model_validate({**_shown(row).model_dump(), "messages": messages})


@router.post("/sessions/{session_id}/send", response_model=Answer, responses=_SAID)
async def send(
    request: Request,
    caller: Asking,
    programs: Speaking,
    session_id: Id,
    body: Send,
    prefer: Prefer = None,
    idempotency_key: Key = None,
) -> Response:
    """Says something in a session and answers as `ask` does.

    409 when the session was closed or archived; 422 where the customer writes on a channel, such as Messenger.
    """
    began = time.monotonic()
    number = conversation_number(session_id)
    await limit_customer(request, caller, f"conversation:{number}")
    saying = Saying(
        caller,
        number,
        body.message,
        name_message(caller, number, body.message, key=idempotency_key, nonce=body.client_nonce),
        "respond-async" in (prefer or ""),
    )
    return await respond(request, programs, await programs.say(saying), began)


async def _session(database: Data, caller: Asking, reference: str) -> Row:
    row = await database.call(
        "get_conversation", caller=caller.as_json(), conversation_id=conversation_number(reference)
    )
    if row is None:
        raise NotFound("There is no such conversation.")
    return row


def _shown(row: Row) -> Session:
    return Session.model_validate({**row, "session_id": str(row["id"]), "customer_id": row["user_id"]})


def _read_cursor(cursor: str | None) -> list[Any] | None:
    match decode_cursor(cursor) if cursor is not None else None:
        case None:
            return None
        case ["sessions", str(value), int(key)]:
            return [value, key]
        case _:
            raise foreign_cursor()


def _wrong(field: str, message: str) -> Invalid:
    return Invalid(message, errors=[{"field": field, "message": message}])
