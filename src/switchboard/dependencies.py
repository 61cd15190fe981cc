"""What a route may ask for. The values come from the lifespan's state; whoever asks for nothing gets nothing."""

from typing import Annotated, cast

from fastapi import Depends, Header, Request

from switchboard.auth import Auth, Caller
from switchboard.bell import Bell
from switchboard.channels.registry import Channels
from switchboard.database import Database
from switchboard.metrics import Metrics
from switchboard.settings import Settings


def _database(request: Request) -> Database:
    return cast(Database, request.state.database)


def _channels(request: Request) -> Channels:
    return cast(Channels, request.state.channels)


def _settings(request: Request) -> Settings:
    return cast(Settings, request.state.settings)


def _metrics(request: Request) -> Metrics:
    return cast(Metrics, request.state.metrics)


def _turns_bell(request: Request) -> Bell:
    return cast(Bell, request.state.turns_bell)


def _deliveries_bell(request: Request) -> Bell:
    return cast(Bell, request.state.deliveries_bell)


async def _caller(
    request: Request, authorization: Annotated[str | None, Header(include_in_schema=False)] = None
) -> Caller:
    return await cast(Auth, request.state.auth).identify(authorization)


Data = Annotated[Database, Depends(_database)]
"""The database, for people and programs."""
Connected = Annotated[Channels, Depends(_channels)]
Configured = Annotated[Settings, Depends(_settings)]
Counted = Annotated[Metrics, Depends(_metrics)]
TurnsBell = Annotated[Bell, Depends(_turns_bell)]
DeliveriesBell = Annotated[Bell, Depends(_deliveries_bell)]
Asking = Annotated[Caller, Depends(_caller)]
"""Whoever calls, known by their token."""
