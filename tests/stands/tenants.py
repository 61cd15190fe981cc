"""Two businesses that must never hear of one another, each with a row in every table."""

import uuid
from dataclasses import dataclass
from typing import Any

import asyncpg


@dataclass(frozen=True, slots=True)
class Tenant:
    """One workspace. ``mark`` stands in every text of it; ``person`` is the `sub` of its owner in Supabase."""

    workspace: int
    mark: str
    person: str
    agent: int
    conversation: int
    question: int
    answer: int

    def caller(self, role: str = "owner") -> dict[str, Any]:
        """What SQL functions take as `caller`."""
        return {"subject": f"{role} of {self.mark}", "admin": False, "roles": {str(self.workspace): role}}


async def settle(sql: asyncpg.Connection, mark: str) -> Tenant:
    """A new workspace with a row of its own in every table that has a `workspace_id`."""
    person = str(uuid.uuid4())
    workspace = await sql.fetchval("insert into workspaces (name) values ($1) returning id", f"{mark} Ltd")
    await sql.execute("insert into members values ($1, $2, $3, 'owner')", workspace, person, f"{mark}@example.com")
    await sql.execute(
        "insert into api_keys (workspace_id, name, prefix, key_hash, role) values ($1, $2, $2, $2, 'owner')",
        *(workspace, mark),
    )
    agent = await sql.fetchval(
        "insert into agents (workspace_id, name, is_default) values ($1, $2, true) returning id", workspace, mark
    )
    await sql.execute(
        "insert into audit (workspace_id, actor, action, subject) values ($1, $2, $2, $2)", workspace, mark
    )
    await sql.execute(
        "insert into inbox (workspace_id, platform, account, body, events, sorted_at)"
        " values ($1, 'messenger', 'x', 'x', '[]', now())",
        workspace,
    )
    document = await sql.fetchval(
        "insert into knowledge_documents (workspace_id, title, content, language)"
        " values ($1, $2, $2, 'english') returning id",
        *(workspace, mark),
    )
    await sql.execute(
        "insert into knowledge_chunks (workspace_id, document_id, place, content, search)"
        " values ($1, $2, 1, $3, to_tsvector($3))",
        *(workspace, document, mark),
    )
    conversation, question, answer = await talk(sql, workspace, mark)
    await sql.execute(
        "insert into usage (workspace_id, conversation_id, outcome, provider, model)"
        " values ($1, $2, 'answered', $3, $3)",
        *(workspace, conversation, mark),
    )
    return Tenant(workspace, mark, person, agent, conversation, question, answer)


async def talk(
    sql: asyncpg.Connection,
    workspace: int,
    mark: str,
    *,
    platform: str = "api",
    customer: str | None = None,
    explicit: bool = True,
) -> tuple[int, int, int]:
    """A conversation of a new customer with a question and its answer: their ids."""
    channel = await sql.fetchval(
        "select connect_channel($1, $2, $3) ->> 'id'", workspace, platform, f"workspace:{workspace}"
    )
    who = await sql.fetchval(
        "insert into customers (workspace_id, channel_id, external_id, name) values ($1, $2, $3, $4) returning id",
        *(workspace, int(channel), customer or f"{mark}-{uuid.uuid4()}", mark),
    )
    conversation = await sql.fetchval(
        "insert into conversations (workspace_id, channel_id, customer_id, title, last_seq, explicit)"
        " values ($1, $2, $3, $4, 2, $5) returning id",
        *(workspace, int(channel), who, mark, explicit),
    )
    said = "insert into messages (workspace_id, conversation_id, seq, sender_type, content) values ($1, $2, $3, $4, $5)"
    question = await sql.fetchval(f"{said} returning id", workspace, conversation, 1, "user", f"{mark} asks")
    answer = await sql.fetchval(f"{said} returning id", workspace, conversation, 2, "bot", f"{mark} answers")
    await sql.execute(
        "insert into turns (workspace_id, conversation_id, seq_in, seq_done) values ($1, $2, 1, 1)",
        *(workspace, conversation),
    )
    await sql.execute(
        "insert into replies (workspace_id, conversation_id, message_id, outcome, answered_seq, lease_no, epoch)"
        " values ($1, $2, $3, 'answered', 1, 1, 0)",
        *(workspace, conversation, answer),
    )
    await sql.execute(
        "insert into deliveries (workspace_id, conversation_id, message_id, part, text, state)"
        " values ($1, $2, $3, 1, $4, 'sent')",
        *(workspace, conversation, answer, mark),
    )
    await sql.execute(
        "insert into events (workspace_id, conversation_id, message_id, type) values ($1, $2, $3, 'message.received')",
        *(workspace, conversation, question),
    )
    return conversation, question, answer
