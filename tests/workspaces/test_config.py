"""The config of a workspace: read, changed in part, by JSON and by form, and what it refuses."""

import json
from typing import Any

import asyncpg
import pytest

from stands.owner import WORKSPACE, Owner
from stands.tenants import settle
from switchboard.database.postgres import Postgres
from switchboard.workspaces.hours import WEEKDAYS

KEY = "sk-ZebraOwnKeyCanary-1234567890"
HOURS = {"time_zone": "Europe/Berlin", "monday": ["09:00-12:00", "13:00-18:00"], "holidays": {"2026-12-25": []}}


async def test_what_it_is_before_anybody_says_anything(owner: Owner) -> None:
    config = await owner.get("/config/")
    assert (config["model"], config["model_in_use"]) == (None, "extractive:quote")
    assert (config["auto_response_enabled"], config["default_reply_handler"], config["ai_available"]) == (
        True,
        "AI",
        True,
    )
    assert (config["business_hours"], config["open_now"], config["opens_at"]) == (None, True, None)
    assert (config["prompt_version"], config["manual_prompt"], config["provider_keys"]) == (0, "", {})


async def test_a_change_changes_what_it_names(owner: Owner, sql: asyncpg.Connection) -> None:
    before = await owner.get("/config")
    change: dict[str, Any] = {
        "model": "extractive:quote",
        "temperature": 0.25,
        "max_tokens": 300,
        "auto_response_enabled": False,
        "quiet_seconds": 2.5,
        "confidence_threshold": 0.75,
        "answer_within_seconds": 60,
        "disclosure_text": "I am an AI.",
        "out_of_hours_text": "",
        "handover_text": "A colleague is coming.",
    }
    after = await owner.put("/config", change)
    assert {name: after[name] for name in change} == change
    assert after["unavailable_text"] == before["unavailable_text"]
    assert after["ai_available"] is False
    assert await owner.get("/config") == after
    assert (await owner.put("/config", {"temperature": None, "model": None}))["temperature"] is None
    assert await owner.put("/config", {}) == await owner.get("/config")
    fields = await sql.fetchval(
        "select details ->> 'fields' from audit where action = 'config.changed' order by id limit 1"
    )
    assert set(json.loads(fields)) >= {"model", "disclosure_text"}
    assert await sql.fetchval("select count(*) from events where type = 'workspace.configured'") == 3


async def test_a_form_does_as_well(owner: Owner) -> None:
    fields = {
        "temperature": "0.5",
        "max_tokens": "200",
        "auto_response_enabled": "false",
        "default_reply_handler": "Manual",
        "business_hours": json.dumps(HOURS),
        "manual_prompt": "Be kind & brief.",
    }
    config = await owner.puts_form("/config/", fields)
    assert (config["temperature"], config["max_tokens"], config["auto_response_enabled"]) == (0.5, 200, False)
    assert (config["default_reply_handler"], config["manual_prompt"]) == ("Manual", "Be kind & brief.")
    assert config["business_hours"]["monday"] == HOURS["monday"]
    config = await owner.puts_form("/config/", {"temperature": "", "business_hours": ""})
    assert (config["temperature"], config["business_hours"], config["max_tokens"]) == (None, None, 200)


async def test_hours_are_told_back_and_asked_of_the_database(owner: Owner, sql: asyncpg.Connection) -> None:
    config = await owner.put("/config", {"business_hours": HOURS})
    assert config["business_hours"] | {"tuesday": []} == config["business_hours"]
    assert {name: config["business_hours"][name] for name in HOURS} == HOURS
    assert config["open_now"] == (
        await sql.fetchval("select closed_since(business_hours, now()) from workspaces") is None
    )
    assert (config["opens_at"] is None) == config["open_now"]
    always = {"time_zone": "UTC", **{day: ["00:00-24:00"] for day in WEEKDAYS}}
    assert (await owner.put("/config", {"business_hours": always}))["open_now"] is True


