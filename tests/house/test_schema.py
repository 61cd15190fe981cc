"""Two walls keep businesses apart: row level security for people who come through Supabase, `caller` for our own API.

The tests ask the catalog what there is, so that a new table, view or function cannot be forgotten.
"""

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from stands.tenants import Tenant, settle, talk
from switchboard.database import Database
from switchboard.errors import Forbidden, NotFound, SwitchboardError

OWN = "(workspace_id = ANY (ARRAY( SELECT my_workspaces() AS my_workspaces)))"
OTHER_POLICIES = {
    # Its key is the workspace itself.
    "workspaces": "(id = ANY (ARRAY( SELECT my_workspaces() AS my_workspaces)))",
    # `my_workspaces` reads it: the common form would ask itself.
    "members": "(user_id = (( SELECT auth.uid() AS uid))::text)",
    # Belong to callers of the API and to the installation, not to workspaces; nobody else has any business there.
    "idempotency_keys": "false",
    "upkeep": "false",
    "health_checks": "false",
    "models": "false",
}
NOT_DELETED = "(conversation_id <> ALL (ARRAY( SELECT my_deleted_conversations() AS my_deleted_conversations)))"
HIDDEN = {
    "conversations": "(deleted_at IS NULL)",
    **dict.fromkeys(
        ["messages", "replies", "deliveries", "attachments", "knowledge_questions", "summaries", "corrections"],
        NOT_DELETED,
    ),
}
"""What is out of sight besides: it belongs to a conversation that was deleted."""
WITHOUT_WORDS = {"turns", "events", "usage", "counted_conversations"}
"""What happened in a conversation and what it cost stays to be seen: none of its words are in there."""
OF_NO_WORKSPACE = {"idempotency_keys", "upkeep", "health_checks", "models"}
DEFINERS = {
    # Supabase keeps its list of migrations where service_role may not look.
    "applied_migrations",
    # Says which conversations are deleted to those who cannot see that.
    "my_deleted_conversations",
}
CALLED_BY_POLICIES = {"my_workspaces", "my_deleted_conversations"}


@pytest.fixture
async def tenants(sql: asyncpg.Connection) -> tuple[Tenant, Tenant]:
    """Ours and theirs; ours asks, theirs must stay unknown."""
    await sql.execute("insert into idempotency_keys (caller, key, request_hash) values ('x', 'x', 'x')")
    await sql.execute("insert into upkeep (name, due_at) values ('x', now())")
    await sql.execute("insert into health_checks (kind, name, ok) values ('provider', 'x:y', true)")
    await sql.execute("insert into models (provider, name) values ('x', 'y')")
    return await settle(sql, "OursOurs"), await settle(sql, "TheirsTheirs")


async def tables(sql: asyncpg.Connection, kinds: str = "rp") -> list[str]:
    """The names of all tables in public, or of all views."""
    found = await sql.fetch(
        "select relname from pg_class where relnamespace = 'public'::regnamespace"
        " and relkind::text = any (string_to_array($1, null)) order by 1",
        kinds,
    )
    return [row["relname"] for row in found]


@asynccontextmanager
async def acting(sql: asyncpg.Connection, role: str, person: str | None = None) -> AsyncGenerator[None]:
    """A transaction as Supabase's REST API opens it for a role, undone at the end."""
    transaction = sql.transaction()
    await transaction.start()
    try:
        claims = json.dumps({"sub": person, "role": role})
        await sql.execute("select set_config('request.jwt.claims', $1, true)", claims)
        await sql.execute(f"set local role {role}")
        yield
    finally:
        await transaction.rollback()


async def test_every_table_has_row_level_security_and_forces_it(sql: asyncpg.Connection) -> None:
    open_tables = await sql.fetch(
        "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')"
        " and not (relrowsecurity and relforcerowsecurity)"
    )
    assert open_tables == []


async def test_every_table_lets_people_read_their_own_workspaces_and_nothing_else(
    sql: asyncpg.Connection,
) -> None:
    found = await sql.fetch(
        "select tablename, roles, cmd, qual, with_check from pg_policies where schemaname = 'public'"
    )
    for table in await tables(sql):
        policies = [tuple(row)[1:] for row in found if row["tablename"] == table]
        expected = OTHER_POLICIES.get(table, OWN)
        hidden = [(["authenticated"], "SELECT", HIDDEN[table], None)] if table in HIDDEN else []
        assert sorted(policies) == sorted(
            [
                (["authenticated"], "SELECT", expected, None),
                (["service_role"], "ALL", "true", "true"),
                *hidden,
            ]
        ), table


