"""A person answers from the admin panel."""

import secrets
from base64 import b64decode
from collections.abc import Sequence
from typing import Annotated, Any, Self

import structlog
from fastapi import APIRouter, Depends, Path
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)

from switchboard import clock
from switchboard.auth import require
from switchboard.channels.registry import Channels
from switchboard.conversations.shapes import MessageAnswer
from switchboard.database import Row
from switchboard.dependencies import Asking, Connected, Data, DeliveriesBell, FileLinks, Files, people_act
from switchboard.errors import Conflict, FetchRefused, Forbidden, Invalid, NotFound, Unavailable
from switchboard.http.problems import REFUSALS, refusals
from switchboard.http.strict_json import StrictRoute
from switchboard.storage import Storage
from switchboard.storage.keep import keep

router = APIRouter(
    prefix="/admin",
    tags=["admin"],
    route_class=StrictRoute,
    responses=REFUSALS,
    dependencies=[Depends(people_act)],
)

log = structlog.get_logger()


def _from_base64(value: object) -> bytes:
    """Strictly: a character that does not belong is a file that is not whole."""
    try:
        return b64decode(value if isinstance(value, str) else "-", validate=True)
    except ValueError:
        raise ValueError("This is no base64") from None


class Upload(BaseModel):
    """A file to send, its bytes in base64; what it is, the bytes tell."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True)]
    content: Annotated[
        bytes, BeforeValidator(_from_base64), WithJsonSchema({"type": "string", "contentEncoding": "base64"})
    ]


class Reply(BaseModel):
    """What a person says to the customer: a text, files, or both, the text first."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"content": "Hello, this is Anna."}})

    content: Annotated[str, StringConstraints(max_length=20_000, strip_whitespace=True)] = ""
    attachments: list[Upload] = Field(
        default_factory=list[Upload], max_length=10, description="Files; together they may fill MAX_BODY_BYTES."
    )

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.content and not self.attachments:
            raise ValueError("say something, or attach a file")
        return self


@router.post("/conversations/{conversation_id}/messages", status_code=201, responses=refusals(Conflict))
async def send_message(
    caller: Asking,
    database: Data,
    channels: Connected,
    bell: DeliveriesBell,
    files: Files,
    links: FileLinks,
    conversation_id: Annotated[int, Path(ge=1, le=2**53)],
    body: Reply,
) -> MessageAnswer:
    """Sends a person's reply, which takes the conversation over: an AI reply not yet on its way is not sent."""
    conversation = await database.call("get_conversation", caller=caller.as_json(), conversation_id=conversation_id)
    if conversation is None:
        raise NotFound("There is no such conversation.")
    require(caller, conversation["workspace_id"], "support")
    kept = await _keep(files, conversation["workspace_id"], body.attachments)
    try:
        row = await database.call(
            "post_human_reply",
            caller=caller.as_json(),
            conversation_id=conversation_id,
            content=body.content,
            parts=parts_of(channels, conversation, body.content),
            files=kept,
        )
    except (Conflict, Forbidden, NotFound):
        # Nobody will ever ask for them. After other failures they may be part of a message, or stay behind.
        await _drop(files, kept)
        raise
    bell.ring()
    links.add([row], clock.now())
    return MessageAnswer(message=row)


def parts_of(channels: Channels, conversation: Row, text: str) -> list[str]:
    """What has to be sent of a text in a conversation; nothing where a program reads it from the API."""
    if conversation["account"].startswith("workspace:"):
        return []
    platform = conversation["platform"]
    sender = channels.senders.get("messenger" if platform == "facebook" else platform)
    return sender.split(text) if sender else [text]


async def _keep(files: Storage, workspace_id: int, uploads: Sequence[Upload]) -> list[dict[str, Any]]:
    """The files in storage. Raises `Invalid` for one that is not kept; none is then."""
    kept: list[dict[str, Any]] = []
    for place, upload in enumerate(uploads):
        key = f"attachments/{workspace_id}/sent-{secrets.token_hex(16)}"
        try:
            kept.append(await keep(files, key, upload.content, upload.name, None))
        except FetchRefused as error:
            await _drop(files, kept)
            raise Invalid(errors=[{"field": f"attachments.{place}.content", "message": error.message}]) from error
    return kept


async def _drop(files: Storage, kept: Sequence[dict[str, Any]]) -> None:
    for one in kept:
        try:
            await files.delete(one["storage_key"])
        except Unavailable as error:
            log.warning("a file that nobody needs stays in storage", key=one["storage_key"], code=error.code)
