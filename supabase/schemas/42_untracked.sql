-- The chat goes on while the database is away: what a process remembers for that (remember_conversation), and how what
-- was said meanwhile comes in once it is back (store_exchange).

create function remember_conversation(workspace_id bigint, conversation_id bigint) returns jsonb
language plpgsql stable security invoker set search_path = public as $$
begin
  return (
    select jsonb_build_object(
      'handler', c.handler, 'open', c.explicit and c.lifecycle in ('open', 'resolved') and c.deleted_at is null,
      'turn', turn_context(t.*),
      'passages', search_knowledge(c.workspace_id, coalesce((
        select m.content from messages m
        where m.workspace_id = c.workspace_id and m.conversation_id = c.id and m.sender_type = 'user'
          and m.unsent_at is null
        order by m.seq desc limit 1
      ), ''), documents => (select documents_of(a, c.workspace_id) from agents a where a.id = c.agent_id))
    )
    from conversations c
    join turns t on t.workspace_id = c.workspace_id and t.conversation_id = c.id
    where c.workspace_id = remember_conversation.workspace_id and c.id = remember_conversation.conversation_id
  );
end $$;
comment on function remember_conversation is
  'What answering this conversation takes: who handles it, its turn, passages for the last question; null if it is gone.';

create function store_exchange(exchange jsonb) returns jsonb
language plpgsql volatile security invoker set search_path = public as $$
declare
  mark text := exchange ->> 'external_id';
  reply jsonb := nullif(exchange -> 'reply', 'null');
  spent jsonb := nullif(exchange -> 'spent', 'null'); -- on a reply that was of no use
  c conversations;
  t turns;
  asked messages;
begin
  select * into c from conversations x
  where x.workspace_id = (exchange ->> 'workspace_id')::bigint and x.id = (exchange ->> 'conversation_id')::bigint
  for no key update;
  if c.id is null then
    raise exception using errcode = 'PT404', message = 'There is no such conversation any more.';
  end if;
  select * into t from turns x where x.workspace_id = c.workspace_id and x.conversation_id = c.id for update;
  perform record_usage(
    c.workspace_id, c.id, null, spent ->> 'outcome', spent, least((exchange ->> 'sent_at')::timestamptz, now())
  );
  select * into asked from messages m where m.workspace_id = c.workspace_id and m.external_id = mark;
  if asked.id is null then
    asked := store_untracked_message(c, exchange);
  elsif reply is null or exists (
    select from replies r
    where r.workspace_id = c.workspace_id and r.conversation_id = c.id and r.answered_seq = asked.seq and r.lease_no = 0
  ) then
    -- Here already: the first answer got lost on the way, or the message had been stored after all.
    return jsonb_build_object('message_id', asked.id, 'outcome', 'known');
  end if;
  return jsonb_build_object('message_id', asked.id, 'outcome', case
    when reply is not null then store_untracked_reply(c, t, asked, exchange)
    when c.lifecycle in ('open', 'resolved') and c.deleted_at is null then ask_for_reply(c, asked)
    else ask_for_person(c, asked, 'said after the conversation was closed, while the database was away')
  end);
end $$;
comment on function store_exchange is
  'Stores, once, what was said while the database was away, and the reply if one was shown; without one it is due now.';

create function store_untracked_message(c conversations, exchange jsonb) returns messages
language plpgsql volatile security invoker set search_path = public as $$
declare
  said_at timestamptz := least((exchange ->> 'sent_at')::timestamptz, now());
  made messages;
begin
  update conversations x
  set last_seq = x.last_seq + 1, last_message_at = now(), updated_at = now(),
    last_customer_at = greatest(x.last_customer_at, said_at),
    lifecycle = case x.lifecycle when 'resolved' then 'open' else x.lifecycle end
  where x.workspace_id = c.workspace_id and x.id = c.id returning * into c;
  insert into messages (workspace_id, conversation_id, seq, sender_type, content, sent_at, external_id, metadata)
  values (
    c.workspace_id, c.id, c.last_seq, 'user', exchange ->> 'content', said_at, exchange ->> 'external_id',
    jsonb_build_object('tracked', false, 'external_id', exchange ->> 'external_id')
  )
  returning * into made;
  update turns x set watch_at = coalesce(x.watch_at, clock_timestamp() + w.answer_within_seconds * interval '1 second')
  from workspaces w where w.id = x.workspace_id and x.workspace_id = c.workspace_id and x.conversation_id = c.id;
  perform write_event(
    c.workspace_id, c.id, made.id, 'message.received', jsonb_build_object('seq', made.seq, 'tracked', false)
  );
  return made;
end $$;
comment on function store_untracked_message is 'What the customer said while the database was away, behind what is there.';

create function ask_for_reply(c conversations, asked messages) returns text
language plpgsql volatile security invoker set search_path = public as $$
declare
  -- Where it is closed the customer is told so, whoever has the conversation.
  due boolean := c.handler = 'ai' or exists (
    select from workspaces w
    where w.id = c.workspace_id and closed_since(w.business_hours, clock_timestamp()) is not null
  );
