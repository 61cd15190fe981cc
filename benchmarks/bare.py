"""What the same costs without Switchboard: FastAPI routes that do one insert of the raw body, or nothing at all."""

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import Response


@asynccontextmanager
async def _lifespan(_: FastAPI) -> AsyncGenerator[dict[str, Any]]:
    size = int(os.environ["POOL"])
    opened: dict[str, Any] = {}
    if dsn := os.environ.get("DATABASE_URL"):
        opened["pool"] = await asyncpg.create_pool(dsn, min_size=size, max_size=size)
    if url := os.environ.get("SUPABASE_URL"):
        from supabase import acreate_client

        opened["supabase"] = await acreate_client(url, os.environ["SUPABASE_SERVICE_ROLE_KEY"])
    yield opened
    if "pool" in opened:
        await opened["pool"].close()


app = FastAPI(lifespan=_lifespan)


@app.get("/health/ready")
async def ready() -> dict[str, bool]:
    """It has started."""
    return {"ready": True}


@app.post("/empty")
async def empty(request: Request) -> Response:
    """Reads the body and forgets it: the floor, and whether the load generator can do more than we measure."""
    await request.body()
    return Response()


@app.post("/insert")
async def insert(request: Request) -> dict[str, bool]:
    """One insert by asyncpg."""
    body = await request.body()
    await request.state.pool.execute("insert into webhooks (body) values ($1)", body)
    return {"success": True}


@app.post("/rest")
async def rest(request: Request) -> dict[str, bool]:
    """One insert by supabase-py."""
    body = await request.body()
    await request.state.supabase.table("webhooks_by_rest").insert({"body": body.decode()}).execute()
    return {"success": True}


if __name__ == "__main__":
    uvicorn.run(
        app,
        port=int(os.environ["PORT"]),
        loop="uvloop",
        http="httptools",
        log_config=None,
        access_log=False,
        server_header=False,
    )
