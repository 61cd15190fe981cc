"""Whether providers and channels work, for the installation's admins: as last seen, and looked at now."""

from datetime import datetime
from typing import Annotated, Any, cast

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, Field

from switchboard.auth import Caller
from switchboard.database import Database
from switchboard.dependencies import Asking, Data
from switchboard.errors import Conflict, Forbidden, Unavailable
from switchboard.http.problems import REFUSALS, refusals
from switchboard.http.strict_json import StrictRoute
from switchboard.upkeep.run import Upkeep

router = APIRouter(prefix="/api/v1/ai", tags=["operations"], route_class=StrictRoute, responses=REFUSALS)


class Found(BaseModel):
    """What the last look at a model or a channel account found."""

    kind: str = Field(description="provider, embedding or channel.")
    name: str = Field(examples=["openai:gpt-5.4-mini"])
    ok: bool
    detail: str | None = Field(description="What it said, or what is wrong.")
    latency_ms: int | None
    checked_at: datetime
    since: datetime = Field(description="When it began to be so.")


class Ran(BaseModel):
    """A periodic task and what came of it last."""

    name: str
    due_at: datetime = Field(description="When it is due next.")
    running: bool
    began_at: datetime | None
    ended_at: datetime | None
    outcome: str | None = Field(description="done or failed; null before its first run.")
    failures: int = Field(description="How often in a row it has failed.")
    late_seconds: float = Field(description="For how long it has been due.")
    result: dict[str, Any]
    error: str | None


class Health(BaseModel):
    """Whether everything that was looked at works."""

    success: bool = True
    ok: bool
    checks: list[Found]
    upkeep: list[Ran]


async def _upkeep(request: Request) -> Upkeep:
    return cast(Upkeep, request.state.upkeep)


Tasks = Annotated[Upkeep, Depends(_upkeep)]


@router.get("/health")
async def get_health(caller: Asking, database: Data) -> Health:
    """What the last look at all models and channels found, and how the periodic tasks do. For admins."""
    _require_admin(caller)
    return await _health(database)


@router.post("/test", responses=refusals(Conflict, Unavailable))
async def test(caller: Asking, database: Data, upkeep: Tasks) -> Health:
    """Asks every model and channel now, with a tiny real call each, and keeps what it found. For admins."""
    _require_admin(caller)
    done = await upkeep.do("health", forced=True)
    if done is None:
        raise Conflict("Somebody else looks at this moment: read `/api/v1/ai/health` in a minute.")
    if done.outcome != "done":
        raise Unavailable(f"The look was not finished: {done.error or 'another process took it over'}.")
    return await _health(database)


def _require_admin(caller: Caller) -> None:
    if not caller.admin:
        raise Forbidden("This needs an admin's token: the keys and accounts are those of the installation.")


async def _health(database: Database) -> Health:
    checks = await database.select("health_checks", order=["kind", "name"])
    tasks = await database.call("list_upkeep")
    return Health.model_validate({"ok": all(row["ok"] for row in checks), "checks": checks, "upkeep": tasks})
