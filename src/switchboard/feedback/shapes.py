"""What the endpoints of ratings and flags take and answer."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Path, Query
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

FlagType = Literal["safety_issue", "inappropriate", "factual_error", "outdated", "off_topic"]
State = Literal["open", "claimed", "resolved"]
Outcome = Literal["confirmed", "fixed", "dismissed"]

Id = Annotated[int, Path(ge=1, le=2**53, description="The id, as lists give it.")]
MessageId = Annotated[int, Query(ge=1, le=2**53, description="The id of a message.")]
Limit = Annotated[int, Query(ge=1, le=200, description="How many at most.")]
Cursor = Annotated[str | None, Query(max_length=500, description="`next_cursor` of the page before.")]
Number = Annotated[int, Field(ge=1, le=2**53)]


def _no_truth_value(value: object) -> object:
    """`true` is no score, though it would count as 1."""
    if isinstance(value, bool):
        raise ValueError("Input should be a valid integer")
    return value


Score = Annotated[
    int, BeforeValidator(_no_truth_value), Field(ge=1, le=5, description="1 (of no use) to 5 (very helpful).")
]
Comment = Annotated[
    str,
    StringConstraints(max_length=5000, strip_whitespace=True),
    Field(description="Text: markup means nothing in it."),
]
RatingType = Annotated[Any, Field(description="Accepted and ignored: there is one rating, of how helpful it was.")]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NewRating(_Body):
    """A rating of an AI message; given again, it replaces yours. Without ``comment`` the one that is there stays."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"message": 12, "score": 5, "comment": "Great answer"}}
    )

    message: Number
    score: Score
    comment: Comment | None = None
    rating_type: RatingType = None


class WholeRating(_Body):
    """Your rating as it is to be."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"score": 4, "comment": ""}})

    score: Score
    comment: Comment = ""
    message: Number | None = Field(default=None, description="If it is sent, the one it belongs to.")
    rating_type: RatingType = None


class RatingChange(_Body):
    """What is to be different."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"score": 4}})

    score: Score | None = None
    comment: Comment | None = None
    message: Number | None = Field(default=None, description="If it is sent, the one it belongs to.")
    rating_type: RatingType = None


class Rating(BaseModel):
    """One person's rating of an AI message."""

    id: int
    message: int
    conversation_id: int
    workspace_id: int
    user: str = Field(description="Whose it is.")
    score: int
    comment: str
    created_at: datetime
    updated_at: datetime


class RatingList(BaseModel):
    """A page of ratings, newest first."""

    success: Literal[True] = True
    ratings: list[Rating]
    count: int
    next_cursor: str | None


class Helpful(BaseModel):
    """All ratings of a message; ``avg`` is null where there is none."""

    avg: float | None
    count: int


class OwnScore(BaseModel):
    """Your own rating."""

    id: int
    score: int


class RatingSummary(BaseModel):
    """What people think of a message; ``user`` is you, null while you have not rated it."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"helpful": {"avg": 4.5, "count": 2}, "user": {"id": 7, "score": 5}}}
    )

    helpful: Helpful
    user: OwnScore | None


class NewFlag(_Body):
    """What is wrong with an AI message."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"message": 12, "flag_type": "factual_error"}}
    )

    message: Number
    flag_type: FlagType
    comment: Comment | None = None


class WholeFlag(_Body):
    """Your flag as it is to be."""

    flag_type: FlagType
    comment: Comment = ""
    message: Number | None = Field(default=None, description="If it is sent, the one it belongs to.")


class FlagChange(_Body):
    """What is to be different."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"comment": "The price is wrong."}})

    flag_type: FlagType | None = None
    comment: Comment | None = None
    message: Number | None = Field(default=None, description="If it is sent, the one it belongs to.")


class Flag(BaseModel):
    """One person's flag of an AI message, and what has come of it."""

    id: int
    message: int
    conversation_id: int
    workspace_id: int
    user: str = Field(description="Whose it is.")
    flag_type: FlagType
    comment: str
    state: State
    claimed_by: str | None
    claimed_at: datetime | None
    resolved_by: str | None
    resolved_at: datetime | None
    outcome: Outcome | None
    note: str = Field(description="What whoever resolved it says about it.")
    created_at: datetime
    updated_at: datetime


class FlagList(BaseModel):
    """A page of flags, newest first."""

    success: Literal[True] = True
    flags: list[Flag]
    count: int
    next_cursor: str | None


class Toggled(BaseModel):
    """Whether your flag of this type stands now, and the flag if it does."""

    success: Literal[True] = True
    flagged: bool
    flag: Flag | None


class FlagCounts(BaseModel):
    """How often a message was flagged as what."""

    safety_issue: int
    inappropriate: int
    factual_error: int
    outdated: int
    off_topic: int


class FlagSummary(BaseModel):
    """The flags of a message; ``mine`` are the types that you have flagged it as."""

    success: Literal[True] = True
    counts: FlagCounts
    total: int
    mine: list[FlagType]


class FlagToReview(Flag):
    """A flag with what was flagged."""

    content: str = Field(description="What the AI said.")


class ReviewList(BaseModel):
    """A page of the review queue, newest first."""

    success: Literal[True] = True
    flags: list[FlagToReview]
    count: int
    next_cursor: str | None


class Resolution(_Body):
    """What came of a flag."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"outcome": "fixed", "note": "The price list is corrected."}}
    )

    outcome: Outcome = Field(description="`confirmed`: true; `fixed`: true, and mended; `dismissed`: nothing is wrong.")
    note: Comment = ""


class ReviewAnswer(BaseModel):
    """A flag as it is after a change."""

    success: Literal[True] = True
    flag: FlagToReview
