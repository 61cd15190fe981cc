"""One verified webhook becomes one durable row, as it came: in the database, or while that is away in the spool."""

from base64 import b64encode
from typing import Any, Literal

import orjson
import structlog

from switchboard.bell import Bell
from switchboard.database import Database
from switchboard.errors import Unavailable
from switchboard.failpoints import reach
from switchboard.inbox.spool import Spool

log = structlog.get_logger()


class Intake:
    """Where verified webhooks go. ``database`` is reached through connections that nothing else uses."""

    def __init__(self, database: Database, spool: Spool, *, sort_bell: Bell, spool_bell: Bell) -> None:
        self._database = database
        self._spool = spool
        self._sort_bell = sort_bell
        self._spool_bell = spool_bell

    async def accept(self, channel: str, body: bytes) -> Literal["stored", "spooled"]:
        """Returns when the webhook is durable. ``channel``: whose webhook it is, a key of `Channels.senders`.

        Raises `Unavailable` when neither database nor spool can take it.
        """
        webhook = {"platform": channel, **_as_json(body)}
        await reach("before_inbox_commit")
        where = await self._put(webhook)
        await reach("after_inbox_commit")
        return where

    async def _put(self, webhook: dict[str, Any]) -> Literal["stored", "spooled"]:
        # Behind those that wait already, so that the order stays and nobody waits for a database that is known away.
        if not await self._spool.occupied():
            try:
                await self._database.call("accept_webhook", **webhook)
            except Unavailable as error:
                log.warning("webhook spooled", code=error.code)
            else:
                self._sort_bell.ring()
                return "stored"
        await self._spool.add("accept_webhook", orjson.dumps(webhook))
        self._spool_bell.ring()
        return "spooled"


def _as_json(body: bytes) -> dict[str, str | None]:
    """As text where that is the same bytes again, which spares coding and decoding them; else in base64."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        return {"text": None, "body": b64encode(body).decode()}
    return {"text": text, "body": None}
