set local lock_timeout = '5s';

-- What is kept for how long, and who may read what: the last file, so that no table is left out.

create function purge_expired(inbox_days integer, max_rows integer default 5000) returns jsonb
language plpgsql volatile security invoker set search_path = public as $$
declare
  bodies bigint;
  keys bigint;
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
  return jsonb_build_object('inbox', bodies, 'idempotency_keys', keys);
end $$;
comment on function purge_expired is 'Deletes, up to `max_rows` of each, raw webhook bodies past their days and answers past 24 hours.';

do $$
declare
  t text;
  mine constant text[] := array[
    'members', 'agents', 'channels', 'audit', 'customers', 'conversations', 'messages', 'turns', 'inbox', 'replies',
    'deliveries', 'knowledge_documents', 'knowledge_chunks', 'events', 'usage', 'api_keys'
  ];
begin
  foreach t in array mine || array['workspaces', 'idempotency_keys'] loop
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

-- A person finds their workspaces through their own memberships; the policy above would ask itself.
drop policy own_workspaces on members;
create policy own_memberships on members for select to authenticated using (user_id = (select auth.uid())::text);
create policy own_workspaces on workspaces for select to authenticated using (id = any (array(select my_workspaces())));
grant select on workspaces to authenticated;

-- Nobody reads the hashes of keys; requests under an Idempotency-Key belong to no workspace.
revoke select on api_keys from authenticated;
grant select (id, workspace_id, name, prefix, role, expires_at, revoked_at, created_at) on api_keys to authenticated;
create policy nobody on idempotency_keys for select to authenticated using (false);
