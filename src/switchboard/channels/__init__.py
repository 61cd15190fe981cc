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

Kind = Literal[
    "message", "echo", "postback", "reaction", "edit", "unsend", "read", "delivery", "blocked", "unblocked", "unknown"
]


@dataclass(frozen=True, slots=True)
class Inbound:
    """One thing that happened on a channel.

    ``platform``: `messenger`, `instagram`, … as the payload says. ``account``: the business's id there (page id).
    ``customer``: the person's id there, empty when the payload does not say. ``at``: the channel's own time, UTC.
    ``external_id``: the channel's id of the message concerned (`mid`), the target for edits, reactions and unsends.
    ``data``: what else this kind carries, in our words: ``attachments`` [{type, url or file_id, title}],
    ``customer_name``, ``quick_reply``, ``postback`` {title, payload},
    ``reaction`` {action, emoji}, ``watermark`` (ISO time), ``mids``, ``metadata``,
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
class File:
    """A file to send. ``kind``: image, audio, video or file. ``link``: where a platform may fetch it, for minutes."""

    name: str
    content_type: str
    kind: str
    content: bytes = field(repr=False)
    link: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Location:
    """Where an attachment can be fetched. ``trusted``: the address comes from the settings, not from outside.

    ``url`` may hold a token: it is neither logged nor stored.
    """

    url: str = field(repr=False)
    trusted: bool = False


@dataclass(frozen=True, slots=True)
class Outbound:
    """One message to send: a ``text`` within the channel's limit, or a ``file``.

    ``metadata``: our own mark, returned by the channel's echo. ``tag``: `HUMAN_AGENT` or None.
    """

    account: str
    recipient: str
    text: str
    metadata: str
    tag: Literal["HUMAN_AGENT"] | None = None
    file: File | None = None


@dataclass(frozen=True, slots=True)
class Sent:
    """The channel has it; ``external_id`` is its id there."""

    external_id: str


@dataclass(frozen=True, slots=True)
class Window:
    """How long after the customer's last message an answer is allowed, in seconds; None = for ever."""

    automated: float | None
    people: float | None


@dataclass(frozen=True, slots=True)
class Status:
    """How an account is connected, as its platform sees it. ``problems``: what is wrong, in words; empty if nothing."""

    account: str
    detail: str
    problems: tuple[str, ...] = ()


class Channel(Protocol):
    """One platform. ``accounts``: those it can send as."""

    kind: str
    window: Window

    @property
    def accounts(self) -> list[str]: ...

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

    async def locate(self, account: str, attachment: Mapping[str, Any]) -> Location:
        """Where to fetch an attachment, an element of ``data["attachments"]``. Raises as `send` does."""
        ...

    async def connect(self, public_url: str) -> None:
        """Asks the platform to send us the account's events. Raises as `send` does."""
        ...

    async def status(self, public_url: str | None) -> Status:
        """Whether the platform sends us the account's events. Raises as `send` does."""
        ...

    async def close(self) -> None:
        """Gives back the connections."""
        ...
