-- Conversations that programs hold for their users, first-time set-up, and repeated requests.

create function require_agent(workspace_id bigint, agent_id bigint) returns void
language plpgsql stable security invoker set search_path = public as $$
begin
  if require_agent.agent_id is not null and not exists (
    select from agents a
    where a.id = require_agent.agent_id and (a.workspace_id = require_agent.workspace_id or a.is_public)
      and a.archived_at is null
  ) then
    raise exception using errcode = 'PT422', message = 'agent: there is none of this id that answers new conversations here.';
  end if;
end $$;
comment on function require_agent is 'Refuses with PT422 an agent that is neither the workspace''s nor public, or is archived.';

create function default_agent(workspace_id bigint, channel_id bigint) returns bigint
language sql stable security invoker set search_path = public as $$
  select coalesce(
    (select ch.agent_id from channels ch where ch.workspace_id = default_agent.workspace_id and ch.id = default_agent.channel_id),
    (select a.id from agents a where a.workspace_id = default_agent.workspace_id and a.is_default)
  )
$$;
comment on function default_agent is 'The agent of new conversations on a channel: the channel''s own, else the workspace''s.';

create function program_channel(workspace_id bigint, platform text) returns bigint
language plpgsql volatile security invoker set search_path = public as $$
declare
  mine constant text := 'workspace:' || program_channel.workspace_id;
  found bigint;
begin
  -- Looked at first: connecting writes the row, on which everybody who asks would wait for everybody else.
  select ch.id into found from channels ch
  where ch.platform = program_channel.platform and ch.account = mine and ch.workspace_id = program_channel.workspace_id;
  return coalesce(found, (
    connect_channel(program_channel.workspace_id, program_channel.platform, mine) ->> 'id'
  )::bigint);
end $$;
comment on function program_channel is 'The channel on which a workspace''s programs speak under this platform name.';

create function open_explicitly(
  workspace_id bigint, channel_id bigint, customer_id bigint, agent_id bigint, title text default null
) returns conversations
language plpgsql volatile security invoker set search_path = public as $$
declare
  made conversations;
begin
  insert into conversations (workspace_id, channel_id, customer_id, agent_id, title, handler, explicit)
  select w.id, open_explicitly.channel_id, open_explicitly.customer_id,
    coalesce(open_explicitly.agent_id, default_agent(w.id, open_explicitly.channel_id)),
    open_explicitly.title, starting_handler(w, null), true
  from workspaces w where w.id = open_explicitly.workspace_id returning * into made;
  insert into turns (workspace_id, conversation_id) values (made.workspace_id, made.id);
  perform write_event(made.workspace_id, made.id, null, 'conversation.opened', '{}');
  return made;
end $$;
comment on function open_explicitly is 'A new conversation for a customer whom a program, not a channel, speaks for.';

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
  perform require_agent(open_conversation.workspace_id, open_conversation.agent_id);
  insert into customers (workspace_id, channel_id, external_id)
  values (
    open_conversation.workspace_id, program_channel(open_conversation.workspace_id, open_conversation.platform),
    open_conversation.user_id
  )
  on conflict on constraint customers_external_key do update set last_seen_at = now()
  returning id, channel_id into customer, channel;
  made := open_explicitly(
    open_conversation.workspace_id, channel, customer, open_conversation.agent_id, open_conversation.title
  );
  return get_conversation(caller, made.id);
end $$;
comment on function open_conversation is 'Opens a conversation for a program''s user; each call opens another.';

create function add_user_message(
  caller jsonb, conversation_id bigint, content text, metadata jsonb default '{}', external_id text default null
) returns jsonb
language plpgsql volatile security invoker set search_path = public as $$
declare
  c conversations := require_conversation(caller, add_user_message.conversation_id, 'support');
  made bigint;
