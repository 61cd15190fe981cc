"""Messages for programs: those of one conversation, those of all, and one."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query

from switchboard import clock
from switchboard.conversations.admin import foreign_cursor
from switchboard.conversations.shapes import ChatMessage, ChatMessageList
from switchboard.database import Row
from switchboard.database.paging import decode_cursor, encode_cursor
from switchboard.dependencies import Asking, Data, FileLinks
from switchboard.errors import NotFound
from switchboard.http.problems import REFUSALS
from switchboard.http.strict_json import StrictRoute

router = APIRouter(prefix="/api", tags=["conversations"], route_class=StrictRoute, responses=REFUSALS)

Id = Annotated[int, Path(ge=1, le=2**53, description="The id, as lists give it.")]
Limit = Annotated[int, Query(ge=1, le=200, description="How many at most.")]
Cursor = Annotated[str | None, Query(max_length=500, description="`next_cursor` of the page before.")]
AfterSeq = Annotated[int | None, Query(ge=0, le=2**53, description="Only what came after this `seq`, oldest first.")]
Role = Literal["user", "assistant", "system"]
_SENDERS: dict[Role, list[str]] = {"user": ["user"], "assistant": ["bot", "human"], "system": ["system"]}


@router.get("/conversations/{conversation_id}/messages")
async def messages_of_conversation(
    caller: Asking,
    database: Data,
    links: FileLinks,
    conversation_id: Id,
    limit: Limit = 50,
    cursor: Cursor = None,
    after_seq: AfterSeq = None,
) -> ChatMessageList:
    """The newest messages, each page oldest first; or those after a `seq`: what a client polls with."""
    rows: list[Row] = await database.call(
        "list_messages",
        caller=caller.as_json(),
        conversation_id=conversation_id,
        before_seq=_read(cursor, "seq"),
        after_seq=after_seq,
        max_rows=limit,
    )
    links.add(rows, clock.now())
    older = after_seq is None and len(rows) == limit and rows[0]["seq"] > 1
    return ChatMessageList.model_validate(
        {
            "messages": rows,
            "count": len(rows),
            "next_cursor": encode_cursor(["seq", rows[0]["seq"]]) if older else None,
        }
    )


@router.get("/messages/by_conversation")
async def by_conversation(
    caller: Asking,
    database: Data,
    links: FileLinks,
    conversation_id: Annotated[int, Query(ge=1, le=2**53, description="Id of the conversation.")],
    limit: Limit = 50,
    cursor: Cursor = None,
    after_seq: AfterSeq = None,
) -> ChatMessageList:
    """The same as `/api/conversations/{id}/messages`."""
    return await messages_of_conversation(caller, database, links, conversation_id, limit, cursor, after_seq)


@router.get("/messages")
async def list_all_messages(
    caller: Asking,
    database: Data,
    links: FileLinks,
    limit: Limit = 50,
    cursor: Cursor = None,
    role: Annotated[Role | None, Query(description="Whose; `assistant` is the AI and your people.")] = None,
) -> ChatMessageList:
    """The messages of all your workspaces' conversations, newest first."""
    rows: list[Row] = await database.call(
        "list_all_messages",
        caller=caller.as_json(),
        sender_types=_SENDERS[role] if role else None,
        after=_read(cursor, "id"),
        max_rows=limit,
    )
    links.add(rows, clock.now())
    following = encode_cursor(["id", rows[-1]["id"]]) if len(rows) == limit else None
    return ChatMessageList.model_validate({"messages": rows, "count": len(rows), "next_cursor": following})


@router.get("/messages/{message_id}")
async def get_message(caller: Asking, database: Data, links: FileLinks, message_id: Id) -> ChatMessage:
    """One message, with tokens and cost where a model wrote it."""
    row: dict[str, Any] | None = await database.call("get_message", caller=caller.as_json(), message_id=message_id)
    if row is None:
        raise NotFound("There is no such message.")
    links.add([row], clock.now())
    return ChatMessage.model_validate(row)


def _read(cursor: str | None, name: str) -> int | None:
    """Where a list goes on. Raises `Invalid` for the cursor of another list."""
    match decode_cursor(cursor) if cursor is not None else None:
        case None:
            return None
        case [made_for, int(place)] if made_for == name:
            return place
        case _:
            raise foreign_cursor()
