"""Ratings over HTTP, on both transports."""

import asyncio

import asyncpg
import pytest

from feedback.conftest import Team
from stands.app import bearer, token
from stands.problems import CANARY, check_problem


async def events(sql: asyncpg.Connection, kind: str) -> list[str]:
    """The types of what happened to ratings or flags, in their order."""
    return [row[0] for row in await sql.fetch("select type from events where type like $1 || '.%' order by id", kind)]


async def test_a_rating_from_the_first_to_the_last(ours: Team, sql: asyncpg.Connection) -> None:
    message = ours.tenant.answer
    first = await ours.ask("anna", "POST", "/api/ratings/", {"message": message, "score": 4, "comment": " Good "})
    assert first.status_code == 201, first.text
    rating = first.json()
    assert first.headers["location"] == f"/api/ratings/{rating['id']}"
    assert (rating["message"], rating["score"], rating["comment"], rating["user"]) == (message, 4, "Good", "anna")
    again = await ours.ask(
        "anna", "POST", "/api/ratings/", {"message": str(message), "rating_type": "accuracy", "score": 5}
    )
    assert (again.status_code, again.json()["id"]) == (200, rating["id"])
    assert (again.json()["score"], again.json()["comment"]) == (5, "Good")
    await ours.does("ben", "POST", "/api/ratings/", {"message": message, "score": 2})

    summary = await ours.does("anna", "GET", "/api/ratings/summary/", message_id=message)
    assert summary == {"helpful": {"avg": 3.5, "count": 2}, "user": {"id": rating["id"], "score": 5}}
    nobody = await ours.does("carla", "GET", "/api/ratings/summary/", message_id=message)
    assert nobody == {"helpful": {"avg": 3.5, "count": 2}, "user": None}
    everybody = await ours.does("carla", "GET", "/api/ratings/by_message/", message_id=message)
    assert [(row["user"], row["score"]) for row in everybody["ratings"]] == [("ben", 2), ("anna", 5)]

    path = f"/api/ratings/{rating['id']}/"
    assert (await ours.does("anna", "GET", path))["score"] == 5
    changed = await ours.does("anna", "PATCH", path, {"comment": "Better"})
    assert (changed["score"], changed["comment"]) == (5, "Better")
    replaced = await ours.does("anna", "PUT", path, {"message": message, "score": 1})
    assert (replaced["score"], replaced["comment"]) == (1, "")
    await ours.does("anna", "DELETE", path)
    check_problem(await ours.ask("anna", "GET", path), 404)
    check_problem(await ours.ask("anna", "DELETE", path), 404)
    assert await events(sql, "rating") == [
        "rating.given", "rating.changed", "rating.given", "rating.changed", "rating.changed", "rating.withdrawn",
    ]  # fmt: skip
    told = await sql.fetchrow("select message_id, data::text from events where type = 'rating.given' order by id")
    assert told is not None
    assert told[0] == message
    assert "Good" not in told[1]


async def test_a_form_does_as_well(ours: Team) -> None:
    who = bearer(token(ours.settings, "viewer", ours.tenant.workspace, subject="anna"))
    answer = await ours.client.post(
        "/api/ratings/", data={"message": f"{ours.tenant.answer}", "score": "3"}, headers=who
    )
    assert (answer.status_code, answer.json()["score"]) == (201, 3)


async def test_no_rating_at_all_has_no_average(ours: Team) -> None:
    summary = await ours.does("anna", "GET", "/api/ratings/summary", message_id=ours.tenant.answer)
    assert summary == {"helpful": {"avg": None, "count": 0}, "user": None}


async def test_people_see_and_change_their_own_alone(ours: Team, theirs: Team) -> None:
    mine = await ours.does("anna", "POST", "/api/ratings", {"message": ours.tenant.answer, "score": 4})
    path = f"/api/ratings/{mine['id']}"
    # Of another name here, even an owner; of the same name elsewhere.
    for team, who in ((ours, "ben"), (theirs, "anna")):
        for method, body in (("GET", None), ("PUT", {"score": 1}), ("PATCH", {"score": 1}), ("DELETE", None)):
            refused = await team.ask(who, method, path, body, role="owner")
            assert check_problem(refused, 404) == "There is no such rating."
        assert (await team.does(who, "GET", "/api/ratings"))["ratings"] == []
    assert [row["id"] for row in (await ours.does("anna", "GET", "/api/ratings"))["ratings"]] == [mine["id"]]


@pytest.mark.parametrize("place", ["by_message", "summary"])
async def test_a_message_of_others_is_one_that_is_not_there(ours: Team, theirs: Team, place: str) -> None:
    for message in (theirs.tenant.answer, 2**53):
        refused = await ours.ask("anna", "GET", f"/api/ratings/{place}", message_id=message)
        assert check_problem(refused, 404) == "There is no such message."
        refused = await ours.ask("anna", "POST", "/api/ratings", {"message": message, "score": 3})
        assert check_problem(refused, 404) == "There is no such message."


async def test_only_the_ais_messages_are_rated(ours: Team, sql: asyncpg.Connection) -> None:
    refused = await ours.ask("anna", "POST", "/api/ratings", {"message": ours.tenant.question, "score": 3})
    assert "this one is from the customer" in check_problem(refused, 422)
    assert refused.json()["errors"][0]["field"] == "message"
    assert await sql.fetchval("select count(*) from ratings") == 0


