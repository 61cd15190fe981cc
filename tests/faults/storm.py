"""One storm: customers write, something fails, everything is healed, and when all is quiet the evidence is checked."""

import asyncio
import dataclasses
import itertools
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any, Protocol, runtime_checkable

import asyncpg

from faults.checkers import back_to_baseline, check
from faults.evidence import Evidence, read_logs, read_rows
from faults.field import Field
from faults.fleet import SPOOLED
from faults.history import History
from faults.sender import Plan, Sender

TAKEOVERS = 0.1
"""The share of customers whose conversation a person takes over in the middle."""
QUIET_SECONDS = 40.0

_numbers = itertools.count(1)
"""Makes the customers of each storm new ones, on whatever field it happens."""


@dataclasses.dataclass
class Storm:
    """What a nemesis sees while it rages."""

    field: Field
    history: History
    sender: Sender
    plan: Plan
    prefix: str
    dice: random.Random
    sent: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)
    """Everything was acknowledged."""

    async def acked(self, share: float) -> None:
        """Returns when this share of the messages was acknowledged."""
        wanted = share * len(self.plan.mids)
        while self.sender.acked < wanted and not self.sent.is_set():
            await asyncio.sleep(0.01)

    def note(self, op: str, key: str, **data: Any) -> None:
        """Writes down what the nemesis did."""
        self.history.note("nemesis", op, "info", key, **data)


Nemesis = Callable[[Storm], Awaitable[bool | None]]
"""Does harm and undoes it; answers False if the harm did not happen."""


@runtime_checkable
class Arming(Protocol):
    """A nemesis that has to get ready before the first message."""

    async def arm(self, storm: Storm) -> None:
        """Gets ready."""

    async def __call__(self, storm: Storm) -> bool | None:
        """Does harm."""


@dataclasses.dataclass(slots=True)
class Outcome:
    """What a storm showed. Times in seconds; ``answers`` from an acknowledgement to the reply that covers it."""

    seed: int
    messages: int
    happened: bool
    violations: list[str]
    lost: int
    doubles: int
    unknown: int
    slowest_ack: float
    quiet_after: float
    answers: list[float]
    statuses: dict[int, int]
    unanswered: int
    """Webhooks that got no answer at all while Meta waited; each was delivered again."""
    evidence: Evidence = dataclasses.field(default_factory=Evidence, repr=False)

    def raise_if_wrong(self) -> None:
        """Raises `AssertionError` with the seed and all violations; also when the harm did not happen."""
        assert not self.violations, f"seed {self.seed}:\n" + "\n".join(self.violations[:20])
        assert self.happened, f"seed {self.seed}: the fault did not happen"


async def rage(
    there: Field,
    nemesis: Nemesis,
    *,
    seed: int,
    messages: int = 60,
    patience: float = 5.0,
    takeovers: float = TAKEOVERS,
    pause: float = 0.3,
    sticky: bool = False,
) -> Outcome:
    """Sends ``messages`` while ``nemesis`` does its work, heals, waits for quiet and checks. The seed is printed."""
    prefix = f"s{next(_numbers)}-{seed}"
    print(f"seed {seed}, customers {prefix}-*")  # noqa: T201 - what a failed test shows, to be repeated
    dice = random.Random(seed)
    history = History(there.folder / f"{prefix}.jsonl")
    before = await there.baseline()
    spooled = there.fleet.said(SPOOLED)
    sender = Sender(history, there.fleet.addresses, dice.randrange(2**32), patience, sticky=sticky)
    plan = Plan.draw(dice.randrange(2**32), prefix=prefix, messages=messages, pause=pause)
    storm = Storm(there, history, sender, plan, prefix, random.Random(dice.randrange(2**32)))
    evidence = Evidence(sent=plan.mids, orders=plan.orders)
    if isinstance(nemesis, Arming):
        await nemesis.arm(storm)
    async with asyncio.TaskGroup() as group:
        harm = group.create_task(_guarded(nemesis(storm)))
        async with _background(_watch(storm, evidence)), _background(_take_over(storm, takeovers)):
            await sender.send(plan)
            storm.sent.set()
            happened = await harm
    await there.fleet.start()
    evidence.acked = history.keys("message", "ok")
    if there.fleet.said(SPOOLED) > spooled and not sticky:
        # Each process has a spool of its own. What two of them hold for one customer has no order between them.
        evidence.orders = []
    quiet_after = await there.quiet(evidence.acked, seconds=QUIET_SECONDS)
    async with there.sql() as sql:
        await read_rows(sql, prefix, evidence)
    read_logs(there.folder, prefix, evidence)
    violations = check(evidence) + back_to_baseline(before, await there.baseline())
    return _outcome(storm, seed, happened, violations, evidence, quiet_after)


