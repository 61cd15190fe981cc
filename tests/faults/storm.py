"""One storm: customers write, something fails, everything is healed, and when all is quiet the evidence is checked."""

import asyncio
import dataclasses
import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Protocol, runtime_checkable

from faults.checkers import back_to_baseline, check
from faults.evidence import AWAY, Evidence, read_logs, read_rows
from faults.field import Field
from faults.history import History
from faults.outcome import Outcome, answer_times
from faults.plan import Plan
from faults.quiet import baseline, quiet
from faults.sender import Sender

TAKEOVERS = 0.1
"""The share of customers whose conversation a person takes over in the middle."""
QUIET_SECONDS = 40.0


@dataclasses.dataclass
class Storm:
    """What a nemesis sees while it rages. All chance comes from one seed."""

    field: Field
    history: History
    sender: Sender
    plan: Plan
    prefix: str
    dice: random.Random
    """The nemesis' own, so that nobody else's throws change what it does."""
    others: random.Random
    total: int
    """How many messages are to be acknowledged."""
    sent: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)
    """Everything was acknowledged."""
    falls: int = 0

    @classmethod
    def draw(cls, there: Field, seed: int, *, messages: int, pause: float, patience: float) -> "Storm":
        """The same seed draws the same storm, down to the names, on each field that has not seen it yet."""
        prefix = there.prefix(seed)
        dice = random.Random(seed)
        history = History(there.folder / f"{prefix}history.jsonl")
        sender = Sender(history, there.fleet.addresses, dice.randrange(2**32), patience)
        plan = Plan.draw(dice.randrange(2**32), prefix=prefix, messages=messages, pause=pause)
        own, others = random.Random(dice.randrange(2**32)), random.Random(dice.randrange(2**32))
        return cls(there, history, sender, plan, prefix, own, others, messages)

    async def acked(self, share: float) -> None:
        """Returns when this share of the messages was acknowledged."""
        while self.sender.acked < share * self.total and not self.sent.is_set():
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


async def rage(
    there: Field,
    nemesis: Nemesis,
    *,
    seed: int,
    messages: int = 60,
    patience: float = 5.0,
    takeovers: float = TAKEOVERS,
    pause: float = 0.3,
    quiet_seconds: float = QUIET_SECONDS,
) -> Outcome:
    """Sends ``messages`` while ``nemesis`` does its work, heals, waits for quiet and checks. The seed is printed."""
    storm = Storm.draw(there, seed, messages=messages, pause=pause, patience=patience)
    print(f"seed {seed}, customers {storm.prefix}*")  # noqa: T201 - what a failed test shows, to be repeated
    await there.model.script(seed=seed)
    before = await baseline(there)
    evidence = Evidence(sent=storm.plan.mids, orders=storm.plan.orders)
    if isinstance(nemesis, Arming):
        await nemesis.arm(storm)
    async with asyncio.TaskGroup() as group:
        harm = group.create_task(_guarded(nemesis(storm)))
        async with _background(_watch(storm, evidence)), _background(_take_over(storm, takeovers)):
            await storm.sender.send(storm.plan)
            storm.sent.set()
            happened = await harm
    await there.fleet.start()
    evidence.acked = storm.history.keys("message", "ok")
    quiet_after = await quiet(there, evidence.acked, seconds=quiet_seconds)
    async with there.sql() as sql:
        await read_rows(sql, storm.prefix, evidence)
    read_logs(there.folder, storm.prefix, evidence)
    violations = check(evidence) + back_to_baseline(before, await baseline(there))
    return _outcome(storm, seed, happened, violations, evidence, quiet_after)


def _outcome(
    storm: Storm, seed: int, happened: bool, violations: list[str], evidence: Evidence, quiet_after: float
) -> Outcome:
    statuses = storm.sender.statuses
    unknown = {event["message_id"] for event in evidence.events if event["type"] == "delivery.unknown"}
    doubted = [row["state"] for row in evidence.deliveries if row["message_id"] in unknown]
    return Outcome(
        seed=seed,
        messages=storm.total,
        happened=happened,
        falls=storm.falls,
        violations=violations,
        unknown=len(unknown),
        settled=len(unknown) - doubted.count("unknown"),
        slowest_ack=round(storm.sender.slowest, 3),
        took=sorted(storm.sender.took),
        quiet_after=round(quiet_after, 3),
        answers=answer_times(storm.history, evidence),
        statuses={status: statuses.count(status) for status in sorted(set(statuses))},
        unanswered=sum(event.op == "webhook" and event.type == "info" for event in storm.history.events),
        folder=storm.field.folder,
        evidence=evidence,
    )


async def _guarded(harm: Awaitable[bool | None]) -> bool:
    return await harm is not False


async def _watch(storm: Storm, evidence: Evidence) -> None:
    """Keeps looking at the order of what is published; it must never change."""
    while True:
        with suppress(*AWAY):
            async with asyncio.timeout(2), storm.field.sql() as sql:
                rows = await sql.fetch(
                    "select id, seq from (select id, seq, external_id from messages order by id desc limit 200) m"
                    " where starts_with(external_id, $1)",
                    storm.prefix,
                )
            for row in rows:
                evidence.published.setdefault(row["id"], row["seq"])
        await asyncio.sleep(0.25)


async def _take_over(storm: Storm, share: float) -> None:
    """A person takes over some conversations, each at a moment drawn by chance."""
    moments = [(storm.others.random() * 0.9, one) for one in storm.plan.webhooks if storm.others.random() < share]
    for moment, customer in sorted(moments):
        await storm.acked(moment)
        with suppress(*AWAY):
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
