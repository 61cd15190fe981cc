"""What is found for a question, in which order, and that one business never finds another's."""

from typing import Any

import asyncpg
import pytest

from switchboard.database import Database
from switchboard.knowledge.put import put_document
from switchboard.knowledge.retrieve import Knowledge

SHOP = {
    "Shipping": "We ship to Norway within five days.\n\nShipping to Japan takes nine days and costs twelve euros.",
    "Returns": "You can return everything within thirty days.",
    "Dogs": "Dogs are welcome in the shop.",
}


@pytest.fixture
async def shop(database: Database, workspace: int) -> Database:
    for title, text in SHOP.items():
        await put_document(database, workspace, title, text.replace("\n\n", "\n\n## More\n\n"), "markdown")
    return database


async def search(database: Database, query: str, **more: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = await database.call("search_knowledge", **{"workspace_id": 1, "query": query, **more})
    return rows


async def test_the_best_passage_comes_first_and_its_score_is_its_share_of_the_words(shop: Database) -> None:
    best, second, *_ = await search(shop, "What does shipping to Japan cost?")
    assert best["text"] == "Shipping to Japan takes nine days and costs twelve euros."
    assert (best["title"], best["heading"], best["score"], best["similarity"]) == ("Shipping", "More", 1.0, None)
    assert second["text"].startswith("We ship to Norway")
    assert second["score"] < 0.5


async def test_a_word_that_only_the_title_has_counts_half(shop: Database) -> None:
    (found,) = await search(shop, "returns")
    assert found["score"] == 1.0
    (found,) = await search(shop, "dogs Dogs, DOGS?")
    assert found["score"] == 1.0
    rows = await search(shop, "shipping five")
    assert {row["text"]: row["score"] for row in rows} == {
        "We ship to Norway within five days.": 1.0,
        "Shipping to Japan takes nine days and costs twelve euros.": 0.5,
    }


@pytest.mark.parametrize(
    "query",
    [
        "",
        "   ",
        "?!…",
        "the and of",
        "'",
        "a' | 'b",
        "!()&|:*<->",
        "\\",
        "x\\' :*",
        "😀",
        "~1~english",
        "%_",
        "x" * 5000,
    ],
)
async def test_no_question_breaks_it(shop: Database, query: str) -> None:
    assert await search(shop, query) == []


async def test_a_long_question_is_looked_up_by_its_longest_words(shop: Database) -> None:
    filler = " ".join(f"abc{letter}" for letter in "abcdefghijklmnopqrstuvwxyz")
    rows = await search(shop, f"Hello, {filler[:3]} I wanted to ask whether dogs are welcome at your shop today?")
    assert rows[0]["text"] == SHOP["Dogs"]


async def test_one_business_never_finds_what_another_knows(shop: Database, sql: asyncpg.Connection) -> None:
    other = await sql.fetchval("insert into workspaces (name) values ('Other') returning id")
    await put_document(shop, other, "Dogs", "Dogs must stay outside.")
    assert [row["text"] for row in await search(shop, "dogs")] == [SHOP["Dogs"]]
    assert [row["text"] for row in await search(shop, "dogs", workspace_id=other)] == ["Dogs must stay outside."]
    assert await search(shop, "dogs", workspace_id=10_000) == []


async def test_in_a_large_business_words_are_found_as_they_are(shop: Database, sql: asyncpg.Connection) -> None:
    assert (await search(shop, "welc"))[0]["text"] == SHOP["Dogs"], "a beginning is enough where there is little"
    await sql.execute("update knowledge_documents set chunks = 100000")
    assert await search(shop, "welc") == []
    assert (await search(shop, "welcome dogs"))[0]["score"] == 1.0


async def test_questions_with_more_words_than_any_passage_still_find_the_best(shop: Database) -> None:
    rows = await search(shop, "norway five days elephants giraffes submarines telescopes xylophones")
    assert rows[0]["text"] == "We ship to Norway within five days."
    assert rows[0]["score"] == pytest.approx(3 / 8)


async def test_passages_carry_the_headings_that_lead_to_them(shop: Database) -> None:
    (passage, *_) = await Knowledge(shop).find(1, "What does shipping to Japan cost?")
    assert (passage.title, passage.score) == ("Shipping › More", 1.0)


async def test_the_number_of_passages(shop: Database) -> None:
    assert len(await search(shop, "days shop", max_rows=2)) == 2
