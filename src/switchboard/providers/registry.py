"""Which providers are configured, and what their models cost."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from switchboard.errors import ProviderMisconfigured
from switchboard.providers import Provider, Usage, prices
from switchboard.providers.deadlines import with_deadlines
from switchboard.providers.extractive import Extractive
from switchboard.providers.failures import shorten
from switchboard.providers.openai import OpenAI
from switchboard.settings import Settings

_SET_FIRST = {"openai": "set OPENAI_API_KEY, or OPENAI_BASE_URL for a server without keys"}


@dataclass(frozen=True, slots=True)
class Providers:
    """The configured providers by name, and by whose list each is priced (None: unknown)."""

    by_name: Mapping[str, Provider]
    priced_as: Mapping[str, str | None]
    warmers: tuple[Callable[[], Awaitable[None]], ...] = ()

    def get(self, model_ref: str) -> tuple[Provider, str]:
        """The provider and its model for ``provider:model``. Raises `ProviderMisconfigured` with what to set."""
        name, _, model = model_ref.partition(":")
        provider = self.by_name.get(name)
        if provider is None and name in _SET_FIRST:
            raise ProviderMisconfigured(f"To use {shorten(model_ref)!r}, {_SET_FIRST[name]}.")
        if provider is None:
            known = " or ".join(sorted({*self.by_name, *_SET_FIRST}))
            raise ProviderMisconfigured(f"{shorten(name)!r} in {shorten(model_ref)!r} is no provider: use {known}.")
        if not model or (name == "extractive" and model != "quote"):
            raise ProviderMisconfigured(
                f"{shorten(model_ref)!r} names no model: use provider:model, such as extractive:quote."
            )
        return provider, model

    def price(self, provider_model: str, usage: Usage) -> Decimal | None:
        """US dollars for one call to ``provider:model``; None where no price is known, which is never 0."""
        name, _, model = provider_model.partition(":")
        return prices.price(model, self.priced_as.get(name), usage)

    async def warm(self) -> None:
        """Imports what the configured providers need, in threads, so that the first customer does not wait for it."""
        await asyncio.gather(*(warm() for warm in self.warmers))

    async def close(self) -> None:
        """Gives back the connections of all."""
        await asyncio.gather(*(provider.close() for provider in self.by_name.values()))


def open_providers(settings: Settings) -> Providers:
    """The providers that ``settings`` configure. Imports no SDK and opens no connection: see `Providers.warm`."""
    by_name: dict[str, Provider] = {"extractive": Extractive()}
    priced_as: dict[str, str | None] = {"extractive": "extractive"}
    warmers: list[Callable[[], Awaitable[None]]] = []
    if settings.openai_api_key or settings.openai_base_url:
        key = settings.openai_api_key
        openai = OpenAI(
            api_key=key.get_secret_value() if key else None,
            base_url=settings.openai_base_url,
            patience=settings.provider_first_token_seconds,
        )
        by_name["openai"] = with_deadlines(
            openai,
            first_token_seconds=settings.provider_first_token_seconds,
            total_seconds=settings.provider_total_seconds,
        )
        priced_as["openai"] = openai.price_as
        warmers += [openai.warm, _load_prices] if openai.price_as else [openai.warm]
    return Providers(by_name, priced_as, tuple(warmers))


async def _load_prices() -> None:
    await asyncio.to_thread(prices.load)