@pytest.mark.parametrize(
    ("wrong", "field", "words"),
    [
        ({"model": "gemini-1.5-flash"}, "model", "pattern"),
        ({"model": "nobody:model"}, "model", "Usable here: extractive"),
        ({"model": "openai:gpt-5.4-mini"}, "model", "OPENAI_API_KEY"),
        ({"model": "extractive:other"}, "model", "extractive:quote"),
        ({"temperature": 2.1}, "temperature", "less than or equal to 2"),
        ({"temperature": "NaN"}, "temperature", ""),
        ({"max_tokens": 0}, "max_tokens", "greater than or equal to 1"),
        ({"quiet_seconds": 61}, "quiet_seconds", "60"),
        ({"quiet_seconds": None}, "quiet_seconds", ""),
        ({"confidence_threshold": -0.1}, "confidence_threshold", "0"),
        ({"answer_within_seconds": 0}, "answer_within_seconds", "30"),
        ({"default_reply_handler": "Robot"}, "default_reply_handler", "'AI' or 'Manual'"),
        ({"auto_response_enabled": "perhaps"}, "auto_response_enabled", "boolean"),
        ({"handover_text": "  "}, "handover_text", "at least 1"),
        ({"manual_prompt": "x" * 20_001}, "manual_prompt", "20000"),
        (
            {"business_hours": {"time_zone": "Mars/Olympus", "monday": ["09:00-10:00"]}},
            "business_hours.time_zone",
            "Berlin",
        ),
        ({"business_hours": {"time_zone": "UTC", "monday": ["26:00-27:00"]}}, "business_hours.monday", "09:00-17:30"),
        ({"business_hours": {"time_zone": "UTC"}}, "business_hours", "never be open"),
        ({"business_hours": "{no json"}, "business_hours", "its JSON"),
        ({"provider_keys": {"nobody": KEY}}, "provider_keys", "openai"),
        ({"provider_keys": {"openai": "short"}}, "provider_keys.openai", ""),
        ({"provider_keys": {"openai": "sk-with a blank"}}, "provider_keys.openai", "characters"),
        ({"modle": "x"}, "modle", "no such field"),
    ],
)
async def test_what_is_wrong_is_named(owner: Owner, wrong: dict[str, Any], field: str, words: str) -> None:
    before = await owner.get("/config")
    refused = await owner.put("/config", wrong, 422)
    assert any(error["field"].startswith(field) and words in error["message"] for error in refused["errors"]), refused
    assert KEY not in json.dumps(refused)
    assert await owner.get("/config") == before


async def test_every_change_of_a_prompt_is_a_version(owner: Owner) -> None:
    for number, text in enumerate(["one", "two", "two", "three"]):
        config = await owner.put("/config", {"manual_prompt": text, "quiet_seconds": number})
    assert config["prompt_version"] == 3
    config = await owner.put("/config", {"question_answer": "Q: ? A: !"})
    assert (config["prompt_version"], config["manual_prompt"]) == (4, "three")
    page = await owner.get("/config/prompts/", limit=3)
    assert [(row["version"], row["manual_prompt"], row["question_answer"]) for row in page["versions"]] == [
        (4, "three", "Q: ? A: !"),
        (3, "three", ""),
        (2, "two", ""),
    ]
    assert page["versions"][0]["created_by"] == "olga"
    page = await owner.get("/config/prompts/", limit=3, cursor=page["next_cursor"])
    assert [row["version"] for row in page["versions"]] == [1]
    assert page["next_cursor"] is None
    await owner.get("/config/prompts", 422, cursor="x")


