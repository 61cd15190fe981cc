"""What was used and what happened: `/api/v1/ai/usage/` and `/api/v1/ai/analytics`."""

from typing import Annotated

from fastapi import APIRouter, Query

from switchboard.dependencies import Asking, Data, Workspace
from switchboard.http.problems import REFUSALS
from switchboard.usage.shapes import Analytics, GlobalUsage, UsageStats

router = APIRouter(prefix="/api/v1/ai", tags=["usage"], responses=REFUSALS)

Days = Annotated[int, Query(ge=1, le=365, description="How many days, today included.")]


@router.get("/usage/stats")
async def usage_stats(
    caller: Asking,
    database: Data,
    workspace: Workspace,
    days: Days = 30,
    customers: Annotated[int, Query(ge=0, le=100, description="How many customers to name, dearest first.")] = 10,
) -> UsageStats:
    """What calls to models a workspace made and what they cost, today included, right up to this moment."""
    row = await database.call(
        "usage_stats", caller=caller.as_json(), workspace_id=workspace, days=days, customers=customers
    )
    return UsageStats.model_validate(row)


@router.get("/usage/global")
async def usage_global(
    caller: Asking,
    database: Data,
    days: Days = 30,
    limit: Annotated[int, Query(ge=1, le=200, description="How many workspaces to name, dearest first.")] = 50,
) -> GlobalUsage:
    """The same of all workspaces together and of each. For admins."""
    row = await database.call("usage_global", caller=caller.as_json(), days=days, max_rows=limit)
    return GlobalUsage.model_validate(row)


@router.get("/analytics")
async def analytics(caller: Asking, database: Data, workspace: Workspace, days: Days = 30) -> Analytics:
    """What happened in a workspace's conversations: how many, who answered, how soon, and what nobody could answer."""
    row = await database.call("chat_analytics", caller=caller.as_json(), workspace_id=workspace, days=days)
    return Analytics.model_validate(row)
