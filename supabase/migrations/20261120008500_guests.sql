set local lock_timeout = '5s';

-- Visitors of a web page: each has one conversation and a token for it, and sees a part of what the desk sees.

create function start_chat(external_id text, workspace_id bigint default null, name text default null, locale text default null)
returns jsonb
language plpgsql volatile security invoker set search_path = public as $$
declare
  w workspaces;
  others boolean;
  customer bigint;
  made conversations;
begin
  select * into w from workspaces x
  where start_chat.workspace_id is null or x.id = start_chat.workspace_id order by x.id limit 1;
  others := start_chat.workspace_id is null and exists (select from workspaces x where x.id <> w.id);
  if others then
    raise exception using errcode = 'PT422', message = 'workspace: there is more than one here, so say which.';
  elsif w.id is null then
    raise exception using errcode = 'PT404', message = 'There is no such workspace.';
  end if;
  insert into customers (workspace_id, channel_id, external_id, name, metadata)
  values (
    w.id, program_channel(w.id, 'web'), start_chat.external_id, start_chat.name,
    jsonb_strip_nulls(jsonb_build_object('locale', start_chat.locale))
  )
  returning id into customer;
  made := open_explicitly(w.id, program_channel(w.id, 'web'), customer, null);
  return jsonb_build_object(
    'workspace_id', w.id, 'workspace_name', w.name, 'conversation_id', made.id, 'handler', made.handler,
    'disclosure', nullif(w.disclosure_text, '')
  );
end $$;
comment on function start_chat is 'Opens a conversation for a visitor; without a workspace in the only one there is.';

create function guest_conversation(caller jsonb) returns setof conversations
language sql stable security invoker set search_path = public as $$
  select c.* from conversations c
  where c.workspace_id = (caller #>> '{guest,workspace}')::bigint
    and c.id = (caller #>> '{guest,conversation}')::bigint and c.deleted_at is null
$$;
comment on function guest_conversation is 'The one conversation of a guest, unless it is gone.';

create function find_guest(caller jsonb) returns jsonb
language sql stable security invoker set search_path = public as $$
  select jsonb_build_object('lifecycle', c.lifecycle) from guest_conversation(caller) c
$$;
comment on function find_guest is 'Whether there is still something that a guest''s token opens, or null.';

create function list_guest_messages(caller jsonb, after_seq bigint default 0, max_rows integer default 50) returns jsonb
language plpgsql stable security invoker set search_path = public as $$
declare
  c conversations;
begin
  select * into c from guest_conversation(caller);
  if c.id is null then
    raise exception using errcode = 'PT404', message = 'There is no such conversation.';
  end if;
  return jsonb_build_object('status', wire_status(c.lifecycle, c.handler), 'handler', c.handler, 'messages', (
    select coalesce(jsonb_agg(to_jsonb(r) order by r.seq), '[]') from (
      select x.* from message_rows x
      where x.workspace_id = c.workspace_id and x.conversation_id = c.id and x.seq > list_guest_messages.after_seq
        and x.unsent_at is null and x.delivery_state is distinct from 'cancelled'
        -- What the system notes is for people at the desk, except that it is closed.
        and (x.sender_type <> 'system' or x.metadata ? 'out_of_hours')
      order by x.seq limit max_rows
    ) r
  ));
end $$;
comment on function list_guest_messages is 'What a guest may read of their conversation after a seq, oldest first.';
