"""Flags and the review queue over HTTP, on both transports."""

import asyncio

import asyncpg
import pytest

from feedback.conftest import Team
from feedback.test_ratings import events
from stands.problems import CANARY, check_problem

TYPES = ["safety_issue", "inappropriate", "factual_error", "outdated", "off_topic"]


async def test_a_flag_from_the_first_to_the_last(ours: Team, sql: asyncpg.Connection) -> None:
    message = ours.tenant.answer
    body = {"message": message, "flag_type": "factual_error"}
    first = await ours.ask("anna", "POST", "/api/flags/", {**body, "comment": "Wrong price"})
    assert first.status_code == 201, first.text
    flag = first.json()
    assert first.headers["location"] == f"/api/flags/{flag['id']}"
    assert (flag["message"], flag["flag_type"], flag["state"], flag["user"]) == (
        message,
        "factual_error",
        "open",
        "anna",
    )
    again = await ours.ask("anna", "POST", "/api/flags/", body)
    assert (again.status_code, again.json()) == (200, flag)
    await ours.does("ben", "POST", "/api/flags", body)
    other = await ours.does("anna", "POST", "/api/flags", {"message": message, "flag_type": "outdated"})

    summary = await ours.does("anna", "GET", "/api/flags/summary/", message_id=message)
    assert summary == {
        "success": True,
        "counts": {"safety_issue": 0, "inappropriate": 0, "factual_error": 2, "outdated": 1, "off_topic": 0},
        "total": 3,
        "mine": ["factual_error", "outdated"],
    }
    by_message = await ours.does("carla", "GET", "/api/flags/by_message/", message_id=message)
    assert [row["user"] for row in by_message["flags"]] == ["anna", "ben", "anna"]

    path = f"/api/flags/{flag['id']}/"
    changed = await ours.does("anna", "PATCH", path, {"comment": "The price is wrong"})
    assert (changed["flag_type"], changed["comment"]) == ("factual_error", "The price is wrong")
    refused = await ours.ask("anna", "PATCH", path, {"flag_type": "outdated"})
    assert "as outdated already" in check_problem(refused, 409)
    replaced = await ours.does("anna", "PUT", path, {"flag_type": "off_topic"})
    assert (replaced["flag_type"], replaced["comment"]) == ("off_topic", "")
    await ours.does("anna", "DELETE", f"/api/flags/{other['id']}")
    assert [row["id"] for row in (await ours.does("anna", "GET", "/api/flags"))["flags"]] == [flag["id"]]
    assert await events(sql, "flag") == ["flag.raised"] * 3 + ["flag.changed"] * 2 + ["flag.withdrawn"]


async def test_toggling(ours: Team) -> None:
    body = {"message": ours.tenant.answer, "flag_type": "factual_error"}
    on = await ours.does("anna", "POST", "/api/flags/toggle/", body)
    assert (on["flagged"], on["flag"]["flag_type"]) == (True, "factual_error")
    other = await ours.does("ben", "POST", "/api/flags/toggle/", body)
    assert other["flagged"] is True
    assert await ours.does("anna", "POST", "/api/flags/toggle/", body) == {
        "success": True, "flagged": False, "flag": None,
    }  # fmt: skip
    summary = await ours.does("anna", "GET", "/api/flags/summary", message_id=ours.tenant.answer)
    assert (summary["total"], summary["mine"]) == (1, [])


async def test_people_see_and_change_their_own_alone(ours: Team, theirs: Team) -> None:
    mine = await ours.does("anna", "POST", "/api/flags", {"message": ours.tenant.answer, "flag_type": "outdated"})
    path = f"/api/flags/{mine['id']}"
    for team, who in ((ours, "ben"), (theirs, "anna")):
        for method, body in (("GET", None), ("PUT", {"flag_type": "off_topic"}), ("PATCH", {}), ("DELETE", None)):
            assert check_problem(await team.ask(who, method, path, body, role="owner"), 404) == "There is no such flag."
        assert (await team.does(who, "GET", "/api/flags"))["flags"] == []
    assert [row["user"] for row in (await theirs.does("anna", "GET", "/admin/flags"))["flags"]] == ["TheirsTheirs"]


async def test_a_message_of_others_is_one_that_is_not_there(ours: Team, theirs: Team) -> None:
    for message in (theirs.tenant.answer, 2**53):
        for path in ("/api/flags", "/api/flags/toggle"):
            refused = await ours.ask("anna", "POST", path, {"message": message, "flag_type": "outdated"})
            assert check_problem(refused, 404) == "There is no such message."
        for path in ("/api/flags/by_message", "/api/flags/summary"):
            refused = await ours.ask("anna", "GET", path, message_id=message)
            assert check_problem(refused, 404) == "There is no such message."


