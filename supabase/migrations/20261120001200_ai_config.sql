set local lock_timeout = '5s';

-- How a workspace wants to be answered for: its model, hours, texts, prompts and own provider keys.

create table prompts (
  workspace_id bigint not null references workspaces on delete cascade,
  version integer not null,
  manual_prompt text not null default '' check (length(manual_prompt) <= 20000),
  knowledge_source text not null default '' check (length(knowledge_source) <= 20000),
  product_service text not null default '' check (length(product_service) <= 20000),
  question_answer text not null default '' check (length(question_answer) <= 20000),
  created_by text not null,
  created_at timestamptz not null default now(),
  primary key (workspace_id, version)
);
comment on table prompts is 'Every version of the four prompts, never changed; the highest one is in force.';

create table provider_keys (
  workspace_id bigint not null references workspaces on delete cascade,
  provider text not null check (provider ~ '^[a-z][a-z0-9_-]{0,39}$'),
  sealed text not null,
  created_at timestamptz not null default now(),
  primary key (workspace_id, provider)
);
comment on table provider_keys is 'A workspace''s own keys for model providers, encrypted before they come here.';

-- Open or closed ----------------------------------------------------------------------------------------------------

create function closed_since(hours jsonb, at timestamptz) returns timestamptz
language plpgsql stable security invoker set search_path = public as $$
declare
  zone constant text := hours ->> 'time_zone';
  day date;
  enough integer := 400;
  is_open boolean;
  closing timestamptz;
  latest timestamptz;
begin
  if hours is null then
    return null;
  end if;
  day := (at at time zone zone)::date;
  for back in 0..400 loop
    exit when back > enough;
    -- Minutes of the clock on the wall since midnight, past 1440 on the next day; a holiday's go before the weekday's.
    select bool_or(s.opens <= at and at < s.closes), max(s.closes) filter (where s.opens < s.closes and s.closes <= at)
    into is_open, closing
    from (
      select (day - back + make_interval(mins => (v ->> 0)::integer)) at time zone zone as opens,
        (day - back + make_interval(mins => (v ->> 1)::integer)) at time zone zone as closes
      from jsonb_array_elements(coalesce(
        hours -> 'holidays' -> (day - back)::text, hours -> 'weekly' -> extract(isodow from day - back)::text, '[]'
      )) v
    ) s;
    if is_open then
      return null;
    end if;
    if latest is null and closing is not null then
      -- A span of the day before may reach into this one and further.
      enough := back + 1;
    end if;
    latest := greatest(latest, closing);
  end loop;
  return coalesce(latest, 'epoch');
end $$;
comment on function closed_since is
  'When the closed period began that `at` is in; null while open. Hours: {time_zone, weekly: {"1": [[540, 1020]]}, holidays}.';

create function starting_handler(w workspaces, channel_handler text) returns text
language sql immutable set search_path = public as $$
  select case
    when coalesce(channel_handler, w.default_handler) = 'ai' and w.auto_response and w.ai_ready then 'ai' else 'human'
  end
$$;
comment on function starting_handler is 'Who gets a new conversation: the AI only if it is the default, switched on and able.';

-- Reading and changing ----------------------------------------------------------------------------------------------

create function reply_config(w workspaces) returns jsonb
language sql stable security invoker set search_path = public as $$
  select jsonb_build_object(
    'auto_response', w.auto_response, 'closed_since', closed_since(w.business_hours, clock_timestamp()),
    'business_hours', w.business_hours,
    'model', w.model, 'temperature', w.temperature, 'max_tokens', w.max_tokens,
    'out_of_hours_text', w.out_of_hours_text, 'disclosure_text', w.disclosure_text,
    'prompts', (
      select to_jsonb(p) - 'workspace_id' - 'created_by' - 'created_at' from prompts p
      where p.workspace_id = w.id order by p.version desc limit 1
    ),
    'provider_keys', (
      select coalesce(jsonb_object_agg(k.provider, k.sealed), '{}') from provider_keys k where k.workspace_id = w.id
    )
  )
$$;
comment on function reply_config is 'What of the config a reply is made with; whether it is open says the database''s clock.';

create function get_ai_config(caller jsonb, workspace_id bigint) returns jsonb
language plpgsql stable security invoker set search_path = public as $$
begin
  if not get_ai_config.workspace_id = any (visible_workspaces(caller)) then
    raise exception using errcode = 'PT404', message = 'There is no such workspace.';
  end if;
  return (
    select to_jsonb(w) || reply_config(w) || jsonb_build_object(
      'now', clock_timestamp(),
      'provider_keys', (
        select coalesce(jsonb_object_agg(k.provider, jsonb_build_object('set_at', k.created_at)), '{}')
        from provider_keys k where k.workspace_id = w.id
      )
    )
    from workspaces w where w.id = get_ai_config.workspace_id
  );
end $$;
comment on function get_ai_config is 'The config of a workspace as it is, and whether it is open now; keys are named, never shown.';

create function set_ai_config(
  caller jsonb, workspace_id bigint, changes jsonb, prompts jsonb default '{}', sealed_keys jsonb default '{}',
  providers text[] default null
) returns jsonb
language plpgsql volatile security invoker set search_path = public as $$
declare
  w workspaces;
  before workspaces;
