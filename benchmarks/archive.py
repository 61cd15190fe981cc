"""Many conversations in little time: rows made by SQL, indexes and constraints put back afterwards."""

import asyncpg

MESSAGES_EACH = 10
_TABLES = ("customers", "conversations", "messages")
_INDEXES = """
select n.relname::text as index, pg_get_indexdef(i.indexrelid) as made
from pg_index i join pg_class n on n.oid = i.indexrelid
where i.indrelid = $1::regclass and not i.indisprimary
  and not exists (select from pg_constraint c where c.conindid = i.indexrelid)
"""
_CUSTOMERS = """
insert into customers (workspace_id, id, channel_id, external_id, name)
select $1::bigint, n, $2::bigint, 'customer ' || n, 'Customer ' || n from generate_series(1, $3::bigint) n
"""
# As a year brings them: two thirds answered and resolved, one in eight a person's, one in fifty waiting for one.
_CONVERSATIONS = """
insert into conversations (
  workspace_id, id, channel_id, customer_id, lifecycle, handler, priority, requires_human, last_seq, created_at,
  last_message_at, last_customer_at
)
select $1::bigint, n, $2::bigint, n,
  case when n % 3 = 0 then 'open' else 'resolved' end, case when n % 8 = 0 then 'human' else 'ai' end, n % 5,
  n % 50 = 0, $4::int, at, at, at
from generate_series(1, $3::bigint) n
cross join lateral (select now() - (($3::bigint - n) * 31536000.0 / $3::bigint) * interval '1 second' as at) moment
"""
_MESSAGES = """
insert into messages (workspace_id, conversation_id, seq, sender_type, content, sent_at)
select $1::bigint, c.id, s, case when s % 2 = 1 then 'user' else 'bot' end,
  'Message ' || s || ' of conversation ' || c.id || case c.id % 1000 when 7 then ' about an espresso' else '' end,
  c.last_message_at
from conversations c cross join generate_series(1, $3::int) s
where c.workspace_id = $1 and c.id > $2::bigint and c.id <= $2::bigint + 100000
"""


async def fill(dsn: str, messages: int, *, each: int = MESSAGES_EACH, name: str = "Archive Ltd") -> int:
    """A new workspace with so many messages, ``each`` to a conversation; its id. 10,000,000 take some minutes."""
    connection = await asyncpg.connect(dsn)
    try:
        workspace = await connection.fetchval("insert into workspaces (name) values ($1) returning id", name)
        channel = await connection.fetchval("select connect_channel($1, 'messenger', $2) ->> 'id'", workspace, name)
        await _fill(connection, workspace, int(channel), max(1, messages // each), each)
        return int(workspace)
    finally:
        await connection.close()


async def _fill(connection: asyncpg.Connection, workspace: int, channel: int, many: int, each: int) -> None:
    # Checking every row's foreign keys and keeping the text index up to date would take most of the time.
    await connection.execute("set session_replication_role = replica")
    await connection.execute("set maintenance_work_mem = '1GB'")
    indexes = [row for table in _TABLES for row in await connection.fetch(_INDEXES, table)]
    for row in indexes:
        await connection.execute(f'drop index "{row["index"]}"')
    await connection.execute(_CUSTOMERS, workspace, channel, many)
    await connection.execute(_CONVERSATIONS, workspace, channel, many, each)
    for first in range(0, many, 100_000):
        await connection.execute(_MESSAGES, workspace, first, each)
    for row in indexes:
        await connection.execute(row["made"])
    for table in _TABLES:
        await connection.execute(f"vacuum (analyze) {table}")
    await connection.execute("checkpoint")