async def test_every_view_is_read_with_the_rights_of_the_reader(sql: asyncpg.Connection) -> None:
    views = await sql.fetch(
        "select relname, coalesce(reloptions, '{}') as options from pg_class"
        " where relnamespace = 'public'::regnamespace and relkind in ('v', 'm')"
    )
    assert views
    assert [view["relname"] for view in views if "security_invoker=true" not in view["options"]] == []


async def test_people_can_execute_nothing_but_what_policies_call(sql: asyncpg.Connection) -> None:
    executable = await sql.fetch(
        "select p.proname, r.role from pg_proc p cross join (values ('anon'), ('authenticated')) r (role)"
        " where p.pronamespace = 'public'::regnamespace and has_function_privilege(r.role, p.oid, 'execute')"
    )
    assert {(row["proname"], row["role"]) for row in executable} == {
        (name, "authenticated") for name in CALLED_BY_POLICIES
    }
    for_all = await sql.fetch(
        "select p.proname from pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a"
        " where p.pronamespace = 'public'::regnamespace and a.grantee = 0"
    )
    assert for_all == []


async def test_functions_with_the_rights_of_their_owner_are_few_and_name_their_schemas(
    sql: asyncpg.Connection,
) -> None:
    definers = await sql.fetch(
        "select proname, coalesce(proconfig, '{}') as settings from pg_proc"
        " where pronamespace = 'public'::regnamespace and prosecdef"
    )
    assert {row["proname"] for row in definers} == DEFINERS
    assert all('search_path=""' in row["settings"] for row in definers)


async def test_everything_says_what_it_is(sql: asyncpg.Connection) -> None:
    silent = await sql.fetch(
        "select proname as name from pg_proc"
        " where pronamespace = 'public'::regnamespace and obj_description(oid, 'pg_proc') is null"
        " union all select relname from pg_class"
        " where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'v', 'm')"
        " and obj_description(oid, 'pg_class') is null"
    )
    assert silent == []


async def test_no_function_has_two_signatures(sql: asyncpg.Connection) -> None:
    twice = await sql.fetch(
        "select proname from pg_proc where pronamespace = 'public'::regnamespace group by 1 having count(*) > 1"
    )
    assert twice == []


async def test_every_table_has_a_row_of_each_business(sql: asyncpg.Connection, tenants: tuple[Tenant, Tenant]) -> None:
    # What follows would prove nothing about an empty table.
    for table in await tables(sql):
        column = "null::bigint" if table in OF_NO_WORKSPACE else "id" if table == "workspaces" else "workspace_id"
        held = {row[0] for row in await sql.fetch(f"select distinct {column} from {table}")}
        wanted = {None} if table in OF_NO_WORKSPACE else {tenant.workspace for tenant in tenants}
        assert held >= wanted, f"stands/tenants.py puts nothing into {table}"


