"""Which channels this installation has."""

from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp
from pydantic import SecretStr

from switchboard.channels import Channel
from switchboard.channels.instagram import Instagram, is_own_token
from switchboard.channels.messenger import Messenger
from switchboard.channels.telegram import Telegram
from switchboard.settings import Settings

INSTAGRAM_GRAPH_URL = "https://graph.instagram.com/v23.0"


@dataclass(frozen=True, slots=True)
class Channels:
    """The channels by platform.

    ``senders``: all of them. ``messenger``: also verifies and parses Instagram's webhooks, and has the handshake.
    ``telegram``: also answers taps on buttons.
    """

    messenger: Messenger
    telegram: Telegram
    senders: Mapping[str, Channel]

    async def close(self) -> None:
        """Closes each of them."""
        for channel in self.senders.values():
            await channel.close()


def open_channels(settings: Settings, http: aiohttp.ClientSession) -> Channels:
    """The channels as set; ``http`` stays the caller's.

    A channel without its settings is there as well: it refuses every webhook, and every send says which variable is
    missing. Raises `Misconfigured` if one of the addresses, the bot's token or its secret cannot be one.
    """
    messenger = Messenger(
        app_secret=_revealed(settings.facebook_app_secret),
        instagram_app_secret=_revealed(settings.instagram_app_secret),
        verify_token=_revealed(settings.facebook_verify_token),
        instagram_verify_token=_revealed(settings.instagram_verify_token),
        app_id=settings.facebook_app_id,
        graph_url=settings.facebook_graph_url,
        page_tokens=_tokens(settings.facebook_page_id, settings.facebook_page_access_token),
        http=http,
    )
    telegram = Telegram(
        bot_token=_revealed(settings.telegram_bot_token),
        secret_token=_revealed(settings.telegram_secret_token),
        api_url=settings.telegram_api_url,
        http=http,
    )
    senders: dict[str, Channel] = {
        "messenger": messenger,
        "instagram": _instagram(settings, http),
        "telegram": telegram,
    }
    return Channels(messenger=messenger, telegram=telegram, senders=senders)


def _instagram(settings: Settings, http: aiohttp.ClientSession) -> Instagram:
    own = is_own_token(_revealed(settings.instagram_access_token) or "")
    return Instagram(
        app_secret=_revealed(settings.facebook_app_secret),
        instagram_app_secret=_revealed(settings.instagram_app_secret),
        graph_url=settings.instagram_graph_url or (INSTAGRAM_GRAPH_URL if own else settings.facebook_graph_url),
        account_tokens=_tokens(settings.instagram_account_id, settings.instagram_access_token),
        http=http,
    )


def _tokens(account: str | None, token: SecretStr | None) -> dict[str, str]:
    revealed = _revealed(token)
    return {account: revealed} if account and revealed else {}


def _revealed(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret else None
