"""Found by meaning: where the extension is and a model is set, and everything as before where they are not."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg
import pytest

from stands.clusters import Cluster, majors
from stands.embeddings import EmbeddingStand
from switchboard.database import Database
from switchboard.database.migrations import migrate
from switchboard.database.postgres import open_postgres
from switchboard.errors import ProviderBusy, ProviderError, ProviderMisconfigured
from switchboard.knowledge.index import Indexing
from switchboard.knowledge.put import put_document
from switchboard.knowledge.retrieve import Knowledge
from switchboard.providers.embeddings import Embeddings, open_embeddings
from switchboard.settings import Settings

MODEL = "openai:text-embedding-3-small"
PARCEL = "A parcel to Norway is expensive."
DOGS = "Dogs are welcome in the garden."
ADMIN: dict[str, Any] = {"subject": "a", "admin": True, "roles": {}}


@pytest.fixture
async def stand() -> AsyncIterator[EmbeddingStand]:
    async with EmbeddingStand() as opened:
        yield opened


@pytest.fixture
async def embeddings(stand: EmbeddingStand) -> AsyncIterator[Embeddings]:
    opened = Embeddings(MODEL, api_key="sk-hush", base_url=stand.url, patience=5)
    yield opened
    await opened.close()


@pytest.fixture
async def shop(database: Database, workspace: int, sql: asyncpg.Connection, embeddings: Embeddings) -> Database:
    assert await sql.fetchval("select has_vectors()"), "the wheel's Postgres has pgvector"
    await put_document(database, workspace, "Shop", f"{PARCEL}", index=False)
    await put_document(database, workspace, "Garden", f"{DOGS}", index=False)
    await Indexing(database, embeddings).work()
    return database


async def test_a_passage_is_found_by_what_it_means(
    shop: Database, embeddings: Embeddings, stand: EmbeddingStand
) -> None:
    question = "package cost?"
    assert await Knowledge(shop).find(1, question) == [], "no word of it is there"
    best, *_ = await Knowledge(shop, embeddings).find(1, question)
    assert best.text == PARCEL
    assert 0.3 < best.score < 1
    assert stand.texts == [f"Shop\n{PARCEL}", f"Garden\n{DOGS}", question]
    assert {call["model"] for call in stand.calls} == {"text-embedding-3-small"}


async def test_both_ways_together_rank_what_both_find_first(shop: Database, embeddings: Embeddings) -> None:
    await put_document(shop, 1, "Price list", "The price of a letter is one euro.", index=False)
    await put_document(shop, 1, "Garden chairs", "Garden chairs for rent.", index=False)
    await Indexing(shop, embeddings).work()
    rows = await Knowledge(shop, embeddings).show(ADMIN, 1, "Are hounds welcome in the garden?", 5)
    assert rows[0]["text"] == DOGS
    assert rows[0]["words"] == pytest.approx(2 / 3, abs=0.01)
    assert rows[0]["similarity"] > rows[1]["similarity"]
    assert rows[0]["score"] == max(rows[0]["words"], rows[0]["similarity"])


async def test_every_call_is_in_the_ledger_with_its_purpose(
    shop: Database, embeddings: Embeddings, sql: asyncpg.Connection
) -> None:
    await Knowledge(shop, embeddings).find(1, "package cost?")
    rows = await sql.fetch("select purpose, provider, model, input_tokens, cost from usage order by id")
    assert [(row["purpose"], row["provider"], row["model"]) for row in rows] == [
        ("embedding", "openai", "text-embedding-3-small")
    ] * 3
    assert all(row["input_tokens"] > 0 for row in rows)
    assert {row["cost"] for row in rows} == {None}, "the price of a server that is not OpenAI's is not known"


async def test_a_model_that_is_away_holds_nothing_up(
    shop: Database, embeddings: Embeddings, stand: EmbeddingStand, sql: asyncpg.Connection
) -> None:
    stand.status = 503
    document = await put_document(shop, 1, "Tea", "Green tea is here.", index=False)
    await Indexing(shop, embeddings).work()
    row = await shop.call("get_document", caller=ADMIN, document_id=document)
    assert (row["state"], row["embedding_model"]) == ("ready", None)
    knowledge = Knowledge(shop, embeddings)
    assert [passage.text for passage in await knowledge.find(1, "green tea")] == ["Green tea is here."]
    asked = len(stand.calls)
    await knowledge.find(1, "green tea")
    assert len(stand.calls) == asked, "one that failed is left alone for a while"
    stand.status = 200
    await sql.execute("update knowledge_documents set due_at = now() where due_at is not null")
    await Indexing(shop, embeddings).work()
    row = await shop.call("get_document", caller=ADMIN, document_id=document)
    assert row["embedding_model"] == MODEL


async def test_another_model_embeds_everything_anew_and_never_meets_the_old_numbers(
    shop: Database, stand: EmbeddingStand, sql: asyncpg.Connection
) -> None:
    stand.numbers = 96
    other = Embeddings("openai:nomic-embed-text", api_key=None, base_url=stand.url, patience=5)
    assert await Knowledge(shop, other).find(1, "package cost?") == []
    indexing = Indexing(shop, other)
    await indexing.sweep()
    chunks = await sql.fetch("select id from knowledge_chunks order by id")
    await indexing.work()
    assert await sql.fetch("select id from knowledge_chunks order by id") == chunks, "they need not be read again"
    assert {row["model"] for row in await sql.fetch("select model from knowledge_vectors")} == {
        "openai:nomic-embed-text"
    }
    assert (await Knowledge(shop, other).find(1, "package cost?"))[0].text == PARCEL
    await indexing.sweep()
    assert await shop.call("claim_documents", max_documents=1, lease_seconds=1) == []
    await other.close()


async def test_vectors_go_with_their_document_and_stay_in_their_business(
    shop: Database, embeddings: Embeddings, sql: asyncpg.Connection
) -> None:
    other = await sql.fetchval("insert into workspaces (name) values ('Other') returning id")
    await put_document(shop, other, "Secret", "The parcel is in the cellar.", index=False)
    await Indexing(shop, embeddings).work()
    texts = [passage.text for passage in await Knowledge(shop, embeddings).find(1, "package cost?")]
    assert texts[0] == PARCEL
    assert "The parcel is in the cellar." not in texts
    for document in (row["id"] for row in await shop.call("list_documents", caller=ADMIN)):
        await shop.call("delete_document", caller=ADMIN, document_id=document)
    assert await sql.fetchval("select count(*) from knowledge_vectors") == 0


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ({"data": [], "model": "x", "object": "list"}, ProviderBusy),
        ({"data": [{"index": 0, "embedding": []}], "model": "x", "object": "list"}, ProviderBusy),
        ({"data": [{"index": 0, "embedding": [0.0] * 8}], "model": "x", "object": "list"}, ProviderBusy),
        ({"data": [{"index": 0, "embedding": [0.1] * 3000}], "model": "x", "object": "list"}, ProviderMisconfigured),
        ({"data": "none"}, ProviderBusy),
        ({"nonsense": True}, ProviderBusy),
    ],
)
async def test_answers_that_are_none(
    stand: EmbeddingStand, embeddings: Embeddings, answer: Any, error: type[ProviderError]
) -> None:
    stand.answer = answer
    with pytest.raises(error):
        await embeddings.embed(["hello"])


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500])
async def test_refusals_are_errors_of_the_house_and_never_hold_the_key(
    stand: EmbeddingStand, embeddings: Embeddings, status: int
) -> None:
    stand.status = status
    with pytest.raises(ProviderError) as refused:
        await embeddings.embed(["sk-hush"])
    assert "sk-hush" not in refused.value.message


async def test_a_server_that_is_not_there() -> None:
    gone = Embeddings(MODEL, api_key="x", base_url="http://127.0.0.1:9/v1", patience=5)
    with pytest.raises(ProviderBusy):
        await gone.embed(["hello"])
    await gone.close()


def test_no_model_is_set_unless_somebody_sets_one() -> None:
    assert open_embeddings(Settings(_env_file=None)) is None  # pyright: ignore[reportCallIssue]


@pytest.fixture
def without(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A Postgres that has no pgvector: Debian's own, where it is installed."""
    plain = {major: place for major, place in majors().items() if place.is_relative_to("/usr/lib/postgresql")}
    if not plain:
        pytest.skip("every Postgres here has pgvector")
    server = Cluster(next(iter(plain.values())))
    server.start()
    yield server
    server.destroy()


async def test_without_the_extension_words_alone_are_found(without: Cluster, embeddings: Embeddings) -> None:
    dsn = without.dsn(await without.create_database())
    await migrate(dsn)
    database = await open_postgres(dsn, pool_size=2, timeout=5)
    await database.insert("workspaces", [{"name": "Tea & Co"}])
    assert await database.call("has_vectors") is False
    document = await put_document(database, 1, "Shop", PARCEL, index=False)
    indexing = Indexing(database, embeddings)
    await indexing.work()
    await indexing.sweep()
    row = await database.call("get_document", caller=ADMIN, document_id=document)
    assert (row["state"], row["embedding_model"]) == ("ready", None)
    knowledge = Knowledge(database, embeddings)
    assert (await knowledge.find(1, "parcel to Norway"))[0].text == PARCEL
    assert await knowledge.find(1, "package cost?") == []
    await database.close()
