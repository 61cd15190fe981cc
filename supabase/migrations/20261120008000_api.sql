set local lock_timeout = '5s';

-- Conversations that programs hold for their users, first-time set-up, and repeated requests.

create function open_conversation(
  caller jsonb, workspace_id bigint, platform text, user_id text, title text default null, agent_id bigint default null
) returns jsonb
language plpgsql volatile security invoker set search_path = public as $$
declare
  made conversations;
  channel bigint;
  customer bigint;
begin
  if not open_conversation.workspace_id = any (visible_workspaces(caller)) then
    raise exception using errcode = 'PT404', message = 'There is no such workspace.';
  end if;
  perform require_role(caller, open_conversation.workspace_id, 'support');
  if open_conversation.platform in ('messenger', 'instagram', 'telegram') then
    raise exception using errcode = 'PT422', message = 'Conversations on this platform are opened by the customer.';
  end if;
  if open_conversation.agent_id is not null and not exists (
    select from agents a where a.workspace_id = open_conversation.workspace_id and a.id = open_conversation.agent_id
  ) then
    raise exception using errcode = 'PT422', message = 'There is no such agent in the workspace.';
  end if;
  channel := (connect_channel(
    open_conversation.workspace_id, open_conversation.platform, 'workspace:' || open_conversation.workspace_id
  ) ->> 'id')::bigint;
  insert into customers (workspace_id, channel_id, external_id)
  values (open_conversation.workspace_id, channel, open_conversation.user_id)
  on conflict on constraint customers_external_key do update set last_seen_at = now() returning id into customer;
  insert into conversations (workspace_id, channel_id, customer_id, agent_id, title, handler, explicit)
  select w.id, channel, customer,
    coalesce(open_conversation.agent_id, (select a.id from agents a where a.workspace_id = w.id and a.is_default)),
    open_conversation.title, w.default_handler, true
  from workspaces w where w.id = open_conversation.workspace_id returning * into made;
  insert into turns (workspace_id, conversation_id) values (made.workspace_id, made.id);
  perform write_event(made.workspace_id, made.id, null, 'conversation.opened', '{}');
  return get_conversation(caller, made.id);
end $$;
comment on function open_conversation is 'Opens a conversation for a program''s user; each call opens another.';

create function add_user_message(caller jsonb, conversation_id bigint, content text, metadata jsonb default '{}')
returns jsonb
language plpgsql volatile security invoker set search_path = public as $$
declare
  c conversations := require_conversation(caller, add_user_message.conversation_id, 'support');
  made bigint;
begin
  if not c.explicit then
    raise exception using errcode = 'PT422', message = 'Only the customer writes here, on their channel.';
  end if;
  if c.lifecycle not in ('open', 'resolved') then
    raise exception using errcode = 'PT409', message = 'The conversation is closed: reopen it first.';
  end if;
  update conversations x
  set last_seq = x.last_seq + 1, last_message_at = now(), last_customer_at = now(), updated_at = now(), lifecycle = 'open'
  where x.workspace_id = c.workspace_id and x.id = c.id returning * into c;
  insert into messages (workspace_id, conversation_id, seq, sender_type, content, metadata)
  values (c.workspace_id, c.id, c.last_seq, 'user', add_user_message.content, add_user_message.metadata)
  returning id into made;
  -- Whoever asked waits for the answer: no quiet time.
  update turns t set seq_in = c.last_seq,
    due_at = case when c.handler = 'ai' then clock_timestamp() end,
    waiting_since = case when c.handler = 'ai' then coalesce(t.waiting_since, clock_timestamp()) end
  where t.workspace_id = c.workspace_id and t.conversation_id = c.id;
  perform write_event(c.workspace_id, c.id, made, 'message.received', jsonb_build_object('seq', c.last_seq));
  return (
    select to_jsonb(r) || jsonb_build_object('handler', c.handler) from message_rows r
    where r.workspace_id = c.workspace_id and r.id = made
  );
end $$;
comment on function add_user_message is 'What a program''s user says; the answer is due at once.';

create function find_reply(caller jsonb, conversation_id bigint, seq bigint) returns jsonb
language sql stable security invoker set search_path = public as $$
  select jsonb_build_object(
    'handler', c.handler,
    'waiting', t.due_at is not null and t.seq_done < find_reply.seq,
    'reply', (
      select to_jsonb(r) from message_rows r
      join replies a on a.workspace_id = r.workspace_id and a.message_id = r.id
      where a.workspace_id = c.workspace_id and a.conversation_id = c.id and a.answered_seq >= find_reply.seq
        and a.outcome in ('answered', 'handed_over')
      order by a.answered_seq limit 1
    )
  )
  from find_conversation(caller, find_reply.conversation_id) c
  join turns t on t.workspace_id = c.workspace_id and t.conversation_id = c.id
$$;
comment on function find_reply is 'The reply to the user message `seq`, or whether one is still to come.';

create function ensure_workspace(name text, agent_name text, system_prompt text) returns jsonb
language plpgsql volatile security invoker set search_path = public as $$
declare
  w workspaces;
  created boolean := false;
begin
  select * into w from workspaces order by id limit 1;
  if w.id is null then
    insert into workspaces (name) values (ensure_workspace.name)
    on conflict on constraint workspaces_name_key do nothing returning * into w;
    if w.id is null then
      select * into w from workspaces order by id limit 1;
    else
      created := true;
      insert into agents (workspace_id, name, system_prompt, is_default)
      values (w.id, ensure_workspace.agent_name, ensure_workspace.system_prompt, true);
    end if;
  end if;
  return jsonb_build_object('id', w.id, 'name', w.name, 'created', created);
end $$;
comment on function ensure_workspace is 'The first workspace, made with a default agent when there is none yet.';

create function begin_request(caller text, key text, request_hash text) returns jsonb
language plpgsql volatile security invoker set search_path = public as $$
declare
  found idempotency_keys;
begin
  insert into idempotency_keys as k (caller, key, request_hash)
  values (begin_request.caller, begin_request.key, begin_request.request_hash)
  on conflict on constraint idempotency_keys_pkey do update
  set request_hash = excluded.request_hash, status = null, headers = null, body = null, created_at = now()
  where k.created_at < now() - interval '24 hours' or (k.status is null and k.created_at < now() - interval '2 minutes'
    and k.request_hash = excluded.request_hash)
  returning * into found;
  if found.key is not null then
    return jsonb_build_object('state', 'new');
  end if;
  select * into found from idempotency_keys k where k.caller = begin_request.caller and k.key = begin_request.key;
  if found.request_hash <> begin_request.request_hash then
    return jsonb_build_object('state', 'different');
  elsif found.status is null then
    return jsonb_build_object('state', 'running');
  end if;
  return jsonb_build_object('state', 'done', 'status', found.status, 'headers', found.headers, 'body', found.body);
end $$;
comment on function begin_request is
  'Opens an Idempotency-Key: new, running, done (with the answer) or different (another body). A dead one reopens after 2 minutes.';

create function finish_request(caller text, key text, status integer, headers jsonb, body text) returns void
language sql volatile security invoker set search_path = public as $$
  update idempotency_keys k
  set status = finish_request.status, headers = finish_request.headers, body = finish_request.body
  where k.caller = finish_request.caller and k.key = finish_request.key
$$;
comment on function finish_request is 'Keeps the answer given under an Idempotency-Key.';

create function forget_request(caller text, key text) returns void
language sql volatile security invoker set search_path = public as $$
  delete from idempotency_keys k
  where k.caller = forget_request.caller and k.key = forget_request.key and k.status is null
$$;
comment on function forget_request is 'A request that failed on our side may be tried again under its key.';
