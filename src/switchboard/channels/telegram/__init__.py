"""Telegram: a bot's updates become `Inbound`, answers go out through the Bot API, https://core.telegram.org/bots/api.

`verify.py` decides who may speak. `parse.py` says what an update reports, `message.py` what a message holds. `send.py`
speaks to the Bot API and `verdict.py` reads its answer. `subscription.py` sets and checks the webhook.

Promises: a closed door without a secret; an update that is not understood is kept raw; a message is posted once per
call. Telegram tells nobody what became of a send that went unanswered: it stays unknown. Only private chats are
answered; what is said in groups and channels is kept and nothing more. Does not know: settings, the database.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

import aiohttp
import structlog

from switchboard.channels import Inbound, Location, Outbound, Sent, Status, Window
from switchboard.channels.post import address
from switchboard.channels.split import split_text
from switchboard.channels.telegram import parse, subscription, verify
from switchboard.channels.telegram.send import BotApi

TEXT_LIMIT = 4096
"""UTF-16 code units of one message, https://core.telegram.org/bots/api#sendmessage."""

log = structlog.get_logger(__name__)


class Telegram:
    """The `Channel` of one bot; its account is the bot's id, the part of its token before the colon."""

    kind: str = "telegram"
    window: Window = Window(automated=None, people=None)

    def __init__(
        self,
        *,
        bot_token: str | None,
        secret_token: str | None,
        api_url: str,
        http: aiohttp.ClientSession,
        timeout_seconds: float = 10,
    ) -> None:
        """``http`` stays the caller's. Raises `Misconfigured` if the token or the address cannot be one."""
        self._secret_token = verify.checked(secret_token)
        url = address(api_url, setting="TELEGRAM_API_URL")
        self._api = BotApi(http=http, url=url, token=(bot_token or "").strip(), timeout_seconds=timeout_seconds)
        self._courtesies: set[asyncio.Task[None]] = set()

    @property
    def accounts(self) -> list[str]:
        """The bot's id; nothing without a token."""
        return [self._api.bot] if self._api.bot else []

    def verify(self, headers: Mapping[str, str], body: bytes) -> None:
        """Compares `X-Telegram-Bot-Api-Secret-Token` with ours. Raises `SignatureInvalid`."""
        verify.check(self._secret_token, headers)

    def parse(self, body: bytes) -> list[Inbound]:
        """What a verified update reports. Never raises, never leaves anything out."""
        return parse.parse(body, self._api.bot)

    def split(self, text: str) -> list[str]:
        """The text in parts of at most 4096 UTF-16 code units."""
        return split_text(text, TEXT_LIMIT)

    async def send(self, message: Outbound) -> Sent:
        """Posts one message, once. Raises as every channel does; only `DeliveryBusy` is worth another try."""
        return await self._api.send(message)

    async def typing(self, account: str, recipient: str) -> None:
        """Shows for five seconds that an answer is being written."""
        await self._try("sendChatAction", chat_id=recipient, action="typing")

    def acknowledge(self, inbound: Inbound) -> None:
        """Ends the waiting mark on a button that was tapped, in the background; the tap is kept in any case."""
        tap = inbound.data.get("callback_query_id")
        if tap:
            task = asyncio.create_task(self._try("answerCallbackQuery", callback_query_id=tap))
            self._courtesies.add(task)
            task.add_done_callback(self._courtesies.discard)

    async def locate(self, account: str, attachment: Mapping[str, Any]) -> Location:
        """Where the Bot API gives out the file, for an hour; it gives out no file beyond 20 MB."""
        return Location(await self._api.file_address(account, attachment.get("file_id")), trusted=True)

    async def connect(self, public_url: str) -> None:
        """Sets the bot's webhook to `/webhooks/telegram` below ``public_url``."""
        await subscription.connect(self._api, public_url, self._secret_token)

    async def status(self, public_url: str | None) -> Status:
        """What the Bot API says of the webhook."""
        return await subscription.status(self._api, public_url)

    async def close(self) -> None:
        """Ends what is still under way for courtesy; the session was passed in."""
        for task in self._courtesies:
            task.cancel()
        if self._courtesies:
            await asyncio.wait(self._courtesies)

    async def _try(self, method: str, **fields: str) -> None:
        try:
            await self._api.courtesy(method, fields)
        except Exception as error:  # whatever it is, the answer itself matters more and reports its own failure
            log.debug("courtesy_not_shown", method=method, reason=f"{type(error).__name__}: {error}")
