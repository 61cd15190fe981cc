"""The endpoints below /api/v1/ai as the owner of the first workspace uses them."""

from typing import Any

import httpx

from stands.app import bearer, token
from switchboard.settings import Settings

WORKSPACE = 1


class Owner:
    """The client as the owner uses it; ``by`` names somebody else, with the role support."""

    def __init__(self, client: httpx.AsyncClient, settings: Settings) -> None:
        self.client = client
        self._settings = settings

    def who(self, by: str | None = None) -> dict[str, str]:
        return bearer(token(self._settings, "support" if by else "owner", WORKSPACE, subject=by or "olga"))

    async def get(self, path: str, status: int = 200, **query: Any) -> Any:
        answer = await self.client.get(f"/api/v1/ai{path}", params=query, headers=self.who())
        assert answer.status_code == status, answer.text
        return answer.json()

    async def put(self, path: str, body: Any, status: int = 200, *, by: str | None = None) -> Any:
        answer = await self.client.put(f"/api/v1/ai{path}", json=body, headers=self.who(by))
        assert answer.status_code == status, answer.text
        return answer.json()

    async def puts_form(self, path: str, fields: dict[str, Any], status: int = 200) -> Any:
        answer = await self.client.put(f"/api/v1/ai{path}", data=fields, headers=self.who())
        assert answer.status_code == status, answer.text
        return answer.json()