async def test_what_is_wrong_is_named(ours: Team, sql: asyncpg.Connection) -> None:
    message = ours.tenant.answer
    for score in (0, 6, -1, 2.5, "much", None, True, 2**70):
        refused = await ours.ask(
            "anna", "POST", "/api/ratings", {"message": message, "score": score, "comment": CANARY}
        )
        check_problem(refused, 422)
        assert [error["field"] for error in refused.json()["errors"]] == ["score"], score
    for body, field in (
        ({"score": 3}, "message"),
        ({"message": "x", "score": 3}, "message"),
        ({"message": 0, "score": 3}, "message"),
        ({"message": message, "score": 3, "comment": "x" * 5001}, "comment"),
        ({"message": message, "score": 3, "comment": "x" * 1_000_000}, "comment"),
        ({"message": message, "score": 3, "coment": "x"}, "coment"),
    ):
        refused = await ours.ask("anna", "POST", "/api/ratings", body)
        check_problem(refused, 422)
        assert [error["field"] for error in refused.json()["errors"]] == [field]
    check_problem(await ours.ask("anna", "GET", "/api/ratings/summary"), 422)
    check_problem(await ours.ask("anna", "GET", "/api/ratings/x"), 422)
    check_problem(await ours.ask("anna", "GET", "/api/ratings", cursor="x"), 422)
    assert await sql.fetchval("select count(*) from ratings") == 0


async def test_a_rating_stays_with_its_message(ours: Team) -> None:
    mine = await ours.does("anna", "POST", "/api/ratings", {"message": ours.tenant.answer, "score": 4})
    refused = await ours.ask("anna", "PATCH", f"/api/ratings/{mine['id']}", {"message": ours.tenant.question})
    assert "stays with its message" in check_problem(refused, 422)


async def test_markup_in_a_comment_is_text(ours: Team) -> None:
    text = "<script>alert('x')</script> & \"<b>bold</b>\""
    mine = await ours.does("anna", "POST", "/api/ratings", {"message": ours.tenant.answer, "score": 4, "comment": text})
    answer = await ours.ask("anna", "GET", f"/api/ratings/{mine['id']}")
    assert answer.json()["comment"] == text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_fifty_at_once_leave_one(ours: Team, sql: asyncpg.Connection) -> None:
    message = ours.tenant.answer
    answers = await asyncio.gather(
        *(ours.ask("anna", "POST", "/api/ratings", {"message": message, "score": n % 5 + 1}) for n in range(50))
    )
    assert sorted(answer.status_code for answer in answers) == [200] * 49 + [201]
    (row,) = await sql.fetch("select id, score from ratings")
    assert {answer.json()["id"] for answer in answers} == {row["id"]}
    last = await sql.fetchval("select data ->> 'score' from events where type like 'rating.%' order by id desc limit 1")
    summary = await ours.does("anna", "GET", "/api/ratings/summary", message_id=message)
    assert summary == {"helpful": {"avg": row["score"], "count": 1}, "user": {"id": row["id"], "score": row["score"]}}
    assert int(last) == row["score"]


async def test_pages_meet_every_rating_once(ours: Team, sql: asyncpg.Connection) -> None:
    await sql.execute(
        "insert into ratings (workspace_id, message_id, rated_by, score) select $1, $2, 'p' || n, 3"
        " from generate_series(1, 7) n",
        *(ours.tenant.workspace, ours.tenant.answer),
    )
    met: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = await ours.does(
            "anna", "GET", "/api/ratings/by_message", message_id=ours.tenant.answer, limit=3, **cursor
        )
        met += [row["user"] for row in page["ratings"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert met == [f"p{n}" for n in range(7, 0, -1)]


async def test_a_deleted_conversation_keeps_them_and_an_erased_one_does_not(
    ours: Team, sql: asyncpg.Connection
) -> None:
    message, conversation = ours.tenant.answer, ours.tenant.conversation
    mine = await ours.does("anna", "POST", "/api/ratings", {"message": message, "score": 4})
    await ours.does("anna", "POST", "/api/flags", {"message": message, "flag_type": "outdated"})
    await sql.execute("update conversations set deleted_at = now() where id = $1", conversation)
    for thing, body in (("ratings", {"score": 1}), ("flags", {"flag_type": "off_topic"})):
        assert (await ours.does("anna", "GET", f"/api/{thing}"))["count"] == 1
        assert (await ours.does("anna", "GET", f"/api/{thing}/by_message", message_id=message))["count"] == 1
        check_problem(await ours.ask("anna", "POST", f"/api/{thing}", {"message": message, **body}), 404)
    assert (await ours.does("anna", "GET", "/api/ratings/summary", message_id=message))["helpful"]["count"] == 1
    assert (await ours.does("anna", "GET", "/api/flags/summary", message_id=message))["total"] == 1
    assert (await ours.does("anna", "GET", "/admin/flags"))["count"] == 1
    await ours.does("anna", "PATCH", f"/api/ratings/{mine['id']}", {"score": 2})

    await sql.execute(
        "delete from customers where id = (select customer_id from conversations where id = $1)", conversation
    )
    assert await sql.fetchval("select count(*) from ratings") == await sql.fetchval("select count(*) from flags") == 0
    check_problem(await ours.ask("anna", "GET", "/api/ratings/summary", message_id=message), 404)
