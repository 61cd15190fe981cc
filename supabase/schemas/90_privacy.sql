-- What is kept for how long, and who may read what: the last file, so that no table is left out.

create function purge_expired(inbox_days integer, max_rows integer default 5000) returns jsonb
language plpgsql volatile security invoker set search_path = public as $$
declare
  bodies bigint;
  keys bigint;
  questions bigint;
begin
  -- By id: the oldest come first, and no index on the time has to be kept for every webhook.
  delete from inbox i where i.id in (
    select x.id from (select y.id, y.received_at, y.sorted_at from inbox y order by y.id limit max_rows) x
    where x.received_at < now() - inbox_days * interval '1 day' and x.sorted_at is not null
  );
  get diagnostics bodies = row_count;
  delete from idempotency_keys k where (k.caller, k.key) in (
    select x.caller, x.key from idempotency_keys x where x.created_at < now() - interval '24 hours' limit max_rows
  );
  get diagnostics keys = row_count;
  delete from knowledge_questions q where (q.workspace_id, q.id) in (
    select x.workspace_id, x.id from (select y.* from knowledge_questions y order by y.workspace_id, y.id limit max_rows) x
    where x.asked_at < now() - interval '180 days'
  );
  get diagnostics questions = row_count;
  return jsonb_build_object('inbox', bodies, 'idempotency_keys', keys, 'knowledge_questions', questions);
end $$;
comment on function purge_expired is 'Deletes, up to `max_rows` of each, raw webhook bodies past their days, answers past 24 hours, and
questions that found nothing past 180 days.';

do $$
declare
  t text;
  mine constant text[] := array[
    'members', 'agents', 'agent_prompts', 'channels', 'audit', 'customers', 'conversations', 'messages', 'turns', 'inbox',
    'replies', 'deliveries', 'attachments', 'knowledge_documents', 'knowledge_sources', 'knowledge_chunks',
    'knowledge_questions', 'ratings', 'flags', 'corrections', 'events', 'usage', 'usage_tail', 'usage_days', 'usage_times',
    'usage_customers', 'activity_days', 'conversation_days', 'counted_conversations', 'api_keys', 'prompts', 'provider_keys',
    'summaries', 'feedback_messages', 'feedback_days', 'feedback_tail', 'trend_weeks', 'export_jobs'
  ];
begin
  foreach t in array mine || array['workspaces', 'idempotency_keys', 'upkeep', 'health_checks', 'models'] loop
    execute format('alter table public.%I enable row level security', t);
    execute format('alter table public.%I force row level security', t);
    execute format('revoke all on public.%I from public, anon, authenticated', t);
    execute format('grant select, insert, update, delete on public.%I to service_role', t);
    -- Needed only where service_role could not be given bypassrls.
    execute format('create policy service on public.%I to service_role using (true) with check (true)', t);
  end loop;
  foreach t in array mine loop
    execute format(
      'create policy own_workspaces on public.%I for select to authenticated '
      'using (workspace_id = any (array(select my_workspaces())))', t
    );
    execute format('grant select on public.%I to authenticated', t);
  end loop;
end $$;

-- What was deleted is out of sight here, too.
do $$
declare
  t text;
begin
  foreach t in array array[
    'messages', 'replies', 'deliveries', 'attachments', 'knowledge_questions', 'summaries', 'corrections'
  ] loop
    execute format(
      'create policy not_deleted on public.%I as restrictive for select to authenticated '
      'using (conversation_id <> all (array(select my_deleted_conversations())))', t
    );
  end loop;
end $$;
create policy not_deleted on conversations as restrictive for select to authenticated using (deleted_at is null);

-- A person finds their workspaces through their own memberships; the policy above would ask itself.
drop policy own_workspaces on members;
create policy own_memberships on members for select to authenticated using (user_id = (select auth.uid())::text);
create policy own_workspaces on workspaces for select to authenticated using (id = any (array(select my_workspaces())));
grant select on workspaces to authenticated;

-- Nobody reads the hashes of keys; requests under an Idempotency-Key belong to no workspace.
revoke select on api_keys from authenticated;
grant select (id, workspace_id, name, prefix, role, expires_at, revoked_at, created_at) on api_keys to authenticated;
revoke select on provider_keys from authenticated;
grant select (workspace_id, provider, created_at) on provider_keys to authenticated;
-- Nor those under which pseudonyms are made.
revoke select on export_jobs from authenticated;
grant select (workspace_id, id, requested_by, assistant_id, assistant, days, format, state, created_at, expires_at)
on export_jobs to authenticated;
create policy nobody on idempotency_keys for select to authenticated using (false);
-- Nor do the installation's own affairs.
create policy nobody on upkeep for select to authenticated using (false);
create policy nobody on health_checks for select to authenticated using (false);
create policy nobody on models for select to authenticated using (false);
