"""What the endpoints of this room answer."""

from datetime import date
from typing import Any, Literal

from pydantic import BaseModel, Field

from switchboard.exports.asked import Watermark


class Counts(BaseModel):
    """How much an export would hold."""

    conversations: int
    messages: int


class Leaks(BaseModel):
    """What hiding found, by kind, and what a second, stricter look still suspects. Never the words themselves."""

    texts: int
    changed: int
    replaced: dict[str, int]
    suspected: dict[str, int]


class Preview(BaseModel):
    """The first rows as they would be written, and how much there is."""

    success: Literal[True] = True
    format: str
    file_name: str
    sample: Any = Field(description="Objects, or columns and cells of each sheet.")
    counts: Counts
    estimated_bytes: int = Field(description="Of the whole file, from conversations evenly spread over it.")
    watermark: Watermark
    anonymisation: Leaks | None = Field(None, description="Of what was looked at for this; null for raw data.")
    note: str | None = Field(None, description="Said where nothing fits.")


class Verification(BaseModel):
    """What was found in a file."""

    success: Literal[True] = True
    valid: bool = Field(description="Whether it is whole, and as it was written.")
    complete: bool = Field(description="Whether it has a manifest: one that broke off has none.")
    differences: list[str] = Field(description="In words; none in a valid file.")
    counted: dict[str, int] = Field(description="What the file holds, counted again.")
    manifest: dict[str, Any] | None


class ServiceShare(BaseModel):
    """A provider, and in how many conversations it has answered how often."""

    service: str
    responses: int
    share: float = Field(description="Of all responses, 0–1.")


class ActiveDay(BaseModel):
    """A day of the workspace's clock."""

    day: date
    conversations: int = Field(description="Begun on it, with a response of the AI.")
    responses: int = Field(description="Of the AI, on it.")


class Times(BaseModel):
    """How long guests waited for the AI, from the first message it answers; percentiles to a tenth."""

    count: int
    average_ms: int | None
    p50_ms: int | None
    p95_ms: int | None


class Effectiveness(BaseModel):
    """How well the AI answered. Rates are 0–1, and null without anything to divide by."""

    average_rating: float | None = Field(description="1–5.")
    rating_count: int
    flag_count: int
    hand_over_rate: float | None = Field(description="Of the responses, those that called a person.")
    ai_share: float | None = Field(description="Of all answers, those that the AI gave.")
    response_times: Times


class Statistics(BaseModel):
    """The dashboard. Conversations count by the day on which they began, the rest by the day on which it happened."""

    success: Literal[True] = True
    workspace: int
    days: int | None = Field(description="How many days, today included; null for all there are.")
    total_ai_conversations: int = Field(description="Conversations with a response of the AI.")
    total_conversations: int
    total_messages: int = Field(description="In conversations with a response of the AI.")
    ai_services: list[ServiceShare] = Field(description="The one that answered most first.")
    outcomes: dict[str, int] = Field(description="Conversations with a response of the AI by status.")
    average_conversation_length: float | None = Field(
        description="Messages, in conversations with a response of the AI."
    )
    most_active_days: list[ActiveDay] = Field(description="At most seven, the one with the most conversations first.")
    effectiveness: Effectiveness