async def test_what_is_wrong_is_named(ours: Team) -> None:
    message = ours.tenant.answer
    for path in ("/api/flags", "/api/flags/toggle"):
        refused = await ours.ask("anna", "POST", path, {"message": message, "flag_type": CANARY})
        detail = refused.json()["errors"][0]
        check_problem(refused, 422)
        assert detail["field"] == "flag_type"
        assert all(name in detail["message"] for name in TYPES)
        refused = await ours.ask("anna", "POST", path, {"message": ours.tenant.question, "flag_type": "outdated"})
        assert "from the customer" in check_problem(refused, 422)
        long = {"message": message, "flag_type": "outdated", "comment": "x" * 5001}
        check_problem(await ours.ask("anna", "POST", path, long), 422)
    flag = await ours.does("anna", "POST", "/api/flags", {"message": message, "flag_type": "outdated"})
    path = f"/admin/flags/{flag['id']}/resolve"
    for body, field in (
        ({"outcome": "shrug"}, "outcome"),
        ({}, "outcome"),
        ({"outcome": "fixed", "note": "x" * 5001}, "note"),
    ):
        refused = await ours.ask("anna", "POST", path, body, role="support")
        check_problem(refused, 422)
        assert [error["field"] for error in refused.json()["errors"]] == [field]
    for query in ({"state": "shrug"}, {"flag_type": "shrug"}, {"cursor": "shrug"}, {"from": "shrug"}):
        check_problem(await ours.ask("anna", "GET", "/admin/flags", **query), 422)


@pytest.mark.parametrize("times", [50, 51])
async def test_toggled_at_once_the_flag_stands_or_not(ours: Team, sql: asyncpg.Connection, times: int) -> None:
    body = {"message": ours.tenant.answer, "flag_type": "safety_issue"}
    answers = await asyncio.gather(*(ours.ask("anna", "POST", "/api/flags/toggle", body) for _ in range(times)))
    assert {answer.status_code for answer in answers} == {200}
    on = [answer.json()["flagged"] for answer in answers]
    assert on.count(True) - on.count(False) == times % 2
    assert await sql.fetchval("select count(*) from flags") == times % 2
    told = await events(sql, "flag")
    assert told == (["flag.raised", "flag.withdrawn"] * 26)[:times]


async def test_a_flag_raised_fifty_times_at_once_is_one(ours: Team, sql: asyncpg.Connection) -> None:
    body = {"message": ours.tenant.answer, "flag_type": "outdated"}
    answers = await asyncio.gather(*(ours.ask("anna", "POST", "/api/flags", body) for _ in range(50)))
    assert sorted(answer.status_code for answer in answers) == [200] * 49 + [201]
    assert await sql.fetchval("select count(*) from flags") == 1
    assert await events(sql, "flag") == ["flag.raised"]


async def test_a_safety_issue_calls_a_person(ours: Team, sql: asyncpg.Connection) -> None:
    message, conversation = ours.tenant.answer, ours.tenant.conversation
    state = "select m.requires_human, c.requires_human from messages m, conversations c where m.id = $1 and c.id = $2"
    flag = await ours.does("anna", "POST", "/api/flags", {"message": message, "flag_type": "outdated"})
    assert tuple(await sql.fetchrow(state, message, conversation) or ()) == (False, False)
    await ours.does("anna", "PATCH", f"/api/flags/{flag['id']}", {"flag_type": "safety_issue"})
    assert tuple(await sql.fetchrow(state, message, conversation) or ()) == (True, True)
    waiting = await ours.does("anna", "GET", "/admin/conversations", requires_human="true")
    assert [row["id"] for row in waiting["conversations"]] == [conversation]
    await ours.does("anna", "POST", f"/admin/messages/{message}/mark-replied", role="support")
    await ours.does("ben", "POST", "/api/flags/toggle", {"message": message, "flag_type": "safety_issue"})
    assert tuple(await sql.fetchrow(state, message, conversation) or ()) == (True, True)
    # Taking it back does not make it unseen.
    await ours.does("ben", "POST", "/api/flags/toggle", {"message": message, "flag_type": "safety_issue"})
    assert tuple(await sql.fetchrow(state, message, conversation) or ()) == (True, True)


