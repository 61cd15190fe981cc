"""Posting to the Graph API, `POST /{page}/messages`, and knowing what became of it.

Nothing has left until a connection stands: up to there every failure is `DeliveryBusy`. From then on only an answer in
Graph's own form is believed; without one the message may have arrived, and that is `DeliveryUnknown`.

https://developers.facebook.com/docs/graph-api/reference/page/messages
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
from yarl import URL

from switchboard.channels import Outbound, Sent
from switchboard.channels.messenger.verdict import Answer, judge
from switchboard.errors import ChannelBroken, DeliveryBusy, DeliveryUnknown

MAX_ANSWER_BYTES = 64 * 1024
TYPING_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Graph:
    """The Graph API as the pages in ``tokens`` (page id -> access token).

    The token travels in the Authorization header, so that no log of addresses holds it. With an ``app_secret`` each
    call carries the proof that apps with "Require App Secret" need,
    https://developers.facebook.com/docs/graph-api/guides/secure-requests.
    """

    http: aiohttp.ClientSession
    url: URL
    tokens: Mapping[str, str]
    app_secret: str | None
    timeout_seconds: float

    async def send(self, message: Outbound) -> Sent:
        """Posts one message, once: nothing here tries again."""
        token = self._token(message.account)
        return judge(await self._post(message.account, token, _message(message), self.timeout_seconds), token=token)

    async def typing(self, account: str, recipient: str) -> None:
        """Shows the three dots; what Graph answers does not matter."""
        seconds = min(TYPING_SECONDS, self.timeout_seconds)
        action = {"recipient": {"id": recipient}, "sender_action": "typing_on"}
        await self._post(account, self._token(account), action, seconds)

    def _token(self, account: str) -> str:
        token = self.tokens.get(account)
        if not token:
            raise ChannelBroken(f"There is no access token for page {account}: set FACEBOOK_PAGE_ACCESS_TOKEN.")
        if not (token.isascii() and token.isprintable() and " " not in token):
            raise ChannelBroken("FACEBOOK_PAGE_ACCESS_TOKEN holds characters that no token has.")
        return token

    async def _post(self, account: str, token: str, body: dict[str, Any], seconds: float) -> Answer:
        # half of the time for the connection, so that running out of it there is known to be harmless
        timeout = aiohttp.ClientTimeout(total=seconds, connect=seconds / 2)
        try:
            async with self.http.post(
                self.url / account / "messages",
                params=self._proof(token),
                json=body,
                headers={"Authorization": f"Bearer {token}", "Accept": "application/json"},
                allow_redirects=False,
                timeout=timeout,
            ) as response:
                return Answer(response.status, response.headers, await _read(response))
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise DeliveryBusy(f"The Graph API cannot be reached: {error or type(error).__name__}") from error
        except TimeoutError as error:
            raise DeliveryUnknown(f"The Graph API did not answer within {seconds:g} s.") from error
        except (aiohttp.ClientError, OSError) as error:
            reason = f"The connection broke before the Graph API had answered ({type(error).__name__})."
            raise DeliveryUnknown(reason) from None  # some of these carry the request, its token included

    def _proof(self, token: str) -> dict[str, str]:
        if not self.app_secret:
            return {}
        return {"appsecret_proof": hmac.digest(self.app_secret.encode(), token.encode(), "sha256").hex()}


def _message(message: Outbound) -> dict[str, Any]:
    content = {"text": message.text} | ({"metadata": message.metadata} if message.metadata else {})
    kind = {"messaging_type": "MESSAGE_TAG", "tag": message.tag} if message.tag else {"messaging_type": "RESPONSE"}
    return {"recipient": {"id": message.recipient}, **kind, "message": content}


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """The body; cut off where it is too long, which leaves it unreadable as it should be."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            break
    return bytes(body[:MAX_ANSWER_BYTES])
