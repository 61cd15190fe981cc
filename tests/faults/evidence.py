"""What is known after a trial: the rows of the database, the logs of the other side, and what was sent."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import asyncpg

Row = Mapping[str, Any]

WITNESS = """
create table if not exists witness (
  place bigint generated always as identity, kind text, workspace_id bigint, conversation_id bigint, delivery_id bigint,
  epoch bigint, xid xid8 default pg_current_xact_id()
);
create or replace function witness_claim() returns trigger
language plpgsql security definer set search_path = public as $$
begin
  insert into witness (kind, workspace_id, conversation_id, delivery_id, epoch)
  values ('claim', new.workspace_id, new.conversation_id, new.id, new.epoch);
  return null;
end $$;
create or replace function witness_raise() returns trigger
language plpgsql security definer set search_path = public as $$
begin
  insert into witness (kind, workspace_id, conversation_id, epoch)
  values ('raise', new.workspace_id, new.conversation_id, new.epoch);
  return null;
end $$;
create or replace trigger witness_claim after update of state on deliveries
for each row when (new.state = 'sending' and old.state <> 'sending') execute function witness_claim();
create or replace trigger witness_raise after update of epoch on turns
for each row when (new.epoch > old.epoch) execute function witness_raise();
"""
"""Writes down every claim to send and every change of hands in its own transaction: their commits have an order that no
clock outside has. The server runs with `track_commit_timestamp`; who waits for a lock commits later than its holder.
"""

AWAY: Final = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,  # a TimeoutError is one
)
"""What the tests' own sessions may end with while the database is being harmed; the last but one under a call."""

_PEOPLE = """
select array_agg(c.id) from conversations c
join customers p on p.workspace_id = c.workspace_id and p.id = c.customer_id where starts_with(p.external_id, $1)
"""
_QUERIES: Final = {
    "conversations": """select c.*, p.external_id as customer from conversations c
        join customers p on p.workspace_id = c.workspace_id and p.id = c.customer_id
        where c.id = any($1) order by c.id""",
    "messages": "select * from messages where conversation_id = any($1) order by conversation_id, seq, id",
    "turns": "select * from turns where conversation_id = any($1) order by conversation_id",
    "replies": "select * from replies where conversation_id = any($1) order by id",
    "deliveries": "select * from deliveries where conversation_id = any($1) order by id",
    "events": "select * from events where conversation_id = any($1) order by id",
    "witness": """select w.*, pg_xact_commit_timestamp(w.xid::xid) as committed_at from witness w
        where conversation_id = any($1) order by place""",
}


@dataclass(slots=True)
class Evidence:
    """All of it; a checker looks at nothing else. Messages of customers go by the ids of the channel."""

    sent: dict[str, str] = field(default_factory=dict[str, str])
    acked: set[str] = field(default_factory=set[str])
    orders: list[list[str]] = field(default_factory=list[list[str]])
    by_people: dict[str, str] = field(default_factory=dict[str, str])
    """What people of the business wrote, in Facebook's own inbox (by message id) or here (any key)."""
    published: dict[int, int] = field(default_factory=dict[int, int])
    """The seq of each message id as it was seen while the trial ran."""
    conversations: list[Row] = field(default_factory=list[Row])
    messages: list[Row] = field(default_factory=list[Row])
    turns: list[Row] = field(default_factory=list[Row])
    replies: list[Row] = field(default_factory=list[Row])
    deliveries: list[Row] = field(default_factory=list[Row])
    events: list[Row] = field(default_factory=list[Row])
    witness: list[Row] = field(default_factory=list[Row])
    calls: list[Row] = field(default_factory=list[Row])
    """Messages that reached Facebook: {number, marker, recipient, text}."""
    accepted: list[Row] = field(default_factory=list[Row])
    """Those of them that a customer got to see."""


async def read_rows(sql: asyncpg.Connection, prefix: str, evidence: Evidence) -> Evidence:
    """Adds the rows of the customers whose ids begin with ``prefix``, all as of one moment."""
    await sql.execute("begin isolation level repeatable read read only")
    people = await sql.fetchval(_PEOPLE, prefix) or []
    for name, query in _QUERIES.items():
        rows = await sql.fetch(query, people)
        setattr(evidence, name, [dict(row) for row in rows])
    await sql.execute("commit")
    return evidence


def read_logs(folder: Path, prefix: str, evidence: Evidence) -> Evidence:
    """Adds what Facebook's files tell of the same customers."""
    calls = [call for call in read_lines(folder / "graph.jsonl") if "message" in call["json"]]
    evidence.calls = [
        told
        for call in calls
        if (
            told := {
                "number": call["number"],
                "marker": call["json"]["message"].get("metadata"),
                "recipient": call["json"]["recipient"]["id"],
                "text": call["json"]["message"]["text"],
                "t": call["at"],
            }
        )["recipient"].startswith(prefix)
    ]
    evidence.accepted = [
        line for line in read_lines(folder / "accepted.jsonl") if str(line["recipient"]).startswith(prefix)
    ]
    return evidence


def read_lines(file: Path) -> Sequence[dict[str, Any]]:
    """The lines of a log; a last line that is still being written is left out."""
    if not file.exists():
        return []
    return [json.loads(line) for line in file.read_text().splitlines(keepends=True) if line.endswith("\n")]
