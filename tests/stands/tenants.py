"""Two businesses that must never hear of one another, each with a row in every table."""

import json
import uuid
from dataclasses import dataclass
from typing import Any

import asyncpg

FIGURES = {
    **dict.fromkeys(["conversations", "previous_conversations", "previous_weeks", "unanswered"], 1),
    **dict.fromkeys(["previous_unanswered", "previous_unanswered_mean", "count", "customers", "g2", "ratio"], 1),
    "previous_mean": 1,
}
"""Of a week and of a topic in it."""


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
    document: int
    attachment: int
    rating: int
    flag: int
    summary: int
    export: int

    @property
    def ids(self) -> dict[str, int]:
        """What the parameters of addresses stand for."""
        return {
            "conversation_id": self.conversation,
            "session_id": self.conversation,
            "message_id": self.question,
            "document_id": self.document,
            "attachment_id": self.attachment,
            "agent_id": self.agent,
            "rating_id": self.rating,
            "flag_id": self.flag,
            "summary_id": self.summary,
            "export_id": self.export,
            "model_id": 1,  # the installation's
        }

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
    await sql.execute("insert into agent_prompts values ($1, $2, 1, $3, $3)", workspace, agent, mark)
    await sql.execute(
        "insert into audit (workspace_id, actor, action, subject) values ($1, $2, $2, $2)", workspace, mark
    )
    await sql.execute(
        "insert into inbox (workspace_id, platform, account, body, sorted_at)"
        " values ($1, 'messenger', 'x', 'x', now())",
        workspace,
    )
    document = await sql.fetchval(
        "insert into knowledge_documents"
        " (workspace_id, title, kind, state, indexed_version, indexed_lease, indexed_language, due_at, chunks)"
        " values ($1, $2, 'text', 'ready', 0, 1, 'english', null, 1) returning id",
        *(workspace, mark),
    )
    await sql.execute("insert into knowledge_sources values ($1, $2, $3)", workspace, document, mark.encode())
    chunk = await sql.fetchval(
        "insert into knowledge_chunks (workspace_id, document_id, lease_no, place, content, search)"
        " values ($1, $2, 1, 1, $3, to_tsvector('english', $3)"
        " || array_to_tsvector(array[search_scope($1, 'english')])) returning id",
        *(workspace, document, mark),
    )
    await sql.execute(
        "insert into prompts (workspace_id, version, manual_prompt, created_by) values ($1, 1, $2, $2)", workspace, mark
    )
    await sql.execute(
        "insert into provider_keys (workspace_id, provider, sealed) values ($1, 'openai', $2)", workspace, mark
    )
    if await sql.fetchval("select has_vectors()"):
        await sql.execute(
            "insert into knowledge_vectors"
            " values ($1, $2, $3, (array_fill(1::real, array[1536]))::extensions.halfvec(1536))",
            *(workspace, chunk, mark),
        )
    conversation, question, answer = await talk(sql, workspace, mark)
    attachment = await sql.fetchval(
        "insert into attachments (workspace_id, conversation_id, message_id, place, source, name)"
        " values ($1, $2, $3, 1, '{}', $4) returning id",
        *(workspace, conversation, question, mark),
    )
    call = json.dumps({"provider": mark, "model": mark, "outcome": "answered", "cost": "0.5"})
    await sql.execute("select record_call($1, 'reply', $2, $3)", workspace, call, conversation)
    await sql.execute(
        "insert into usage_days select * from usage_tail_days where workspace_id = $1",
        workspace,
    )
    await sql.execute("insert into usage_times select * from usage_tail_times where workspace_id = $1", workspace)
    await sql.execute(
        "insert into usage_customers select workspace_id, day, customer_id, 1, 0, cost, 0 from usage"
        " where workspace_id = $1",
        workspace,
    )
    await sql.execute(
        "insert into activity_days values ($1, current_date, $2, 'conversation.opened', 1, 0, '{}', 0)", workspace, mark
    )
    await sql.execute("select count_conversations($1, array[$2::bigint])", workspace, conversation)
    await sql.execute(
        "insert into knowledge_questions (workspace_id, conversation_id, seq, question, best)"
        " values ($1, $2, 1, $3, 0)",
        *(workspace, conversation, mark),
    )
    rating, flag = await judge(sql, workspace, answer, mark)
    await sql.execute(
        "insert into feedback_messages select workspace_id, id, current_date, $2, $3, $3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,"
        " 0, 0 from messages where workspace_id = $1 and id = $4",
        *(workspace, agent, mark, answer),
    )
    await sql.execute(
        "insert into feedback_days values ($1, current_date, $2, $3, $3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)",
        *(workspace, agent, mark),
    )
    for kind in ("week", "topic"):
        await sql.execute(
            "insert into trend_weeks (workspace_id, week, kind, place, figures)"
            " values ($1, date_trunc('week', now())::date - 7, $2, $3, $4)",
            *(workspace, kind, int(kind == "topic"), json.dumps(FIGURES | {"topic": mark})),
        )
    await sql.execute(
        "insert into corrections"
        " (workspace_id, conversation_id, message_id, reason, question, answer, better_answer, created_by)"
        " values ($1, $2, $3, 'corrected', $4, $4, $4, $4)",
        *(workspace, conversation, answer, mark),
    )
    summary = await sql.fetchval(
        "insert into summaries (workspace_id, conversation_id, state, content, covers_seq, reason)"
        " values ($1, $2, 'ready', $3, 2, 'asked') returning id",
        *(workspace, conversation, mark),
    )
    export = await keep_export(sql, workspace, agent, f"owner of {mark}", mark)
    return Tenant(
        *(workspace, mark, person, agent, conversation, question, answer, document, attachment, rating, flag, summary),
        export,
    )


async def keep_export(sql: asyncpg.Connection, workspace: int, agent: int, person: str, mark: str) -> int:
    """An export that somebody has asked for: its id."""
    return int(
        await sql.fetchval(
            "insert into export_jobs"
            " (workspace_id, requested_by, assistant_id, assistant, days, format, filters, options)"
            " values ($1, $2, $3, $4, 7, 'html', $5, $6) returning id",
            *(workspace, person, agent, mark),
            json.dumps({"agent": agent, "start_date": "2026-11-01", "end_date": "2026-11-07"}),
            json.dumps({"anonymize": True, "include_ip_addresses": False, "include_metadata": True}),
        )
    )


async def judge(sql: asyncpg.Connection, workspace: int, message: int, person: str) -> tuple[int, int]:
    """What a person thinks of a message, whoever wrote it: the ids of a rating and a flag."""
    rating = await sql.fetchval(
        "insert into ratings (workspace_id, message_id, rated_by, score, comment)"
        " values ($1, $2, $3, 3, $3) returning id",
        *(workspace, message, person),
    )
    flag = await sql.fetchval(
        "insert into flags (workspace_id, message_id, flagged_by, flag_type, comment)"
        " values ($1, $2, $3, 'off_topic', $3) returning id",
        *(workspace, message, person),
    )
    return rating, flag


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
