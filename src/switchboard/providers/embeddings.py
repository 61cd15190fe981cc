"""Embeddings: what a text means, as numbers, from OpenAI or a server that speaks its wire, through the official SDK.

Importing this file does not import the SDK: that happens in a thread, with the first call.
"""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from switchboard.errors import ProviderBusy, ProviderError, ProviderMisconfigured
from switchboard.providers import Usage, prices
from switchboard.providers.failures import Server, from_status
from switchboard.settings import Settings

if TYPE_CHECKING:
    from openai import AsyncOpenAI

MOST_NUMBERS: Final = 1_536
"""Of one embedding: what the database has room for. Models that make more are asked for so many."""
AT_ONCE: Final = 16
"""Texts in one call: an answer of plain numbers stays below what `wire` lets in on one line."""
_OPENAI_URL: Final = "https://api.openai.com/v1"


@dataclass(frozen=True, slots=True)
class Embedded:
    """One list of numbers for each text, in their order; the tokens of all, and what they cost if that is known."""

    vectors: list[list[float]]
    tokens: int
    cost: Decimal | None


class Embeddings:
    """One embedding model. ``model_ref`` is provider:model, ``base_url`` None for OpenAI itself.

    ``patience``: seconds one call may take.
    """

    def __init__(self, model_ref: str, *, api_key: str | None, base_url: str | None, patience: float) -> None:
        self.model_ref = model_ref
        self._model = model_ref.partition(":")[2]
        self._key = (api_key or "").strip()
        self._base_url = base_url or _OPENAI_URL
        self._patience = patience
        self._is_openai = self._base_url.startswith(("https://api.openai.com/", "https://eu.api.openai.com/"))
        self._server = Server("The embedding server", "OPENAI_API_KEY", "OPENAI_BASE_URL", self._key or None)
        self._client: AsyncOpenAI | None = None
        self._opening = asyncio.Lock()

    def price(self, usage: Usage) -> Decimal | None:
        """US dollars for one call; None where no price is known."""
        return prices.price(self._model, "openai" if self._is_openai else None, usage)

    async def embed(self, texts: Sequence[str]) -> Embedded:
        """At most `AT_ONCE` texts, none of them blank, as numbers.

        Raises `ProviderBusy`, `ProviderRefused` and `ProviderMisconfigured`, and nothing else.
        """
        try:
            async with asyncio.timeout(self._patience):
                return await self._ask(texts)
        except ProviderError:
            raise
        except TimeoutError as error:
            raise ProviderBusy(f"The embedding server took longer than {self._patience:g} seconds.") from error
        except Exception as error:
            failure, cause = self._failure(error)
            raise failure from cause

    async def close(self) -> None:
        """Gives back the connections."""
        if self._client is not None:
            await self._client.close()

    async def _ask(self, texts: Sequence[str]) -> Embedded:
        client = await self._ready()
        from openai import omit

        # OpenAI's third generation makes as few numbers as it is asked for; other models know no such wish.
        cut = MOST_NUMBERS if "text-embedding-3" in self._model else omit
        answer = await client.embeddings.create(model=self._model, input=list(texts), dimensions=cut)
        vectors = [item.embedding for item in sorted(answer.data, key=lambda item: item.index)]
        _check(vectors, len(texts))
        tokens = answer.usage.prompt_tokens if answer.usage else 0
        return Embedded(vectors, tokens, self.price(Usage(input_tokens=tokens)))

    async def _ready(self) -> "AsyncOpenAI":
        async with self._opening:
            if self._client is None:
                self._client = await asyncio.to_thread(self._open)
            return self._client

    def _open(self) -> "AsyncOpenAI":
        import openai

        from switchboard.providers.wire import open_client

        if self._is_openai:
            prices.load()
        client = openai.AsyncOpenAI(
            api_key=self._key or "none",
            base_url=self._base_url,
            max_retries=0,
            http_client=open_client(patience=self._patience),
        )
        # The SDK takes these two from the environment, past our settings, and would show them to any server.
        client.organization = client.project = None
        return client

    def _failure(self, error: Exception) -> tuple[ProviderError, Exception | None]:
        # The vendor's own error is left out as a cause where its text is the server's, which may repeat the key.
        import openai

        if isinstance(error, openai.APIStatusError):
            found = from_status(
                error.status_code, error.body, error.response.headers, model=self._model, server=self._server
            )
            return found, None
        if isinstance(error, openai.APIConnectionError):
            return ProviderBusy("The embedding server cannot be reached, or hung up."), error
        return ProviderBusy(f"The embedding server sent no embedding ({type(error).__name__})."), error


def _check(vectors: list[list[float]], wanted: int) -> None:
    if len(vectors) != wanted or not all(vectors):
        raise ProviderBusy("The embedding server did not answer for every text.")
    if any(len(vector) > MOST_NUMBERS for vector in vectors):
        raise ProviderMisconfigured(
            f"EMBEDDING_MODEL makes more than {MOST_NUMBERS:,} numbers of a text: use a smaller model."
        )
    # A vector of zeros points nowhere: nothing could be near it.
    if not all(math.isfinite(sum(vector)) and any(vector) for vector in vectors):
        raise ProviderBusy("The embedding server sent something that is no embedding (not finite, or zero).")


def open_embeddings(settings: Settings) -> Embeddings | None:
    """The embedding model that is set, or None. Opens no connection."""
    if settings.embedding_model is None:
        return None
    key = settings.openai_api_key
    return Embeddings(
        settings.embedding_model,
        api_key=key.get_secret_value() if key else None,
        base_url=settings.openai_base_url,
        patience=settings.provider_first_token_seconds,
    )