async def test_strangers_read_nothing(sql: asyncpg.Connection, tenants: tuple[Tenant, Tenant]) -> None:
    for relation in await tables(sql, "rpvm"):
        async with acting(sql, "anon"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await sql.fetch(f"select from {relation}")


async def test_people_read_the_rows_of_their_own_workspaces(
    sql: asyncpg.Connection, tenants: tuple[Tenant, Tenant]
) -> None:
    ours, _ = tenants
    for table in await tables(sql):
        column = "id" if table == "workspaces" else "workspace_id"
        async with acting(sql, "authenticated", ours.person):
            if table in OF_NO_WORKSPACE:
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await sql.fetch(f"select from {table}")
                continue
            seen = [row[0] for row in await sql.fetch(f"select {column} from {table}")]
            assert set(seen) == {ours.workspace}, table


async def test_whatever_holds_words_of_a_conversation_is_hidden_with_it(
    sql: asyncpg.Connection, tenants: tuple[Tenant, Tenant]
) -> None:
    ours, _ = tenants
    found = await sql.fetch(
        "select c.relname from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'conversation_id'"
        " where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')"
    )
    assert {row["relname"] for row in found} == HIDDEN.keys() - {"conversations"} | WITHOUT_WORDS
    for table in WITHOUT_WORDS - {"usage"}:  # its provider and model are called so in these tests
        assert not await sql.fetchval(
            f"select exists (select from {table} t where t::text like '%' || $1 || '%')", ours.mark
        )


async def test_people_read_nothing_of_a_deleted_conversation(
    sql: asyncpg.Connection, tenants: tuple[Tenant, Tenant]
) -> None:
    ours, _ = tenants
    other, _, _ = await talk(sql, ours.workspace, ours.mark)
    caller = json.dumps(ours.caller())
    await sql.execute("select delete_conversation($1::text::jsonb, $2)", caller, ours.conversation)
    async with acting(sql, "authenticated", ours.person):
        assert [row["id"] for row in await sql.fetch("select id from conversations")] == [other]
        for table in HIDDEN.keys() - {"conversations"}:
            rows = await sql.fetch(f"select conversation_id from {table}")
            assert {row["conversation_id"] for row in rows} <= {other}, table
    await sql.execute("select restore_conversation($1::text::jsonb, $2)", caller, ours.conversation)
    async with acting(sql, "authenticated", ours.person):
        for table in HIDDEN:
            assert await sql.fetchval(f"select count(*) from {table}") > 0, table


async def test_people_without_a_workspace_read_nothing(sql: asyncpg.Connection, tenants: tuple[Tenant, Tenant]) -> None:
    for table in await tables(sql):
        if table in OF_NO_WORKSPACE:
            continue
        async with acting(sql, "authenticated", "00000000-0000-4000-8000-000000000000"):
            column = "id" if table == "workspaces" else "workspace_id"
            assert await sql.fetch(f"select {column} from {table}") == [], table


async def test_nobody_reads_the_hashes_of_keys(sql: asyncpg.Connection, tenants: tuple[Tenant, Tenant]) -> None:
    for columns in ("key_hash", "*"):
        async with acting(sql, "authenticated", tenants[0].person):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await sql.fetch(f"select {columns} from api_keys")


async def test_nobody_reads_the_keys_for_providers(sql: asyncpg.Connection, tenants: tuple[Tenant, Tenant]) -> None:
    for columns in ("sealed", "*"):
        async with acting(sql, "authenticated", tenants[0].person):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await sql.fetch(f"select {columns} from provider_keys")


async def test_people_write_nothing_past_the_service(sql: asyncpg.Connection, tenants: tuple[Tenant, Tenant]) -> None:
    allowed = await sql.fetch(
        "select c.relname, r.role, p.privilege from pg_class c"
        " cross join (values ('anon'), ('authenticated')) r (role)"
        " cross join unnest(array['insert', 'update', 'delete', 'truncate', 'references', 'trigger']) p (privilege)"
        " where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v', 'm')"
        " and has_table_privilege(r.role, c.oid, p.privilege)"
        " union all select c.relname, r.role, 'sequence' from pg_class c"
        " cross join (values ('anon'), ('authenticated')) r (role)"
        " where c.relnamespace = 'public'::regnamespace and c.relkind = 'S'"
        " and has_sequence_privilege(r.role, c.oid, 'usage, select, update')"
    )
    assert allowed == []
    by_column = await sql.fetch(
        "select table_name, column_name, privilege_type from information_schema.column_privileges"
        " where table_schema = 'public' and grantee in ('anon', 'authenticated', 'PUBLIC')"
        " and privilege_type <> 'SELECT'"
    )
    assert by_column == []
    async with acting(sql, "authenticated", tenants[0].person):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await sql.execute("update conversations set handler = 'human'")


# The other wall ------------------------------------------------------------------------------------------------------


def asked_by(ours: Tenant, theirs: Tenant) -> dict[str, tuple[Mapping[str, Any], type[SwitchboardError] | None]]:
    """Every function that takes a caller: what of theirs it is asked for, and how it says no (None: with nothing)."""
    conversation = {"conversation_id": theirs.conversation}
    workspace = {"workspace_id": theirs.workspace}
    key = {"name": "k", "role": "owner", "prefix": "p", "key_hash": "h"}
    document = {"document_id": theirs.document}
    answer = {"message_id": theirs.answer}
    agent = {"agent_id": theirs.agent}
    job = {"job_id": theirs.export}
    content = {"kind": "text", "body": "eA==", "content_hash": "h"}
    return {
        "add_user_message": ({**conversation, "content": "x"}, NotFound),
        "begin_export": ({**workspace, "details": {"filters": {}}, "services": []}, NotFound),
        "end_export": ({**workspace, "deed": "export.ended", "details": {}}, NotFound),
        "export_page": ({**workspace, "filters": {}, "watermark": 2**53}, NotFound),
        "export_sample": ({**workspace, "conversation_ids": [theirs.conversation], "watermark": 2**53}, NotFound),
        "export_statistics": (workspace, NotFound),
        "measure_export": ({**workspace, "filters": {}, "watermark": 2**53}, NotFound),
        "require_exporter": (workspace, NotFound),
        "ask_in_session": ({**workspace, "customer_id": "x", "content": "x", "external_id": "x"}, NotFound),
        "ask_knowledge": ({**workspace, "query": theirs.mark}, NotFound),
        "assign_conversation": ({**conversation, "assigned_to": "me"}, NotFound),
        "change_agent": ({**agent, "changes": {"name": "x"}}, NotFound),
        "change_conversation": ({**conversation, "changes": {"title": "x"}}, NotFound),
        "change_flag": ({"flag_id": theirs.flag, "comment": "x"}, NotFound),
        "change_rating": ({"rating_id": theirs.rating, "score": 1}, NotFound),
        "chat_analytics": ({**workspace, "days": 30}, NotFound),
        "claim_flag": ({"flag_id": theirs.flag}, NotFound),
        "conversation_stats": ({}, None),
        "correct_message": ({**answer, "content": "x", "parts": [], "send": True}, NotFound),
        "count_statuses": ({}, None),
        "create_agent": ({**workspace, "changes": {"name": "x"}}, NotFound),
        "create_api_key": ({**workspace, **key}, NotFound),
        "delete_agent": (agent, NotFound),
        "delete_conversation": (conversation, NotFound),
        "delete_document": (document, NotFound),
        "delete_export_job": (job, NotFound),
        "delete_rating": ({"rating_id": theirs.rating}, NotFound),
        "events_after": ({"after": 0}, None),
        "find_agent": (agent, None),
        "find_conversation": (conversation, None),
        "find_document": (document, None),
        "find_flag": ({"flag_id": theirs.flag}, None),
        "find_guest": ({}, None),
        "find_message": ({"message_id": theirs.question}, None),
        "find_rating": ({"rating_id": theirs.rating}, None),
        "find_reply": ({**conversation, "seq": 1}, None),
        "find_summary": (conversation, None),
        "flag_message": ({**answer, "flag_type": "outdated"}, NotFound),
        "flag_summary": (answer, NotFound),
        "get_agent": (agent, None),
        "get_ai_config": (workspace, NotFound),
        "get_conversation": (conversation, None),
        "get_document": (document, None),
        "get_export_job": (job, NotFound),
        "get_flag": ({"flag_id": theirs.flag}, None),
        "get_message": ({"message_id": theirs.question}, None),
        "get_rating": ({"rating_id": theirs.rating}, None),
        "get_summary": ({"summary_id": theirs.summary}, None),
        "guest_conversation": ({}, None),
        "hand_back": (conversation, NotFound),
        "list_agent_prompts": (agent, NotFound),
        "list_agents": (workspace, None),
        "list_all_messages": ({}, None),
        "list_conversations": ({"filters": {}, "sort": "last_message_at"}, None),
        "list_corrections": ({"filters": {}}, None),
        "list_deleted_conversations": ({}, None),
        "list_documents": (workspace, None),
        "list_export_jobs": ({}, None),
        "list_flags": (answer, NotFound),
        "request_export_job": (
            {"assistant_id": theirs.agent, "days": 7, "format": "html", "options": {"anonymize": True}},
            NotFound,
        ),
        "require_export_job": (job, NotFound),
        "take_export_job": ({**job, "deed": "export.opened"}, NotFound),
        "list_guest_messages": ({}, NotFound),
        "list_messages": (conversation, NotFound),
        "list_prompts": (workspace, NotFound),
        "list_ratings": (answer, NotFound),
        "list_sessions": ({"filters": {}, "customer_id": "x"}, None),
        "list_summaries": ({}, None),
        "list_trends": (workspace, NotFound),
        "list_usage": ({**workspace, "days": 30}, NotFound),
        "mark_message": ({"message_id": theirs.question, "mark": "human"}, NotFound),
        "model_performance": ({**workspace, "days": 30}, NotFound),
        "open_conversation": ({**workspace, "platform": "api", "user_id": "x"}, NotFound),
        "post_human_reply": ({**conversation, "content": "x", "parts": []}, NotFound),
        "put_document": ({**workspace, **content, "title": "x"}, NotFound),
        "rate_message": ({**answer, "score": 1}, NotFound),
        "rating_summary": (answer, NotFound),
        "replace_document": ({**document, **content}, NotFound),
        "request_summary": (conversation, NotFound),
        "require_agent_to_change": (agent, NotFound),
        "require_answer": (answer, NotFound),
        "require_conversation": ({**conversation, "minimum": "viewer"}, NotFound),
        "require_document": ({**document, "minimum": "viewer"}, NotFound),
        "require_flag_to_review": ({"flag_id": theirs.flag}, NotFound),
        "require_kept_message": (answer, NotFound),
        "require_role": ({**workspace, "minimum": "viewer"}, Forbidden),
        "require_unresolved_flag": ({"flag_id": theirs.flag}, NotFound),
        "resolve_flag": ({"flag_id": theirs.flag, "outcome": "fixed"}, NotFound),
        "restore_conversation": (conversation, NotFound),
        "review_flags": ({"filters": {}}, None),
        "set_ai_config": ({**workspace, "changes": {"quiet_seconds": 9}}, NotFound),
        "set_lifecycle": ({**conversation, "lifecycle": "closed"}, NotFound),
        "set_priority": ({**conversation, "priority": 9}, NotFound),
        "set_statuses": ({"conversation_ids": [theirs.conversation], "status": "closed"}, None),
        "take_over": (conversation, NotFound),
        "unanswered_questions": (workspace, None),
        "usage_global": ({"days": 30}, Forbidden),
        "usage_stats": ({**workspace, "days": 30}, NotFound),
        "visible_workspaces": ({}, None),
        "withdraw_flag": ({"flag_id": theirs.flag}, NotFound),
    }


TRUSTED = {
    # Writes for whoever has been let through by the function that calls it.
    "write_audit",
}


async def test_no_function_shows_or_changes_what_is_not_the_callers(
    database: Database, sql: asyncpg.Connection, tenants: tuple[Tenant, Tenant]
) -> None:
    ours, theirs = tenants
    questions = asked_by(ours, theirs)
    taking_a_caller = await sql.fetch(
        "select proname from pg_proc where pronamespace = 'public'::regnamespace and proargnames[1] = 'caller'"
        " and proargtypes[0] = 'jsonb'::regtype"
    )
    assert {row["proname"] for row in taking_a_caller} == questions.keys() | TRUSTED
    before = await everything_of(sql, theirs)
    for role in ("owner", "viewer"):
        for function, (arguments, refusal) in questions.items():
            refused, told = await ask(database, function, ours.caller(role), arguments)
            assert refused is refusal, f"{function}: {told}"
            assert theirs.mark not in told, function
    assert await everything_of(sql, theirs) == before


async def ask(
    database: Database, function: str, caller: dict[str, Any], arguments: Mapping[str, Any]
) -> tuple[type[SwitchboardError] | None, str]:
    """How a function said no, or None, and in which words it answered."""
    try:
        return None, json.dumps(await database.call(function, caller=caller, **arguments))
    except SwitchboardError as error:
        return type(error), error.message


async def test_a_caller_without_any_workspace_sees_nothing(database: Database, tenants: tuple[Tenant, Tenant]) -> None:
    nobody: dict[str, Any] = {"subject": "nobody", "admin": False, "roles": {}}
    assert await database.call("list_conversations", caller=nobody, filters={}, sort="priority") == []
    await database.call("follow_events", after=0)
    assert (await database.call("events_after", caller=nobody, after=0))["events"] == []
    assert (await database.call("conversation_stats", caller=nobody))["total_messages"] == 0


async def test_an_admin_sees_both(database: Database, tenants: tuple[Tenant, Tenant]) -> None:
    admin: dict[str, Any] = {"subject": "admin", "admin": True, "roles": {}}
    rows = await database.call("list_conversations", caller=admin, filters={}, sort="created_at")
    assert {row["workspace_id"] for row in rows} == {tenant.workspace for tenant in tenants}
    await database.call("follow_events", after=0)
    page = await database.call("events_after", caller=admin, after=0)
    assert {event["workspace_id"] for event in page["events"]} == {tenant.workspace for tenant in tenants}


async def everything_of(sql: asyncpg.Connection, tenant: Tenant) -> dict[str, Any]:
    """All rows of a workspace, table by table."""
    kept: dict[str, Any] = {}
    for table in await tables(sql):
        if table not in OF_NO_WORKSPACE:
            column = "id" if table == "workspaces" else "workspace_id"
            rows = await sql.fetch(
                f"select to_jsonb(t) r from {table} t where {column} = $1 order by 1", tenant.workspace
            )
            kept[table] = [row["r"] for row in rows]
    return kept
