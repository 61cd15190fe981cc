"""Whether this process lives, and whether it can do its work."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from switchboard.dependencies import Asking, Counted
from switchboard.errors import Forbidden, SwitchboardError, Unauthenticated
from switchboard.http.problems import refusals

CHECK_SECONDS = 2.0
ADVISORY = {"spool"}
"""Parts that are told of, but without which the service does its work."""

Check = Callable[[], Awaitable[None]]
"""Returns when its part works; raises what is wrong."""

router = APIRouter(tags=["operations"])


class Alive(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Part(BaseModel):
    """One thing the service needs."""

    ok: bool
    detail: str | None = Field(default=None, description="What is wrong, and what to do.")


class Readiness(BaseModel):
    """Whether the service can do its work, part by part."""

    status: Literal["ready", "not_ready"]
    parts: dict[str, Part]


@router.get("/health/live")
async def live() -> Alive:
    """Whether the process is alive. It may still wait for its database: see `/health/ready`."""
    return Alive()


@router.get("/health/ready", responses={503: {"model": Readiness, "description": "A part is down."}})
async def ready(request: Request, response: Response) -> Readiness:
    """Whether the service can do its work, and if not, which part is down."""
    checks: dict[str, Check] = request.state.checks
    parts = dict(zip(checks, await asyncio.gather(*map(_look, checks.values())), strict=True))
    ok = all(part.ok for name, part in parts.items() if name not in ADVISORY)
    response.status_code = 200 if ok else 503
    return Readiness(status="ready" if ok else "not_ready", parts=parts)


@router.get("/metrics", response_class=Response, responses=refusals(Unauthenticated, Forbidden))
async def metrics(caller: Asking, counted: Counted) -> Response:
    """Counters for Prometheus, over all workspaces: for admins."""
    if not caller.admin:
        raise Forbidden("This needs an admin's token: the numbers are those of all workspaces.")
    return Response(counted.render(), media_type="text/plain; version=0.0.4; charset=utf-8")


async def _look(check: Check) -> Part:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await check()
    except SwitchboardError as error:
        return Part(ok=False, detail=error.message)
    except TimeoutError:
        return Part(ok=False, detail=f"No answer within {CHECK_SECONDS:.0f} seconds.")
    return Part(ok=True)
