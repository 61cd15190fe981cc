"""`/api/conversations`: the list, one, changing it, deleting it, and bringing it back."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from switchboard.conversations.admin import by_status, foreign_cursor
from switchboard.conversations.shapes import (
    Conversation,
    ConversationAnswer,
    ConversationList,
    DeletedList,
    Handler,
    StatusFilter,
)
from switchboard.database.paging import decode_cursor, encode_cursor
from switchboard.dependencies import Asking, Data, people_act
from switchboard.errors import NotFound
from switchboard.http.problems import REFUSALS
from switchboard.http.strict_json import StrictRoute

router = APIRouter(
    prefix="/api/conversations",
    tags=["conversations"],
    route_class=StrictRoute,
    responses=REFUSALS,
    dependencies=[Depends(people_act)],
)

Id = Annotated[int, Path(ge=1, le=2**53, description="The id, as lists give it.")]
Limit = Annotated[int, Query(ge=1, le=200, description="How many at most.")]
Cursor = Annotated[str | None, Query(max_length=500, description="`next_cursor` of the page before.")]


class Changes(BaseModel):
    """What is left out stays as it is, with `PUT` as with `PATCH`."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"title": "About the order", "agent": 1}})

    title: Annotated[str, StringConstraints(max_length=500)] | None = None
    agent: int | None = Field(default=None, ge=1, le=2**53, description="Who answers; null for the default one.")

    def as_json(self) -> dict[str, Any]:
        """What `change_conversation` takes."""
        names = {"title": "title", "agent": "agent_id"}
        return {names[name]: value for name, value in self.model_dump(exclude_unset=True).items()}


@router.get("")
async def list_conversations(
    caller: Asking,
    database: Data,
    limit: Limit = 50,
    cursor: Cursor = None,
    status: Annotated[StatusFilter, Query(description="Without it: all.")] = "all",
    user_id: Annotated[str | None, Query(max_length=500, description="The customer, by their id there.")] = None,
    platform: Annotated[str | None, Query(max_length=40, description="facebook, instagram, streamlit, …")] = None,
    handler: Annotated[Handler | None, Query(description="Who answers.")] = None,
    requires_human: Annotated[bool | None, Query(description="Whether a message waits for a person.")] = None,
    agent: Annotated[int | None, Query(ge=1, le=2**53, description="Id of the agent.")] = None,
    q: Annotated[
        str | None, Query(max_length=200, description='Words in messages or the customer\'s name; "…" for a phrase.')
    ] = None,
    from_: Annotated[datetime | None, Query(alias="from", description="Last message at or after.")] = None,
    to: Annotated[datetime | None, Query(description="Last message before.")] = None,
) -> ConversationList:
    """The conversations of your workspaces, newest message first."""
    filters: dict[str, Any] = {
        **by_status(status),
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
        "list_sessions",
        caller=caller.as_json(),
        filters={name: value for name, value in filters.items() if value is not None},
        customer_id=user_id,
        after=read_cursor(cursor, "conversations"),
        max_rows=limit,
    )
    following = make_cursor(rows, limit, "conversations", "last_message_at")
    return ConversationList(conversations=rows, count=len(rows), next_cursor=following)


@router.get("/deleted")
async def list_deleted(caller: Asking, database: Data, limit: Limit = 50, cursor: Cursor = None) -> DeletedList:
    """What you may restore, deleted last first: of the workspaces that are yours as their owner, of all as an admin."""
    rows = await database.call(
        "list_deleted_conversations",
        caller=caller.as_json(),
        after=read_cursor(cursor, "deleted"),
        max_rows=limit,
    )
    following = make_cursor(rows, limit, "deleted", "deleted_at")
    return DeletedList(conversations=rows, count=len(rows), next_cursor=following)


@router.get("/{conversation_id}")
async def get_conversation(caller: Asking, database: Data, conversation_id: Id) -> Conversation:
    """One conversation."""
    row = await database.call("get_conversation", caller=caller.as_json(), conversation_id=conversation_id)
    if row is None:
        raise NotFound("There is no such conversation.")
    return Conversation.model_validate(row)


@router.put("/{conversation_id}")
@router.patch("/{conversation_id}")
async def change_conversation(caller: Asking, database: Data, conversation_id: Id, body: Changes) -> Conversation:
    """Gives the conversation another title, or another agent, who answers from the next reply on."""
    row = await database.call(
        "change_conversation", caller=caller.as_json(), conversation_id=conversation_id, changes=body.as_json()
    )
    return Conversation.model_validate(row)


@router.delete("/{conversation_id}", status_code=204)
async def delete_conversation(caller: Asking, database: Data, conversation_id: Id) -> None:
    """Hides the conversation and its messages everywhere.

    A reply on its way to be made is not sent, and the customer's next message opens another conversation. An owner can
    restore it for 30 days; then it is purged.
    """
    await database.call("delete_conversation", caller=caller.as_json(), conversation_id=conversation_id)


@router.post("/{conversation_id}/restore")
async def restore_conversation(caller: Asking, database: Data, conversation_id: Id) -> ConversationAnswer:
    """Brings a deleted conversation back as it was; closed, where its customer has a newer one. For owners."""
    row = await database.call("restore_conversation", caller=caller.as_json(), conversation_id=conversation_id)
    return ConversationAnswer(conversation=row)


def make_cursor(rows: list[dict[str, Any]], limit: int, name: str, column: str) -> str | None:
    """The cursor behind a page of the list ``name`` that is ordered by ``column`` and id; None behind the last."""
    return encode_cursor([name, rows[-1][column], rows[-1]["id"]]) if len(rows) == limit else None


def read_cursor(cursor: str | None, name: str) -> list[Any] | None:
    """[value, id] of the last one seen. Raises `Invalid` for the cursor of another list."""
    match decode_cursor(cursor) if cursor is not None else None:
        case None:
            return None
        case [made_for, str(value), int(key)] if made_for == name:
            return [_moment(value), key]
        case _:
            raise foreign_cursor()


def _moment(value: str) -> str:
    try:
        return datetime.fromisoformat(value).isoformat()
    except ValueError:
        raise foreign_cursor() from None
