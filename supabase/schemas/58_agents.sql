-- Agents: made and changed by the owners of their workspace, seen by everybody in it, or by all where they are public.

create function find_agent(caller jsonb, agent_id bigint) returns setof agents
language sql stable security invoker set search_path = public as $$
  select a.* from agents a
  where a.id = find_agent.agent_id
    and (a.workspace_id = any (visible_workspaces(caller)) or a.is_public and a.archived_at is null)
$$;
comment on function find_agent is 'The agent if the caller may see it, else nothing.';

create function show_agent(agent agents, seen bigint[]) returns jsonb
language sql stable security invoker set search_path = public as $$
  select to_jsonb(agent) || case when agent.workspace_id = any (seen) then jsonb_build_object('channels', (
    select coalesce(jsonb_agg(distinct wire_platform(ch.platform)), '[]') from channels ch
    where ch.workspace_id = agent.workspace_id and ch.agent_id = agent.id
  ))
  else '{"channels": [], "knowledge_documents": null, "is_default": false, "created_by": null}' end
$$;
comment on function show_agent is 'An agent as clients see it; what concerns its own workspace alone is not shown to others.';

create function get_agent(caller jsonb, agent_id bigint) returns jsonb
language sql stable security invoker set search_path = public as $$
  select show_agent(a, visible_workspaces(caller)) from find_agent(caller, get_agent.agent_id) a
$$;
comment on function get_agent is 'One agent as clients see it, or null.';

create function list_agents(
  caller jsonb, workspace_id bigint default null, archived boolean default false, after bigint default null,
  max_rows integer default 50
) returns jsonb
language plpgsql stable security invoker set search_path = public as $$
declare
  seen constant bigint[] := visible_workspaces(caller);
  listed jsonb;
begin
  select jsonb_agg(show_agent(x, seen) order by x.id desc) into listed from (
    select a.* from agents a
    where (a.workspace_id = any (seen) or a.is_public and a.archived_at is null)
      and (list_agents.workspace_id is null or a.workspace_id = list_agents.workspace_id)
      and (a.archived_at is not null) = archived and (after is null or a.id < after)
    order by a.id desc limit max_rows
  ) x;
  return coalesce(listed, '[]');
end $$;
comment on function list_agents is 'A page of agents, newest first: those of the caller''s workspaces and the public ones.';

create function require_agent_to_change(caller jsonb, agent_id bigint) returns agents
language plpgsql volatile security invoker set search_path = public as $$
declare
  a agents;
begin
  select * into a from find_agent(caller, require_agent_to_change.agent_id);
  if a.id is null then
    raise exception using errcode = 'PT404', message = 'There is no such agent.';
  end if;
  perform require_role(caller, a.workspace_id, 'owner');
  -- The workspace first: it has one default agent, and who changes that comes one after the other.
  perform from workspaces w where w.id = a.workspace_id for no key update;
  select * into a from agents x where x.id = a.id for update;
  return a;
end $$;
comment on function require_agent_to_change is 'The agent, locked for a change; PT404 when unseen, PT403 for who is no owner.';

create function create_agent(
  caller jsonb, workspace_id bigint, changes jsonb, channels text[] default null, providers text[] default null
) returns jsonb
language plpgsql volatile security invoker set search_path = public as $$
declare
  a agents;
begin
  if not create_agent.workspace_id = any (visible_workspaces(caller)) then
    raise exception using errcode = 'PT404', message = 'There is no such workspace.';
  end if;
  perform require_role(caller, create_agent.workspace_id, 'owner');
  perform from workspaces w where w.id = create_agent.workspace_id for no key update;
  insert into agents (workspace_id, name, prompt_version, created_by)
  values (create_agent.workspace_id, changes ->> 'name', 0, caller ->> 'subject') returning * into a;
  perform set_agent(caller ->> 'subject', a, changes, create_agent.channels, create_agent.providers);
  perform write_audit(caller, a.workspace_id, 'agent.created', 'agent:' || a.id);
  perform write_event(
    a.workspace_id, null, null, 'agent.created', jsonb_build_object('by', caller ->> 'subject', 'agent_id', a.id)
  );
  return get_agent(caller, a.id);
end $$;
comment on function create_agent is 'A new agent with the values in `changes`; `channels` are platforms on which it is the default.';

create function change_agent(
  caller jsonb, agent_id bigint, changes jsonb, channels text[] default null, providers text[] default null
) returns jsonb
language plpgsql volatile security invoker set search_path = public as $$
declare
  a agents := require_agent_to_change(caller, change_agent.agent_id);
begin
  if (changes ->> 'archived')::boolean and a.archived_at is null then
    a := archive_agent(a);
  elsif not (changes ->> 'archived')::boolean then
    update agents x set archived_at = null where x.id = a.id returning * into a;
  end if;
  perform set_agent(caller ->> 'subject', a, changes, change_agent.channels, change_agent.providers);
  perform write_audit(caller, a.workspace_id, 'agent.changed', 'agent:' || a.id, jsonb_build_object('fields', (
    select coalesce(jsonb_agg(f order by f), '[]') from jsonb_object_keys(changes) f
  )));
  perform write_event(
    a.workspace_id, null, null, 'agent.changed', jsonb_build_object('by', caller ->> 'subject', 'agent_id', a.id)
  );
  return get_agent(caller, a.id);
end $$;
comment on function change_agent is 'Changes what `changes` names; another system prompt is another version of it.';

