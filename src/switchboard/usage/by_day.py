"""`/api/usage` and `/api/model-performance`: the same figures as `/api/v1/ai/usage/stats`, by line, day and model."""

from datetime import date
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from switchboard.database.paging import decode_cursor, encode_cursor
from switchboard.dependencies import Asking, Data, Workspace
from switchboard.errors import Invalid
from switchboard.http.problems import REFUSALS
from switchboard.usage.shapes import DayOfUsage, Figures, ModelUsage, OutcomeUsage, Period, PurposeUsage

router = APIRouter(prefix="/api", tags=["usage"], responses=REFUSALS)

Days = Annotated[int, Query(ge=1, le=365, description="How many days, today included.")]
Limit = Annotated[int, Query(ge=1, le=200, description="How many at most.")]
Cursor = Annotated[str | None, Query(max_length=1000, description="`next_cursor` of the page before.")]
_LINE = ("day", "purpose", "provider", "model", "platform", "outcome")
_MODEL = ("day", "provider", "model")


class UsageLine(Figures):
    """Calls of one day, purpose, model, platform and outcome; the platform is empty for no conversation's."""

    workspace: int
    day: date
    purpose: Literal["reply", "summary", "embedding", "test"]
    provider: str
    model: str
    platform: str
    outcome: Literal["answered", "handed_over", "superseded", "taken_over", "lost", "failed"]


class UsageLines(BaseModel):
    """A page of them; ``count`` is the number on it."""

    success: Literal[True] = True
    usage: list[UsageLine]
    count: int
    next_cursor: str | None = Field(description="Pass it as `cursor` for the next page; null on the last one.")


class UsageSummary(Period):
    """What a workspace used in its last days."""

    totals: Figures
    by_model: list[ModelUsage]
    by_purpose: list[PurposeUsage]
    by_outcome: list[OutcomeUsage]


class UsageByDay(Period):
    """The same, day by day."""

    daily: list[DayOfUsage] = Field(description="Every day of the period, the first one first.")


class ModelDay(BaseModel):
    """How a model answered customers on a day of the workspace's clock. Rates are 0–1, and null without anything."""

    workspace: int
    day: date
    provider: str
    model: str
    calls: int = Field(description="Made for replies, whatever became of them.")
    replies: int = Field(description="Answered or handed over.")
    errors: int = Field(description="Calls that failed.")
    fallbacks: int = Field(description="Made because the model before did not answer.")
    first_token_p50_ms: int | None = Field(
        description="Of whole answers, to a tenth, other calls of the model included."
    )
    first_token_p95_ms: int | None
    latency_p50_ms: int | None
    latency_p95_ms: int | None
    input_tokens: int
    output_tokens: int
    cost: float | None = Field(description="US dollars; null where none of the calls has a known price.")
    cost_unknown_calls: int
    hand_over_rate: float | None = Field(description="Of the replies, those that called a person.")
    superseded_rate: float | None = Field(description="Of the calls, those the customer outran by writing more.")
    average_rating: float | None = Field(description="1–5, of the messages of that day; null while nobody has rated.")
    rating_count: int
    flag_rate: float | None = Field(description="Of the replies, those with a flag that was not dismissed.")


class ModelDays(BaseModel):
    """A page of them; ``count`` is the number on it."""

    success: Literal[True] = True
    models: list[ModelDay]
    count: int
    next_cursor: str | None = Field(description="Pass it as `cursor` for the next page; null on the last one.")


@router.get("/usage")
async def list_usage(
    caller: Asking, database: Data, workspace: Workspace, days: Days = 30, limit: Limit = 50, cursor: Cursor = None
) -> UsageLines:
    """The day table, line by line, latest day first; today's lines grow."""
    rows = await database.call(
        "list_usage",
        caller=caller.as_json(),
        workspace_id=workspace,
        days=days,
        after=_read(cursor, _LINE),
        max_rows=limit,
    )
    return UsageLines(usage=rows, count=len(rows), next_cursor=_following(rows, limit, _LINE))


@router.get("/usage/summary")
async def usage_summary(caller: Asking, database: Data, workspace: Workspace, days: Days = 30) -> UsageSummary:
    """What calls to models a workspace made and what they cost, today included, right up to this moment."""
    return UsageSummary.model_validate(await _stats(database, caller, workspace, days))


@router.get("/usage/daily")
async def usage_daily(caller: Asking, database: Data, workspace: Workspace, days: Days = 30) -> UsageByDay:
    """The same for each day."""
    row = await _stats(database, caller, workspace, days)
    return UsageByDay.model_validate({**row, "daily": row["by_day"]})


@router.get("/model-performance")
async def model_performance(
    caller: Asking, database: Data, workspace: Workspace, days: Days = 30, limit: Limit = 50, cursor: Cursor = None
) -> ModelDays:
    """How each model did on each day, latest day first: what it answered, how fast, and for how much."""
    rows = await database.call(
        "model_performance",
        caller=caller.as_json(),
        workspace_id=workspace,
        days=days,
        after=_read(cursor, _MODEL),
        max_rows=limit,
    )
    return ModelDays(models=rows, count=len(rows), next_cursor=_following(rows, limit, _MODEL))


async def _stats(database: Data, caller: Asking, workspace: int, days: int) -> dict[str, Any]:
    row: dict[str, Any] = await database.call(
        "usage_stats", caller=caller.as_json(), workspace_id=workspace, days=days, customers=0
    )
    return row


def _following(rows: list[dict[str, Any]], limit: int, columns: tuple[str, ...]) -> str | None:
    return encode_cursor([rows[-1][column] for column in columns]) if len(rows) == limit else None


def _read(cursor: str | None, columns: tuple[str, ...]) -> list[Any] | None:
    """Where a list goes on. Raises `Invalid` for the cursor of another list."""
    values = decode_cursor(cursor) if cursor is not None else None
    if values is None:
        return None
    if len(values) == len(columns) and all(isinstance(value, str) and "\0" not in value for value in values):
        try:
            return [date.fromisoformat(values[0]).isoformat(), *values[1:]]
        except ValueError:
            pass  # said below, as of any other that is not ours
    message = "This cursor belongs to another list or another order: begin without one."
    raise Invalid(message, errors=[{"field": "cursor", "message": message}])
