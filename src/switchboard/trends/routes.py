"""`GET /api/trends`: what stood out in the last weeks, with the figures that say so."""

from datetime import date, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from switchboard.dependencies import Asking, Data, Workspace
from switchboard.http.problems import REFUSALS

router = APIRouter(prefix="/api", tags=["trends"], responses=REFUSALS)

_MEAN = "A week, of the four weeks before; null where there are none."


class Topic(BaseModel):
    """A word or two that customers say more often than before. All counts are of the conversations looked at."""

    topic: str = Field(examples=["oat milk"])
    count: int = Field(description="How often it was said.")
    conversations: int = Field(description="In how many conversations of the week.")
    customers: int = Field(description="By how many customers: three at least.")
    previous_conversations: int = Field(description="In how many conversations of the four weeks before.")
    previous_mean: float = Field(description="The same a week.")
    ratio: float | None = Field(
        description="Its share of the week's conversations over its share of those before; null if it is new."
    )
    g2: float = Field(description="Log-likelihood ratio of the two shares: 15.13 is one in ten thousand by chance.")


class Question(BaseModel):
    """A question that no knowledge answered, asked by three customers at least."""

    question: str = Field(description="Its words, in small letters and without punctuation.")
    count: int
    customers: int
    previous_count: int = Field(description="In the four weeks before.")
    previous_mean: float | None = Field(description=_MEAN)


class Fall(BaseModel):
    """Ratings that are lower than before, with ten ratings at least in the week and before it."""

    average: float
    count: int
    previous_average: float = Field(description="Of the four weeks before.")
    previous_count: int
    difference: float
    t: float | None = Field(
        description="The difference in standard errors (Welch), -2 or lower; null where nobody differs."
    )


class AgentFall(Fall):
    """Ratings of what an agent said."""

    agent_id: int
    name: str | None = Field(description="Null once the agent is deleted.")


class ModelFall(Fall):
    """Ratings of what a model wrote."""

    provider: str
    model: str


class Week(BaseModel):
    """A week that is over, by the workspace's clock, and what stood out in it."""

    workspace: int
    week: str = Field(examples=["2026-W46"], description="ISO 8601.")
    from_: date = Field(alias="from", description="Its Monday.")
    to: date = Field(description="Its Sunday.")
    computed_at: datetime
    conversations: int = Field(description="In which customers wrote and that were looked at: 3,000 at most, by lot.")
    previous_conversations: int = Field(description="The same of the four weeks before.")
    previous_weeks: int = Field(description="How many of these had any.")
    unanswered: int = Field(description="Questions that no knowledge answered.")
    previous_unanswered: int
    previous_unanswered_mean: float | None = Field(description=_MEAN)
    topics: list[Topic] = Field(description="What rose, the least likely by chance first; 50 at most.")
    questions: list[Question] = Field(description="The most frequent first; 50 at most.")
    agents: list[AgentFall] = Field(description="The deepest fall first; 50 at most.")
    models: list[ModelFall] = Field(description="The deepest fall first; 50 at most.")


class Weeks(BaseModel):
    """The weeks asked for that have been looked at; ``count`` is their number."""

    success: Literal[True] = True
    weeks: list[Week]
    count: int


@router.get("/trends")
async def list_trends(
    caller: Asking,
    database: Data,
    workspace: Workspace,
    weeks: Annotated[int, Query(ge=1, le=12, description="How many weeks back, the running one left out.")] = 4,
) -> Weeks:
    """What stood out in each of the last weeks, the latest first: rising topics, open questions, falling ratings."""
    rows = await database.call("list_trends", caller=caller.as_json(), workspace_id=workspace, weeks=weeks)
    return Weeks(weeks=rows, count=len(rows))
