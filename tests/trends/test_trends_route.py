"""`GET /api/trends`: for everybody in the workspace, and of their own alone."""

import json

import asyncpg
import httpx

from stands.app import bearer, token
from stands.problems import check_problem
from stands.tenants import settle
from stands.weeks import Business, monday
from switchboard.database.postgres import Postgres
from switchboard.settings import Settings
from switchboard.trends.weeks import keep_weeks


async def test_weeks_are_listed_the_latest_first(
    client: httpx.AsyncClient, settings: Settings, sql: asyncpg.Connection, postgres: Postgres
) -> None:
    cafe = await Business.open(sql)
    for weeks_ago in range(1, 6):
        await cafe.hears(weeks_ago, "When are you open?", times=30)
    await cafe.cannot_answer(await cafe.hears(1, "Do you have oat milk", times=15))
    await keep_weeks(postgres)
    who = bearer(token(settings, "viewer", cafe.workspace))
    for path in ("/api/trends", "/api/trends/"):
        answer = await client.get(path, headers=who, params={"weeks": 3})
        assert answer.status_code == 200, answer.text
        told = answer.json()
        assert (told["success"], told["count"]) == (True, 3)
        assert [week["from"] for week in told["weeks"]] == [monday(n).isoformat() for n in (1, 2, 3)]
    week = told["weeks"][0]
    year, number, _ = monday(1).isocalendar()
    assert week["week"] == f"{year}-W{number:02d}"
    assert [(one["topic"], one["conversations"]) for one in week["topics"]] == [("oat milk", 15)]
    assert [(one["question"], one["count"]) for one in week["questions"]] == [("do you have oat milk", 15)]
    assert (week["agents"], week["models"]) == ([], [])
    assert (await client.get("/api/trends", headers=who)).json()["count"] == 4


async def test_others_are_not_there_and_bad_questions_are_told_why(
    client: httpx.AsyncClient, settings: Settings, sql: asyncpg.Connection, postgres: Postgres
) -> None:
    ours, theirs = await Business.open(sql, "Ours"), await Business.open(sql, "Theirs")
    for weeks_ago in range(1, 6):
        await ours.hears(weeks_ago, "When are you open?", times=30)
        await theirs.hears(weeks_ago, "When are you open?", times=30)
    await theirs.hears(1, "Secret sauce", times=30)
    settled = await settle(sql, "SettledSettled")
    await keep_weeks(postgres)
    who = bearer(token(settings, "owner", ours.workspace))
    told = (await client.get("/api/trends", headers=who, params={"weeks": 12})).json()
    assert told["count"] == 12
    assert all(week["workspace"] == ours.workspace and week["topics"] == [] for week in told["weeks"])
    assert "secret" not in json.dumps(told).lower()
    for workspace in (theirs.workspace, settled.workspace, 2**53):
        check_problem(await client.get("/api/trends", headers=who, params={"workspace": workspace}), 404)
    for weeks in (0, 13, "all"):
        refused = await client.get("/api/trends", headers=who, params={"weeks": weeks})
        check_problem(refused, 422)
        assert [error["field"] for error in refused.json()["errors"]] == ["weeks"]
