"""What an installation must be like before and after a storm, and waiting for it."""

import asyncio
import time
from contextlib import suppress
from typing import Any

from faults.evidence import AWAY
from faults.field import Field
from faults.fleet import GAVE_UP
from switchboard.inbox.spool import LEASE_SECONDS

PATIENCE_SECONDS = LEASE_SECONDS + 3
"""Who died while replaying the spool keeps it from the others for so long."""
POOLS = 20
"""Connections a process may keep: those for webhooks and those for everything else, as they are set by default."""


async def baseline(field: Field) -> dict[str, Any]:
    """What must be the same before and after, see `checkers.back_to_baseline`."""
    async with field.sql() as sql:
        row = await sql.fetchrow(
            """select (select count(*) from turns where lease_until is not null) as leases,
            (select count(*) from deliveries where state = 'sending') as sending,
            (select count(*) from pg_stat_activity where datname = current_database()
              and state like 'idle in transaction%' and application_name <> 'us') as in_transaction,
            (select count(*) from pg_stat_activity where datname = current_database()
              and application_name <> 'us') as connections"""
        )
    assert row is not None
    files = [file for file in field.folder.rglob("*") if file.suffix in {".tmp", ".part"}]
    return {
        **dict(row),
        # Pools keep what a burst made them open for two minutes; more than their sizes together is a leak.
        "connections": max(0, row["connections"] - POOLS * len(field.fleet.members)),
        "files": len(files),
        "ended": field.fleet.said(GAVE_UP),
        "memory": field.fleet.memory(),
    }


async def quiet(field: Field, acked: set[str], *, seconds: float = 40) -> float:
    """Waits until nothing is due, leased, ready or on its way, in the service and around it; how long that took.

    What was acknowledged but is not stored yet is waited for as long as anything changes; whether it came is for the
    checkers to say, and so is what is still open when the time is over.
    """
    began = time.monotonic()
    changed, last = began, None
    while time.monotonic() - began < seconds:
        with suppress(*AWAY):
            now = await _open(field, acked)
            if now != last:
                changed, last = time.monotonic(), now
            busy = now["turns"] or now["deliveries"] or now["unsorted"] or now["echoes"]
            if not busy and (not now["missing"] or time.monotonic() - changed > PATIENCE_SECONDS):
                break
            if now["sending"]:
                await field.pass_time()
        await asyncio.sleep(0.05)
    return time.monotonic() - began


async def _open(field: Field, acked: set[str]) -> dict[str, int]:
    async with field.sql() as sql:
        row = await sql.fetchrow(
            """select
            (select count(*) from turns where due_at is not null or lease_until is not null) as turns,
            (select count(*) from deliveries where state in ('ready', 'sending')) as deliveries,
            (select count(*) from deliveries where state = 'sending') as sending,
            (select count(*) from inbox where sorted_at is null) as unsorted,
            cardinality($1::text[]) - (select count(distinct external_id) from messages
              where external_id = any($1::text[]) and sender_type = 'user') as missing""",
            list(acked),
        )
    assert row is not None
    return {**dict(row), "echoes": (await field.graph.state())["pending"]}
