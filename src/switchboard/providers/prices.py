"""What a call costs, in US dollars. What is not known is not known: None, never 0."""

from decimal import Decimal

from switchboard.providers import Usage


def price(model_ref: str, provider: str | None, usage: Usage) -> Decimal | None:
    """The price of one call, unrounded.

    ``model_ref``: the model without its provider, as configured or as the provider named it in `Done`. ``provider``:
    whose price list holds, by its id in genai-prices (such as ``openai``), ``extractive`` for the built-in one, which
    is free, or None where no list holds. The lists come with the installed package: nothing is fetched.
    """
    if provider == "extractive":
        return Decimal(0)
    if provider is None:
        return None
    # Imported here: the lists take a third of a second to load, and a process without a paid provider needs none.
    import genai_prices

    try:
        return genai_prices.calc_price(
            # Like ours, its input tokens include the cached ones; more cached than there are would be refused.
            genai_prices.Usage(
                input_tokens=usage.input_tokens,
                output_tokens=usage.output_tokens,
                cache_read_tokens=min(usage.cached_tokens, usage.input_tokens),
            ),
            model_ref=model_ref,
            provider_id=provider,
        ).total_price
    except LookupError:
        return None


def load() -> None:
    """Reads the price lists, which takes a third of a second, so that the first `price` does not have to."""
    price("gpt-5.4-mini", "openai", Usage())
