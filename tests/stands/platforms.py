"""The platforms as one: what a test needs to be a customer, a forger or the platform itself, on any of them."""

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from channels.payloads import IGID
from stands import graph, telegram
from stands.app import APP_SECRET, PAGE
from stands.graph import GraphStand
from stands.shop import Shop
from stands.telegram import BOT, TelegramStand

SETTINGS: dict[str, Any] = {
    "instagram_account_id": IGID,
    "instagram_access_token": "EAAB-a-page-token-for-the-tests-only",
    "telegram_bot_token": telegram.TOKEN,
    "telegram_secret_token": telegram.SECRET,
}
"""With these all three are connected; `telegram_api_url` is the stand's."""


@dataclass
class Meta:
    """Messenger, or Instagram by its ``account``."""

    shop: Shop
    telegram: TelegramStand
    platform: str = "messenger"
    wire: str = "facebook"
    account: str = PAGE
    address: str = "/webhooks/messenger"
    kind: str = "page"
    has_echo: bool = True

    @property
    def api(self) -> GraphStand:
        return self.shop.graph

    def signed(self, body: bytes, *, forged: bool = False) -> dict[str, str]:
        return graph.sign(body, "another-secret" if forged else APP_SECRET)

    def said(self, number: int, text: str, customer: str = "4711", **more: Any) -> dict[str, Any]:
        event = graph.message(self.account, customer, f"mid.{number}", text)
        return event | {"message": event["message"] | more}

    def bodies(self, events: Sequence[dict[str, Any]]) -> list[bytes]:
        """All events in one webhook: Meta batches."""
        return [graph.webhook(self.account, *events, kind=self.kind)]

    def sent(self) -> list[tuple[str, str]]:
        """To whom and what."""
        return [(call.recipient, call.json["message"]["text"]) for call in self.api.sends]

    def echo(self, mid: str, text: str, *, mark: str | None = None, customer: str = "4711") -> dict[str, Any]:
        """What the account itself has said, as the platform tells us; without a ``mark`` somebody else's."""
        told = {"mid": mid, "text": text, "is_echo": True} | ({"metadata": mark} if mark else {})
        return graph.message(self.account, customer, mid, text) | {
            "sender": {"id": self.account},
            "recipient": {"id": customer},
            "message": told,
        }

    def be_unreachable(self) -> None:
        self.api.script(graph.error(551))

    def fall_silent(self) -> None:
        """The next message arrives, and nobody says so."""
        self.api.script(graph.reset(accepted=True))


@dataclass
class Bot:
    """Telegram."""

    shop: Shop
    telegram: TelegramStand
    platform: str = "telegram"
    wire: str = "telegram"
    account: str = BOT
    address: str = telegram.WEBHOOK
    has_echo: bool = False
    updates: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def signed(self, body: bytes, *, forged: bool = False) -> dict[str, str]:
        return telegram.signed("another-secret" if forged else telegram.SECRET)

    def said(self, number: int, text: str, customer: str = "4711", **more: Any) -> dict[str, Any]:
        return {"message": telegram.said(number, text, chat=int(customer), **more)}

    def bodies(self, events: Sequence[dict[str, Any]]) -> list[bytes]:
        """One update each: Telegram does not batch."""
        return [telegram.update(next(self.updates), **event) for event in events]

    def sent(self) -> list[tuple[str, str]]:
        return [(call.fields["chat_id"], call.fields["text"]) for call in self.telegram.sends]

    def be_unreachable(self) -> None:
        self.telegram.script(telegram.blocked())

    def fall_silent(self) -> None:
        self.telegram.script(telegram.reset())


def platform(name: str, shop: Shop, api: TelegramStand) -> Meta | Bot:
    """The platform of this name."""
    if name == "telegram":
        return Bot(shop, api)
    if name == "instagram":
        return Meta(shop, api, name, name, IGID, "/webhooks/instagram", name)
    return Meta(shop, api)


async def deliver(one: Meta | Bot, *events: dict[str, Any], forged: bool = False) -> list[int]:
    """The platform posts these events; the statuses it is answered with."""
    answers: list[int] = []
    for body in one.bodies(events):
        answer = await one.shop.client.post(one.address, content=body, headers=one.signed(body, forged=forged))
        answers.append(answer.status_code)
        json.loads(answer.content)
    return answers
