"""Posting to the Graph API, `POST /{page}/messages` for a page and `POST /me/messages` for an Instagram account.

Only an answer in Graph's own form is believed; without one the message may have arrived, and that is `DeliveryUnknown`.

https://developers.facebook.com/docs/graph-api/reference/page/messages and
https://developers.facebook.com/docs/messenger-platform/instagram/features/send-message
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson
from yarl import URL

from switchboard.channels import File, Outbound, Sent
from switchboard.channels.messenger.verdict import judge, understand
from switchboard.channels.post import Answer, post
from switchboard.errors import ChannelBroken

TYPING_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Graph:
    """The Graph API as the accounts in ``tokens`` (page or Instagram account id -> access token).

    ``setting``: the variable that holds the token. ``node``: what the account is called in addresses, if not by its id.
    ``marks``: whether a message may carry our mark. ``uploads``: whether files are sent along or fetched from a link.

    The token travels in the Authorization header, so that no log of addresses holds it. With an ``app_secret`` each
    call carries the proof that apps with "Require App Secret" need,
    https://developers.facebook.com/docs/graph-api/guides/secure-requests.
    """

    http: aiohttp.ClientSession
    url: URL
    tokens: Mapping[str, str]
    app_secret: str | None
    timeout_seconds: float
    setting: str = "FACEBOOK_PAGE_ACCESS_TOKEN"
    node: str | None = None
    marks: bool = True
    uploads: bool = True

    async def send(self, message: Outbound) -> Sent:
        """Posts one message, once: nothing here tries again."""
        token = self._token(message.account)
        body = self._message(message)
        return judge(await self._post(message.account, token, "messages", body, self.timeout_seconds), token=token)

    async def typing(self, account: str, recipient: str) -> None:
        """Shows the three dots; what Graph answers does not matter."""
        seconds = min(TYPING_SECONDS, self.timeout_seconds)
        action = {"recipient": {"id": recipient}, "sender_action": "typing_on"}
        await self._post(account, self._token(account), "messages", action, seconds)

    async def ask(self, method: str, account: str, edge: str, **query: str) -> dict[str, Any]:
        """Reads or changes an edge of the account, such as `subscribed_apps`; raises as `send` does."""
        token = self._token(account)
        answer = await self._post(account, token, edge, None, self.timeout_seconds, method, query)
        return understand(answer, token=token)

    def _token(self, account: str) -> str:
        token = self.tokens.get(account)
        if not token:
            raise ChannelBroken(f"There is no access token for account {account}: set {self.setting}.")
        if not (token.isascii() and token.isprintable() and " " not in token):
            raise ChannelBroken(f"{self.setting} holds characters that no token has.")
        return token

    async def _post(
        self,
        account: str,
        token: str,
        edge: str,
        body: dict[str, Any] | aiohttp.FormData | None,
        seconds: float,
        method: str = "POST",
        query: Mapping[str, str] | None = None,
    ) -> Answer:
        content = {"data": body} if isinstance(body, aiohttp.FormData) else {"json": body} if body else {}
        return await post(
            self.http,
            self.url / (self.node or account) / edge,
            api="Graph API",
            seconds=seconds,
            method=method,
            params={**self._proof(token), **(query or {})},
            headers={"Authorization": f"Bearer {token}", "Accept": "application/json"},
            **content,
        )

    def _proof(self, token: str) -> dict[str, str]:
        if not self.app_secret:
            return {}
        return {"appsecret_proof": hmac.digest(self.app_secret.encode(), token.encode(), "sha256").hex()}

    def _message(self, message: Outbound) -> dict[str, Any] | aiohttp.FormData:
        kind = {"messaging_type": "MESSAGE_TAG", "tag": message.tag} if message.tag else {"messaging_type": "RESPONSE"}
        head: dict[str, Any] = {"recipient": {"id": message.recipient}, **kind}
        mark = {"metadata": message.metadata} if self.marks and message.metadata else {}
        file = message.file
        if file is None:
            return {**head, "message": {"text": message.text, **mark}}
        if self.uploads:
            return _form(head, mark, file)
        if file.link is None:
            raise ChannelBroken("Instagram fetches files from us: set PUBLIC_URL to an address that it can reach.")
        return {**head, "message": {"attachment": {"type": file.kind, "payload": {"url": file.link}}}}


def _form(head: dict[str, Any], mark: dict[str, str], file: File) -> aiohttp.FormData:
    """A message and the file it brings along, https://developers.facebook.com/docs/messenger-platform/send-messages."""
    attachment = {"type": file.kind, "payload": {"is_reusable": False}}
    form = aiohttp.FormData()
    for name, value in {**head, "message": {"attachment": attachment, **mark}}.items():
        form.add_field(name, value if isinstance(value, str) else orjson.dumps(value).decode())
    form.add_field("filedata", file.content, filename=file.name, content_type=file.content_type)
    return form
