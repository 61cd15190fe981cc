"""Weeks of a business in which customers wrote, asked what nobody knew, and rated."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta

import asyncpg


def monday(weeks_ago: int) -> date:
    """The Monday of the week that ended so many weeks ago: 1 is the last one that is over, by UTC."""
    today = datetime.now(UTC).date()
    return today - timedelta(days=today.weekday() + 7 * weeks_ago)


@dataclass
class Business:
    """A workspace that is half a year old; every conversation is of a customer of its own unless one is named."""

    sql: asyncpg.Connection
    workspace: int
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    @classmethod
    async def open(cls, sql: asyncpg.Connection, name: str = "Café") -> "Business":
        workspace = await sql.fetchval(
            "insert into workspaces (name, created_at) values ($1, now() - interval '180 days') returning id", name
        )
        await sql.execute("select connect_channel($1, 'api', $2)", workspace, f"workspace:{workspace}")
        return cls(sql, workspace)

    async def hears(
        self, weeks_ago: int, text: str, *, times: int = 1, customers: Sequence[str] = (), at: datetime | None = None
    ) -> list[int]:
        """So many conversations begin with the same words; the ids of them."""
        when = at or datetime.combine(monday(weeks_ago) + timedelta(days=2), time(12), UTC)
        begun: list[int] = []
        for number in range(times):
            who = customers[number % len(customers)] if customers else f"customer {next(self._numbers)}"
            begun.append(
                await self.sql.fetchval(
                    "with who as (insert into customers (workspace_id, channel_id, external_id)"
                    " select $1, c.id, $2 from channels c where c.workspace_id = $1"
                    " on conflict on constraint customers_external_key do update set external_id = excluded.external_id"
                    " returning id, channel_id), begun as (insert into conversations"
                    " (workspace_id, channel_id, customer_id, explicit, last_seq, created_at, last_message_at)"
                    " select $1, w.channel_id, w.id, true, 1, $4, $4 from who w returning id)"
                    " insert into messages (workspace_id, conversation_id, seq, sender_type, content, created_at)"
                    " select $1, b.id, 1, 'user', $3, $4 from begun b returning conversation_id",
                    *(self.workspace, who, text, when),
                )
            )
        return begun

    async def cannot_answer(self, conversations: Sequence[int]) -> None:
        """What was asked in them found nothing."""
        await self.sql.execute(
            "insert into knowledge_questions (workspace_id, conversation_id, seq, question, best, asked_at)"
            " select m.workspace_id, m.conversation_id, m.seq, m.content, 0, m.created_at from messages m"
            " where m.workspace_id = $1 and m.conversation_id = any ($2)",
            *(self.workspace, conversations),
        )

    async def is_rated(self, weeks_ago: int, scores: Sequence[int], *, agent: int | None, model: str) -> list[int]:
        """The answers to as many conversations are rated so; the ids of the conversations."""
        begun = await self.hears(weeks_ago, "Hello", times=len(scores))
        for conversation, score in zip(begun, scores, strict=True):
            await self.sql.execute(
                "with said as (insert into messages (workspace_id, conversation_id, seq, sender_type, content,"
                " created_at, agent_id, provider, model)"
                " select m.workspace_id, m.conversation_id, 2, 'bot', 'Hi', m.created_at, $3, 'openai', $4"
                " from messages m where m.workspace_id = $1 and m.conversation_id = $2"
                " returning workspace_id, id)"
                " insert into ratings (workspace_id, message_id, rated_by, score)"
                " select s.workspace_id, s.id, 'anna', $5 from said s",
                *(self.workspace, conversation, agent, model, score),
            )
        return begun