begin
  update turns x set seq_in = greatest(x.seq_in, asked.seq),
    due_at = case when due then coalesce(x.due_at, clock_timestamp()) end,
    waiting_since = case when due then coalesce(x.waiting_since, clock_timestamp()) end
  where x.workspace_id = c.workspace_id and x.conversation_id = c.id;
  return case c.handler when 'ai' then 'due' else 'waits for a person' end;
end $$;
comment on function ask_for_reply is 'The message waits for its answer, from whoever handles the conversation.';

create function ask_for_person(c conversations, about messages, reason text) returns text
language plpgsql volatile security invoker set search_path = public as $$
begin
  update messages m set requires_human = true, human_replied = false
  where m.workspace_id = about.workspace_id and m.id = about.id;
  perform settle_flag(c.workspace_id, c.id);
  perform write_event(
    c.workspace_id, c.id, about.id, 'message.requires_human', jsonb_build_object('reason', ask_for_person.reason)
  );
  return 'waits for a person';
end $$;
comment on function ask_for_person is 'Shows a message to people, with the reason.';

create function store_untracked_reply(c conversations, t turns, asked messages, exchange jsonb) returns text
language plpgsql volatile security invoker set search_path = public as $$
declare
  reply jsonb := exchange -> 'reply';
  hand_over boolean := coalesce((exchange ->> 'hand_over')::boolean, false);
  -- Somebody else has answered this very message meanwhile: the customer is not told twice, and the cost counts.
  late boolean := asked.seq <= t.seq_done;
  -- Whatever waits beside it keeps waiting, unless this reply was written knowing it.
  alone boolean := t.due_at is not null and exists (
    select from messages m
    where m.workspace_id = c.workspace_id and m.conversation_id = c.id and m.sender_type = 'user'
      and m.unsent_at is null and m.seq > t.seq_done and m.seq <= t.seq_in and m.id <> asked.id
      and not exchange -> 'covers' @> to_jsonb(m.id)
      and not exchange -> 'covers' @> to_jsonb(coalesce(m.external_id, ''))
  );
  outcome text := case when late then 'lost' when hand_over then 'handed_over' else 'answered' end;
  made messages;
begin
  if not late then
    update conversations x set last_seq = x.last_seq + 1
    where x.workspace_id = c.workspace_id and x.id = c.id returning * into c;
    insert into messages (
      workspace_id, conversation_id, seq, sender_type, content, sent_at, provider, model, input_tokens, output_tokens,
      cost, latency_ms, confidence_score, prompt_version, agent_id, agent_prompt_version, requires_human,
      delivery_state, metadata
    )
    select c.workspace_id, c.id, c.last_seq, 'bot', r.text, least(r.sent_at, now()), r.provider, r.model,
      r.input_tokens, r.output_tokens, r.cost, r.latency_ms, r.confidence, r.prompt_version,
      r.agent_id, r.agent_prompt_version, hand_over or coalesce(r.requires_human, false), 'sent', jsonb_strip_nulls(jsonb_build_object(
        'tracked', false, 'answers', asked.external_id, 'finish_reason', r.finish_reason, 'sources', reply -> 'sources',
        'disclosed', r.disclosed
      ))
    from jsonb_to_record(reply) r (
      text text, sent_at timestamptz, provider text, model text, input_tokens integer, output_tokens integer,
      cost numeric, latency_ms integer, confidence real, prompt_version integer, agent_id bigint,
      agent_prompt_version integer, requires_human boolean, finish_reason text, disclosed boolean
    )
    returning * into made;
    if not alone then
      update turns x
      set seq_in = greatest(x.seq_in, asked.seq), seq_done = greatest(x.seq_done, asked.seq), due_at = null,
        waiting_since = null, lease_until = null, attempts = 0, superseded = 0, answered_at = clock_timestamp()
      where x.workspace_id = c.workspace_id and x.conversation_id = c.id;
    end if;
    perform write_event(
      c.workspace_id, c.id, made.id, 'reply.' || outcome, jsonb_build_object('seq', asked.seq, 'tracked', false)
    );
    if c.handler <> 'ai' then
      perform ask_for_person(c, made, 'answered by the AI while the database was away; a person has the conversation');
    elsif hand_over then
      perform set_handler(c, 'human');
    end if;
    if c.handler = 'ai' and made.requires_human then
      perform ask_for_person(c, made, reply ->> 'reason');
    end if;
  end if;
  insert into replies (
    workspace_id, conversation_id, message_id, outcome, answered_seq, lease_no, epoch, text, provider, model,
    prompt_version, agent_id, agent_prompt_version, confidence, sources, reason, started_at
  )
  select c.workspace_id, c.id, made.id, outcome, asked.seq, 0, t.epoch, r.text, r.provider, r.model, r.prompt_version,
    r.agent_id, r.agent_prompt_version, r.confidence, coalesce(r.sources, '[]'), r.reason, r.started_at
  from jsonb_to_record(reply) r (
    text text, provider text, model text, prompt_version integer, agent_id bigint, agent_prompt_version integer,
    confidence real, sources jsonb, reason text, started_at timestamptz
  );
  perform record_usage(
    c.workspace_id, c.id, made.id, outcome, reply, least((exchange ->> 'sent_at')::timestamptz, now())
  );
  return outcome;
end $$;
comment on function store_untracked_reply is
  'The reply that was shown while the database was away: closes its message, never a second time, and books its cost.';
