"""OpenAI, and every server that speaks its chat completions, through the official SDK.

The SDK is the package `openai`; this file is only ever `switchboard.providers.openai`. Importing this file does not
import the SDK: that happens in a thread, when the provider is warmed or first used.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING

from switchboard.providers import Capabilities, Chunk, Prompt, Text
from switchboard.providers.border import Opened, StatusAnswer, account, translated
from switchboard.providers.chat_completions import Answer, messages, tools
from switchboard.providers.events import events

if TYPE_CHECKING:
    from openai import AsyncOpenAI, AsyncStream, Omit
    from openai.types.chat import ChatCompletionChunk

OPENAI_URL = "https://api.openai.com/v1"

# Reasoning models answer 400 to a temperature; the chat variant of the first GPT-5 is none. Names by their beginning.
# https://platform.openai.com/docs/guides/reasoning
_WITHOUT_TEMPERATURE = ("o1", "o3", "o4", "gpt-5", "gpt-6")
_WITH_TEMPERATURE = ("gpt-5-chat",)


class OpenAI:
    """The provider ``openai``, or a compatible server under a ``name`` of its own.

    ``base_url``: up to and with ``/v1``; None for OpenAI itself. ``patience``: seconds without a byte after which a
    connection counts as dead. ``settings``: the variables of key and address. Raises `ProviderMisconfigured` when the
    key or the address could never be sent.
    """

    def __init__(
        self,
        *,
        api_key: str | None,
        base_url: str | None,
        patience: float,
        name: str = "openai",
        settings: tuple[str, str] = ("OPENAI_API_KEY", "OPENAI_BASE_URL"),
    ) -> None:
        self.name = name
        self._account = account("OpenAI", api_key, base_url, default=OPENAI_URL, settings=settings)
        self._patience = patience
        self._sdk = Opened(self._open)

    @property
    def price_as(self) -> str | None:
        """Whose price list holds: OpenAI's own, or none for any other server."""
        return "openai" if self._account.is_vendors else None

    def capabilities(self, model: str) -> Capabilities:
        """Known by the model's name, whatever stands before it, as in ``openai/gpt-5`` or ``ft:o4-mini``."""
        name = model.rpartition("/")[2].removeprefix("ft:")
        reasons = name.startswith(_WITHOUT_TEMPERATURE) and not name.startswith(_WITH_TEMPERATURE)
        return Capabilities(tools=True, temperature=not reasons)

    async def warm(self) -> None:
        """Imports the SDK and makes the client in a thread, for the third of a second that takes."""
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
        if self._sdk.client is not None:
            await self._sdk.client.close()

    def _open(self) -> "AsyncOpenAI":
        import openai

        from switchboard.providers.wire import open_client

        client = openai.AsyncOpenAI(
            api_key=self._account.key,
            base_url=self._account.url,
            max_retries=0,
            http_client=open_client(patience=self._patience),
        )
        # The SDK takes these from the environment, past our settings, and would show them to any server.
        client.organization = client.project = None
        client._custom_headers = {}  # pyright: ignore[reportPrivateUsage]
        return client

    async def _ask(self, prompt: Prompt) -> "AsyncStream[ChatCompletionChunk]":
        client = await self._sdk.get()
        from openai import omit

        can = self.capabilities(prompt.model)
        most: int | Omit = prompt.max_tokens or omit
        newer = self._account.is_vendors
        return await client.chat.completions.create(
            model=prompt.model,
            messages=messages(prompt),
            tools=tools(prompt) if can.tools and prompt.tools else omit,
            temperature=prompt.temperature if can.temperature and prompt.temperature is not None else omit,
            # OpenAI's newer models know only the first, many compatible servers only the second.
            max_completion_tokens=most if newer else omit,
            max_tokens=omit if newer else most,
            stream=True,
            stream_options={"include_usage": True},
        )


def _answered(error: Exception) -> StatusAnswer | None:
    import openai

    if isinstance(error, openai.APIStatusError):
        return error.status_code, error.body, error.response.headers
    return None
