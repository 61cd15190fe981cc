"""Which channels this installation has."""

from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp
from pydantic import SecretStr

from switchboard.channels import Channel
from switchboard.channels.messenger import Messenger
from switchboard.settings import Settings


@dataclass(frozen=True, slots=True)
class Channels:
    """The channels by platform.

    ``webhooks``: who verifies and parses what arrives for a platform. ``senders``: who delivers to it; a platform that
    is missing here can be read but not answered. ``messenger``: for the handshake, which only Meta's webhooks have.
    """

    messenger: Messenger
    webhooks: Mapping[str, Channel]
    senders: Mapping[str, Channel]


def open_channels(settings: Settings, http: aiohttp.ClientSession) -> Channels:
    """The channels as set; ``http`` stays the caller's.

    A channel without its settings is there as well: it refuses every webhook, and every send says which variable is
    missing. Raises `Misconfigured` if FACEBOOK_GRAPH_URL is no address.
    """
    messenger = Messenger(
        app_secret=_revealed(settings.facebook_app_secret),
        instagram_app_secret=_revealed(settings.instagram_app_secret),
        verify_token=_revealed(settings.facebook_verify_token),
        app_id=settings.facebook_app_id,
        graph_url=settings.facebook_graph_url,
        page_tokens=_page_tokens(settings),
        http=http,
    )
    return Channels(
        messenger=messenger,
        webhooks={"messenger": messenger, "instagram": messenger},
        senders={"messenger": messenger},
    )


def _page_tokens(settings: Settings) -> dict[str, str]:
    token = _revealed(settings.facebook_page_access_token)
    return {settings.facebook_page_id: token} if settings.facebook_page_id and token else {}


def _revealed(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret else None
