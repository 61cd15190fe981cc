"""Conversations made by SQL, so that there is something to answer or to list."""

import asyncpg

from benchmarks import ground

_PEOPLE = """
with channel as (
  select (connect_channel(w.id, $1, case $1 when 'api' then 'workspace:' || w.id else $2 end) ->> 'id')::bigint as id,
    w.id as workspace_id
  from workspaces w order by w.id limit 1
), people as (
  insert into customers (workspace_id, channel_id, external_id)
  select c.workspace_id, c.id, $3 || n from channel c, generate_series(1, $4::int) n
  returning workspace_id, channel_id, id
)
insert into conversations (workspace_id, channel_id, customer_id, agent_id, last_seq, last_customer_at)
select p.workspace_id, p.channel_id, p.id, a.id, 1, now()
from people p left join agents a on a.workspace_id = p.workspace_id and a.is_default
returning id
"""
_ASKED = """
with said as (
  insert into messages (workspace_id, conversation_id, seq, sender_type, content)
  select c.workspace_id, c.id, 1, 'user', $2 from conversations c where c.id = any ($1)
  returning workspace_id, conversation_id
)
insert into turns (workspace_id, conversation_id, seq_in, due_at, waiting_since)
select workspace_id, conversation_id, 1, clock_timestamp(), clock_timestamp() from said
"""


async def due_turns(dsn: str, many: int, *, mark: str, platform: str = "api", text: str = "Hello!") -> None:
    """So many customers of the first workspace who each wait for the answer to one message."""
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction():
            rows = await connection.fetch(_PEOPLE, platform, ground.PAGE, mark, many)
            await connection.execute(_ASKED, [row["id"] for row in rows], text)
    finally:
        await connection.close()
