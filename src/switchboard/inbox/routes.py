"""The webhooks of the channels."""

from typing import Annotated, Literal, cast

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel

from switchboard.channels import Channel
from switchboard.channels.registry import Channels
from switchboard.dependencies import Connected
from switchboard.errors import SignatureInvalid, TooLarge
from switchboard.failpoints import reach
from switchboard.http.problems import refusals
from switchboard.inbox.accept import Intake
from switchboard.inbox.spool import SpoolFull
from switchboard.metrics import Metrics

router = APIRouter(tags=["webhooks"])


_RECEIVED = b'{"success":true}'
_TAP = b'"callback_query"'


class Received(BaseModel):
    """What the channel is told."""

    success: Literal[True] = True


# First, because routes are tried in their order, and these are asked for more often than all others together.
@router.post("/webhooks/instagram", response_model=Received, responses=refusals(SignatureInvalid, TooLarge, SpoolFull))
@router.post("/webhook", response_model=Received, responses=refusals(SignatureInvalid, TooLarge, SpoolFull))
@router.post("/webhooks/messenger", response_model=Received, responses=refusals(SignatureInvalid, TooLarge, SpoolFull))
async def receive_from_meta(request: Request) -> Response:
    """Messages, echoes, receipts and whatever else Meta reports: verified, kept, then acknowledged."""
    await _keep(request, cast(Channels, request.state.channels).messenger, "meta")
    return Response(_RECEIVED, media_type="application/json")


@router.post("/webhooks/telegram", response_model=Received, responses=refusals(SignatureInvalid, TooLarge, SpoolFull))
async def receive_from_telegram(request: Request) -> Response:
    """An update of the bot: verified, kept, then acknowledged."""
    telegram = cast(Channels, request.state.channels).telegram
    body = await _keep(request, telegram, "telegram")
    if _TAP in body:  # whoever taps a button sees it wait until we say that we have heard
        for one in telegram.parse(body):
            telegram.acknowledge(one)
    return Response(_RECEIVED, media_type="application/json")


async def _keep(request: Request, channel: Channel, door: str) -> bytes:
    """The body, once it is verified and durable. ``door``: how it is counted."""
    # Straight from the state, and an answer that is ready: each dependency and each check of an answer costs its share.
    intake, metrics = cast(Intake, request.state.intake), cast(Metrics, request.state.metrics)
    body = await request.body()
    await reach("after_body_read")
    try:
        channel.verify(request.headers, body)
    except SignatureInvalid:
        metrics.webhooks.labels(door, "forged").inc()
        raise
    where = await intake.accept(channel.kind, body)
    metrics.webhooks.labels(door, where).inc()
    return body


@router.get("/webhook", responses=refusals(SignatureInvalid), response_class=PlainTextResponse)
@router.get("/webhooks/messenger", responses=refusals(SignatureInvalid), response_class=PlainTextResponse)
@router.get("/webhooks/instagram", responses=refusals(SignatureInvalid), response_class=PlainTextResponse)
async def shake_hands(
    channels: Connected,
    mode: Annotated[str | None, Query(alias="hub.mode", max_length=50)] = None,
    token: Annotated[str | None, Query(alias="hub.verify_token", max_length=500)] = None,
    challenge: Annotated[str | None, Query(alias="hub.challenge", max_length=500)] = None,
) -> PlainTextResponse:
    """Meta's check that this address is ours: repeats the challenge when the verify token matches."""
    return PlainTextResponse(channels.messenger.handshake(mode, token, challenge))
