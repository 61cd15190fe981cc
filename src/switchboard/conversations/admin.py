"""The admin panel's endpoints: lists, one conversation, its messages, and what people do with it."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from switchboard import clock
from switchboard.conversations.shapes import (
    ConversationAnswer,
    ConversationList,
    ConversationWithMessages,
    Handler,
    MessageAnswer,
    MessageList,
    StatsAnswer,
    StatusFilter,
)
from switchboard.database.paging import decode_cursor, encode_cursor
from switchboard.dependencies import Asking, Data, FileLinks, people_act
from switchboard.errors import Conflict, Invalid, NotFound
from switchboard.http.problems import REFUSALS, refusals
from switchboard.http.strict_json import StrictRoute

router = APIRouter(
    prefix="/admin",
    tags=["admin"],
    route_class=StrictRoute,
    responses=REFUSALS,
    dependencies=[Depends(people_act)],
)

Id = Annotated[int, Path(ge=1, le=2**53, description="The id, as lists give it.")]
Limit = Annotated[int, Query(ge=1, le=1000, description="How many at most.")]
Cursor = Annotated[str | None, Query(max_length=500, description="`next_cursor` of the page before.")]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Reason(_Body):
    """Why, in words for colleagues."""

    reason: Annotated[str, StringConstraints(max_length=500)] | None = None


class Note(_Body):
    """What the AI should know of what you have settled; it reads the conversation anyway."""

    note: Annotated[str, StringConstraints(max_length=1000, strip_whitespace=True)] | None = None


class Assignment(_Body):
    """Who should look after the conversation; null for nobody."""

    assigned_to: Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True)] | None


class Priority(_Body):
    """How urgent it is, 0 to 100."""

    priority: int = Field(ge=0, le=100)


@router.get("/conversations")
async def list_conversations(
    caller: Asking,
    database: Data,
    limit: Limit = 50,
    cursor: Cursor = None,
    status: Annotated[StatusFilter, Query(description="Without it: all that are open, whoever handles them.")] = "open",
    platform: Annotated[str | None, Query(max_length=40, description="facebook, instagram, streamlit, …")] = None,
    handler: Annotated[Handler | None, Query(description="Who answers.")] = None,
    requires_human: Annotated[bool | None, Query(description="Whether a message waits for a person.")] = None,
    agent: Annotated[int | None, Query(ge=1, le=2**53, description="Id of the agent.")] = None,
    q: Annotated[
        str | None, Query(max_length=200, description='Words in messages or the customer\'s name; "…" for a phrase.')
    ] = None,
    from_: Annotated[datetime | None, Query(alias="from", description="Last message at or after.")] = None,
    to: Annotated[datetime | None, Query(description="Last message before.")] = None,
    sort: Annotated[
        Literal["last_message_at", "created_at", "priority"], Query(description="Newest or most urgent first.")
    ] = "last_message_at",
) -> ConversationList:
    """Conversations, newest first; the open ones unless `status` says otherwise."""
    filters: dict[str, Any] = {
        **by_status(status),
        # A program may have opened conversations under the name by which clients know Messenger.
        "platforms": ["messenger", "facebook"] if platform in ("messenger", "facebook") else platform and [platform],
        "requires_human": requires_human,
        "agent": agent,
        "q": q if q and q.strip() else None,
        "from": from_.isoformat() if from_ else None,
        "to": to.isoformat() if to else None,
    }
    if handler is not None and filters.setdefault("handler", handler) != handler:
        return ConversationList(conversations=[], count=0, next_cursor=None)
    rows = await database.call(
        "list_conversations",
        caller=caller.as_json(),
        filters={name: value for name, value in filters.items() if value is not None},
        sort=sort,
        after=_read_cursor(cursor, sort),
        max_rows=limit,
    )
    last = rows[-1] if len(rows) == limit else None
    following = encode_cursor([sort, last[sort], last["id"]]) if last else None
    return ConversationList(conversations=rows, count=len(rows), next_cursor=following)


@router.get("/conversations/{conversation_id}")
async def get_conversation(
    caller: Asking, database: Data, links: FileLinks, conversation_id: Id, limit: Limit = 50
) -> ConversationWithMessages:
    """One conversation with its newest messages."""
    conversation = await database.call("get_conversation", caller=caller.as_json(), conversation_id=conversation_id)
    if conversation is None:
        raise NotFound("There is no such conversation.")
    messages = await database.call(
        "list_messages", caller=caller.as_json(), conversation_id=conversation_id, max_rows=limit
    )
    links.add(messages, clock.now())
    summary = await database.call("find_summary", caller=caller.as_json(), conversation_id=conversation_id)
    return ConversationWithMessages(conversation=conversation, summary=summary, messages=messages)


@router.get("/conversations/{conversation_id}/messages")
async def list_messages(
    caller: Asking, database: Data, links: FileLinks, conversation_id: Id, limit: Limit = 50, cursor: Cursor = None
) -> MessageList:
    """The messages of a conversation, the newest page first, each page oldest first."""
    rows = await database.call(
        "list_messages",
        caller=caller.as_json(),
        conversation_id=conversation_id,
        before_seq=_read_place(cursor),
        max_rows=limit,
    )
    following = encode_cursor([rows[0]["seq"]]) if len(rows) == limit and rows[0]["seq"] > 1 else None
    links.add(rows, clock.now())
    return MessageList(messages=rows, count=len(rows), next_cursor=following)


@router.post("/conversations/{conversation_id}/close", responses=refusals(Conflict))
async def close(caller: Asking, database: Data, conversation_id: Id) -> ConversationAnswer:
    """Closes a conversation: a reply on its way to be made is not sent; the customer's next message opens another."""
    return await _change(database, "set_lifecycle", caller, conversation_id, lifecycle="closed")


