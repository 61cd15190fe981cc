"""The providers on their real SDKs, each pointed at a stand that speaks its wire."""

import warnings
from collections.abc import Callable

from stands.llm import LlmStand
from switchboard.providers import Provider
from switchboard.providers.anthropic import Anthropic
from switchboard.providers.gemini import Gemini
from switchboard.providers.mistral import Mistral
from switchboard.providers.openai import OpenAI

with warnings.catch_warnings():
    # Compiling it warns of an escape in one of its texts, which would be an error here, wherever it is first imported.
    warnings.simplefilter("ignore", DeprecationWarning)
    import google.genai.types  # noqa: F401

KEY = "sk-canary-0123456789"

VENDORS: dict[str, Callable[[str, str | None, float], Provider]] = {
    "openai": lambda url, key, patience: OpenAI(api_key=key, base_url=url, patience=patience),
    "compatible": lambda url, key, patience: OpenAI(
        name="acme", api_key=key, base_url=url, patience=patience, settings=("OPENAI_SERVER_KEYS", "OPENAI_SERVERS")
    ),
    "anthropic": lambda url, key, patience: Anthropic(api_key=key, base_url=url, patience=patience),
    "mistral": lambda url, key, patience: Mistral(api_key=key, base_url=url, patience=patience),
    "gemini": lambda url, key, patience: Gemini(api_key=key, base_url=url, patience=patience),
}


def url_of(llm: LlmStand, vendor: str) -> str:
    """Where the stand speaks this vendor's wire."""
    if vendor in {"openai", "compatible"}:
        return llm.openai_url
    return llm.mistral_url if vendor == "mistral" else llm.url


def open_vendor(llm: LlmStand, vendor: str, *, key: str | None = KEY, patience: float = 5) -> Provider:
    return VENDORS[vendor](url_of(llm, vendor), key, patience)
