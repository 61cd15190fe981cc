"""OpenAI, and every server that speaks its chat completions, through the official SDK.

The SDK is the package `openai`; this file is only ever `switchboard.providers.openai`. Importing this file does not
import the SDK: that happens in a thread, when the provider is warmed or first used.
"""

import asyncio
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from switchboard.errors import ProviderBusy, ProviderError, ProviderMisconfigured
from switchboard.providers import Capabilities, Chunk, Prompt, Text
from switchboard.providers.chat_completions import Answer, messages, tools
from switchboard.providers.failures import Server, from_status, reason

if TYPE_CHECKING:
    from openai import AsyncOpenAI, AsyncStream, Omit
    from openai.types.chat import ChatCompletionChunk

OPENAI_URL = "https://api.openai.com/v1"

# Reasoning models answer 400 to a temperature; the chat variant of the first GPT-5 is none. Names by their beginning.
# https://platform.openai.com/docs/guides/reasoning
_WITHOUT_TEMPERATURE = ("o1", "o3", "o4", "gpt-5", "gpt-6")
_WITH_TEMPERATURE = ("gpt-5-chat",)


class OpenAI:
    """The provider ``openai``. ``base_url``: up to and with ``/v1``; None for OpenAI itself.

    ``patience``: seconds without a byte after which a connection counts as dead. Raises `ProviderMisconfigured` when
    the key or the address could never be sent.
    """

    name = "openai"

    def __init__(self, *, api_key: str | None, base_url: str | None, patience: float) -> None:
        self._key = (api_key or "").strip()
        self._base_url = base_url or OPENAI_URL
        self._patience = patience
        self._client: AsyncOpenAI | None = None
        self._opening = asyncio.Lock()
        # A header that cannot be written fails with the key in the error's text, so it must not come to that.
        if not (self._key.isascii() and self._key.isprintable()):
            raise ProviderMisconfigured("OPENAI_API_KEY holds characters that no key has: copy it again.")
        host = _host(self._base_url)
        self._is_openai = host == "api.openai.com" or host.endswith(".api.openai.com")
        self._server = Server(
            "OpenAI" if self._is_openai else host, "OPENAI_API_KEY", "OPENAI_BASE_URL", self._key or None
        )

    @property
    def price_as(self) -> str | None:
        """Whose price list holds: OpenAI's own, or none for any other server."""
        return "openai" if self._is_openai else None

    def capabilities(self, model: str) -> Capabilities:
        """Known by the model's name, whatever stands before it, as in ``openai/gpt-5`` or ``ft:o4-mini``."""
        name = model.rpartition("/")[2].removeprefix("ft:")
        reasons = name.startswith(_WITHOUT_TEMPERATURE) and not name.startswith(_WITH_TEMPERATURE)
        return Capabilities(tools=True, temperature=not reasons)

    async def warm(self) -> None:
        """Imports the SDK and makes the client in a thread, for the third of a second that takes."""
        await self._ready()

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Chunk, None]:
        """Text as it comes, then tool calls, then `Done`. Does not send ``prompt.passages``: ``system`` holds them.

        Raises `ProviderBusy`, `ProviderRefused` and `ProviderMisconfigured`, and nothing else.
        """
        answer = Answer(prompt, self._server.name)
        try:
            async with await self._ask(prompt) as stream:
                async for chunk in stream:
                    if text := answer.take(chunk):
                        yield Text(text)
            last = answer.end()
        except ProviderError:
            raise
        except Exception as error:
            failure, cause = self._failure(error, prompt.model)
            raise failure from cause
        for chunk in last:
            yield chunk

    async def close(self) -> None:
        """Gives back the connections; the provider cannot be used afterwards."""
        if self._client is not None:
            await self._client.close()

    async def _ready(self) -> "AsyncOpenAI":
        async with self._opening:
            if self._client is None:
                self._client = await asyncio.to_thread(self._open)
            return self._client

    def _open(self) -> "AsyncOpenAI":
        import openai

        from switchboard.providers.wire import open_client

        client = openai.AsyncOpenAI(
            # Servers that need no key get a word in its place, because the SDK insists on one.
            api_key=self._key or "none",
            base_url=self._base_url,
            max_retries=0,
            http_client=open_client(patience=self._patience),
        )
        # The SDK takes these two from the environment, past our settings, and would show them to any server.
        client.organization = client.project = None
        return client

    async def _ask(self, prompt: Prompt) -> "AsyncStream[ChatCompletionChunk]":
        client = await self._ready()
        from openai import omit

        can = self.capabilities(prompt.model)
        most: int | Omit = prompt.max_tokens or omit
        return await client.chat.completions.create(
            model=prompt.model,
            messages=messages(prompt),
            tools=tools(prompt) if can.tools and prompt.tools else omit,
            temperature=prompt.temperature if can.temperature and prompt.temperature is not None else omit,
            # OpenAI's newer models know only the first, many compatible servers only the second.
            max_completion_tokens=most if self._is_openai else omit,
            max_tokens=omit if self._is_openai else most,
            stream=True,
            stream_options={"include_usage": True},
        )

    def _failure(self, error: Exception, model: str) -> tuple[ProviderError, Exception | None]:
        # The vendor's own error is left out as a cause where its text is the server's, which may repeat the key.
        import openai

        name = self._server.name
        if isinstance(error, openai.APIStatusError):
            found = from_status(error.status_code, error.body, error.response.headers, model=model, server=self._server)
            return found, None
        if isinstance(error, openai.APITimeoutError):
            return ProviderBusy(f"{name} sent nothing for {self._patience:g} seconds."), error
        if isinstance(error, openai.APIConnectionError):
            return ProviderBusy(f"{name} cannot be reached, or hung up ({type(error.__cause__).__name__})."), error
        if isinstance(error, openai.APIError):
            return ProviderBusy(f"{name} broke off its answer: {reason(error.body, self._server)}"), None
        return ProviderBusy(f"{name} sent something that is no answer ({type(error).__name__})."), error


def _host(base_url: str) -> str:
    try:
        parts = urlsplit(base_url)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ProviderMisconfigured("OPENAI_BASE_URL is no address: it looks like https://host.example/v1.")
    return parts.hostname
