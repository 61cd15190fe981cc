"""What a route may ask for. The values come from the lifespan's state; whoever asks for nothing gets nothing.

All `async`, though none waits: the framework runs others in a thread, which costs more than most of what they serve.
"""

from collections.abc import AsyncGenerator, Callable
from functools import partial
from typing import Annotated, cast

from fastapi import Depends, Query, Request

from switchboard.auth import Caller, caller_of
from switchboard.bell import Bell
from switchboard.channels.registry import Channels
from switchboard.database import Database
from switchboard.errors import Forbidden, Invalid
from switchboard.metrics import Metrics
from switchboard.providers.registry import Providers
from switchboard.settings import Settings
from switchboard.storage import Storage
from switchboard.storage.links import Links


async def _database(request: Request) -> Database:
    return cast(Database, request.state.database)


async def _channels(request: Request) -> Channels:
    return cast(Channels, request.state.channels)


async def _settings(request: Request) -> Settings:
    return cast(Settings, request.state.settings)


async def _providers(request: Request) -> Providers:
    return cast(Providers, request.state.providers)


async def _metrics(request: Request) -> Metrics:
    return cast(Metrics, request.state.metrics)


async def _turns_bell(request: Request) -> Bell:
    return cast(Bell, request.state.turns_bell)


async def _deliveries_bell(request: Request) -> Bell:
    return cast(Bell, request.state.deliveries_bell)


async def _files(request: Request) -> Storage:
    return cast(Storage, request.state.files)


async def _links(request: Request) -> Links:
    return cast(Links, request.state.links)


async def _caller(request: Request) -> Caller:
    caller = await caller_of(request.scope)
    if caller.guest is not None:
        raise Forbidden("A visitor's token opens its own conversation alone: see /api/v1/chat.")
    return caller


async def _guest(request: Request) -> Caller:
    caller = await caller_of(request.scope)
    if caller.guest is None:
        raise Forbidden("This is for visitors: `POST /api/v1/chat/start` gives out their tokens.")
    return caller


Data = Annotated[Database, Depends(_database)]
"""The database, for people and programs."""
Connected = Annotated[Channels, Depends(_channels)]
Configured = Annotated[Settings, Depends(_settings)]
Models = Annotated[Providers, Depends(_providers)]
Counted = Annotated[Metrics, Depends(_metrics)]
TurnsBell = Annotated[Bell, Depends(_turns_bell)]
DeliveriesBell = Annotated[Bell, Depends(_deliveries_bell)]
Files = Annotated[Storage, Depends(_files)]
FileLinks = Annotated[Links, Depends(_links)]
Asking = Annotated[Caller, Depends(_caller)]
"""Whoever calls, known by their token. Never a guest: those are let in by name."""
Visiting = Annotated[Caller, Depends(_guest)]
"""A guest, whose ``guest`` says which conversation is theirs."""


async def people_act(request: Request, caller: Asking) -> AsyncGenerator[None]:
    """On routers with which people handle conversations: what is remembered for an outage must not speak over them.

    Before, in case they try while the database is away, and after, for what was heard meanwhile.
    """
    changed = request.path_params.get("conversation_id", "") if request.method != "GET" else ""
    if not changed.isdecimal():
        yield
        return
    tell = await _people_acting(request, caller)
    tell(int(changed))
    try:
        yield
    finally:
        tell(int(changed))


async def _people_acting(request: Request, caller: Asking) -> Callable[[int], None]:
    return partial(cast(Callable[[Caller, int], None], request.state.people_act), caller)


PeopleActing = Annotated[Callable[[int], None], Depends(_people_acting)]
"""The same for conversations that the path does not name: to be called before and after, with the id of each."""


async def which_workspace(database: Database, caller: Caller, asked: int | None) -> int:
    """The workspace that is meant. Raises `Invalid` when the token has several and none is named."""
    if asked is not None:
        return asked
    if len(caller.roles) == 1:
        return next(iter(caller.roles))
    if caller.admin and (rows := await database.select("workspaces", columns=["id"], order=["id"], limit=1)):
        return int(rows[0]["id"])
    message = "Say which workspace: your token has not exactly one."
    raise Invalid(message, errors=[{"field": "workspace", "message": message}])


async def _workspace(
    caller: Asking,
    database: Data,
    workspace: Annotated[
        int | None, Query(ge=1, le=2**53, description="Needed only where the token has more than one.")
    ] = None,
) -> int:
    return await which_workspace(database, caller, workspace)


Workspace = Annotated[int, Depends(_workspace)]
"""The workspace that is meant; whether the caller may see it, the SQL functions decide."""
