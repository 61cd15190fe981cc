"""Asking the Bot API, `POST /bot<token>/<method>`, and knowing what became of it.

The token is part of the address: no error and no log line may hold one. Only an answer in Telegram's own form is
believed; without one the message may have arrived, and that is `DeliveryUnknown`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
from yarl import URL

from switchboard.channels import File, Outbound, Sent
from switchboard.channels.document import is_object
from switchboard.channels.post import Answer, number, post
from switchboard.channels.telegram.verdict import understand
from switchboard.errors import ChannelBroken, DeliveryRefused, DeliveryUnknown, Misconfigured

COURTESY_SECONDS = 2.0
_TOKEN = re.compile(r"(\d{1,20}):[A-Za-z0-9_-]{10,}")
_PATH = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*(?:/[A-Za-z0-9_-][A-Za-z0-9_.-]*)*")
_METHODS: Final[Mapping[str, tuple[str, str]]] = {
    "image/jpeg": ("sendPhoto", "photo"),
    "image/png": ("sendPhoto", "photo"),
    "video/mp4": ("sendVideo", "video"),
    "audio/mpeg": ("sendAudio", "audio"),
    "audio/mp4": ("sendAudio", "audio"),
}
"""Types that Telegram shows; everything else goes as a document."""


@dataclass(frozen=True, slots=True)
class BotApi:
    """The Bot API as one bot. Raises `Misconfigured` for a token that BotFather cannot have given."""

    http: aiohttp.ClientSession
    url: URL
    token: str
    timeout_seconds: float

    def __post_init__(self) -> None:
        if self.token and not _TOKEN.fullmatch(self.token):
            raise Misconfigured("TELEGRAM_BOT_TOKEN is not of the form 123456:ABC…, as BotFather gives it.")

    @property
    def bot(self) -> str:
        """The bot's id; empty without a token."""
        return self.token.partition(":")[0]

    async def send(self, message: Outbound) -> Sent:
        """Posts one message, once: nothing here tries again."""
        self._require(message.account)
        if message.file is None:
            method, body = "sendMessage", {"json": {"chat_id": message.recipient, "text": message.text}}
        else:
            method, body = _upload(message.recipient, message.file)
        sent = await self.ask(method, **body)
        identifier = number(sent.get("message_id")) if is_object(sent) else None
        if identifier is None:
            raise DeliveryUnknown("The Bot API took the message and gave no id: is TELEGRAM_API_URL right?")
        return Sent(f"{self.bot}:{message.recipient}:{identifier}")

    async def courtesy(self, method: str, fields: Mapping[str, str]) -> None:
        """Asks for something that does not matter much; what is answered does not matter at all."""
        await self._post(method, min(COURTESY_SECONDS, self.timeout_seconds), json=dict(fields))

    async def ask(self, method: str, **request: Any) -> Any:
        """The ``result`` of a method. Raises as `send` does."""
        return understand(await self._post(method, self.timeout_seconds, **request), token=self.token)

    async def file_address(self, account: str, file_id: object) -> str:
        """Where a file can be fetched; the address holds the token."""
        self._require(account)
        if not isinstance(file_id, str) or not file_id:
            raise DeliveryRefused("Telegram gave no file for this attachment.")
        found = await self.ask("getFile", json={"file_id": file_id})
        path = found.get("file_path") if is_object(found) else None
        if not isinstance(path, str) or not _PATH.fullmatch(path):
            raise DeliveryRefused("Telegram gives out no file this large, or none any more.")
        return str(self.url.joinpath("file", f"bot{self.token}", *path.split("/")))

    def _require(self, account: str) -> None:
        if not self.bot or account != self.bot:
            raise ChannelBroken(f"There is no token for the bot {account}: set TELEGRAM_BOT_TOKEN.")

    async def _post(self, method: str, seconds: float, **request: Any) -> Answer:
        if not self.token:
            raise ChannelBroken("There is no bot: set TELEGRAM_BOT_TOKEN.")
        address = self.url.joinpath(f"bot{self.token}", method)
        return await post(self.http, address, api="Bot API", seconds=seconds, **request)


def _upload(recipient: str, file: File) -> tuple[str, dict[str, Any]]:
    method, field = _METHODS.get(file.content_type, ("sendDocument", "document"))
    form = aiohttp.FormData()
    form.add_field("chat_id", recipient)
    form.add_field(field, file.content, filename=file.name, content_type=file.content_type)
    return method, {"data": form}
