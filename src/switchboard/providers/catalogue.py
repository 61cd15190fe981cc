"""The models there are, as the price lists that come with the installed package name them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from switchboard.providers.registry import Providers

_NO_CHAT = re.compile(
    r"embed|tts|whisper|image|imagen|banana|dall-e|veo|audio|voxtral|transcri|realtime|translate|live|ocr|moderation"
    r"|robotics|computer-use|instruct$|^(text-)?(ada|babbage|curie|davinci)|^claude-(v1|2)|[-.]ft-$|^ft:|:free$|:extended$"
)
"""Models that do not hold a conversation, and names that are only the beginning of one."""
_OWN = {"google": re.compile(r"gem(ini|ma)-")}
"""Where a list also names what its vendor sells of others, by another door."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A model and its prices in US dollars for a million tokens, None where nobody knows them."""

    provider: str
    name: str
    title: str = ""
    context_window: int | None = None
    input_price: Decimal | None = None
    cached_input_price: Decimal | None = None
    output_price: Decimal | None = None


def catalogue(providers: Providers, at: datetime) -> Iterator[Listed]:
    """The chat models of all providers whose price list holds, with their prices at a moment.

    The lists take a third of a second to load the first time.
    """
    from genai_prices.data import providers as lists

    for name, list_of in providers.priced_as.items():
        if name == "extractive":
            yield Listed(name, "quote", "Quotes the knowledge", None, Decimal(0), Decimal(0), Decimal(0))
            continue
        for one in lists:
            if one.id != list_of:
                continue
            for model in one.models:
                if _NO_CHAT.search(model.id) or (list_of in _OWN and not _OWN[list_of].match(model.id)):
                    continue
                prices = model.get_prices(at)
                yield Listed(
                    name,
                    model.id,
                    model.name or "",
                    model.context_window,
                    _base(prices.input_mtok),
                    _base(prices.cache_read_mtok),
                    _base(prices.output_mtok),
                )


def _base(price: Any) -> Decimal | None:
    """Where long prompts cost more, what short ones cost."""
    found: Decimal | None = getattr(price, "base", price)
    return found