async def test_the_review_queue(ours: Team, sql: asyncpg.Connection) -> None:
    message = ours.tenant.answer
    made = {
        kind: (await ours.does(who, "POST", "/api/flags", {"message": message, "flag_type": kind}))["id"]
        for who, kind in zip(["anna", "ben"] * 3, TYPES, strict=False)
    }
    queue = await ours.does("carla", "GET", "/admin/flags/")
    assert [row["flag_type"] for row in queue["flags"]] == TYPES[::-1]
    assert queue["flags"][0]["content"] == "OursOurs answers"
    page = await ours.does("carla", "GET", "/admin/flags", limit=2)
    rest = await ours.does("carla", "GET", "/admin/flags", limit=5, cursor=page["next_cursor"])
    assert [row["flag_type"] for row in page["flags"] + rest["flags"]] == TYPES[::-1]

    one, two = made["outdated"], made["off_topic"]
    claimed = await ours.does("carla", "POST", f"/admin/flags/{one}/claim", role="support")
    assert (claimed["flag"]["state"], claimed["flag"]["claimed_by"]) == ("claimed", "carla")
    await ours.does("carla", "POST", f"/admin/flags/{one}/claim", role="support")
    for path, body in ((f"/admin/flags/{one}/claim", None), (f"/admin/flags/{one}/resolve", {"outcome": "fixed"})):
        assert (
            check_problem(await ours.ask("dora", "POST", path, body, role="support"), 409)
            == "carla has claimed this flag."
        )
    over = await ours.does("olga", "POST", f"/admin/flags/{one}/claim", role="owner")
    assert over["flag"]["claimed_by"] == "olga"
    note = "The <b>price list</b> is corrected."
    done = await ours.does(
        "olga", "POST", f"/admin/flags/{one}/resolve", {"outcome": "fixed", "note": note}, role="support"
    )
    assert (done["flag"]["state"], done["flag"]["resolved_by"], done["flag"]["note"]) == ("resolved", "olga", note)
    await ours.does("dora", "POST", f"/admin/flags/{two}/resolve", {"outcome": "dismissed"}, role="support")
    for path, body in ((f"/admin/flags/{one}/claim", None), (f"/admin/flags/{one}/resolve", {"outcome": "fixed"})):
        assert "olga has resolved" in check_problem(await ours.ask("olga", "POST", path, body, role="support"), 409)

    async def found(**query: str) -> list[int]:
        return [row["id"] for row in (await ours.does("carla", "GET", "/admin/flags", **query))["flags"]]

    assert await found() == [made[kind] for kind in TYPES[2::-1]]
    assert await found(state="resolved") == [two, one]
    assert await found(state="all", outcome="fixed") == [one]
    assert len(await found(state="all")) == 5
    assert await found(flag_type="safety_issue") == [made["safety_issue"]]
    assert await found(state="claimed") == []
    assert await found(state="all", claimed_by="dora") == [two]
    assert await found(**{"from": "2100-01-01T00:00:00Z"}) == []
    assert await found(
        conversation=f"{ours.tenant.conversation}", message=f"{message}", workspace=f"{ours.tenant.workspace}"
    )
    assert await found(message=f"{ours.tenant.question}") == []

    # Resolved, it stands: for who raised it, and in the counts.
    assert (await ours.does("ben", "GET", f"/api/flags/{one}"))["note"] == note
    for method, path, body in (
        ("POST", "/api/flags/toggle", {"message": message, "flag_type": "outdated"}),
        ("DELETE", f"/api/flags/{one}", None),
        ("PATCH", f"/api/flags/{one}", {"comment": "x"}),
    ):
        assert "olga has resolved" in check_problem(await ours.ask("ben", method, path, body), 409)
    assert (await ours.does("anna", "GET", "/api/flags/summary", message_id=message))["total"] == 5
    told = await events(sql, "flag")
    assert told[5:] == ["flag.claimed", "flag.claimed", "flag.resolved", "flag.resolved"]
    outcome = await sql.fetchval(
        "select data ->> 'outcome' from events where type = 'flag.resolved' order by id limit 1"
    )
    assert outcome == "fixed"
    assert await sql.fetchval("select count(*) from audit where action = 'flag.resolved'") == 2


async def test_a_flag_is_resolved_once(ours: Team, sql: asyncpg.Connection) -> None:
    flag = await ours.does("anna", "POST", "/api/flags", {"message": ours.tenant.answer, "flag_type": "outdated"})
    path = f"/admin/flags/{flag['id']}/resolve"
    answers = await asyncio.gather(
        *(ours.ask(f"p{n}", "POST", path, {"outcome": "fixed", "note": f"{n}"}, role="support") for n in range(10))
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 9
    (winner,) = [answer.json()["flag"] for answer in answers if answer.status_code == 200]
    assert await sql.fetchval("select note from flags") == winner["note"]
    assert await events(sql, "flag") == ["flag.raised", "flag.resolved"]
