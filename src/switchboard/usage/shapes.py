"""The wire shapes of usage and analytics. Costs are in US dollars, times in milliseconds."""

from datetime import date
from typing import Literal

from pydantic import BaseModel, Field

_COST = "The sum of the costs that are known; null where calls were made and none is. See `cost_unknown_calls`."


class Figures(BaseModel):
    """Calls to models, added up. Every call counts, also one that failed or whose answer was not sent."""

    calls: int
    failed_calls: int
    fallback_calls: int = Field(description="Made because the model before did not answer.")
    estimated_calls: int = Field(description="Whose tokens nobody reported, so that they were counted from the text.")
    input_tokens: int = Field(description="Cached ones included.")
    output_tokens: int = Field(description="Reasoning included.")
    cached_tokens: int
    reasoning_tokens: int
    total_tokens: int
    cost: float | None = Field(description=_COST)
    cost_unknown_calls: int = Field(description="Calls whose price is not known. They are not in `cost`.")


class DayOfUsage(Figures):
    """A day of the workspace's clock."""

    day: date


class ModelTotals(Figures):
    """One model of one provider."""

    provider: str
    model: str


class ModelUsage(ModelTotals):
    """One model, and how fast it answered, to a tenth."""

    latency_p50_ms: int | None
    latency_p95_ms: int | None
    first_token_p50_ms: int | None
    first_token_p95_ms: int | None


class PurposeUsage(Figures):
    """What the calls were for."""

    purpose: Literal["reply", "summary", "embedding", "test"]


class ChannelUsage(Figures):
    """Where the customers wrote; null for calls that were for no conversation."""

    platform: str | None


class OutcomeUsage(Figures):
    """What became of the calls: `lost` is what was finished and could not be kept."""

    outcome: Literal["answered", "handed_over", "superseded", "taken_over", "lost", "failed"]


class CustomerUsage(BaseModel):
    """A customer and what was spent on them."""

    customer_id: str = Field(description="Their id on the platform.")
    name: str | None
    platform: str
    calls: int
    total_tokens: int
    cost: float | None = Field(description=_COST)
    cost_unknown_calls: int


class Period(BaseModel):
    """The last ``days`` days of the workspace's clock, today included."""

    workspace: int
    days: int
    first: date = Field(alias="from")
    last: date = Field(alias="to")
    time_zone: str = Field(description="That of the business hours; UTC without them.")


class UsageStats(Period):
    """What a workspace used, up to this moment."""

    totals: Figures
    by_day: list[DayOfUsage] = Field(description="Every day of the period.")
    by_model: list[ModelUsage]
    by_purpose: list[PurposeUsage]
    by_channel: list[ChannelUsage]
    by_outcome: list[OutcomeUsage]
    top_customers: list[CustomerUsage] = Field(description="Those who cost most.")


class WorkspaceUsage(Figures):
    """One workspace; null for calls that were made for the installation itself."""

    workspace: int | None
    name: str | None


class GlobalUsage(BaseModel):
    """What all workspaces used, up to this moment, each by the days of its own clock."""

    days: int
    totals: Figures
    by_day: list[DayOfUsage] = Field(description="Days on which there was anything.")
    by_model: list[ModelTotals]
    by_purpose: list[PurposeUsage]
    by_workspace: list[WorkspaceUsage] = Field(description="The dearest first.")
    workspaces: int = Field(description="How many used anything, shown or not.")


class Conversations(BaseModel):
    """What happened to conversations, how often."""

    opened: int
    reopened: int
    resolved: int
    closed: int
    archived: int
    taken_over: int = Field(description="By a person.")
    handed_over: int = Field(description="To a person, by the AI.")
    handed_back: int = Field(description="To the AI, by a person.")


class Messages(BaseModel):
    """Messages by who wrote them."""

    total: int
    from_customers: int
    from_ai: int
    from_people: int
    out_of_hours: int = Field(description="The text that says that it is closed.")


class Activity(BaseModel):
    """What happened. ``ai_share``: of all answers, those that the AI gave, 0–1; null without any."""

    conversations: Conversations
    messages: Messages
    ai_share: float | None


class DayOfActivity(Activity):
    """A day of the workspace's clock."""

    day: date


class ChannelActivity(Activity):
    """One channel."""

    platform: str


class Replies(BaseModel):
    """Calls to models for replies, by what became of them."""

    answered: int
    handed_over: int
    superseded: int = Field(description="Not sent, because the customer had written more.")
    taken_over: int = Field(description="Not sent, because a person took over.")
    lost: int
    failed: int


class Waits(BaseModel):
    """How long customers waited for an answer, from the first message it answers; percentiles to a tenth."""

    count: int
    average_ms: int | None
    p50_ms: int | None
    p95_ms: int | None


class ResponseTimes(BaseModel):
    """By who answered."""

    all: Waits
    ai: Waits
    people: Waits


class Question(BaseModel):
    """A question that no knowledge answered, and how often it was asked."""

    question: str
    times: int


class UnansweredQuestions(BaseModel):
    """Questions that no knowledge answered."""

    count: int
    top: list[Question]


class Analytics(Period, Activity):
    """What happened in a workspace's conversations, up to this moment."""

    replies: Replies
    response_times: ResponseTimes
    unanswered_questions: UnansweredQuestions
    by_day: list[DayOfActivity] = Field(description="Every day of the period.")
    by_channel: list[ChannelActivity]