begin
  if not set_ai_config.workspace_id = any (visible_workspaces(caller)) then
    raise exception using errcode = 'PT404', message = 'There is no such workspace.';
  end if;
  perform require_role(caller, set_ai_config.workspace_id, 'owner');
  select * into before from workspaces x where x.id = set_ai_config.workspace_id for no key update;
  w := jsonb_populate_record(before, changes);
  perform check_hours(w.business_hours);
  update workspaces x set
    default_handler = w.default_handler, auto_response = w.auto_response, model = w.model, temperature = w.temperature,
    max_tokens = w.max_tokens, quiet_seconds = w.quiet_seconds, confidence_threshold = w.confidence_threshold,
    handover_text = w.handover_text, unavailable_text = w.unavailable_text, out_of_hours_text = w.out_of_hours_text,
    disclosure_text = w.disclosure_text, business_hours = w.business_hours,
    answer_within_seconds = w.answer_within_seconds
  where x.id = w.id;
  perform put_prompts(caller ->> 'subject', w.id, set_ai_config.prompts);
  delete from provider_keys k
  where k.workspace_id = w.id and set_ai_config.sealed_keys -> k.provider = 'null'::jsonb;
  insert into provider_keys as k (workspace_id, provider, sealed)
  select w.id, s.key, s.value from jsonb_each_text(set_ai_config.sealed_keys) s where s.value is not null
  on conflict on constraint provider_keys_pkey do update set sealed = excluded.sealed, created_at = now();
  perform note_providers(set_ai_config.providers, w.id);
  if w.answer_within_seconds < before.answer_within_seconds then
    -- In the order in which storing messages locks them, so that neither waits for the other in a circle.
    update turns t set watch_at = least(t.watch_at, clock_timestamp() + w.answer_within_seconds * interval '1 second')
    from (
      select x.workspace_id, x.conversation_id from turns x where x.workspace_id = w.id and x.watch_at is not null
      order by x.workspace_id, x.conversation_id for update
    ) l
    where t.workspace_id = l.workspace_id and t.conversation_id = l.conversation_id;
  end if;
  perform write_audit(caller, w.id, 'config.changed', 'workspace:' || w.id, jsonb_build_object('fields', (
    select coalesce(jsonb_agg(f order by f), '[]')
    from jsonb_object_keys(changes || set_ai_config.prompts || jsonb_build_object('provider_keys', sealed_keys)) f
    where f <> 'provider_keys' or sealed_keys <> '{}'
  )));
  perform write_event(w.id, null, null, 'workspace.configured', jsonb_build_object('by', caller ->> 'subject'));
  return get_ai_config(caller, w.id);
end $$;
comment on function set_ai_config is
  'Changes what `changes` names; `sealed_keys` are encrypted, null takes one away; `providers` are those that are configured.';

create function check_hours(hours jsonb) returns void
language plpgsql stable security invoker set search_path = public as $$
begin
  perform closed_since(hours, now());
exception when invalid_parameter_value then
  raise exception using errcode = 'PT422', message = 'business_hours.time_zone: the database knows no such time zone.';
end $$;
comment on function check_hours is 'Refuses with PT422 hours in a time zone that this database does not know.';

create function put_prompts(author text, workspace_id bigint, changes jsonb) returns void
language plpgsql volatile security invoker set search_path = public as $$
declare
  latest prompts;
  wanted prompts;
begin
  -- Whoever calls holds the workspace's row: versions come one after the other.
  select * into latest from prompts p where p.workspace_id = put_prompts.workspace_id order by p.version desc limit 1;
  wanted := jsonb_populate_record(latest, changes);
  if latest.version is not null and wanted = latest or latest.version is null and changes = '{}' then
    return;
  end if;
  insert into prompts (
    workspace_id, version, manual_prompt, knowledge_source, product_service, question_answer, created_by
  )
  values (
    put_prompts.workspace_id, coalesce(latest.version, 0) + 1, coalesce(wanted.manual_prompt, ''),
    coalesce(wanted.knowledge_source, ''), coalesce(wanted.product_service, ''), coalesce(wanted.question_answer, ''),
    author
  );
end $$;
comment on function put_prompts is 'A new version of the four prompts, unless nothing has changed.';

create function list_prompts(caller jsonb, workspace_id bigint, before_version integer default null, max_rows integer default 50)
returns jsonb
language plpgsql stable security invoker set search_path = public as $$
begin
  if not list_prompts.workspace_id = any (visible_workspaces(caller)) then
    raise exception using errcode = 'PT404', message = 'There is no such workspace.';
  end if;
  return (
    select coalesce(jsonb_agg(to_jsonb(p) order by p.version desc), '[]') from (
      select * from prompts x
      where x.workspace_id = list_prompts.workspace_id and (before_version is null or x.version < before_version)
      order by x.version desc limit max_rows
    ) p
  );
end $$;
comment on function list_prompts is 'Versions of the prompts, newest first.';

create function note_providers(providers text[], workspace_id bigint default null) returns void
language sql volatile security invoker set search_path = public as $$
  update workspaces w set ai_ready = n.ready
  from (
    select x.id, m.provider is null or m.provider = any (providers) or exists (
      select from provider_keys k where k.workspace_id = x.id and k.provider = m.provider
    ) as ready
    from workspaces x
    left join agents a on a.workspace_id = x.id and a.is_default
    cross join lateral (select split_part(coalesce(a.model, x.model), ':', 1) as provider) m
    where note_providers.workspace_id is null or x.id = note_providers.workspace_id
  ) n
  where w.id = n.id and w.ai_ready is distinct from n.ready and providers is not null
$$;
comment on function note_providers is
  'Notes of one workspace or all whether their model has a provider: one of `providers`, or their own key.';
