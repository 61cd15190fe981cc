"""`/api/corrections`: what people said instead of the AI, beside what the AI had said."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from switchboard.database.paging import next_place, read_place
from switchboard.dependencies import Asking, Data
from switchboard.feedback.shapes import Cursor, Limit
from switchboard.http.problems import REFUSALS
from switchboard.http.strict_json import StrictRoute

router = APIRouter(prefix="/api/corrections", tags=["feedback"], route_class=StrictRoute, responses=REFUSALS)

Reason = Literal["corrected", "rated_low", "flagged"]
Number = Annotated[int | None, Query(ge=1, le=2**53)]


class Before(BaseModel):
    """Something said before the question."""

    sender_type: Literal["user", "bot", "human"]
    content: str


class Correction(BaseModel):
    """An AI message and the better answer to the same question."""

    id: int
    workspace_id: int
    conversation_id: int
    message_id: int = Field(description="The AI's.")
    reply_id: int | None = Field(description="The message in which the customer got the better answer, if they did.")
    reason: Reason = Field(
        description="`corrected`: somebody said so; else what the AI's answer was before they replied."
    )
    question: str
    context: list[Before] = Field(description="At most 20 messages before the question, oldest first.")
    answer: str = Field(description="The AI's.")
    better_answer: str
    created_by: str = Field(description="Who gave it; `channel`: somebody in the channel's own inbox.")
    created_at: datetime


class ListedCorrection(Correction):
    """A correction with who had answered."""

    agent_id: int | None
    model: str | None


class CorrectionList(BaseModel):
    """A page of corrections, newest first."""

    success: Literal[True] = True
    corrections: list[ListedCorrection]
    count: int
    next_cursor: str | None


@router.get("")
async def list_corrections(
    caller: Asking,
    database: Data,
    limit: Limit = 50,
    cursor: Cursor = None,
    reason: Annotated[Reason | None, Query(description="Why it was kept.")] = None,
    conversation: Number = None,
    message: Number = None,
    agent: Number = None,
    workspace: Number = None,
    from_: Annotated[datetime | None, Query(alias="from", description="Kept at or after.")] = None,
    to: Annotated[datetime | None, Query(description="Kept before.")] = None,
) -> CorrectionList:
    """Pairs of the AI's answer and a better one, newest first."""
    filters: dict[str, Any] = {
        "reason": reason,
        "conversation": conversation,
        "message": message,
        "agent": agent,
        "workspace": workspace,
        "from": from_.isoformat() if from_ else None,
        "to": to.isoformat() if to else None,
    }
    rows = await database.call(
        "list_corrections", caller=caller.as_json(), filters=filters, after=read_place(cursor), max_rows=limit
    )
    return CorrectionList(corrections=rows, count=len(rows), next_cursor=next_place(rows, limit))
