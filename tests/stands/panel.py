"""The admin panel as people of the first workspace use it."""

from typing import Any

import httpx

from channels.payloads import body
from stands.app import bearer, signed, token
from switchboard.settings import Settings

WORKSPACE = 1
"""The first workspace, which the service makes when it starts."""


class Panel:
    """The client as people of the first workspace use it."""

    def __init__(self, client: httpx.AsyncClient, settings: Settings) -> None:
        self.client = client
        self._settings = settings

    def who(self, name: str = "anna", role: Any = "support") -> dict[str, str]:
        return bearer(token(self._settings, role, WORKSPACE, subject=name))

    async def get(self, path: str, answers: int = 200, **query: Any) -> dict[str, Any]:
        answer = await self.client.get(f"/admin{path}", params=query, headers=self.who())
        assert answer.status_code == answers, answer.text
        return answer.json()

    async def post(self, path: str, content: Any = None, *, by: str = "anna", status: int = 200) -> dict[str, Any]:
        answer = await self.client.post(f"/admin{path}", json=content, headers=self.who(by))
        assert answer.status_code == status, answer.text
        return answer.json()

    async def receive(self, *events: Any) -> None:
        content = body(*events)
        assert (await self.client.post("/webhook", content=content, headers=signed(content))).status_code == 200

    async def found(self, **query: Any) -> list[str]:
        """The customers of a list, in its order."""
        return [row["user_id"] for row in (await self.get("/conversations", **query))["conversations"]]
