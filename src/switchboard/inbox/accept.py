"""One verified webhook becomes one durable row: in the database, or while that is away in the spool."""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Literal

import orjson
import structlog

from switchboard.bell import Bell
from switchboard.channels import Inbound
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

    async def accept(
        self, platform: str, body: bytes, inbound: Sequence[Inbound], app_id: str | None
    ) -> Literal["stored", "spooled"]:
        """Returns when the webhook is durable. Raises `Unavailable` when neither database nor spool can take it."""
        entries = entries_of(body, inbound, app_id)
        await reach("before_inbox_commit")
        where = await self._put(platform, entries)
        await reach("after_inbox_commit")
        return where

    async def _put(self, platform: str, entries: list[dict[str, Any]]) -> Literal["stored", "spooled"]:
        # Behind those that wait already, so that the order stays and nobody waits for a database that is known away.
        if not self._spool.waiting:
            try:
                await self._database.call("accept_webhook", platform=platform, entries=entries)
            except Unavailable as error:
                log.warning("webhook spooled", code=error.code)
            else:
                self._sort_bell.ring()
                return "stored"
        await self._spool.add(platform, orjson.dumps(entries))
        self._spool_bell.ring()
        return "spooled"


def entries_of(body: bytes, inbound: Sequence[Inbound], app_id: str | None) -> list[dict[str, Any]]:
    """What `accept_webhook` keeps: the raw body and what was read in it.

    A body that concerns several accounts is kept as each one's own events: nobody keeps another's messages.
    """
    accounts = sorted({one.account for one in inbound}) or [""]
    events = {account: [_event(one, app_id) for one in inbound if one.account == account] for account in accounts}
    return [
        {
            "account": account,
            "body": b64encode(body if len(accounts) == 1 else orjson.dumps(events[account])).decode(),
            "events": events[account],
        }
        for account in accounts
    ]


def _event(one: Inbound, app_id: str | None) -> dict[str, Any]:
    event = asdict(one)
    event["at"] = one.at.isoformat() if one.at else None
    if one.kind == "echo" and app_id is not None:
        # Sent by our app but not by this installation: another copy of us, not a person.
        event["data"] = {**one.data, "own": one.data.get("app_id") == app_id}
    return event
