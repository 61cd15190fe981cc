"""P10: pages of the admin list of conversations in an archive of ten million messages, against one of ten thousand."""

import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from benchmarks import archive, ground
from benchmarks.measure import Figures, Report, Scale, interleave, percentile
from switchboard.database import Database
from switchboard.database.postgres import open_postgres

COMPARED = (
    "`list_conversations`, pages of 50, as the admin of the installation asks for them through the direct transport:"
    " the call over one connection, without HTTP. Filters: none; status; the platforms and a time; who waits for a"
    " person; a word that one conversation in a thousand holds. Every page is of the same size on both sides. *Page"
    " 1000* goes on where 49,950 rows have been passed, by the key of the last one seen; the small archive has fewer"
    " pages, so it is compared with page 1 of the same archive."
)
SMALL = 10_000
ADMIN = {"subject": "benchmark", "admin": True, "roles": {}}
FILTERS: dict[str, dict[str, Any]] = {
    "no filter": {},
    "open": {"lifecycle": "open"},
    "open, of a person": {"lifecycle": "open", "handler": "human"},
    "waiting for a person": {"requires_human": True},
    "Messenger, since 1970": {"platforms": ["messenger"], "from": "1970-01-01T00:00:00Z"},
    "a word": {"q": "espresso"},
}
PAGE_ROWS = 50
MOST_SECONDS = 3.0
LEAST = 2


@dataclass(frozen=True)
class Archive:
    """A filled database."""

    database: Database
    conversations: int

    async def page(self, filters: dict[str, Any], after: list[Any] | None = None) -> list[dict[str, Any]]:
        """One page."""
        return await self.database.call(
            "list_conversations", caller=ADMIN, filters=filters, sort="last_message_at", after=after, max_rows=PAGE_ROWS
        )

    async def deep(self, pages: int) -> list[Any]:
        """The key after which page ``pages`` begins; conversations were made in the order of their time."""
        passed = min((pages - 1) * PAGE_ROWS, self.conversations - PAGE_ROWS)
        identifier = self.conversations - passed
        (row,) = await self.database.select("conversations", where={"id": identifier})
        return [row["last_message_at"], identifier]

    async def measure(self, filters: dict[str, Any], times: int, after: list[Any] | None = None) -> Figures:
        """Milliseconds of a page; of a slow one only as many as fit into some seconds."""
        taken: list[float] = []
        end = time.monotonic() + MOST_SECONDS
        while len(taken) < times and (len(taken) < LEAST or time.monotonic() < end):
            began = time.perf_counter()
            await self.page(filters, after)
            taken.append((time.perf_counter() - began) * 1000)
        return {"p50": percentile(taken, 0.5), "p95": percentile(taken, 0.95)}


async def run(scale: Scale) -> Report:
    """Every filter on both archives, and a deep page."""
    report = Report("P10", "The admin list in a large archive", COMPARED)
    times = scale.some(100, 2)
    async with AsyncExitStack() as stack:
        cluster = await stack.enter_async_context(ground.cluster())
        archives: list[Archive] = []
        began = time.monotonic()
        for messages in (min(SMALL, scale.messages), scale.messages):
            dsn = await ground.migrated(cluster)
            await archive.fill(dsn, messages)
            database = await open_postgres(dsn, pool_size=2, timeout=60)
            stack.push_async_callback(database.close)
            archives.append(Archive(database, messages // archive.MESSAGES_EACH))
        filled = time.monotonic() - began
        small, large = archives
        sides = {
            f"{name}, {size}": lambda a=place, f=filters: a.measure(f, times)
            for name, filters in FILTERS.items()
            for size, place in (("small", small), ("large", large))
        }
        after = await large.deep(1000)
        sides["no filter, large, page 1000"] = lambda: large.measure({}, times, after)
        for measure in sides.values():
            await measure()
        rounds = await interleave(sides, scale.rounds)
    table = rounds.table({"p50": "p50, ms", "p95": "p95, ms"})
    table.head[0] = f"small: {SMALL:,} messages, large: {scale.messages:,}"
    report.tables.append(table)
    report.raw["rounds"] = rounds.sides
    for name in FILTERS:
        report.target(f"p95, {name}", rounds.ratio(f"{name}, large", f"{name}, small", "p95"), 1.5)
    deep = rounds.ratio("no filter, large, page 1000", "no filter, large", "p95")
    report.target("p95, page 1000 of page 1", deep, 1.5)
    report.notes.append(
        f"{scale.messages:,} messages in {large.conversations:,} conversations; making them took {filled:.0f} s."
    )
    return report