@router.post("/conversations/{conversation_id}/reopen", responses=refusals(Conflict))
async def reopen(caller: Asking, database: Data, conversation_id: Id) -> ConversationAnswer:
    """Opens a closed conversation again, unless the customer has a newer one."""
    return await _change(database, "set_lifecycle", caller, conversation_id, lifecycle="open")


@router.post("/conversations/{conversation_id}/takeover", responses=refusals(Conflict))
async def take_over(
    caller: Asking, database: Data, conversation_id: Id, body: Reason | None = None
) -> ConversationAnswer:
    """Takes the conversation over: from now on no AI reply is sent. 409 with their name when a colleague has it."""
    return await _change(database, "take_over", caller, conversation_id, reason=body.reason if body else None)


@router.post("/conversations/{conversation_id}/handback", responses=refusals(Conflict))
async def hand_back(
    caller: Asking, database: Data, conversation_id: Id, body: Note | None = None
) -> ConversationAnswer:
    """Gives the conversation back to the AI, which answers if the customer is still waiting."""
    return await _change(database, "hand_back", caller, conversation_id, note=body.note if body else None)


@router.post("/conversations/{conversation_id}/assign")
async def assign(caller: Asking, database: Data, conversation_id: Id, body: Assignment) -> ConversationAnswer:
    """Says who looks after the conversation; does not stop the AI."""
    return await _change(database, "assign_conversation", caller, conversation_id, assigned_to=body.assigned_to)


@router.post("/conversations/{conversation_id}/priority")
async def prioritise(caller: Asking, database: Data, conversation_id: Id, body: Priority) -> ConversationAnswer:
    """Says how urgent the conversation is."""
    return await _change(database, "set_priority", caller, conversation_id, priority=body.priority)


@router.post("/messages/{message_id}/mark-human")
async def mark_human(caller: Asking, database: Data, message_id: Id) -> MessageAnswer:
    """Marks a message as needing a person."""
    row = await database.call("mark_message", caller=caller.as_json(), message_id=message_id, mark="human")
    return MessageAnswer(message=row)


@router.post("/messages/{message_id}/mark-replied")
async def mark_replied(caller: Asking, database: Data, message_id: Id) -> MessageAnswer:
    """Marks a message as answered by a person."""
    row = await database.call("mark_message", caller=caller.as_json(), message_id=message_id, mark="replied")
    return MessageAnswer(message=row)


@router.get("/stats")
async def stats(caller: Asking, database: Data) -> StatsAnswer:
    """Counts of conversations and messages, and how many wait for a person."""
    return StatsAnswer(stats=await database.call("conversation_stats", caller=caller.as_json()))


async def _change(
    database: Data, function: str, caller: Asking, conversation_id: int, **arguments: object
) -> ConversationAnswer:
    row = await database.call(function, caller=caller.as_json(), conversation_id=conversation_id, **arguments)
    return ConversationAnswer(conversation=row)


def by_status(status: StatusFilter) -> dict[str, str]:
    """The filters of `list_conversations` for the one word that clients know."""
    if status == "all":
        return {}
    if status in ("active", "support_active"):
        return {"lifecycle": "open", "handler": "ai" if status == "active" else "human"}
    return {"lifecycle": status}


def _read_cursor(cursor: str | None, sort: str) -> list[Any] | None:
    if cursor is None:
        return None
    match decode_cursor(cursor):
        case [made_for, int(value), int(key)] if made_for == sort == "priority":
            return [value, key]
        case [made_for, str(value), int(key)] if made_for == sort != "priority":
            return [value, key]
        case _:
            raise foreign_cursor()


def _read_place(cursor: str | None) -> int | None:
    match decode_cursor(cursor) if cursor is not None else None:
        case None:
            return None
        case [int(place)]:
            return place
        case _:
            raise foreign_cursor()


def foreign_cursor() -> Invalid:
    """The refusal of a cursor that was made for something else."""
    message = "This cursor belongs to another list or another order: begin without one."
    return Invalid(message, errors=[{"field": "cursor", "message": message}])
