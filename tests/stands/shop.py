"""A whole business on this machine: the service, Facebook, a model provider, a customer and the admin panel."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from stands.app import APP_SECRET, PAGE, bearer, running_client, token, until_ready
from stands.graph import GraphStand, message, sign, webhook
from stands.llm import LlmStand
from switchboard.settings import Settings

MakeSettings = Callable[..., Settings]


@dataclass
class Shop:
    """What a test does and sees; ids are those of the wire."""

    client: httpx.AsyncClient
    graph: GraphStand
    llm: LlmStand
    settings: Settings

    async def hears(self, text: str, mid: str = "mid.1", customer: str = "4711") -> None:
        """The customer writes on Messenger."""
        await self.is_told(message(PAGE, customer, mid, text))

    async def is_told(self, *events: dict[str, Any]) -> None:
        """Facebook delivers a signed webhook."""
        body = webhook(PAGE, *events)
        answer = await self.client.post("/webhook", content=body, headers=sign(body, APP_SECRET))
        assert answer.status_code == 200, answer.text

    async def get(self, path: str, **query: Any) -> Any:
        """The admin panel asks."""
        answer = await self.client.get(path, params=query, headers=bearer(token(self.settings)))
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def post(self, path: str, body: dict[str, Any] | None = None, *, subject: str = "anna") -> Any:
        """A person acts."""
        headers = bearer(token(self.settings, subject=subject))
        answer = await self.client.post(path, json=body, headers=headers)
        assert answer.status_code in (200, 201, 202), answer.text
        return answer.json()

    async def messages(self, conversation: int = 1) -> list[dict[str, Any]]:
        """All messages of a conversation, oldest first; none while the webhook that opens it is being sorted."""
        headers = bearer(token(self.settings))
        answer = await self.client.get(f"/admin/conversations/{conversation}/messages", headers=headers)
        assert answer.status_code in (200, 404), answer.text
        found: list[dict[str, Any]] = answer.json().get("messages", [])
        return found

    async def conversation(self, conversation: int = 1) -> dict[str, Any]:
        """A conversation as the panel shows it."""
        found: dict[str, Any] = (await self.get(f"/admin/conversations/{conversation}"))["conversation"]
        return found

    async def until(self, true: Callable[[], Awaitable[Any]], seconds: float = 15) -> Any:
        """Looks until ``true`` returns something; fails after ``seconds``."""
        async with asyncio.timeout(seconds):
            while not (found := await true()):
                await asyncio.sleep(0.02)
        return found

    async def until_message(self, conversation: int = 1, **wanted: Any) -> dict[str, Any]:
        """The first message with these values, once there is one."""

        async def find() -> dict[str, Any] | None:
            for one in await self.messages(conversation):
                if all(one[name] == value for name, value in wanted.items()):
                    return one
            return None

        found: dict[str, Any] = await self.until(find)
        return found


@asynccontextmanager
async def open_shop(make: MakeSettings, **overrides: Any) -> AsyncIterator[Shop]:
    """A shop that answers at once with its built-in provider; with ``default_model`` openai:… by the stand's model."""
    async with GraphStand() as graph, LlmStand() as llm:
        settings = make(
            **{
                "reply_concurrency": 8,
                "facebook_graph_url": graph.url,
                "openai_base_url": llm.openai_url,
                "openai_api_key": "a-key-for-the-tests",
                "default_model": "extractive:quote",
            }
            | overrides
        )
        async with running_client(settings) as client:
            await until_ready(client)
            yield Shop(client, graph, llm, settings)
