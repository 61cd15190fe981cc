"""`/api/ratings`: how helpful an AI message was, in the eyes of each person."""

from fastapi import APIRouter, Response

from switchboard.database.paging import next_place, read_place
from switchboard.dependencies import Asking, Data
from switchboard.errors import NotFound
from switchboard.feedback.shapes import (
    Cursor,
    Id,
    Limit,
    MessageId,
    NewRating,
    Rating,
    RatingChange,
    RatingList,
    RatingSummary,
    WholeRating,
)
from switchboard.http.problems import REFUSALS
from switchboard.http.strict_json import StrictRoute

router = APIRouter(prefix="/api/ratings", tags=["feedback"], route_class=StrictRoute, responses=REFUSALS)


@router.get("")
async def list_ratings(caller: Asking, database: Data, limit: Limit = 50, cursor: Cursor = None) -> RatingList:
    """Your own ratings, newest first, also those in conversations that have been deleted."""
    rows = await database.call("list_ratings", caller=caller.as_json(), after=read_place(cursor), max_rows=limit)
    return RatingList(ratings=rows, count=len(rows), next_cursor=next_place(rows, limit))


@router.post("", status_code=201, responses={200: {"model": Rating, "description": "You had rated it already."}})
async def rate(caller: Asking, database: Data, response: Response, body: NewRating) -> Rating:
    """Rates an AI message, or changes your rating of it: 201 for the first, 200 after that."""
    row = await database.call(
        "rate_message",
        caller=caller.as_json(),
        message_id=body.message,
        score=body.score,
        comment=body.comment,
    )
    response.status_code = 201 if row["created"] else 200
    response.headers["location"] = f"/api/ratings/{row['id']}"
    return Rating.model_validate(row)


@router.get("/by_message")
async def list_by_message(
    caller: Asking, database: Data, message_id: MessageId, limit: Limit = 50, cursor: Cursor = None
) -> RatingList:
    """Everybody's ratings of a message, newest first."""
    rows = await database.call(
        "list_ratings",
        caller=caller.as_json(),
        message_id=message_id,
        after=read_place(cursor),
        max_rows=limit,
    )
    return RatingList(ratings=rows, count=len(rows), next_cursor=next_place(rows, limit))


@router.get("/summary")
async def summarise(caller: Asking, database: Data, message_id: MessageId) -> RatingSummary:
    """The average of a message's ratings, how many there are, and your own."""
    row = await database.call("rating_summary", caller=caller.as_json(), message_id=message_id)
    return RatingSummary.model_validate(row)


@router.get("/{rating_id}")
async def get_rating(caller: Asking, database: Data, rating_id: Id) -> Rating:
    """One of your ratings."""
    row = await database.call("get_rating", caller=caller.as_json(), rating_id=rating_id)
    if row is None:
        raise NotFound("There is no such rating.")
    return Rating.model_validate(row)


@router.put("/{rating_id}")
async def replace_rating(caller: Asking, database: Data, rating_id: Id, body: WholeRating) -> Rating:
    """Replaces score and comment of your rating."""
    return await _change(caller, database, rating_id, body)


@router.patch("/{rating_id}")
async def change_rating(caller: Asking, database: Data, rating_id: Id, body: RatingChange) -> Rating:
    """Changes score or comment of your rating, and leaves what is not sent."""
    return await _change(caller, database, rating_id, body)


@router.delete("/{rating_id}", status_code=204)
async def delete_rating(caller: Asking, database: Data, rating_id: Id) -> None:
    """Takes your rating back."""
    await database.call("delete_rating", caller=caller.as_json(), rating_id=rating_id)


async def _change(caller: Asking, database: Data, rating_id: int, body: WholeRating | RatingChange) -> Rating:
    row = await database.call(
        "change_rating",
        caller=caller.as_json(),
        rating_id=rating_id,
        score=body.score,
        comment=body.comment,
        message_id=body.message,
    )
    return Rating.model_validate(row)
