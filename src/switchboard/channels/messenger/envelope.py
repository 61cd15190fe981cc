"""Who, with whom and when: what every event of a webhook has around it, and how one that is not understood is kept."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from switchboard.channels import Inbound, Kind
from switchboard.channels.document import Cleaner, is_object
from switchboard.channels.fields import Broken, Fields


@dataclass(frozen=True, slots=True)
class Source:
    """Where an event stands: the platform and account of its entry, or the ``fault`` that makes them unusable.

    ``tidy`` and ``repaired`` as in `Document`.
    """

    platform: str
    account: str
    fault: str
    tidy: bool
    repaired: bool


class Event(NamedTuple):
    """An event whose envelope is understood. ``ours``: the account itself did it, not the customer."""

    fields: Fields
    customer: str
    at: datetime | None
    ours: bool


class Report(NamedTuple):
    """What an event says, before it is put into its `Inbound`; tuples, because a thousand may come in one body."""

    kind: Kind
    data: dict[str, Any]
    external_id: str | None = None
    text: str = ""
    reply_to: str | None = None


def open_envelope(payload: Any, source: Source, cleaner: Cleaner) -> Event:
    """The event's parties and time. Raises `Broken`."""
    fields = Fields(payload, "", cleaner)
    sender = _party(fields, "sender")
    at = fields.moment("timestamp")
    ours = sender == source.account
    customer = sender
    if ours or _is_echo(payload):
        # Meta's older page has the two swapped in echoes: whoever is not the account is the customer
        recipient = _party(fields, "recipient")
        customer = recipient if ours or recipient != source.account else sender
        ours = True
    if customer == source.account:
        raise Broken("the account writes to itself")
    return Event(fields, customer, at, ours)


def unknown(payload: Any, source: Source, reason: str) -> Inbound:
    """What is not understood, with all of its payload and as much about it as can be told."""
    cleaner = Cleaner(tidy=source.tidy, changed=source.repaired)
    try:
        event = open_envelope(payload, source, cleaner)
        customer, at = event.customer, event.at
    except Broken:
        customer, at = "", None
    raw = cleaner.value(payload)
    data: dict[str, Any] = {"reason": cleaner.text(reason)}
    if cleaner.changed:
        data["sanitised"] = True
    return Inbound("unknown", source.platform, source.account, customer, at, data=data, raw=raw)


def _party(fields: Fields, key: str) -> str:
    party = fields.child(key)
    if party is None:
        raise Broken(f"{key} is missing")
    return party.identifier("id")


def _is_echo(payload: dict[str, Any]) -> bool:
    message = payload.get("message")
    return is_object(message) and message.get("is_echo") is True
