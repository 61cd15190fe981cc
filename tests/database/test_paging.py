import base64
import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stands.clusters import Cluster
from switchboard.database import Database
from switchboard.database.paging import called_pages, decode_cursor, encode_cursor, pages
from switchboard.database.postgres import Postgres
from switchboard.errors import Invalid

NUMBERS = """
create view numbers as select i as id, i % 2 = 0 as even, 'number ' || i as label from generate_series(1, 2500) i;
grant select on numbers to service_role;
create function numbers_after(after bigint default 0, size integer default 100) returns setof numbers
language sql stable as 'select * from numbers n where n.id > after order by n.id limit size';
"""


@pytest.fixture
async def numbers(cluster: Cluster, database_url: str) -> None:
    await cluster.execute(NUMBERS, database_url.rpartition("/")[2])


async def test_pages_read_beyond_what_one_answer_holds(numbers: None, database: Database) -> None:
    sizes: list[int] = []
    found: list[int] = []
    async for page in pages(database, "numbers", columns=["id"]):
        sizes.append(len(page))
        found += [row["id"] for row in page]
    assert found == list(range(1, 2501))
    assert sizes == [1000, 1000, 500]


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
async def test_pages_of_any_size_give_the_same_rows(numbers: None, postgres: Postgres, size: int) -> None:
    some = {"id": list(range(1, 8))}
    with pytest.raises(ValueError, match="key"):
        _ = [page async for page in pages(postgres, "numbers", where=some)]
    labels = {"label": [f"number {number}" for number in range(1, 8)]}
    read = [page async for page in pages(postgres, "numbers", where=labels, size=size)]
    assert [row["id"] for page in read for row in page] == [1, 2, 3, 4, 5, 6, 7]
    assert all(len(page) == size for page in read[:-1])


async def test_pages_of_nothing(numbers: None, postgres: Postgres) -> None:
    assert [page async for page in pages(postgres, "numbers", where={"label": "none"})] == []


async def test_pages_go_on_when_a_server_gives_fewer_rows_than_asked_for(numbers: None, postgres: Postgres) -> None:
    class Stingy:
        """A project whose `max_rows` was lowered."""

        async def select(self, table: str, *, limit: int, **arguments: Any) -> list[dict[str, Any]]:
            return await postgres.select(table, limit=min(limit, 400), **arguments)

    stingy: Any = Stingy()
    read = [row["id"] async for page in pages(stingy, "numbers", where={"even": True}) for row in page]
    assert read == list(range(2, 2501, 2))


async def test_rows_that_go_meanwhile_take_none_that_stays_with_them(postgres: Postgres) -> None:
    await postgres.insert("workspaces", [{"name": f"workspace {number}"} for number in range(10)])
    names: list[str] = []
    async for page in pages(postgres, "workspaces", size=3):
        names += [row["name"] for row in page]
        await postgres.delete("workspaces", where={"id": [row["id"] for row in page]})
    assert names == [f"workspace {number}" for number in range(10)]


@pytest.mark.parametrize("size", [0, -1, 1001])
async def test_a_page_is_no_larger_than_an_answer(postgres: Postgres, size: int) -> None:
    with pytest.raises(ValueError, match="pages of"):
        _ = [page async for page in pages(postgres, "workspaces", size=size)]


async def test_the_key_must_be_read(postgres: Postgres) -> None:
    with pytest.raises(ValueError, match="key"):
        _ = [page async for page in pages(postgres, "workspaces", columns=["name"])]


async def test_pages_of_a_function(numbers: None, database: Database) -> None:
    read = [page async for page in called_pages(database, "numbers_after", size=900)]
    assert [len(page) for page in read] == [900, 900, 700]
    assert [row["id"] for page in read for row in page] == list(range(1, 2501))


# cursors --------------------------------------------------------------------------------------------------------

VALUES = st.lists(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
)


@given(VALUES)
def test_a_cursor_comes_back_as_it_was(values: list[Any]) -> None:
    cursor = encode_cursor(values)
    assert decode_cursor(cursor) == values
    assert set(cursor) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")


@given(st.text())
def test_no_text_from_outside_breaks_anything(text: str) -> None:
    with contextlib.suppress(Invalid):
        assert isinstance(decode_cursor(text), list)


def cursor_of(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "%%%",
        "äöü",
        "null",
        cursor_of(None),
        cursor_of({"a": 1}),
        cursor_of("text"),
        cursor_of([1]) + "!",
        "gIGC",
    ],
)
def test_what_is_no_cursor_is_invalid(text: str) -> None:
    with pytest.raises(Invalid) as caught:
        decode_cursor(text)
    assert [problem["field"] for problem in caught.value.errors] == ["cursor"]
