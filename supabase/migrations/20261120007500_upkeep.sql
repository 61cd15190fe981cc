set local lock_timeout = '5s';

-- Periodic work, once however many processes there are: due_upkeep -> begin_upkeep -> renew_upkeep -> finish_upkeep.
-- When something is due says the database's clock; whoever claims it first does it, and fences the others off.

create table upkeep (
  name text primary key,
  due_at timestamptz not null,
  lease_until timestamptz,
  lease_no bigint not null default 0,
  began_at timestamptz,
  ended_at timestamptz,
  outcome text check (outcome in ('done', 'failed')),
  failures integer not null default 0,
  result jsonb not null default '{}',
  error text,
  seen_at timestamptz not null default now()
);
comment on table upkeep is
  'Periodic tasks of the installation: when each is due next, who holds it, and what came of it last; failures: in a row.';

create function next_upkeep(task jsonb, after timestamptz) returns timestamptz
language sql stable security invoker set search_path = public as $$
  select case
    when task ->> 'daily_at' is null then after + (task ->> 'every')::double precision * interval '1 second'
    else (
      select min(d.at) from (
        select ((after at time zone (task ->> 'zone'))::date + days + (task ->> 'daily_at')::time)
          at time zone (task ->> 'zone') as at
        from generate_series(0, 2) days
      ) d where d.at > after
    )
  end
$$;
comment on function next_upkeep is
  'When a task {name, every (seconds)} or {name, daily_at, zone} is due next: the clock on the wall of the zone counts.';

create function due_upkeep(tasks jsonb) returns jsonb
language plpgsql volatile security invoker set search_path = public as $$
begin
  -- What nobody has seen before is due after its time: a fresh installation has nothing to look after. Unless `at_once`.
  insert into upkeep (name, due_at)
  select t.value ->> 'name', case when (t.value ->> 'at_once')::boolean then clock_timestamp()
    else next_upkeep(t.value, clock_timestamp()) end
  from jsonb_array_elements(tasks) t
  where not exists (select from upkeep u where u.name = t.value ->> 'name')
  on conflict do nothing;
  return (
    select coalesce(jsonb_agg(u.name order by u.due_at), '[]') from upkeep u
    join jsonb_array_elements(tasks) t on t.value ->> 'name' = u.name
    where u.due_at <= clock_timestamp() and (u.lease_until is null or u.lease_until <= clock_timestamp())
  );
end $$;
comment on function due_upkeep is 'The names of those tasks that are due and that nobody holds, the one that waits longest first.';

create function begin_upkeep(task jsonb, lease_seconds double precision, forced boolean default false) returns jsonb
language sql volatile security invoker set search_path = public as $$
  insert into upkeep as u (name, due_at, lease_until, lease_no, began_at, seen_at)
  select task ->> 'name', next_upkeep(task, clock_timestamp()),
    clock_timestamp() + lease_seconds * interval '1 second', 1, clock_timestamp(), clock_timestamp()
  where forced or exists (select from upkeep x where x.name = task ->> 'name')
  on conflict (name) do update set
    lease_until = excluded.lease_until, lease_no = u.lease_no + 1, began_at = excluded.began_at, seen_at = excluded.seen_at
  where (forced or u.due_at <= clock_timestamp()) and (u.lease_until is null or u.lease_until <= clock_timestamp())
  returning jsonb_build_object('lease_no', u.lease_no, 'result', u.result)
$$;
comment on function begin_upkeep is
  'Claims a task: {lease_no, result of the last run}; null when it is not due, unless `forced`, or somebody holds it.';

create function renew_upkeep(name text, lease_no bigint, lease_seconds double precision) returns jsonb
language sql volatile security invoker set search_path = public as $$
  with renewed as (
    update upkeep u set lease_until = clock_timestamp() + lease_seconds * interval '1 second'
    where u.name = renew_upkeep.name and u.lease_no = renew_upkeep.lease_no and u.lease_until > clock_timestamp()
    returning 1
  )
  select jsonb_build_object('held', exists (select from renewed))
$$;
comment on function renew_upkeep is 'A sign of life of whoever does the task: whether it is still theirs.';

create function finish_upkeep(
  task jsonb, lease_no bigint, outcome text, result jsonb default '{}', error text default null
) returns jsonb
language sql volatile security invoker set search_path = public as $$
  with finished as (
    update upkeep u set
      lease_until = null, ended_at = clock_timestamp(), outcome = finish_upkeep.outcome,
      failures = case finish_upkeep.outcome when 'failed' then u.failures + 1 else 0 end,
      result = case finish_upkeep.outcome when 'failed' then u.result else finish_upkeep.result end,
      error = finish_upkeep.error,
      -- What failed is tried again before its time, after a minute, two, four, and so on.
      due_at = case finish_upkeep.outcome
        when 'failed' then least(
          next_upkeep(task, clock_timestamp()),
          clock_timestamp() + least(60 * 2 ^ least(u.failures, 10), 3600) * interval '1 second'
        )
        else greatest(next_upkeep(task, u.began_at), clock_timestamp())
      end
    where u.name = task ->> 'name' and u.lease_no = finish_upkeep.lease_no
    returning 1
  )
  select jsonb_build_object('held', exists (select from finished))
