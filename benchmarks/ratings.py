"""P20: rating an AI message and reading what people think of it, among a million messages with 200,000 ratings."""

import random
import time
from contextlib import AsyncExitStack

import asyncpg

from benchmarks import archive, ground
from benchmarks.measure import Figures, Report, Scale, interleave, percentile
from switchboard.database import Database
from switchboard.database.postgres import open_postgres

COMPARED = (
    "`rate_message`, `rating_summary`, `flag_message` with toggle and `flag_summary`, as a person asks for them through"
    " the direct transport: the call over one connection, without HTTP. Each is about an AI message drawn from 50,000;"
    " two in five of these have a rating already."
)
MOST_MESSAGES = 1_000_000
PEOPLE = 50
_RATINGS = """
insert into ratings (workspace_id, message_id, rated_by, score)
select m.workspace_id, m.id, 'person ' || m.id / 2 % $3::int, 1 + m.id / 2 % 5
from messages m where m.workspace_id = $1 and m.sender_type = 'bot' order by hashint8(m.id) limit $2
"""


async def run(scale: Scale) -> Report:
    """Each call in turn."""
    report = Report("P20", "Ratings and flags", COMPARED)
    messages, times = min(MOST_MESSAGES, scale.messages), scale.some(300, 3)
    dice = random.Random(20)
    async with AsyncExitStack() as stack:
        cluster = await stack.enter_async_context(ground.cluster())
        dsn = await ground.migrated(cluster)
        workspace = await archive.fill(dsn, messages)
        answers = await _rate(dsn, workspace, messages // 5)
        database = await open_postgres(dsn, pool_size=1, timeout=30)
        stack.push_async_callback(database.close)

        async def ask(function: str, **arguments: object) -> Figures:
            taken: list[float] = []
            for _ in range(times):
                caller = _person(workspace, dice)
                began = time.perf_counter()
                await database.call(function, caller=caller, message_id=dice.choice(answers), **arguments)
                taken.append((time.perf_counter() - began) * 1000)
            return {"p50": percentile(taken, 0.5), "p95": percentile(taken, 0.95), "p99": percentile(taken, 0.99)}

        rounds = await interleave(
            {
                "rate": lambda: ask("rate_message", score=4),
                "rating summary": lambda: ask("rating_summary"),
                "toggle a flag": lambda: ask("flag_message", flag_type="outdated", toggle=True),
                "flag summary": lambda: ask("flag_summary"),
            },
            scale.rounds,
        )
        await _check(database, dsn, workspace, answers[0])
    report.tables.append(rounds.table({"p50": "p50, ms", "p95": "p95, ms", "p99": "p99, ms"}))
    report.raw["rounds"] = rounds.sides
    for name in ("rate", "rating summary"):
        report.target(f"p95, {name}", rounds.spread(name, "p95"), 10, "ms")
    report.notes.append(f"{messages:,} messages, {messages // 5:,} ratings by {PEOPLE} people.")
    return report


def _person(workspace: int, dice: random.Random) -> dict[str, object]:
    roles = {str(workspace): "support"}
    return {"subject": f"person {dice.randrange(PEOPLE)}", "admin": False, "roles": roles}


async def _rate(dsn: str, workspace: int, many: int) -> list[int]:
    """Puts the ratings in; the ids of AI messages, rated or not."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(_RATINGS, workspace, many, PEOPLE)
        await connection.execute("vacuum (analyze) ratings")
        rows = await connection.fetch(
            "select id from messages where workspace_id = $1 and sender_type = 'bot'"
            " order by hashint8(id + 1) limit 50000",
            workspace,
        )
        return [row["id"] for row in rows]
    finally:
        await connection.close()


async def _check(database: Database, dsn: str, workspace: int, message: int) -> None:
    """Raises `RuntimeError` if a summary is not what the ratings say."""
    caller = {"subject": "person 0", "admin": False, "roles": {str(workspace): "viewer"}}
    told = await database.call("rating_summary", caller=caller, message_id=message)
    counted = await ground.value(dsn, "select count(*) from ratings where message_id = $1", message)
    if told["helpful"]["count"] != counted:
        raise RuntimeError(f"{told} of {counted} ratings")
