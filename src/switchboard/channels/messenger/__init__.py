"""Facebook Messenger, and what Instagram has in common with it: one endpoint for webhooks, one form of sending.

`verify.py` decides who may speak. `parse.py` says what a webhook reports: entries, in them events (`envelope.py`,
`events.py`, `message.py`). `send.py` speaks to the Graph API and `verdict.py` reads its answer. `meta.py` joins them.

Promises: a closed door without a secret; nothing that was signed is lost; a message is posted once per call, and only
Graph's own words count as a refusal. Does not know: settings, the database.
"""

from collections.abc import Mapping

import aiohttp

from switchboard.channels.messenger import verify
from switchboard.channels.messenger.meta import Meta
from switchboard.channels.messenger.send import Graph
from switchboard.channels.messenger.verify import Signatures
from switchboard.channels.post import address
from switchboard.channels.split import split_text

TEXT_LIMIT = 2000
"""Characters of one message, https://developers.facebook.com/docs/messenger-platform/reference/send-api.

The page says "UTF-8" and means characters; they are counted as UTF-16 code units, the strictest way to count them.
"""
FIELDS = (
    "messages",
    "messaging_postbacks",
    "message_echoes",
    "message_deliveries",
    "message_reads",
    "message_reactions",
    "message_edits",
)
"""What a page is subscribed to; without echoes nobody hears that a person answers in Facebook's own inbox."""


class Messenger(Meta):
    """The `Channel` of the pages of one Meta app."""

    kind: str = "messenger"

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
        instagram_verify_token: str | None = None,
    ) -> None:
        """``page_tokens``: page id -> access token. ``http`` stays the caller's, who closes it.

        ``http`` should keep idle connections for seconds only (aiohttp's 15 are fine): what becomes of a request
        written to a connection that the other side has just closed is unknown. Raises `Misconfigured` if ``graph_url``
        is no address.
        """
        self.app_id = app_id
        self._verify_tokens = tuple(token for token in (verify_token, instagram_verify_token) if token)
        graph = Graph(
            http=http,
            url=address(graph_url, setting="FACEBOOK_GRAPH_URL"),
            tokens={page: token.strip() for page, token in page_tokens.items()},
            app_secret=app_secret,
            timeout_seconds=timeout_seconds,
        )
        signatures = Signatures(app_secret=app_secret, instagram_app_secret=instagram_app_secret)
        super().__init__(signatures, graph, FIELDS)

    def handshake(self, mode: str | None, token: str | None, challenge: str | None) -> str:
        """The answer to Meta's `GET`: the challenge, to be sent as text/plain with status 200.

        Raises `SignatureInvalid` if the token is wrong or none is set, `Invalid` if the rest is not as Meta sends it.
        """
        return verify.handshake(self._verify_tokens, mode=mode, token=token, challenge=challenge)

    def split(self, text: str) -> list[str]:
        """The text in parts of at most 2000 characters."""
        return split_text(text, TEXT_LIMIT)