async def test_an_own_key_is_kept_encrypted_and_never_told(
    owner: Owner, sql: asyncpg.Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    config = await owner.put("/config", {"provider_keys": {"openai": KEY}, "model": "openai:gpt-5.4-mini"})
    assert set(config["provider_keys"]) == {"openai"}
    assert set(config["provider_keys"]["openai"]) == {"set_at"}
    assert config["ai_available"] is True
    told = json.dumps([config, await owner.get("/config"), await owner.get("/default-handler")])
    tables = ("provider_keys", "workspaces", "audit", "events", "prompts")
    kept = str([await sql.fetch(f"select to_jsonb(t)::text from {table} t") for table in tables])
    sealed = await sql.fetchval("select sealed from provider_keys")
    assert sealed.startswith("v1:")
    assert "provider_keys" in kept
    _, log = capsys.readouterr()
    for text in (told, kept, log):
        assert KEY not in text
    assert sealed not in told
    assert sealed not in log
    config = await owner.put("/config", {"provider_keys": {"openai": None}})
    assert (config["provider_keys"], config["ai_available"]) == ({}, False), "its model has nobody's key now"
    assert await sql.fetchval("select count(*) from provider_keys") == 0
    await owner.put("/config", {"provider_keys": {"openai": KEY}, "model": "openai:m"})
    refused = await owner.put("/config", {"provider_keys": {"openai": None}, "model": "openai:m"}, 422)
    assert refused["errors"][0]["field"] == "model"


async def test_the_default_handler_and_how_new_conversations_start(owner: Owner, sql: asyncpg.Connection) -> None:
    async def starts() -> str:
        answer = await owner.client.post("/api/conversations", json={}, headers=owner.who())
        return answer.json()["status"]

    shown = await owner.get("/default-handler/")
    assert (shown["default_reply_handler"], shown["new_conversations"]) == ("AI", "active")
    assert await starts() == "active"
    shown = await owner.puts_form("/default-handler/", {"default_reply_handler": "Manual"})
    assert (shown["default_reply_handler"], shown["new_conversations"]) == ("Manual", "support_active")
    assert await starts() == "support_active"
    assert (await owner.put("/default-handler/", {"default_reply_handler": "ai"}))["default_reply_handler"] == "AI"
    await owner.put("/config", {"auto_response_enabled": False})
    shown = await owner.get("/default-handler")
    assert (shown["default_reply_handler"], shown["new_conversations"]) == ("AI", "support_active")
    assert await starts() == "support_active"
    refused = await owner.put("/default-handler/", {"default_reply_handler": "Both"}, 422)
    assert refused["errors"] == [{"field": "default_reply_handler", "message": "Input should be 'AI' or 'Manual'"}]


async def test_a_channels_new_conversation_starts_by_the_same_rule(postgres: Postgres) -> None:
    from stands.desk import Desk

    desk = Desk(postgres)
    await desk.open()
    for number, (on, ready, handler) in enumerate([(True, True, "ai"), (False, True, "human"), (True, False, "human")]):
        await postgres.update("workspaces", {"auto_response": on, "ai_ready": ready}, where={"id": WORKSPACE})
        await desk.hears("Hi", customer=f"c{number}")
        newest = (await postgres.select("conversations", order=["-id"], limit=1))[0]
        assert newest["handler"] == handler


async def test_whose_config(owner: Owner, sql: asyncpg.Connection) -> None:
    theirs = await settle(sql, "Theirs")
    await owner.get("/config", 404, workspace=theirs.workspace)
    await owner.put(f"/config?workspace={theirs.workspace}", {"quiet_seconds": 9}, 404)
    await owner.put("/config", {"quiet_seconds": 9}, 403, by="anna")
    assert await sql.fetchval("select count(*) from workspaces where quiet_seconds = 9") == 0


async def test_a_shorter_patience_holds_for_who_waits_already(owner: Owner, sql: asyncpg.Connection) -> None:
    from stands.tenants import talk

    conversation, _, _ = await talk(sql, WORKSPACE, "x")
    await sql.execute("update turns set watch_at = now() + interval '1 day' where conversation_id = $1", conversation)
    await owner.put("/config", {"answer_within_seconds": 60})
    assert await sql.fetchval(
        "select watch_at < now() + interval '61 seconds' from turns where conversation_id = $1", conversation
    )
