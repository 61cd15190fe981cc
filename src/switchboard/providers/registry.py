"""Which providers are configured, in which order they are asked, and what their models cost."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from pydantic import SecretStr

from switchboard.errors import ProviderMisconfigured
from switchboard.metrics import Metrics
from switchboard.providers import Provider, Usage, prices
from switchboard.providers.anthropic import Anthropic
from switchboard.providers.breaker import Breaker
from switchboard.providers.deadlines import with_deadlines
from switchboard.providers.extractive import Extractive
from switchboard.providers.failures import shorten
from switchboard.providers.fallback import Candidate, Fallback
from switchboard.providers.gemini import Gemini
from switchboard.providers.mistral import Mistral
from switchboard.providers.openai import OpenAI
from switchboard.settings import USUAL_MODELS, Settings

_VENDORS = {"gemini": Gemini, "openai": OpenAI, "anthropic": Anthropic, "mistral": Mistral}


class Vendor(Provider, Protocol):
    """A provider behind an SDK."""

    @property
    def price_as(self) -> str | None:
        """Whose price list holds, by its id in genai-prices, or None where none does."""
        ...

    async def warm(self) -> None:
        """Imports the SDK and makes its client, in a thread."""
        ...


@dataclass(frozen=True, slots=True)
class Providers:
    """The configured providers by name, and by whose list each is priced (None: unknown)."""

    by_name: Mapping[str, Provider]
    priced_as: Mapping[str, str | None]
    fallbacks: tuple[str, ...] = ()
    total_seconds: float = 60
    metrics: Metrics | None = None
    warmers: tuple[Callable[[], Awaitable[None]], ...] = ()

    def get(self, model_ref: str) -> tuple[Provider, str]:
        """A provider that asks ``provider:model`` and, when it fails, the fallbacks; and the model.

        Raises `ProviderMisconfigured` with what to set.
        """
        refs = dict.fromkeys((model_ref, *self.fallbacks))
        candidates = [Candidate(*self.alone(ref)) for ref in refs]
        chain = Fallback(candidates, self.metrics)
        if len(candidates) == 1:
            return chain, candidates[0].model
        total = self.total_seconds
        return (
            with_deadlines(chain, first_token_seconds=total, gap_seconds=total, total_seconds=total),
            candidates[0].model,
        )

    def alone(self, model_ref: str) -> tuple[Provider, str]:
        """The provider and its model for ``provider:model``, and no other. Raises `ProviderMisconfigured`."""
        name, _, model = model_ref.partition(":")
        provider = self.by_name.get(name)
        if provider is None and name in _VENDORS:
            needed = f"{name.upper()}_API_KEY, or {name.upper()}_BASE_URL for a server without keys"
            raise ProviderMisconfigured(f"To use {shorten(model_ref)!r}, set {needed}.")
        if provider is None:
            known = " or ".join(sorted({*self.by_name, *_VENDORS}))
            raise ProviderMisconfigured(f"{shorten(name)!r} in {shorten(model_ref)!r} is no provider: use {known}.")
        if not model or (name == "extractive" and model != USUAL_MODELS[name]):
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


def open_providers(settings: Settings, metrics: Metrics | None = None) -> Providers:
    """The providers that ``settings`` configure. Imports no SDK and opens no connection: see `Providers.warm`."""
    by_name: dict[str, Provider] = {"extractive": Extractive()}
    priced_as: dict[str, str | None] = {"extractive": "extractive"}
    warmers: list[Callable[[], Awaitable[None]]] = []
    for vendor in _vendors(settings):
        by_name[vendor.name] = Breaker(_timed(vendor, settings), metrics)
        priced_as[vendor.name] = vendor.price_as
        warmers.append(vendor.warm)
    if any(list_of for name, list_of in priced_as.items() if name != "extractive"):
        warmers.append(_load_prices)
    return Providers(
        by_name, priced_as, tuple(settings.fallbacks), settings.provider_total_seconds, metrics, tuple(warmers)
    )


def _vendors(settings: Settings) -> Iterator[Vendor]:
    patience = max(settings.provider_first_token_seconds, settings.provider_gap_seconds)
    for name, vendor in _VENDORS.items():
        if settings.is_configured(name):
            key: SecretStr | None = getattr(settings, f"{name}_api_key")
            yield vendor(
                api_key=key.get_secret_value() if key else None,
                base_url=getattr(settings, f"{name}_base_url"),
                patience=patience,
            )
    for name, address in settings.openai_addresses.items():
        yield OpenAI(
            name=name,
            api_key=settings.openai_keys.get(name),
            base_url=address,
            patience=patience,
            settings=("OPENAI_SERVER_KEYS", "OPENAI_SERVERS"),
        )


def _timed(vendor: Vendor, settings: Settings) -> Provider:
    """One attempt may take all of the time; with fallbacks, all but what the next one needs to begin."""
    first, total = settings.provider_first_token_seconds, settings.provider_total_seconds
    return with_deadlines(
        vendor,
        first_token_seconds=first,
        gap_seconds=settings.provider_gap_seconds,
        total_seconds=max(total - first, total / 2) if settings.fallbacks else total,
    )


async def _load_prices() -> None:
    await asyncio.to_thread(prices.load)
