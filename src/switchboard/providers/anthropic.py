"""Anthropic's Claude, through the official SDK, the package `anthropic`; imported in a thread when first needed."""

import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING

from switchboard.providers import Capabilities, Chunk, Prompt, Text
from switchboard.providers.border import Opened, StatusAnswer, account, translated
from switchboard.providers.events import events
from switchboard.providers.messages import Answer

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic, AsyncStream
    from anthropic.types import MessageParam, RawMessageStreamEvent, ToolParam

ANTHROPIC_URL = "https://api.anthropic.com"
MOST_TOKENS = 16_000
"""Of an answer where nobody says less: the wire demands a number, and newer models think within it."""
MOST_TOKENS_BEFORE_THINKING = 4_096

# These and no later ones take a temperature, and only under the older version of the wire; all others answer 400.
# https://docs.claude.com/en/docs/about-claude/models/overview
_WITH_TEMPERATURE = re.compile(
    r"claude-([23]|instant)\b.*|claude-(opus|sonnet)-4(-[0-6])?(-20\d{6})?|claude-haiku-4-5(-20\d{6})?"
)
_OLDER_VERSION = "2023-06-01"


class Anthropic:
    """The provider ``anthropic``. ``base_url``: without ``/v1``; None for Anthropic itself.

    ``patience``: seconds without a byte after which a connection counts as dead. Raises `ProviderMisconfigured` when
    the key or the address could never be sent.
    """

    name = "anthropic"

    def __init__(self, *, api_key: str | None, base_url: str | None, patience: float) -> None:
        settings = ("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL")
        self._account = account("Anthropic", api_key, base_url, default=ANTHROPIC_URL, settings=settings)
        self._patience = patience
        self._sdk = Opened(self._open)

    @property
    def price_as(self) -> str | None:
        """Whose price list holds: Anthropic's own, or none for any other server."""
        return "anthropic" if self._account.is_vendors else None

    def capabilities(self, model: str) -> Capabilities:
        """Known by the model's name; one that is not known is taken for a new one."""
        return Capabilities(tools=True, temperature=bool(_WITH_TEMPERATURE.fullmatch(model)))

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
        if self._sdk.client is not None:
            await self._sdk.client.close()

    def _open(self) -> "AsyncAnthropic":
        import anthropic

        from switchboard.providers.wire import open_client

        client = anthropic.AsyncAnthropic(
            api_key=self._account.key,
            base_url=self._account.url,
            max_retries=0,
            http_client=open_client(patience=self._patience),
        )
        # The SDK takes more headers from the environment, past our settings, and would show them to any server.
        client._custom_headers = {}  # pyright: ignore[reportPrivateUsage]
        return client

    async def _ask(self, prompt: Prompt) -> "AsyncStream[RawMessageStreamEvent]":
        client = await self._sdk.get()
        from anthropic import omit

        older = self.capabilities(prompt.model).temperature
        warmth = prompt.temperature if older else None
        # The SDK no longer knows the word, so it goes past it; the scale ends at 1 here.
        return await client.messages.create(
            model=prompt.model,
            max_tokens=prompt.max_tokens or (MOST_TOKENS_BEFORE_THINKING if older else MOST_TOKENS),
            system=prompt.system or omit,
            messages=_messages(prompt),
            tools=_tools(prompt) if prompt.tools else omit,
            stream=True,
            extra_headers=None if warmth is None else {"anthropic-version": _OLDER_VERSION},
            extra_body=None if warmth is None else {"temperature": min(warmth, 1.0)},
        )


def _messages(prompt: Prompt) -> "list[MessageParam]":
    messages: list[MessageParam] = []
    for said in prompt.opened:
        if said.role == "user":
            messages.append({"role": "user", "content": said.text})
        else:
            messages.append({"role": "assistant", "content": said.text})
    return messages


def _tools(prompt: Prompt) -> "list[ToolParam]":
    return [
        {"name": tool.name, "description": tool.description, "input_schema": tool.parameters} for tool in prompt.tools
    ]


def _answered(error: Exception) -> StatusAnswer | None:
    import anthropic

    if isinstance(error, anthropic.APIStatusError):
        return error.status_code, error.body, error.response.headers
    return None
