"""The webhooks of the channels."""

from typing import Annotated, Literal, cast

import structlog
from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel

from switchboard.dependencies import Configured, Connected, Counted
from switchboard.errors import SignatureInvalid, TooLarge
from switchboard.failpoints import reach
from switchboard.http.problems import refusals
from switchboard.inbox.accept import Intake
from switchboard.inbox.spool import SpoolFull

router = APIRouter(tags=["webhooks"])
log = structlog.get_logger()


def _intake(request: Request) -> Intake:
    return cast(Intake, request.state.intake)


class Received(BaseModel):
    """What the channel is told."""

    success: Literal[True] = True


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


@router.post("/webhook", responses=refusals(SignatureInvalid, TooLarge, SpoolFull))
@router.post("/webhooks/messenger", responses=refusals(SignatureInvalid, TooLarge, SpoolFull))
@router.post("/webhooks/instagram", responses=refusals(SignatureInvalid, TooLarge, SpoolFull))
async def receive_from_meta(
    request: Request,
    channels: Connected,
    intake: Annotated[Intake, Depends(_intake)],
    settings: Configured,
    metrics: Counted,
) -> Received:
    """Messages, echoes, receipts and whatever else Meta reports: verified, kept, then acknowledged."""
    body = await request.body()
    await reach("after_body_read")
    channel = channels.messenger
    try:
        channel.verify(request.headers, body)
    except SignatureInvalid:
        metrics.webhooks.labels("meta", "forged").inc()
        raise
    inbound = channel.parse(body)
    platform = inbound[0].platform if inbound else "messenger"
    where = await intake.accept(platform, body, inbound, settings.facebook_app_id)
    metrics.webhooks.labels(platform, where).inc()
    log.info("webhook", platform=platform, events=len(inbound), where=where)
    return Received()
