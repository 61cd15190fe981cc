"""Channels: what a platform sends us becomes `Inbound`, what we answer is sent as `Outbound`.

Promises: `verify` and `parse` are pure; only `send` and `typing` wait for the network. Parsing never raises for a body
that was validly signed: what is not understood comes back as an `Inbound` of kind ``unknown`` with its raw payload.

`send` raises `DeliveryBusy` (with ``retry_after`` in seconds), `DeliveryUnknown` (may have arrived), `DeliveryRefused`,
`WindowClosed`, `RecipientUnreachable` or `ChannelBroken`. Does not know: conversations, providers, the database.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

Kind = Literal["message", "echo", "postback", "reaction", "edit", "unsend", "read", "delivery", "unknown"]


@dataclass(frozen=True, slots=True)
class Inbound:
    """One thing that happened on a channel.

    ``platform``: `messenger`, `instagram`, … as the payload says. ``account``: the business's id there (page id).
    ``customer``: the person's id there, empty when the payload does not say. ``at``: the channel's own time, UTC.
    ``external_id``: the channel's id of the message concerned (`mid`), the target for edits, reactions and unsends.
    ``data``: what else this kind carries, in our words: ``attachments`` [{type, url, title}], ``quick_reply``,
    ``postback`` {title, payload}, ``reaction`` {action, emoji}, ``watermark`` (ISO time), ``mids``, ``metadata``,
    ``app_id`` (of an echo, as text), ``sanitised`` (true when NUL or lone surrogates were replaced), ``truncated``.
    ``raw``: the payload of this one event, kept for ``unknown`` only.
    """

    kind: Kind
    platform: str
    account: str
    customer: str
    at: datetime | None
    external_id: str | None = None
    text: str = ""
    reply_to: str | None = None
    data: dict[str, Any] = field(default_factory=dict[str, Any])
    raw: Any = None


@dataclass(frozen=True, slots=True)
class Outbound:
    """One message to send; ``text`` is within the channel's limit.

    ``metadata``: our own mark, returned by the channel's echo. ``tag``: `HUMAN_AGENT` or None.
    """

    account: str
    recipient: str
    text: str
    metadata: str
    tag: Literal["HUMAN_AGENT"] | None = None


@dataclass(frozen=True, slots=True)
class Sent:
    """The channel has it; ``external_id`` is its id there."""

    external_id: str


@dataclass(frozen=True, slots=True)
class Window:
    """How long after the customer's last message an answer is allowed, in seconds; None = for ever."""

    automated: float | None
    people: float | None


class Channel(Protocol):
    """One platform."""

    kind: str
    window: Window

    def verify(self, headers: Mapping[str, str], body: bytes) -> None:
        """Checks the signature over the raw bytes. Raises `SignatureInvalid`, also when no secret is set."""
        ...

    def parse(self, body: bytes) -> list[Inbound]:
        """What the body reports, in its order."""
        ...

    def split(self, text: str) -> list[str]:
        """The text in parts the channel takes, cut at sentences or lines and never inside a grapheme."""
        ...

    async def send(self, message: Outbound) -> Sent:
        """Sends one message, once."""
        ...

    async def typing(self, account: str, recipient: str) -> None:
        """Shows that an answer is being written. Never raises: it is a courtesy."""
        ...

    async def close(self) -> None:
        """Gives back the connections."""
        ...