$$;
comment on function finish_upkeep is
  'What came of a run (done or failed), and when the next is due; nothing is changed if somebody else holds the task by now.';

create function release_upkeep(name text, lease_no bigint) returns void
language sql volatile security invoker set search_path = public as $$
  update upkeep u set lease_until = null where u.name = release_upkeep.name and u.lease_no = release_upkeep.lease_no
$$;
comment on function release_upkeep is 'Gives a task back that was cut off: it is due still, for whoever looks next.';

create function list_upkeep() returns jsonb
language sql stable security invoker set search_path = public as $$
  select coalesce(jsonb_agg(to_jsonb(u) || jsonb_build_object(
    'running', coalesce(u.lease_until > clock_timestamp(), false),
    'late_seconds', greatest(extract(epoch from clock_timestamp() - u.due_at), 0)
  ) order by u.name), '[]') from upkeep u
$$;
comment on function list_upkeep is 'All tasks, whether each is running, and for how many seconds it has been due.';

create function database_clock() returns jsonb
language sql volatile security invoker set search_path = public as $$
  select jsonb_build_object('now', clock_timestamp(), 'version', current_setting('server_version'))
$$;
comment on function database_clock is 'What time it is for the database, and which Postgres it is.';

-- Idle conversations ------------------------------------------------------------------------------------------------

create function is_quiet(c conversations, before timestamptz) returns boolean
language sql stable security invoker set search_path = public as $$
  select c.deleted_at is null and not c.requires_human and c.last_message_at < before and c.updated_at < before
    and not exists (
      select from turns t where t.workspace_id = c.workspace_id and t.conversation_id = c.id
        and (t.due_at is not null or t.lease_until > clock_timestamp())
    )
    and not exists (
      select from deliveries d
      where d.workspace_id = c.workspace_id and d.conversation_id = c.id and d.state in ('ready', 'sending')
    )
    and not exists (
      select from messages m where m.workspace_id = c.workspace_id and m.conversation_id = c.id
        and m.requires_human and not m.human_replied
    )
$$;
comment on function is_quiet is
  'Whether nothing has happened in a conversation since, nothing is on its way, and nobody waits in it for a person.';

create function is_idle(c conversations, before timestamptz) returns boolean
language sql stable security invoker set search_path = public as $$
  select c.lifecycle = 'open' and is_quiet(c, before) and not exists (
    select from messages m where m.workspace_id = c.workspace_id and m.conversation_id = c.id
      and m.sender_type = 'user' and m.unsent_at is null and m.seq > last_seen(c.workspace_id, c.id)
  )
$$;
comment on function is_idle is
  'Whether nothing has happened in an open conversation since, and nobody waits in it for a person or for an answer.';

create function close_idle(
  workspace_id bigint, idle_days integer, max_rows integer default 200, before_at timestamptz default null,
  before_id bigint default null
) returns jsonb
language plpgsql volatile security invoker set search_path = public as $$
declare
  since constant timestamptz := now() - idle_days * interval '1 day';
  ids bigint[];
  last_at timestamptz;
  chosen conversations[];
begin
  select array_agg(p.id), min(p.last_message_at) into ids, last_at from (
    select c.id, c.last_message_at from conversations c
    where c.workspace_id = close_idle.workspace_id and c.deleted_at is null and c.last_message_at < since
      and (c.last_message_at, c.id) < (coalesce(before_at, 'infinity'), coalesce(before_id, 9223372036854775807))
    order by c.last_message_at desc, c.id desc limit max_rows
  ) p;
  -- One that somebody is at is not idle: it is left out, not waited for.
  select array_agg(x.c) into chosen from (
    select c from conversations c
    where c.workspace_id = close_idle.workspace_id and c.id = any (ids) and is_idle(c, since)
    order by c.customer_id, c.id for no key update skip locked
  ) x;
  perform end_conversations(chosen, 'resolved', '{"subject": "upkeep"}');
  return jsonb_build_object(
    'looked', coalesce(cardinality(ids), 0), 'closed', coalesce(cardinality(chosen), 0), 'before_at', last_at,
    'before_id', ids[cardinality(ids)]
  );
