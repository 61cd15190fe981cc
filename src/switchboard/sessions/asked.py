"""What an answer looks like, as JSON and as events."""

import time
from collections.abc import Mapping
from typing import Any, Literal, cast

from fastapi import Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.responses import Response

from switchboard.database import Row
from switchboard.http.event_stream import EventAnswer, wants_events
from switchboard.replies.aloud import Shapes, tell
from switchboard.replies.exchange import Exchange
from switchboard.replies.programs import Said
from switchboard.replies.say import Begun, Programs


class Source(BaseModel):
    """A passage of knowledge that was found for the question."""

    document_id: int
    chunk_id: int
    title: str
    score: float


class Spent(BaseModel):
    """What an answer took; ``cost`` in US dollars, null when it is not known."""

    provider: str | None
    model: str | None
    input_tokens: int | None
    output_tokens: int | None
    cost: float | None
    latency_ms: int | None


class Answer(BaseModel):
    """A question and what came of it."""

    session_id: str = Field(description="The conversation's id, as a text.")
    customer_id: str
    question: str
    answer: str | None = Field(
        description="What the customer was told. Null where a person answers, or where nothing has come yet."
    )
    response_time_ms: int
    success: Literal[True] = True
    auto_response_generated: bool = Field(
        description="Whether the AI has written `answer`: not that it is closed, and not an apology in its place."
    )
    tracked: bool = Field(description="False while the database is away: all is kept on disk and stored later.")
    pending: bool = Field(description="Whether the AI's answer is still to come: look into the session for it.")
    handler: Literal["ai", "human"] = Field(description="Who answers what is said next.")
    handed_over: bool = Field(description="Whether the AI has given the conversation to a person with this answer.")
    requires_human: bool = Field(description="Whether the answer waits for a person to look at it.")
    confidence: float | None = Field(description="0 to 1; 0 is a hand-over.")
    sources: list[Source] = Field(description="What the answer may rest on.")
    usage: Spent | None
    message_id: int | None
    answer_id: int | None


def answer_of(exchange: Exchange, began: float) -> Answer:
    """``began``: when the request came, on the monotonic clock."""
    message, reply = exchange.message, exchange.reply
    metadata: Mapping[str, Any] = reply["metadata"] if reply else {}
    return Answer(
        session_id=str(message["conversation_id"]),
        customer_id=message["customer"],
        question=message["content"],
        answer=reply["content"] if reply else None,
        response_time_ms=round((time.monotonic() - began) * 1000),
        auto_response_generated=exchange.is_written,
        tracked=exchange.tracked,
        pending=exchange.waiting,
        handler=cast(Literal["ai", "human"], exchange.handler),
        handed_over=exchange.handed_over,
        requires_human=bool(reply and reply["requires_human"]),
        confidence=reply["confidence_score"] if reply else None,
        sources=metadata.get("sources", []),
        usage=Spent.model_validate(reply, from_attributes=False) if reply and exchange.is_written else None,
        message_id=message["id"],
        answer_id=reply["id"] if reply else None,
    )


async def respond(request: Request, programs: Programs, begun: Begun, began: float) -> Response:
    """The answer, whole or as it is written, as the request wants it."""
    if wants_events(request):
        shapes = Shapes(shown_message, lambda exchange: answer_of(exchange, began).model_dump(mode="json"))
        return EventAnswer(tell(programs, begun, shapes))
    exchange = await programs.finish(begun)
    body = answer_of(exchange, began).model_dump(mode="json")
    return JSONResponse(body, status_code=202 if exchange.waiting else 200)


def shown_message(message: Row) -> Mapping[str, Any]:
    """The first event: what is kept now, whatever becomes of the connection."""
    said = Said.model_validate(message).model_dump(mode="json")
    return {"session_id": str(message["conversation_id"]), "customer_id": message["customer"], "message": said}
