"""What can go wrong with Postgres and with processes, each as something that happens during a storm and is undone."""

import asyncio
import os
import signal
import time
from contextlib import suppress
from typing import Any

from faults.proxy import Line
from faults.storm import Nemesis, Storm

DOWN_SECONDS = 2.5
FROZEN_SECONDS = 6.0
LOCKED_SECONDS = 4.0
"""Longer than the service waits for one statement."""
_OTHERS = (
    "select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
    " and backend_type = 'client backend' and application_name <> 'us'"
)


async def backends_terminated(storm: Storm) -> None:
    """F8: every session is thrown out, again and again, whatever it is doing."""
    for share in range(1, 10):
        await storm.acked(share / 10)
        async with storm.field.sql() as sql:
            await sql.execute(f"select pg_terminate_backend(pid) from ({_OTHERS}) x")
        storm.note("terminate", "all")


class Restarted:
    """F9: orderly restarts. ``longest`` is how long the longest of them took, in seconds."""

    __name__ = "restarted"

    def __init__(self) -> None:
        self.longest = 0.0

    async def __call__(self, storm: Storm) -> None:
        for share in (0.2, 0.4, 0.6):
            self.longest = max(self.longest, await _down(storm, signal.SIGINT, 0.2, share))


restarted = Restarted()


async def crashed(storm: Storm) -> None:
    """F11: an immediate stop, and some seconds without a database."""
    await _down(storm, signal.SIGQUIT, DOWN_SECONDS, 0.3)


async def _down(storm: Storm, how: signal.Signals, seconds: float, share: float) -> float:
    """How long it was away."""
    await storm.acked(share)
    began = time.monotonic()
    cluster = storm.field.cluster
    await asyncio.to_thread(cluster.stop, how)
    storm.note("down", how.name)
    await asyncio.sleep(seconds)
    cluster.start()
    storm.note("up", how.name)
    return time.monotonic() - began


async def backend_killed(storm: Storm) -> bool:
    """F10: one server process dies, and Postgres throws everybody out and recovers."""
    await storm.acked(0.3)
    for _ in range(20):
        async with storm.field.sql() as sql:
            pid = await sql.fetchval(f"{_OTHERS} and application_name = 'switchboard' order by backend_start limit 1")
        with suppress(ProcessLookupError, TypeError):  # gone meanwhile, or there was none
            os.kill(pid, signal.SIGKILL)
            storm.note("kill", f"backend {pid}")
            return True
    return False


async def frozen(storm: Storm) -> None:
    """F12: Postgres stands still, its connections stay open."""
    await storm.acked(0.3)
    storm.field.cluster.freeze()
    storm.note("freeze", "postgres")
    await asyncio.sleep(FROZEN_SECONDS)
    storm.field.cluster.thaw()
    storm.note("thaw", "postgres")


def locked(table: str) -> Nemesis:
    """F16: somebody holds a lock on a table for longer than a statement may wait."""

    async def go(storm: Storm) -> None:
        await storm.acked(0.3)
        async with storm.field.sql() as sql, sql.transaction():
            await sql.execute(f"lock table {table} in access exclusive mode")
            storm.note("lock", table)
            await asyncio.sleep(LOCKED_SECONDS)

    go.__name__ = f"locked_{table}"
    return go


async def long_snapshot(storm: Storm) -> None:
    """F18: a report reads from one moment for as long as the storm lasts."""
    async with storm.field.sql() as sql:
        await sql.execute("begin isolation level repeatable read")
        await sql.fetchval("select count(*) from messages")
        await storm.sent.wait()


async def stopped(storm: Storm) -> None:
    """F5: a process is asked to end under load and comes back."""
    await storm.acked(0.3)
    victim = storm.field.fleet["b"]
    victim.signal(signal.SIGTERM)
    await victim.gone(10)
    victim.start()


async def killed(storm: Storm) -> None:
    """A process dies at whatever it does, and comes back."""
    await storm.acked(0.3 + storm.dice.random() * 0.3)
    victim = storm.field.fleet[storm.dice.choice(("a", "b", "w"))]
    await victim.kill()
    storm.note("kill", victim.name)
    victim.start()


async def paused(storm: Storm) -> None:
    """F4: a process stands still for longer than its leases last, and goes on as if nothing had been."""
    await storm.acked(0.2 + storm.dice.random() * 0.4)
    victim = storm.field.fleet[storm.dice.choice(("a", "b", "w"))]
    victim.signal(signal.SIGSTOP)
    storm.note("stop", victim.name)
    await asyncio.sleep(1.6)
    await storm.field.pass_time()
    victim.signal(signal.SIGCONT)


async def facebook_in_trouble(storm: Storm) -> None:
    """F36, F39: rate limits, refusals, and answers that get lost."""
    answers: list[tuple[str, dict[str, Any]]] = [
        ("error", {"code": 613}),
        ("reset", {"accepted": True}),
        ("reset", {"accepted": False}),
        ("truncated", {}),
        ("error", {"code": 551}),
        ("html", {}),
    ]
    storm.dice.shuffle(answers)
    await storm.field.graph.script(answers=answers)


async def model_in_trouble(storm: Storm) -> None:
    """Errors, streams that break off, and one that says nothing."""
    await storm.field.model.script(
        plays=[
            ["fail", [429, "slow down"], {"retry_after": "0.2"}],
            ["cut", ["We are"], {}],
            ["fail", [503, "away"], {}],
            ["end_early", ["We"], {}],
        ]
    )


def silent(line: Line) -> Nemesis:
    """F13: nothing arrives on either side, and no connection ends."""

    async def go(storm: Storm) -> None:
        await storm.acked(0.3)
        line.silence()
        storm.note("silence", "line")
        await asyncio.sleep(FROZEN_SECONDS)
        line.resume()

    return go


def answers_lost(line: Line, share: float) -> Nemesis:
    """F14: what was asked is done, and the answer does not arrive."""

    async def go(storm: Storm) -> bool:
        before = line.lost
        line.lose(share, storm.dice.randrange(2**32))
        await storm.sent.wait()
        await asyncio.sleep(1.5)
        line.lose(0, 0)
        storm.note("lost", str(line.lost - before))
        return line.lost > before

    return go
