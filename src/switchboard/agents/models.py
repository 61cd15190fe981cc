"""`/api/models`: which models there are, what they can do and what they cost."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field

from switchboard.database.paging import next_place, read_place
from switchboard.dependencies import Asking, Data
from switchboard.errors import NotFound
from switchboard.http.problems import REFUSALS
from switchboard.http.strict_json import StrictRoute

router = APIRouter(prefix="/api/models", tags=["models"], route_class=StrictRoute, responses=REFUSALS)


class Capabilities(BaseModel):
    """What a model can do."""

    tools: bool = Field(description="Whether it can call tools: handing over is one.")
    temperature: bool = Field(description="Whether it takes a temperature.")
    streaming: bool = Field(description="Whether it is told as it is written.")


class Model(BaseModel):
    """A model; prices in US dollars for a million tokens, null where nobody knows them, which is never 0."""

    id: int
    provider: str
    name: str
    model: str = Field(description="As agents and settings name it: provider:name.")
    title: str
    context_window: int | None = Field(description="Tokens of prompt and answer together.")
    input_price: float | None
    cached_input_price: float | None
    output_price: float | None
    capabilities: Capabilities
    active: bool = Field(description="Whether the installation has a key for its provider, and it is still offered.")
    updated_at: datetime


class ModelList(BaseModel):
    """A page of models."""

    success: Literal[True] = True
    models: list[Model]
    count: int
    next_cursor: str | None


@router.get("")
async def list_models(
    caller: Asking,
    database: Data,
    limit: Annotated[int, Query(ge=1, le=200, description="How many at most.")] = 50,
    cursor: Annotated[str | None, Query(max_length=500, description="`next_cursor` of the page before.")] = None,
    provider: Annotated[str | None, Query(max_length=40, description="openai, anthropic, …")] = None,
    active: Annotated[bool | None, Query(description="Only those that can be asked, or that cannot.")] = None,
) -> ModelList:
    """The models, by id."""
    rows = await database.call(
        "list_models", provider=provider, active=active, after=read_place(cursor), max_rows=limit
    )
    models = [_shown(row) for row in rows]
    return ModelList(models=models, count=len(models), next_cursor=next_place(rows, limit))


@router.get("/{model_id}")
async def get_model(caller: Asking, database: Data, model_id: Annotated[int, Path(ge=1, le=2**53)]) -> Model:
    """One model."""
    rows = await database.select("models", where={"id": model_id})
    if not rows:
        raise NotFound("There is no such model.")
    return _shown(rows[0])


def _shown(row: dict[str, object]) -> Model:
    return Model.model_validate({**row, "model": f"{row['provider']}:{row['name']}"})
