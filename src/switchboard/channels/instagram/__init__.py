"""Instagram: received and sent to as Messenger is, by its own limits.

What differs: texts of at most 1000 bytes; no mark of ours on a message, so that an echo is known by its id or its text
(`is_own_echo` in SQL); echoes come with the messages; a read names a message; files are fetched from us by link; and
with *Instagram login* the API is on a host of its own.

Promises what `channels.messenger` promises. Does not know: settings, the database.
"""

import aiohttp

from switchboard.channels.messenger.meta import Meta
from switchboard.channels.messenger.send import Graph
from switchboard.channels.messenger.verify import Signatures
from switchboard.channels.post import address
from switchboard.channels.split import split_text, utf8_bytes

TEXT_LIMIT = 1000
"""Bytes of UTF-8 in one message, https://developers.facebook.com/docs/messenger-platform/instagram/features/send-message.

The page says bytes in one place and characters in another; bytes keep both.
"""
FIELDS = ("messages", "messaging_postbacks", "messaging_seen", "message_reactions")
PAGE_FIELDS = ("messages", "messaging_postbacks")
"""With a page's token it is the page that is subscribed: Instagram's own fields are chosen in the app's dashboard."""


class Instagram(Meta):
    """The `Channel` of one Instagram account."""

    kind: str = "instagram"

    def __init__(
        self,
        *,
        app_secret: str | None,
        instagram_app_secret: str | None,
        graph_url: str,
        account_tokens: dict[str, str],
        http: aiohttp.ClientSession,
        timeout_seconds: float = 10,
    ) -> None:
        """``account_tokens``: account id -> access token, of the account itself or of the page it is linked to.

        Raises `Misconfigured` if ``graph_url`` is no address.
        """
        tokens = {account: token.strip() for account, token in account_tokens.items()}
        own = any(is_own_token(token) for token in tokens.values())
        graph = Graph(
            http=http,
            url=address(graph_url, setting="INSTAGRAM_GRAPH_URL"),
            tokens=tokens,
            app_secret=(instagram_app_secret or app_secret) if own else app_secret,
            timeout_seconds=timeout_seconds,
            setting="INSTAGRAM_ACCESS_TOKEN",
            node="me",
            marks=False,
            uploads=False,
        )
        signatures = Signatures(app_secret=app_secret, instagram_app_secret=instagram_app_secret)
        super().__init__(signatures, graph, FIELDS if own else PAGE_FIELDS)

    def split(self, text: str) -> list[str]:
        """The text in parts of at most 1000 bytes."""
        return split_text(text, TEXT_LIMIT, utf8_bytes)


def is_own_token(token: str) -> bool:
    """Whether a token comes from Instagram login, which has an API of its own; a page's token begins with EAA."""
    return token.startswith("IG")
