"""What a kept webhook reports, in the form in which `sort_inbox` takes it."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
import structlog

from switchboard.channels import Channel, Inbound

_OPTIONAL = ("at", "external_id", "reply_to", "raw")
log = structlog.get_logger()


class Reader:
    """Reads webhooks with the channels they came by."""

    def __init__(self, channels: Mapping[str, Channel], app_id: str | None) -> None:
        """``app_id``: our own app's at Meta, by which echoes of our own sends are told from people's."""
        self._channels = channels
        self._app_id = app_id

    def read(self, webhook: Mapping[str, Any]) -> dict[str, Any]:
        """{id, parts [{platform, account, body, events}]} of a row of `unsorted_webhooks`; there is always a part.

        A webhook that concerns several accounts falls into parts, each with its own events as ``body`` (in hex), so
        that nobody keeps another's messages; otherwise ``body`` is None, and the one that came is kept.
        """
        body, platform = bytes.fromhex(webhook["body"]), webhook["platform"]
        try:
            inbound = self._channels[platform].parse(body)
        except Exception as error:  # one that a fault of ours cannot read must not stand in the way of all others
            log.exception("a webhook cannot be read", id=webhook["id"])
            reason = f"it could not be read: {type(error).__name__}"
            inbound = [Inbound("unknown", platform, "", "", None, data={"reason": reason})]
        return {"id": webhook["id"], "parts": self._parts(platform, inbound)}

    def _parts(self, platform: str, inbound: Sequence[Inbound]) -> list[dict[str, Any]]:
        events: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for one in inbound:
            events.setdefault((one.platform, one.account), []).append(self._event(one))
        return [
            {
                "platform": of,
                "account": account,
                "body": None if len(events) < 2 else orjson.dumps(own).hex(),
                "events": own,
            }
            for (of, account), own in (events or {(platform, ""): []}).items()
        ]

    def _event(self, one: Inbound) -> dict[str, Any]:
        # By hand and without what is null: of a thousand events in one body, copies and nulls cost more than the rest.
        event = {
            "kind": one.kind,
            "platform": one.platform,
            "account": one.account,
            "customer": one.customer,
            "text": one.text,
            "data": one.data,
        }
        for name in _OPTIONAL:
            if (value := getattr(one, name)) is not None:
                event[name] = value
        if one.kind == "echo" and self._app_id is not None:
            # Sent by our app but not by this installation: another copy of us, not a person.
            event["data"] = {**one.data, "own": one.data.get("app_id") == self._app_id}
        return event
