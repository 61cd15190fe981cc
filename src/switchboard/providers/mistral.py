"""Mistral, through the official SDK, the package `mistralai`; imported in a thread when warmed or first used."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING

import orjson

from switchboard.providers import Capabilities, Chunk, Prompt, Text
from switchboard.providers.border import Opened, StatusAnswer, account, translated
from switchboard.providers.chat_completions import Answer, messages, tools
from switchboard.providers.events import events

if TYPE_CHECKING:
    import httpx2
    from mistralai.client import Mistral as Sdk
    from mistralai.client.models import CompletionEvent
    from mistralai.client.utils.eventstreaming import EventStreamAsync

MISTRAL_URL = "https://api.mistral.ai"


class Mistral:
    """The provider ``mistral``. ``base_url``: without ``/v1``; None for Mistral itself.

    ``patience``: seconds without a byte after which a connection counts as dead. Raises `ProviderMisconfigured` when
    the key or the address could never be sent.
    """

    name = "mistral"

    def __init__(self, *, api_key: str | None, base_url: str | None, patience: float) -> None:
        settings = ("MISTRAL_API_KEY", "MISTRAL_BASE_URL")
        self._account = account("Mistral", api_key, base_url, default=MISTRAL_URL, settings=settings)
        self._patience = patience
        self._http: httpx2.AsyncClient | None = None
        self._sdk = Opened(self._open)

    @property
    def price_as(self) -> str | None:
        """Whose price list holds: Mistral's own, or none for any other server."""
        return "mistral" if self._account.is_vendors else None

    def capabilities(self, model: str) -> Capabilities:
        """All its chat models take both."""
        return Capabilities(tools=True, temperature=True)

    async def warm(self) -> None:
        """Imports the SDK and makes the client in a thread."""
        await self._sdk.get()

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Chunk, None]:
        """Text as it comes, then tool calls, then `Done`. Does not send ``prompt.passages``: ``system`` holds them.

        Raises `ProviderBusy`, `ProviderRefused` and `ProviderMisconfigured`, and nothing else.
        """
        server = self._account.server
        answer = Answer(prompt, server)
        with translated(server, prompt.model, self._patience, _answered):
            async with await self._ask(prompt) as stream, aclosing(events(stream.response, server.name)) as told:
                async for event in told:
                    if text := answer.take(event):
                        yield Text(text)
        for chunk in answer.end():
            yield chunk

    async def close(self) -> None:
        """Gives back the connections; the provider cannot be used afterwards."""
        if self._http is not None:
            await self._http.aclose()

    def _open(self) -> "Sdk":
        from mistralai.client import Mistral as Sdk

        from switchboard.providers.wire import open_client

        self._http = open_client(patience=self._patience)
        return Sdk(api_key=self._account.key, server_url=self._account.url, async_client=self._http)

    async def _ask(self, prompt: Prompt) -> "EventStreamAsync[CompletionEvent]":
        client = await self._sdk.get()
        from mistralai.client.types import UNSET

        return await client.chat.stream_async(
            model=prompt.model,
            messages=messages(prompt),  # pyright: ignore[reportArgumentType]  # OpenAI's words, which are the same
            tools=tools(prompt) if prompt.tools else UNSET,  # pyright: ignore[reportArgumentType]
            temperature=UNSET if prompt.temperature is None else prompt.temperature,
            max_tokens=prompt.max_tokens or UNSET,
            timeout_ms=round(self._patience * 1000),
        )


def _answered(error: Exception) -> StatusAnswer | None:
    from mistralai.client.errors import MistralError

    if not isinstance(error, MistralError) or error.status_code < 300:
        return None
    try:
        body: object = orjson.loads(error.body)
    except orjson.JSONDecodeError:
        body = error.body
    return error.status_code, body, error.headers