begin
  if not c.explicit then
    raise exception using errcode = 'PT422', message = 'Only the customer writes here, on their channel.';
  end if;
  select m.id into made from messages m
  where m.workspace_id = c.workspace_id and m.conversation_id = c.id and m.external_id = add_user_message.external_id;
  if made is not null then
    if not exists (select from messages m where m.workspace_id = c.workspace_id and m.id = made
      and m.content = add_user_message.content)
    then
      raise exception using errcode = 'PT422', message = 'client_nonce: it was used with another text; a new message needs a new one.';
    end if;
    return user_message(c, made) || '{"repeated": true}';
  end if;
  if c.lifecycle not in ('open', 'resolved') then
    raise exception using errcode = 'PT409', message = 'The conversation is closed: reopen it first.';
  end if;
  update conversations x
  set last_seq = x.last_seq + 1, last_message_at = now(), last_customer_at = now(), updated_at = now(), lifecycle = 'open'
  where x.workspace_id = c.workspace_id and x.id = c.id returning * into c;
  insert into messages (workspace_id, conversation_id, seq, sender_type, content, metadata, external_id)
  values (
    c.workspace_id, c.id, c.last_seq, 'user', add_user_message.content, add_user_message.metadata,
    add_user_message.external_id
  )
  returning id into made;
  -- Whoever asked waits for the answer: no quiet time. Where it is closed they are told so, whoever has the conversation.
  update turns t set seq_in = c.last_seq,
    due_at = case when c.handler = 'ai' or w.closed then clock_timestamp() end,
    waiting_since = case when c.handler = 'ai' or w.closed then coalesce(t.waiting_since, clock_timestamp()) end,
    watch_at = coalesce(t.watch_at, clock_timestamp() + w.answer_within_seconds * interval '1 second')
  from (
    select x.answer_within_seconds, closed_since(x.business_hours, clock_timestamp()) is not null as closed
    from workspaces x where x.id = c.workspace_id
  ) w
  where t.workspace_id = c.workspace_id and t.conversation_id = c.id;
  perform write_event(c.workspace_id, c.id, made, 'message.received', jsonb_build_object('seq', c.last_seq));
  return user_message(c, made);
end $$;
comment on function add_user_message is
  'What a program''s user says; the answer is due at once. The same `external_id` again is the same message.';

create function user_message(c conversations, message_id bigint) returns jsonb
language sql stable security invoker set search_path = public as $$
  select to_jsonb(r) || jsonb_build_object('handler', c.handler, 'customer', (
    select p.external_id from customers p where p.workspace_id = c.workspace_id and p.id = c.customer_id
  ))
  from message_rows r
  where r.workspace_id = c.workspace_id and r.id = user_message.message_id
$$;
comment on function user_message is 'A user message as its sender sees it, with who will answer, and whose it is.';

create function find_reply(caller jsonb, conversation_id bigint, seq bigint) returns jsonb
language sql stable security invoker set search_path = public as $$
  select jsonb_build_object(
    'handler', c.handler,
    'waiting', t.due_at is not null and t.seq_done < find_reply.seq,
    'reply', (
      select to_jsonb(r) || jsonb_build_object('outcome', a.outcome) from message_rows r
      join replies a on a.workspace_id = r.workspace_id and a.message_id = r.id
      where a.workspace_id = c.workspace_id and a.conversation_id = c.id and a.answered_seq >= find_reply.seq
        -- A reply out of turn (store_exchange) is one to its own message alone, while earlier ones still wait.
        and (a.answered_seq = find_reply.seq or t.seq_done >= find_reply.seq)
        and a.outcome in ('answered', 'handed_over', 'out_of_hours')
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
  agent bigint;
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
      values (w.id, ensure_workspace.agent_name, ensure_workspace.system_prompt, true) returning id into agent;
      insert into agent_prompts (workspace_id, agent_id, version, system_prompt, created_by)
      values (w.id, agent, 1, ensure_workspace.system_prompt, 'switchboard');
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