create function set_agent(author text, agent agents, changes jsonb, channels text[], providers text[]) returns void
language plpgsql volatile security invoker set search_path = public as $$
declare
  wanted constant agents := jsonb_populate_record(agent, changes);
  version constant integer :=
    agent.prompt_version + (agent.prompt_version = 0 or wanted.system_prompt <> agent.system_prompt)::integer;
begin
  perform check_agent(wanted, set_agent.channels);
  if wanted.is_default and not agent.is_default then
    update agents x set is_default = false where x.workspace_id = agent.workspace_id and x.is_default;
  end if;
  update agents x set
    name = wanted.name, role = wanted.role, system_prompt = wanted.system_prompt, prompt_version = version,
    model = wanted.model, temperature = wanted.temperature, max_tokens = wanted.max_tokens,
    knowledge_documents = wanted.knowledge_documents, is_public = wanted.is_public, is_default = wanted.is_default,
    updated_at = now()
  where x.id = agent.id;
  if version <> agent.prompt_version then
    insert into agent_prompts (workspace_id, agent_id, version, system_prompt, created_by)
    values (agent.workspace_id, agent.id, version, wanted.system_prompt, author);
  end if;
  if set_agent.channels is not null then
    perform put_on_channels(agent, set_agent.channels);
  end if;
  perform note_providers(set_agent.providers, agent.workspace_id);
end $$;
comment on function set_agent is 'Writes the values of an agent that the caller has locked, and a version of its prompt if that is new.';

create function check_agent(wanted agents, channels text[]) returns void
language plpgsql stable security invoker set search_path = public as $$
declare
  unknown bigint;
begin
  select i.id into unknown from unnest(wanted.knowledge_documents) i (id)
  where not exists (
    select from knowledge_documents d where d.workspace_id = wanted.workspace_id and d.id = i.id
  );
  if unknown is not null then
    raise exception using errcode = 'PT422', message = format('knowledge_documents: there is no document %s in the workspace.', unknown);
  elsif wanted.archived_at is not null and (wanted.is_default or cardinality(channels) > 0) then
    raise exception using errcode = 'PT409', message = 'The agent is archived and answers no new conversations: bring it back first.';
  end if;
end $$;
comment on function check_agent is 'Refuses documents of others, and an archived agent as a default.';

create function put_on_channels(agent agents, platforms text[]) returns void
language plpgsql volatile security invoker set search_path = public as $$
declare
  kept constant text[] := array(select case p when 'facebook' then 'messenger' else p end from unnest(platforms) p);
  one text;
begin
  foreach one in array kept loop
    if one not in ('messenger', 'instagram', 'telegram') then
      perform program_channel(agent.workspace_id, one);
    elsif not exists (select from channels ch where ch.workspace_id = agent.workspace_id and ch.platform = one) then
      raise exception using errcode = 'PT422', message = format('channels: no account on %s is connected.', wire_platform(one));
    end if;
  end loop;
  update channels ch set agent_id = case when ch.platform = any (kept) then agent.id end
  where ch.workspace_id = agent.workspace_id
    and (ch.agent_id = agent.id) is distinct from (ch.platform = any (kept))
    and (ch.agent_id = agent.id or ch.platform = any (kept));
end $$;
comment on function put_on_channels is 'Makes the agent the default of these platforms, and of no others.';

create function archive_agent(agent agents) returns agents
language plpgsql volatile security invoker set search_path = public as $$
begin
  update channels ch set agent_id = null where ch.workspace_id = agent.workspace_id and ch.agent_id = agent.id;
  update agents a set archived_at = now(), is_default = false, updated_at = now()
  where a.id = agent.id returning * into agent;
  return agent;
end $$;
comment on function archive_agent is 'From now on it answers in the conversations that have it, and in no new ones.';

create function delete_agent(caller jsonb, agent_id bigint, providers text[] default null) returns jsonb
language plpgsql volatile security invoker set search_path = public as $$
declare
  a agents := require_agent_to_change(caller, delete_agent.agent_id);
  used constant boolean := a.is_default or exists (select from conversations c where c.agent_id = a.id)
    or exists (select from channels ch where ch.workspace_id = a.workspace_id and ch.agent_id = a.id);
  deed constant text := case when used then 'agent.archived' else 'agent.deleted' end;
begin
  if used and a.archived_at is null then
    a := archive_agent(a);
  elsif not used then
    delete from agents x where x.id = a.id;
  end if;
  perform note_providers(delete_agent.providers, a.workspace_id);
  perform write_audit(caller, a.workspace_id, deed, 'agent:' || a.id);
  perform write_event(
    a.workspace_id, null, null, deed, jsonb_build_object('by', caller ->> 'subject', 'agent_id', a.id)
  );
  return get_agent(caller, a.id);
end $$;
comment on function delete_agent is 'Deletes an agent that nothing uses, and answers null; one in use is archived, and answered.';

create function list_agent_prompts(
  caller jsonb, agent_id bigint, before_version integer default null, max_rows integer default 50
) returns jsonb
language plpgsql stable security invoker set search_path = public as $$
declare
  a agents;
begin
  select * into a from find_agent(caller, list_agent_prompts.agent_id) x
  where x.workspace_id = any (visible_workspaces(caller));
  if a.id is null then
    raise exception using errcode = 'PT404', message = 'There is no such agent.';
  end if;
  return (
    select coalesce(jsonb_agg(to_jsonb(p) order by p.version desc), '[]') from (
      select * from agent_prompts x
      where x.workspace_id = a.workspace_id and x.agent_id = a.id and (before_version is null or x.version < before_version)
      order by x.version desc limit max_rows
    ) p
  );
end $$;
comment on function list_agent_prompts is 'Versions of an agent''s system prompt, newest first, for its own workspace.';
