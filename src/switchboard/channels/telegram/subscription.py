"""The bot's webhook: set with our secret, and looked at, https://core.telegram.org/bots/api#setwebhook."""

from collections.abc import Mapping
from typing import Any

from switchboard.channels import Status
from switchboard.channels.document import is_object
from switchboard.channels.post import number, plain
from switchboard.channels.telegram.send import BotApi
from switchboard.errors import Misconfigured

PATH = "/webhooks/telegram"
UPDATES = ("message", "edited_message", "callback_query", "my_chat_member")
"""What Telegram is asked to tell; without the last nobody hears that a customer blocked the bot."""
MANY_PENDING = 100
"""Updates waiting at Telegram that say that we do not keep up, or are not reached."""


async def connect(api: BotApi, public_url: str, secret: str | None) -> None:
    """Sets the webhook. Raises `Misconfigured` without a secret, else as `BotApi.ask` does."""
    if secret is None:
        raise Misconfigured("TELEGRAM_SECRET_TOKEN must be set: without it every update would be refused.")
    wanted = {"url": public_url.rstrip("/") + PATH, "secret_token": secret, "allowed_updates": list(UPDATES)}
    await api.ask("setWebhook", json=wanted)


async def status(api: BotApi, public_url: str | None) -> Status:
    """What Telegram says of the webhook. Raises as `BotApi.ask` does."""
    found = await api.ask("getWebhookInfo", json={})
    info: Mapping[str, Any] = found if is_object(found) else {}
    url, pending = str(info.get("url") or ""), number(info.get("pending_update_count")) or 0
    if not url:
        return Status(api.bot, "no webhook", ("no webhook is set: run `switchboard channels connect`",))
    return Status(api.bot, f"{url}, {pending} pending", tuple(_problems(info, url, pending, public_url, api.token)))


def _problems(info: Mapping[str, Any], url: str, pending: int, public_url: str | None, secret: str) -> list[str]:
    problems: list[str] = []
    if public_url is not None and url != public_url.rstrip("/") + PATH:
        problems.append(f"the webhook leads elsewhere, not to {public_url.rstrip('/')}{PATH}")
    asked: Any = info.get("allowed_updates")
    if isinstance(asked, list) and (missing := [kind for kind in UPDATES if kind not in asked]):
        problems.append(f"Telegram does not tell of {', '.join(missing)}")
    if pending >= MANY_PENDING:
        problems.append(f"{pending} updates wait to be delivered")
        if words := info.get("last_error_message"):
            problems.append(f"Telegram's last error: {plain(words, secret=secret, otherwise='')}")
    elif pending and (words := info.get("last_error_message")):
        problems.append(f"Telegram's last error: {plain(words, secret=secret, otherwise='')}")
    return problems
