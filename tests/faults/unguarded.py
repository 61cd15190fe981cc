"""A workspace whose protections can be taken away one by one, in the database itself."""

import itertools
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from faults.checkers import check
from faults.evidence import Evidence, read_rows
from stands.desk import Desk
from switchboard.database.postgres import open_postgres

LEASE_ENDED = "(t.lease_until is null or t.lease_until <= clock_timestamp())"
"""What lets another claim a turn whose holder is gone."""


@dataclass
class Unguarded:
    """A desk, the superuser's hand on its database, and what its customers and Facebook know."""

    desk: Desk
    sql: asyncpg.Connection
    dsn: str
    evidence: Evidence = field(default_factory=Evidence)
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    @classmethod
    @asynccontextmanager
    async def open(cls, dsn: str) -> "AsyncGenerator[Unguarded]":
        """Opens it on a migrated database."""
        database = await open_postgres(dsn, pool_size=4, timeout=5)
        sql = await asyncpg.connect(dsn)
        try:
            desk = Desk(database)
            await desk.open()
            yield cls(desk, sql, dsn)
        finally:
            await sql.close()
            await database.close()

    async def without(self, function: str, guard: str, instead: str) -> None:
        """Takes a guard out of a function, see `without`."""
        await without(self.sql, function, guard, instead)

    async def hears(self, *texts: str, mids: list[str] | None = None, customer: str = "u1") -> None:
        """The customer sends one webhook, which is acknowledged. The same ``mids`` are the same messages again."""
        named = mids or [f"mid.{next(self._numbers)}" for _ in texts]
        events = [{"kind": "message", "text": t, "external_id": mid} for mid, t in zip(named, texts, strict=True)]
        await self.desk.receives(*events, customer=customer)
        self.evidence.sent |= dict(zip(named, texts, strict=True))
        self.evidence.acked |= set(named)
        self.evidence.orders.append(named)

    async def posts(self, *, lease: float = 60.0, dies: bool = False) -> list[dict[str, Any]]:
        """A worker claims what is to be sent and posts it to Facebook, which accepts; ``dies`` before it says so."""
        claimed = await self.desk.sends(lease=lease)
        for delivery in claimed:
            number = next(self._numbers)
            told = {"number": number, "t": float(number), "identifier": f"m_{number}", **delivery}
            self.evidence.accepted.append(told)
            self.evidence.calls.append(told)
            if not dies:
                await self.desk.delivered(delivery, f"m_{number}")
        return claimed

    async def settles(self) -> None:
        """Every turn that is due is answered, and sent."""
        for turn in await self.desk.claims():
            await self.desk.finishes(turn)
        while await self.posts():
            pass

    async def violations(self) -> list[str]:
        """What the checkers find."""
        return check(await read_rows(self.sql, "", self.evidence))

    async def finds(self, beginning: str) -> None:
        """Raises `AssertionError` unless a checker reports a violation that begins so."""
        found = await self.violations()
        assert any(one.startswith(beginning) for one in found), f"nobody noticed; found: {found}"


async def without(sql: asyncpg.Connection, function: str, guard: str, instead: str) -> str:
    """Takes a guard out of a function and answers what it was, to be run again.

    Raises `AssertionError` when the guard is not in there, so that none is missed.
    """
    written = await sql.fetchval("select pg_get_functiondef(to_regproc($1))", function)
    assert guard in (written or ""), f"{function} has no {guard!r} any more"
    await sql.execute(written.replace(guard, instead))
    return str(written)
