"""Models and channels are really asked; what was found is kept, shown to admins, and told when it changes."""

from pathlib import Path

import asyncpg
import httpx

from stands import plays
from stands.app import bearer, local_settings, running_client, token, until_ready
from stands.desk import Desk
from stands.llm import LlmStand
from switchboard.database import Database
from switchboard.settings import Settings
from switchboard.upkeep.health import check_health, models_in_use


def with_model(llm: LlmStand, **more: object) -> Settings:
    told = {"openai_api_key": "sk-1", "openai_base_url": llm.openai_url, "default_model": "openai:first", **more}
    return local_settings(
        None,
        facebook_page_id=None,
        facebook_page_access_token=None,
        facebook_app_secret=None,
        facebook_verify_token=None,
        **told,
    )


async def test_each_model_in_use_is_asked_once(database: Database) -> None:
    desk = Desk(database)
    await desk.open()
    await desk.second_workspace("2002")
    for workspace, model in ((1, "openai:own"), (2, "mistral:not-configured")):
        await database.update("workspaces", {"model": model}, where={"id": workspace})
    async with LlmStand() as llm:
        settings = with_model(llm, fallback_models="openai:second openai:first")
        assert await models_in_use(database, settings) == ["openai:first", "openai:second", "openai:own"]
        llm.play(*[plays.say("ready")] * 3)
        assert await check_health(database, settings) == {"looked": 3, "wrong": 0, "changed": 0}
        assert len(llm.calls) == 3
        llm.play(plays.say("ready"), plays.fail(503), plays.say("ready"))
        assert await check_health(database, settings) == {"looked": 3, "wrong": 1, "changed": 1}
        llm.play(*[plays.say("ready")] * 3)
        assert await check_health(database, settings) == {"looked": 3, "wrong": 0, "changed": 1}
        one = with_model(llm)
        llm.play(*[plays.say("ready")] * 2)
        await check_health(database, one)
    kept = await database.select("health_checks", order=["name"])
    assert [row["name"] for row in kept] == ["openai:first", "openai:own"], "what nobody uses any more is forgotten"
    events = [row["type"] for row in await database.select("events", order=["id"]) if "name" in row["data"]]
    assert sorted(events) == ["provider.failed"] * 2 + ["provider.recovered"] * 2


async def test_an_admin_asks_and_reads(database_url: str, sql: asyncpg.Connection, tmp_path: Path) -> None:
    async with LlmStand() as llm:
        settings = with_model(llm).model_copy(
            update=local_settings(database_url, data_dir=tmp_path).model_dump(include={"database_url", "data_dir"})
        )
        async with running_client(settings) as client:
            await until_ready(client)
            admin = bearer(token(settings))
            before = (await client.get("/api/v1/ai/health/", headers=admin)).json()
            assert (before["ok"], before["checks"], before["upkeep"]) == (True, [], [])
            llm.play(plays.fail(401, "no such key: sk-1"))
            found: httpx.Response = await client.post("/api/v1/ai/test/", headers=admin)
            assert found.status_code == 200
            assert found.json()["ok"] is False
            (check,) = found.json()["checks"]
            assert (check["kind"], check["name"], check["ok"]) == ("provider", "openai:first", False)
            assert "OPENAI_API_KEY" in check["detail"]
            assert "sk-1" not in found.text
            (task,) = found.json()["upkeep"]
            assert (task["name"], task["outcome"], task["result"]) == (
                "health",
                "done",
                {"looked": 1, "wrong": 1, "changed": 1},
            )
            await sql.execute("update upkeep set lease_until = now() + interval '1 minute'")
            busy = await client.post("/api/v1/ai/test", headers=admin)
            assert (busy.status_code, busy.json()["code"]) == (409, "conflict")
