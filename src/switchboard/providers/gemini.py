"""Google's Gemini, through the official SDK, the package `google-genai`; imported in a thread when first needed.

The SDK offers nothing but its own models of the chunks, at 13 ms of CPU for a hundred, and it leaves the connection
open, the model writing on, when a reader stops early. So its answer is taken from it at the door: see `DoorClient`.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, cast

from switchboard.errors import ProviderBusy
from switchboard.providers import Capabilities, Chunk, Prompt, Text
from switchboard.providers.border import Opened, StatusAnswer, account, translated
from switchboard.providers.candidates import Answer
from switchboard.providers.events import events

if TYPE_CHECKING:
    import httpx2
    from google.genai import Client
    from google.genai.types import ContentListUnion, GenerateContentConfig, Tool

GEMINI_URL = "https://generativelanguage.googleapis.com"
API_VERSION = "v1beta"
"""The one that knows system instructions and tools for every model; the SDK's own default changes."""


class Gemini:
    """The provider ``gemini``. ``base_url``: without a version; None for Google itself.

    ``patience``: seconds without a byte after which a connection counts as dead. Raises `ProviderMisconfigured` when
    the key or the address could never be sent.
    """

    name = "gemini"

    def __init__(self, *, api_key: str | None, base_url: str | None, patience: float) -> None:
        settings = ("GEMINI_API_KEY", "GEMINI_BASE_URL")
        self._account = account("Gemini", api_key, base_url, default=GEMINI_URL, settings=settings)
        self._patience = patience
        self._http: httpx2.AsyncClient | None = None
        self._sdk = Opened(self._open)

    @property
    def price_as(self) -> str | None:
        """Whose price list holds: Google's own, or none for any other server."""
        return "google" if self._account.is_vendors else None

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
            async with aclosing(await self._ask(prompt)) as response, aclosing(events(response, server.name)) as told:
                async for event in told:
                    if text := answer.take(event):
                        yield Text(text)
        for last in answer.end():
            yield last

    async def close(self) -> None:
        """Gives back the connections; the provider cannot be used afterwards."""
        if self._http is not None:
            await self._http.aclose()

    def _open(self) -> "Client":
        from google.genai import Client
        from google.genai.types import HttpOptions

        from switchboard.providers.wire import open_client

        self._http = open_client(patience=self._patience, door=True)
        options = HttpOptions(
            base_url=self._account.url,
            api_version=API_VERSION,
            httpx_async_client=self._http,
            timeout=round(self._patience * 1000),
        )
        # Said out loud, or the SDK looks in the environment, past our settings.
        return Client(enterprise=False, api_key=self._account.key, http_options=options)

    async def _ask(self, prompt: Prompt) -> "httpx2.Response":
        client = await self._sdk.get()
        from switchboard.providers.wire import Answered

        chunks = await client.aio.models.generate_content_stream(
            model=prompt.model, contents=_contents(prompt), config=_config(prompt)
        )
        try:
            await anext(aiter(chunks))
        except Answered as answered:
            return answered.response
        raise ProviderBusy(f"{self._account.server.name} was not asked at all.", fault="internal")


def _contents(prompt: Prompt) -> "ContentListUnion":
    from google.genai.types import Content, Part

    role = {"user": "user", "assistant": "model"}
    return [Content(role=role[said.role], parts=[Part(text=said.text)]) for said in prompt.opened]


def _config(prompt: Prompt) -> "GenerateContentConfig":
    from google.genai.types import AutomaticFunctionCallingConfig, GenerateContentConfig

    return GenerateContentConfig(
        system_instruction=prompt.system or None,
        temperature=prompt.temperature,
        max_output_tokens=prompt.max_tokens,
        tools=_tools(prompt) if prompt.tools else None,
        # One answer is one call: whoever asks decides about another.
        automatic_function_calling=AutomaticFunctionCallingConfig(disable=True),
        automatic_continuation=False,
    )


def _tools(prompt: Prompt) -> "list[Tool]":
    from google.genai.types import FunctionDeclaration, Tool

    return [
        Tool(
            function_declarations=[
                FunctionDeclaration(
                    name=tool.name, description=tool.description, parameters_json_schema=tool.parameters
                )
                for tool in prompt.tools
            ]
        )
    ]


def _answered(error: Exception) -> StatusAnswer | None:
    from google.genai.errors import APIError

    if not isinstance(error, APIError):
        return None
    # Neither is typed, and what comes within a stream has no code that counts.
    told = cast(Any, error)
    return told.code if isinstance(told.code, int) else 500, told.details, getattr(told.response, "headers", {})