end $$;
comment on function close_idle is
  'Resolves, of the next `max_rows` old conversations of a workspace, those that are idle; goes on before {before_at, before_id}.';

create index conversations_resolved on conversations (workspace_id, last_message_at desc, id desc)
where lifecycle = 'resolved' and deleted_at is null;

create function archive_resolved(
  workspace_id bigint, idle_days integer, max_rows integer default 200, before_at timestamptz default null,
  before_id bigint default null
) returns jsonb
language plpgsql volatile security invoker set search_path = public as $$
declare
  since constant timestamptz := now() - idle_days * interval '1 day';
  ids bigint[];
  last_at timestamptz;
  chosen conversations[];
begin
  select array_agg(p.id), min(p.last_message_at) into ids, last_at from (
    select c.id, c.last_message_at from conversations c
    where c.workspace_id = archive_resolved.workspace_id and c.lifecycle = 'resolved' and c.deleted_at is null
      and c.last_message_at < since
      and (c.last_message_at, c.id) < (coalesce(before_at, 'infinity'), coalesce(before_id, 9223372036854775807))
    order by c.last_message_at desc, c.id desc limit max_rows
  ) p;
  select array_agg(x.c) into chosen from (
    select c from conversations c
    where c.workspace_id = archive_resolved.workspace_id and c.id = any (ids) and c.lifecycle = 'resolved'
      and is_quiet(c, since)
    order by c.customer_id, c.id for no key update skip locked
  ) x;
  perform end_conversations(chosen, 'archived', '{"subject": "upkeep"}');
  return jsonb_build_object(
    'looked', coalesce(cardinality(ids), 0), 'archived', coalesce(cardinality(chosen), 0), 'before_at', last_at,
    'before_id', ids[cardinality(ids)]
  );
end $$;
comment on function archive_resolved is
  'Archives, of the next `max_rows` old resolved conversations, those in which nobody waits; goes on before {before_at, before_id}.';

-- Whether providers and channels work -------------------------------------------------------------------------------

create table health_checks (
  kind text not null check (kind in ('provider', 'embedding', 'channel')),
  name text not null,
  ok boolean not null,
  detail text,
  latency_ms integer,
  checked_at timestamptz not null default now(),
  since timestamptz not null default now(),
  primary key (kind, name)
);
comment on table health_checks is 'What the last look at each model and channel account found; since: when it began to be so.';

create function record_health(checks jsonb) returns jsonb
language plpgsql volatile security invoker set search_path = public as $$
declare
  changed jsonb;
begin
  with found as (
    select * from jsonb_to_recordset(checks) f (kind text, name text, ok boolean, detail text, latency_ms integer)
  ), before as (
    select h.kind, h.name, h.ok from health_checks h
  ), kept as (
    insert into health_checks as h (kind, name, ok, detail, latency_ms)
    select distinct on (f.kind, f.name) f.kind, f.name, f.ok, f.detail, f.latency_ms from found f order by f.kind, f.name
    on conflict (kind, name) do update set
      ok = excluded.ok, detail = excluded.detail, latency_ms = excluded.latency_ms, checked_at = excluded.checked_at,
      since = case when h.ok = excluded.ok then h.since else excluded.checked_at end
    returning h.kind, h.name, h.ok
  ), gone as (
    delete from health_checks h where not exists (select from found f where f.kind = h.kind and f.name = h.name)
  ), turned as (
    -- The first look tells what is wrong; that something works is no news then.
    select k.kind, k.name, k.ok from kept k left join before b on b.kind = k.kind and b.name = k.name
    where k.ok <> coalesce(b.ok, true)
  ), told as (
    insert into events (workspace_id, type, data)
    select w.id, t.kind || case when t.ok then '.recovered' else '.failed' end, jsonb_build_object('name', t.name)
    from turned t join workspaces w on t.kind <> 'channel' or exists (
      select from channels c where c.workspace_id = w.id and c.platform || ' ' || c.account = t.name
    )
    order by w.id, t.kind, t.name
  )
  select coalesce(jsonb_agg(to_jsonb(t)), '[]') into changed from turned t;
  return changed;
end $$;
comment on function record_health is
  'Keeps what a look at everything found, [{kind, name, ok, detail, latency_ms}]; tells those concerned of what has changed.';

create function purge_upkeep() returns jsonb
language sql volatile security invoker set search_path = public as $$
  with gone as (
    delete from upkeep u where u.due_at < now() - interval '90 days' and u.seen_at < now() - interval '90 days' returning 1
  )
  select jsonb_build_object('upkeep', count(*)) from gone
$$;
comment on function purge_upkeep is 'Deletes tasks that nobody has done for 90 days: no process knows them any more.';
