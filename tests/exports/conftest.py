"""The running service on both transports, and a workspace with conversations worth exporting."""

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import httpx
import pytest

from stands.app import bearer, local_settings, rest_settings, token
from stands.served import client as client
from stands.served import sql as sql
from switchboard.settings import Settings

KEY = "6b" * 32


@pytest.fixture(params=["postgres", "postgrest"])
def settings(request: pytest.FixtureRequest, database_url: str) -> Settings:
    """Settings for a service on this test's database, by either transport."""
    if request.param == "postgres":
        return local_settings(database_url)
    return rest_settings(request.getfixturevalue("supabase"))


@dataclass
class Archive:
    """A workspace, written by SQL as the service would have written it."""

    sql: asyncpg.Connection
    workspace: int
    channel: int
    agent: int
    said: dict[int, list[int]] = field(default_factory=dict[int, list[int]])

    @classmethod
    async def make(cls, sql: asyncpg.Connection, name: str) -> "Archive":
        workspace = await sql.fetchval("insert into workspaces (name) values ($1) returning id", name)
        channel = await sql.fetchval(
            "select (connect_channel($1, 'messenger', $2) ->> 'id')::bigint", workspace, f"page of {name}"
        )
        agent = await sql.fetchval(
            "insert into agents (workspace_id, name, is_default) values ($1, $2, true) returning id",
            *(workspace, f"{name}'s agent"),
        )
        return cls(sql, workspace, channel, agent)

    def caller(self, role: str = "owner") -> dict[str, Any]:
        return {"subject": "olga", "admin": False, "roles": {str(self.workspace): role}}

    async def holds(
        self,
        *texts: str,
        who: str = "Anna Schmidt",
        email: str | None = None,
        title: str | None = None,
        at: str = "2026-03-01T10:00:00Z",
        provider: str = "mistral",
        lifecycle: str = "open",
        senders: Sequence[str] = ("user", "bot"),
        metadata: dict[str, Any] | None = None,
    ) -> int:
        """A conversation in which these texts were said, a minute between them, by the senders in turn."""
        customer = await self.sql.fetchval(
            "insert into customers (workspace_id, channel_id, external_id, name, email, metadata)"
            " values ($1, $2, $3, $4, $5, $6) returning id",
            *(self.workspace, self.channel, uuid.uuid4().hex, who, email, json.dumps(metadata or {})),
        )
        conversation = await self.sql.fetchval(
            "insert into conversations (workspace_id, channel_id, customer_id, agent_id, title, lifecycle, last_seq,"
            " created_at, explicit) values ($1, $2, $3, $4, $5, $6, $7, $8::text::timestamptz, true) returning id",
            *(self.workspace, self.channel, customer, self.agent, title, lifecycle, len(texts), at),
        )
        await self.sql.execute(
            "insert into turns (workspace_id, conversation_id, seq_in, seq_done) values ($1, $2, 1, 1)",
            *(self.workspace, conversation),
        )
        who_said = [senders[place % len(senders)] for place in range(len(texts))]
        rows = await self.sql.fetch(
            "insert into messages (workspace_id, conversation_id, seq, sender_type, content, sent_at, provider, model)"
            " select $1, $2, n, s, t, $3::text::timestamptz + (n - 1) * interval '1 minute',"
            " case s when 'bot' then $6 end, case s when 'bot' then $6 || '-large' end"
            " from unnest($4::text[], $5::text[]) with ordinality x (s, t, n) order by n returning id",
            *(self.workspace, conversation, at, who_said, list(texts), provider),
        )
        self.said[conversation] = [row["id"] for row in rows]
        await self.sql.execute(
            "insert into events (workspace_id, conversation_id, type) values ($1, $2, 'conversation.opened')",
            *(self.workspace, conversation),
        )
        return int(conversation)

    async def more(self, conversation: int, *texts: str, sender: str = "user") -> None:
        """More is said in it."""
        for text in texts:
            await self.sql.execute(
                "with c as (update conversations set last_seq = last_seq + 1 where workspace_id = $1 and id = $2"
                " returning last_seq) insert into messages (workspace_id, conversation_id, seq, sender_type, content)"
                " select $1, $2, c.last_seq, $4, $3 from c",
                *(self.workspace, conversation, text, sender),
            )


@dataclass
class Desk:
    """The owner of the archive, with a program to ask with."""

    client: httpx.AsyncClient
    settings: Settings
    archive: Archive

    def headers(self, role: Any = "owner") -> dict[str, str]:
        return bearer(token(self.settings, role, self.archive.workspace, subject="olga"))

    async def export(self, **asked: Any) -> httpx.Response:
        answer = await self.client.post("/crm/ai-conversations/export", json=asked, headers=self.headers())
        assert answer.status_code == 200, answer.text
        return answer

    async def preview(self, **asked: Any) -> Any:
        answer = await self.client.post("/crm/ai-conversations/preview", json=asked, headers=self.headers())
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def statistics(self, **query: Any) -> Any:
        answer = await self.client.get("/crm/ai-conversations/statistics", params=query, headers=self.headers())
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def verify(self, content: bytes) -> Any:
        answer = await self.client.post(
            "/api/exports/verify",
            content=content,
            headers={**self.headers(), "content-type": "application/octet-stream"},
        )
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def audit(self) -> list[tuple[str, dict[str, Any]]]:
        rows = await self.archive.sql.fetch(
            "select action, details from audit where workspace_id = $1 and action like 'export%' order by id",
            self.archive.workspace,
        )
        return [(row["action"], json.loads(row["details"])) for row in rows]


@pytest.fixture
async def archive(sql: asyncpg.Connection) -> Archive:
    """A workspace without conversations."""
    return await Archive.make(sql, "Ours")


@pytest.fixture
async def desk(client: httpx.AsyncClient, settings: Settings, archive: Archive) -> Desk:
    """Its owner, at the running service."""
    return Desk(client, settings, archive)


@pytest.fixture
async def theirs(sql: asyncpg.Connection) -> Archive:
    """A workspace of somebody else."""
    return await Archive.make(sql, "Theirs")
