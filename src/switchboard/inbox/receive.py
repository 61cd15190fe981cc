"""One verified webhook body becomes one statement."""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import orjson

from switchboard.channels import Inbound
from switchboard.database import Database
from switchboard.failpoints import reach

BATCH = 1000
"""Events in one statement; Meta sends no more than that in one webhook."""


async def receive(
    database: Database, platform: str, body: bytes, inbound: Sequence[Inbound], app_id: str | None
) -> Any:
    """Stores what a webhook reports, each message once, and keeps its raw body.

    Returns {received: messages stored, due_in: seconds until the first answer is due, or None}.
    """
    events = [_event(one, app_id) for one in inbound]
    await reach("before_inbox_commit")
    outcome = {"received": 0, "due_in": None}
    for start in range(0, max(len(events), 1), BATCH):
        stored = await database.call(
            "receive_messages",
            platform=platform,
            bodies=_bodies(body, inbound) if start == 0 else [],
            events=events[start : start + BATCH],
        )
        soonest = [due for due in (outcome["due_in"], stored["due_in"]) if due is not None]
        outcome = {
            "received": outcome["received"] + stored["received"],
            "due_in": min(soonest) if soonest else None,
        }
    await reach("after_inbox_commit")
    return outcome


def _event(one: Inbound, app_id: str | None) -> dict[str, Any]:
    event = asdict(one)
    event["at"] = one.at.isoformat() if one.at else None
    if one.kind == "echo" and app_id is not None:
        # Sent by our app but not by this installation: another copy of us, not a person.
        event["data"] = {**one.data, "own": one.data.get("app_id") == app_id}
    return event


def _bodies(body: bytes, inbound: Sequence[Inbound]) -> list[dict[str, str]]:
    """The raw body, or where it concerns several accounts, each one's own events: nobody keeps another's messages."""
    accounts = sorted({one.account for one in inbound}) or [""]
    if len(accounts) == 1:
        return [{"account": accounts[0], "body": b64encode(body).decode()}]
    return [
        {
            "account": account,
            "body": b64encode(orjson.dumps([asdict(one) for one in inbound if one.account == account])).decode(),
        }
        for account in accounts
    ]
