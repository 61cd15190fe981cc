set local lock_timeout = '5s';

-- Conversations and messages for programs: changing the one, listing the others across conversations.

create function change_conversation(caller jsonb, conversation_id bigint, changes jsonb) returns jsonb
language plpgsql volatile security invoker set search_path = public as $$
declare
  c conversations := require_conversation(caller, change_conversation.conversation_id, 'support');
  agent constant bigint := coalesce((changes ->> 'agent_id')::bigint, default_agent(c.workspace_id, c.channel_id));
begin
  if changes ->> 'agent_id' is not null then
    perform require_agent(c.workspace_id, agent);
  end if;
  update conversations x set updated_at = now(),
    title = case when changes ? 'title' then changes ->> 'title' else x.title end,
    agent_id = case when changes ? 'agent_id' then agent else x.agent_id end
  where x.workspace_id = c.workspace_id and x.id = c.id;
  perform write_event(
    c.workspace_id, c.id, null, 'conversation.changed', jsonb_build_object(
      'by', caller ->> 'subject', 'fields', (select jsonb_agg(k order by k) from jsonb_object_keys(changes) k)
    )
  );
  return get_conversation(caller, c.id);
end $$;
comment on function change_conversation is
  'Sets {title, agent_id}, whichever is there; no agent means the channel''s default. It answers from the next reply on.';

create function list_all_messages(
  caller jsonb, sender_types text[] default null, after bigint default null, max_rows integer default 50
) returns jsonb
language plpgsql stable security invoker set search_path = public set plan_cache_mode = force_custom_plan as $$
declare
  found jsonb;
begin
  select jsonb_agg(to_jsonb(r) order by r.id desc) into found from (
    select r.* from unnest(visible_workspaces(caller)) w (id)
    cross join lateral (
      select m.workspace_id, m.id from messages m
      join conversations c on c.workspace_id = m.workspace_id and c.id = m.conversation_id and c.deleted_at is null
      where m.workspace_id = w.id and (list_all_messages.after is null or m.id < list_all_messages.after)
        and (sender_types is null or m.sender_type = any (sender_types))
      order by m.id desc limit max_rows
    ) k
    join message_rows r on r.workspace_id = k.workspace_id and r.id = k.id
    order by r.id desc limit max_rows
  ) r;
  return coalesce(found, '[]');
end $$;
comment on function list_all_messages is
  'A page of messages of all conversations, newest first; `after` is the id of the last one seen.';

create function get_message(caller jsonb, message_id bigint) returns jsonb
language sql stable security invoker set search_path = public as $$
  select to_jsonb(r) from find_message(caller, get_message.message_id) m
  join message_rows r on r.workspace_id = m.workspace_id and r.id = m.id
$$;
comment on function get_message is 'One message as clients see it, or null.';
