"""What Messenger and Instagram share: signatures, webhooks, the Graph API and the app's subscription."""

from collections.abc import Mapping, Sequence
from typing import Any

import structlog

from switchboard.channels import Inbound, Location, Outbound, Sent, Status, Window
from switchboard.channels.document import is_list, is_object
from switchboard.channels.messenger import parse
from switchboard.channels.messenger.send import Graph
from switchboard.channels.messenger.verify import Signatures
from switchboard.errors import DeliveryRefused

log = structlog.get_logger(__name__)


class Meta:
    """A `Channel` of Meta's, but for its name and limits.

    Answers are allowed for 24 hours after the customer's last message, and for 7 days when a person writes them with
    the tag `HUMAN_AGENT`, https://developers.facebook.com/docs/messenger-platform/policy.
    """

    window: Window = Window(automated=86_400, people=7 * 86_400)

    def __init__(self, signatures: Signatures, graph: Graph, fields: Sequence[str]) -> None:
        """``fields``: what the app has to be subscribed to."""
        self._signatures = signatures
        self._graph = graph
        self._fields = fields

    @property
    def accounts(self) -> list[str]:
        """The accounts there is a token for."""
        return sorted(self._graph.tokens)

    def verify(self, headers: Mapping[str, str], body: bytes) -> None:
        """Checks `X-Hub-Signature-256` over the raw bytes. Raises `SignatureInvalid`."""
        self._signatures.check(headers, body)

    def parse(self, body: bytes) -> list[Inbound]:
        """What a verified body reports, in its order. Never raises, never leaves anything out."""
        return parse.parse(body)

    async def send(self, message: Outbound) -> Sent:
        """Posts one message, once. Raises as every channel does; only `DeliveryBusy` is worth another try."""
        return await self._graph.send(message)

    async def typing(self, account: str, recipient: str) -> None:
        """Shows that an answer is being written."""
        try:
            await self._graph.typing(account, recipient)
        except Exception as error:  # whatever it is, the answer itself matters more and reports its own failure
            log.debug("typing_not_shown", account=account, reason=f"{type(error).__name__}: {error}")

    async def locate(self, account: str, attachment: Mapping[str, Any]) -> Location:
        """Where Meta keeps the attachment; the link holds for days at most."""
        url = attachment.get("url")
        if not isinstance(url, str) or not url:
            raise DeliveryRefused("Meta gave no address for this attachment.")
        return Location(url)

    async def connect(self, public_url: str) -> None:
        """Subscribes the app to the account; the address itself is set in the app's dashboard.

        https://developers.facebook.com/docs/graph-api/reference/page/subscribed_apps
        """
        for account in self.accounts:
            await self._graph.ask("POST", account, "subscribed_apps", subscribed_fields=",".join(self._fields))

    async def status(self, public_url: str | None) -> Status:
        """Whether the app hears of the account's messages: Meta ends that after an hour of failed webhooks."""
        account = self.accounts[0]
        apps = (await self._graph.ask("GET", account, "subscribed_apps")).get("data")
        heard = {field for app in (apps if is_list(apps) else []) if is_object(app) for field in _fields(app)}
        missing = [field for field in self._fields if field not in heard]
        if not heard:
            return Status(account, "not subscribed", ("the app is not subscribed: run `switchboard channels connect`",))
        problems = (f"not subscribed to {', '.join(missing)}",) if missing else ()
        return Status(account, f"subscribed to {', '.join(sorted(heard))}", problems)

    async def close(self) -> None:
        """Does nothing: the session was passed in."""


def _fields(app: dict[str, Any]) -> list[str]:
    fields = app.get("subscribed_fields")
    return [field for field in fields if isinstance(field, str)] if is_list(fields) else []