def _outcome(
    storm: Storm, seed: int, happened: bool, violations: list[str], evidence: Evidence, quiet_after: float
) -> Outcome:
    return Outcome(
        seed=seed,
        messages=len(storm.plan.mids),
        happened=happened,
        violations=violations,
        lost=sum("I1 lost" in one for one in violations),
        doubles=sum("double" in one for one in violations),
        unknown=sum(row["state"] == "unknown" for row in evidence.deliveries),
        slowest_ack=round(storm.sender.slowest, 3),
        quiet_after=round(quiet_after, 3),
        answers=_answer_times(storm.history, evidence),
        statuses={status: storm.sender.statuses.count(status) for status in sorted(set(storm.sender.statuses))},
        unanswered=sum(event.op == "webhook" and event.type == "info" for event in storm.history.events),
        evidence=evidence,
    )


def _answer_times(history: History, evidence: Evidence) -> list[float]:
    """For each message that the AI answered: seconds from its acknowledgement to the reply that covers it."""
    ahead = time.monotonic() - datetime.now(UTC).timestamp()
    acked = {event.key: event.t for event in history.events if event.op == "message" and event.type == "ok"}
    finals = [row for row in evidence.replies if row["outcome"] in ("answered", "handed_over")]
    took: list[float] = []
    for row in evidence.messages:
        if row["external_id"] in acked:
            covering = [
                reply["finished_at"].timestamp() + ahead
                for reply in finals
                if reply["conversation_id"] == row["conversation_id"] and reply["answered_seq"] >= row["seq"]
            ]
            if covering:
                took.append(round(max(0.0, min(covering) - acked[row["external_id"]]), 3))
    return sorted(took)


async def _guarded(harm: Awaitable[bool | None]) -> bool:
    return await harm is not False


async def _watch(storm: Storm, evidence: Evidence) -> None:
    """Keeps looking at the order of what is published; it must never change."""
    while True:
        with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
            async with asyncio.timeout(2), storm.field.sql() as sql:
                rows = await sql.fetch(
                    "select m.id, m.seq from messages m join conversations c on c.workspace_id = m.workspace_id"
                    " and c.id = m.conversation_id join customers p on p.workspace_id = c.workspace_id"
                    " and p.id = c.customer_id where starts_with(p.external_id, $1) order by m.id desc limit 200",
                    storm.prefix,
                )
            for row in rows:
                evidence.published.setdefault(row["id"], row["seq"])
        await asyncio.sleep(0.25)


async def _take_over(storm: Storm, share: float) -> None:
    """A person takes over some conversations, each at a moment drawn by chance."""
    customers = [customer for customer in storm.plan.webhooks if storm.dice.random() < share]
    for customer in customers:
        await storm.acked(storm.dice.random() * 0.9)
        with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
            async with asyncio.timeout(3), storm.field.sql() as sql:
                conversation = await sql.fetchval(
                    "select c.id from conversations c join customers p on p.workspace_id = c.workspace_id"
                    " and p.id = c.customer_id where p.external_id = $1",
                    customer,
                )
            if conversation is not None:
                await _ask(storm, conversation)


async def _ask(storm: Storm, conversation: int) -> None:
    key = f"conversation {conversation}"
    storm.history.note("anna", "takeover", "invoke", key)
    try:
        answer = await storm.field.admin("POST", f"/admin/conversations/{conversation}/takeover")
    except Exception as error:  # whatever became of it: the database tells
        storm.history.note("anna", "takeover", "info", key, error=type(error).__name__)
    else:
        storm.history.note("anna", "takeover", "ok" if answer.status_code == 200 else "fail", key)


@asynccontextmanager
async def _background(work: Any) -> AsyncGenerator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled() and (error := task.exception()):
            raise error
