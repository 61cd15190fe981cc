"""P18: the passages for a question among a hundred thousand."""

import random
import time
from contextlib import AsyncExitStack

import asyncpg

from benchmarks import ground
from benchmarks.measure import Figures, Report, Scale, interleave, percentile
from switchboard.database.postgres import open_postgres
from switchboard.knowledge.retrieve import Knowledge

COMPARED = (
    "`Knowledge.find`, as every reply asks it, over one connection of the direct transport: questions of three to"
    " ten words that no two passages hold in the same way, by words alone. One workspace has all passages; another, in"
    " the same tables, has two thousand. Passages have 60 words from a vocabulary of 20,000, as frequent as those of"
    " a language are (Zipf); a question takes its words from one passage, its rarest among them."
)
LARGE, SMALL = "100,000 passages", "2,000 passages"
WORDS, EACH = 20_000, 60


async def run(scale: Scale) -> Report:
    """Both workspaces, in turn."""
    report = Report("P18", "Retrieval", COMPARED)
    many, times = scale.some(100_000, 400), scale.some(200, 4)
    dice = random.Random(18)
    async with AsyncExitStack() as stack:
        cluster = await stack.enter_async_context(ground.cluster())
        dsn = await ground.migrated(cluster)
        workspaces = [
            await _fill(dsn, name, size, dice) for name, size in (("large", many), ("small", scale.some(2_000, 50)))
        ]
        await ground.execute(dsn, "vacuum analyze knowledge_chunks", "vacuum analyze knowledge_documents")
        database = await open_postgres(dsn, pool_size=1, timeout=30)
        stack.push_async_callback(database.close)
        knowledge = Knowledge(database)

        async def ask(workspace: int, passages: list[list[str]]) -> Figures:
            taken: list[float] = []
            for _ in range(times):
                question = _question(dice.choice(passages), dice)
                began = time.perf_counter()
                found = await knowledge.find(workspace, question)
                taken.append((time.perf_counter() - began) * 1000)
                if not found:
                    raise RuntimeError(f"nothing was found for {question!r}")
            return {"p50": percentile(taken, 0.5), "p95": percentile(taken, 0.95), "p99": percentile(taken, 0.99)}

        (large, some), (small, others) = workspaces
        await ask(large, some)
        rounds = await interleave({LARGE: lambda: ask(large, some), SMALL: lambda: ask(small, others)}, scale.rounds)
    report.tables.append(rounds.table({"p50": "p50, ms", "p95": "p95, ms", "p99": "p99, ms"}))
    report.raw["rounds"] = rounds.sides
    for side in (LARGE, SMALL):
        report.target(f"p95, {side}", rounds.spread(side, "p95"), 50, "ms")
    return report


async def _fill(dsn: str, name: str, many: int, dice: random.Random) -> tuple[int, list[list[str]]]:
    """A workspace with so many passages, and some of them."""
    connection = await asyncpg.connect(dsn)
    try:
        workspace = await connection.fetchval("insert into workspaces (name) values ($1) returning id", name)
        document = await connection.fetchval(
            "insert into knowledge_documents"
            " (workspace_id, title, kind, state, indexed_version, indexed_lease, indexed_language, due_at, chunks)"
            " values ($1, 'Handbook', 'text', 'ready', 0, 1, 'english', null, $2) returning id",
            *(workspace, many),
        )
        weights = [1 / (rank + 10) for rank in range(WORDS)]
        vocabulary = [_word(number) for number in range(WORDS)]
        kept: list[list[str]] = []
        for begun in range(0, many, 5_000):
            texts: list[str] = []
            for _ in range(begun, min(many, begun + 5_000)):
                words = dice.choices(vocabulary, weights, k=EACH)
                texts.append(" ".join(words))
                if len(kept) < 1_000 or dice.random() < 0.01:
                    kept.append(words)
            await connection.execute(
                "insert into knowledge_chunks (workspace_id, document_id, lease_no, place, content, search)"
                " select $1::bigint, $2::bigint, 1, $3::int + n, t, setweight(to_tsvector('english', t), 'D')"
                " || array_to_tsvector(array[search_scope($1::bigint, 'english')])"
                " from unnest($4::text[]) with ordinality x (t, n)",
                *(workspace, document, begun, texts),
            )
    finally:
        await connection.close()
    return workspace, kept


def _word(number: int) -> str:
    """Spelt like a word, no two alike, none that a stemmer would shorten into another."""
    consonants, vowels = "bdfgklmnprtvz", "aou"
    word = ""
    for _ in range(4):
        number, place = divmod(number, len(consonants) * len(vowels))
        word += consonants[place // len(vowels)] + vowels[place % len(vowels)]
    return word + "k"


def _question(passage: list[str], dice: random.Random) -> str:
    words = sorted(set(passage), key=lambda word: -int.from_bytes(word.encode(), "big") % 7)
    return " ".join(dice.sample(words, min(len(words), dice.randint(3, 10)))) + "?"
