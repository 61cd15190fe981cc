"""Facebook Messenger, and the webhooks of Instagram, which share its endpoint.

`verify.py` decides who may speak. `parse.py` says what a webhook reports: entries, in them events (`envelope.py`,
`events.py`, `message.py`), read through `document.py` and `fields.py`, which make any bytes storable. `send.py` speaks
to the Graph API and `verdict.py` reads its answer.

Promises: a closed door without a secret; nothing that was signed is lost; a message is posted once per call, and only
Graph's own words count as a refusal. Instagram is received but not sent to. Does not know: settings, the database.
"""

from collections.abc import Mapping

import aiohttp
import structlog
from yarl import URL

from switchboard.channels import Inbound, Outbound, Sent, Window
from switchboard.channels.messenger import parse, verify
from switchboard.channels.messenger.send import Graph
from switchboard.channels.split import split_text
from switchboard.errors import Misconfigured

TEXT_LIMIT = 2000
"""Characters of one message, https://developers.facebook.com/docs/messenger-platform/reference/send-api.

The page says "UTF-8" and means characters; they are counted as UTF-16 code units, the strictest way to count them.
"""

log = structlog.get_logger(__name__)


class Messenger:
    """The `Channel` of one Meta app.

    Answers are allowed for 24 hours after the customer's last message, and for 7 days when a person writes them with
    the tag `HUMAN_AGENT`, https://developers.facebook.com/docs/messenger-platform/policy.
    """

    kind: str = "messenger"
    window: Window = Window(automated=86_400, people=7 * 86_400)

    def __init__(
        self,
        *,
        app_secret: str | None,
        instagram_app_secret: str | None,
        verify_token: str | None,
        app_id: str | None,
        graph_url: str,
        page_tokens: Mapping[str, str],
        http: aiohttp.ClientSession,
        timeout_seconds: float = 10,
    ) -> None:
        """``page_tokens``: page id -> access token. ``http`` stays the caller's, who closes it.

        ``http`` should keep idle connections for seconds only (aiohttp's 15 are fine): what becomes of a request
        written to a connection that the other side has just closed is unknown. Raises `Misconfigured` if ``graph_url``
        is no address.
        """
        self.app_id = app_id
        self._signatures = verify.Signatures(app_secret=app_secret, instagram_app_secret=instagram_app_secret)
        self._verify_token = verify_token
        self._graph = Graph(
            http=http,
            url=_address(graph_url),
            tokens={page: token.strip() for page, token in page_tokens.items()},
            app_secret=app_secret,
            timeout_seconds=timeout_seconds,
        )

    def handshake(self, mode: str | None, token: str | None, challenge: str | None) -> str:
        """The answer to Meta's `GET`: the challenge, to be sent as text/plain with status 200.

        Raises `SignatureInvalid` if the token is wrong or none is set, `Invalid` if the rest is not as Meta sends it.
        """
        return verify.handshake(self._verify_token, mode=mode, token=token, challenge=challenge)

    def verify(self, headers: Mapping[str, str], body: bytes) -> None:
        """Checks `X-Hub-Signature-256` over the raw bytes. Raises `SignatureInvalid`."""
        self._signatures.check(headers, body)

    def parse(self, body: bytes) -> list[Inbound]:
        """What a verified body reports, in its order. Never raises, never leaves anything out."""
        return parse.parse(body)

    def split(self, text: str) -> list[str]:
        """The text in parts of at most 2000 characters."""
        return split_text(text, TEXT_LIMIT)

    async def send(self, message: Outbound) -> Sent:
        """Posts one message, once. Raises as every channel does; only `DeliveryBusy` is worth another try."""
        return await self._graph.send(message)

    async def typing(self, account: str, recipient: str) -> None:
        """Shows that an answer is being written."""
        try:
            await self._graph.typing(account, recipient)
        except Exception as error:  # whatever it is, the answer itself matters more and reports its own failure
            log.debug("typing_not_shown", account=account, reason=f"{type(error).__name__}: {error}")

    async def close(self) -> None:
        """Does nothing: the session was passed in."""


def _address(graph_url: str) -> URL:
    try:
        url = URL(graph_url)
    except ValueError:
        url = URL()
    if url.scheme not in {"http", "https"} or not url.host:
        raise Misconfigured(f"FACEBOOK_GRAPH_URL: {graph_url!r} is no http(s) address")
    return url
