set local lock_timeout = '5s';

-- What people do with a conversation: take over, hand back, answer, close, assign, mark. Every change of hands raises
-- the epoch, and no AI reply made before it can be sent after it.

create function set_handler(conversation conversations, handler text) returns bigint
language plpgsql volatile security invoker set search_path = public as $$
declare
  raised bigint;
begin
  update conversations c set handler = set_handler.handler, updated_at = now()
  where c.workspace_id = conversation.workspace_id and c.id = conversation.id;
  update turns t set epoch = t.epoch + 1, due_at = null, waiting_since = null, lease_until = null, attempts = 0,
    person_at = case when set_handler.handler = 'human' then clock_timestamp() else t.person_at end
  where t.workspace_id = conversation.workspace_id and t.conversation_id = conversation.id
  returning t.epoch into raised;
  perform cancel_deliveries(conversation.workspace_id, conversation.id, 'the conversation changed hands');
  return raised;
end $$;
comment on function set_handler is 'Changes hands: raises the epoch, ends the lease, cancels AI replies not yet on their way.';

create function take_over(caller jsonb, conversation_id bigint, reason text default null) returns jsonb
language plpgsql volatile security invoker set search_path = public as $$
declare
  c conversations := require_conversation(caller, take_over.conversation_id, 'support');
  me text := caller ->> 'subject';
begin
  if c.lifecycle not in ('open', 'resolved') then
    raise exception using errcode = 'PT409', message = 'The conversation is closed: reopen it first.';
  end if;
  if c.handler = 'human' and c.assigned_to is not null and c.assigned_to <> me then
    raise exception using errcode = 'PT409', message = format('%s has taken over this conversation already.', c.assigned_to);
  end if;
  if c.handler <> 'human' then
    perform set_handler(c, 'human');
  end if;
  if c.handler <> 'human' or c.assigned_to is distinct from me then
    update conversations x set assigned_to = me, lifecycle = 'open', updated_at = now()
    where x.workspace_id = c.workspace_id and x.id = c.id;
    update turns t set person_at = clock_timestamp()
    where t.workspace_id = c.workspace_id and t.conversation_id = c.id;
    perform write_event(c.workspace_id, c.id, null, 'conversation.taken_over', jsonb_build_object('by', me, 'reason', reason));
    perform write_audit(caller, c.workspace_id, 'conversation.taken_over', 'conversation:' || c.id);
  end if;
  return get_conversation(caller, c.id);
end $$;
comment on function take_over is 'A person takes the conversation; PT409 with their name when somebody else has it.';

create function hand_back(caller jsonb, conversation_id bigint, note text default null) returns jsonb
language plpgsql volatile security invoker set search_path = public as $$
declare
  c conversations := require_conversation(caller, hand_back.conversation_id, 'support');
begin
  if c.lifecycle not in ('open', 'resolved') then
    raise exception using errcode = 'PT409', message = 'The conversation is closed: reopen it first.';
  end if;
  if c.handler <> 'ai' then
    perform set_handler(c, 'ai');
    perform resume_ai(array[c], hand_back.note);
    perform write_event(
      c.workspace_id, c.id, null, 'conversation.handed_back', jsonb_build_object('by', caller ->> 'subject')
    );
    perform write_audit(caller, c.workspace_id, 'conversation.handed_back', 'conversation:' || c.id);
  end if;
  return get_conversation(caller, c.id);
end $$;
comment on function hand_back is 'Gives the conversation back to the AI, with a note that it gets to read.';

create function resume_ai(chosen conversations[], note text) returns void
language plpgsql volatile security invoker set search_path = public as $$
begin
  -- A question nobody has answered yet is the AI's now; one that a person answered is done. A reply of the AI's that a
  -- takeover kept from going out has answered nothing.
  update turns t set
    seq_done = case when a.open then least(t.seq_done, a.answered) else t.seq_in end,
    due_at = case when a.open then clock_timestamp() end,
    waiting_since = case when a.open then clock_timestamp() end,
    handed_back_seq = a.last_seq, handed_back_note = resume_ai.note
  from (
    select c.workspace_id, c.id, c.last_seq, l.answered, c.lifecycle = 'open' and exists (
      select from messages m where m.workspace_id = c.workspace_id and m.conversation_id = c.id
        and m.seq > l.answered and m.sender_type = 'user' and m.unsent_at is null
    ) as open
    from unnest(chosen) c
    cross join lateral (select last_answer(c.workspace_id, c.id) as answered) l
  ) a
  where t.workspace_id = a.workspace_id and t.conversation_id = a.id;
  update messages m set human_replied = true from unnest(chosen) c
  where m.workspace_id = c.workspace_id and m.conversation_id = c.id and m.requires_human and not m.human_replied;
  update conversations x set assigned_to = null, requires_human = false, updated_at = now() from unnest(chosen) c
  where x.workspace_id = c.workspace_id and x.id = c.id;
  update replies r set outcome = 'taken_over' from unnest(chosen) c, messages m
  where r.workspace_id = c.workspace_id and r.conversation_id = c.id and r.outcome in ('answered', 'handed_over')
    and m.workspace_id = r.workspace_id and m.id = r.message_id and never_sent(m);
end $$;
comment on function resume_ai is 'What follows when the AI gets conversations back: open questions are due, flags settled.';

create function never_sent(m messages) returns boolean
language plpgsql stable security invoker set search_path = public as $$
begin
  return m.delivery_state = 'cancelled' and not exists (
    select from deliveries d where d.workspace_id = m.workspace_id and d.message_id = m.id and d.state <> 'cancelled'
  );
end $$;
comment on function never_sent is 'Whether a message was taken back before any part of it was on its way.';

create function last_answer(workspace_id bigint, conversation_id bigint) returns bigint
language sql stable security invoker set search_path = public as $$
  select coalesce((
    select m.seq from messages m
    where m.workspace_id = last_answer.workspace_id and m.conversation_id = last_answer.conversation_id
      and m.sender_type in ('bot', 'human') and not never_sent(m)
    order by m.seq desc limit 1
  ), 0)
$$;
comment on function last_answer is 'The seq of the last thing that the AI or a person said to the customer; 0 if nothing.';

create function set_lifecycle(caller jsonb, conversation_id bigint, lifecycle text) returns jsonb
language plpgsql volatile security invoker set search_path = public as $$
declare
  c conversations := require_conversation(caller, set_lifecycle.conversation_id, 'support');
begin
  if c.lifecycle is distinct from set_lifecycle.lifecycle then
    if set_lifecycle.lifecycle <> 'open' then
      perform set_handler(c, c.handler);
      update turns t set seq_done = t.seq_in where t.workspace_id = c.workspace_id and t.conversation_id = c.id;
    end if;
    update conversations x
    set lifecycle = set_lifecycle.lifecycle, updated_at = now(),
      closed_at = case when set_lifecycle.lifecycle in ('closed', 'archived') then now() end
    where x.workspace_id = c.workspace_id and x.id = c.id;
    perform write_event(
      c.workspace_id, c.id, null,
      'conversation.' || case set_lifecycle.lifecycle when 'open' then 'reopened' else set_lifecycle.lifecycle end,
      jsonb_build_object('by', caller ->> 'subject')
    );
  end if;
  return get_conversation(caller, c.id);
exception when unique_violation then
  -- `conversations_current` has the last word: a message may be opening another conversation at this moment.
  raise exception using errcode = 'PT409', message = 'The customer has a newer conversation: go on there.';
end $$;
comment on function set_lifecycle is 'Opens, resolves, archives or closes; anything but open stops the AI.';

create function assign_conversation(caller jsonb, conversation_id bigint, assigned_to text) returns jsonb
language plpgsql volatile security invoker set search_path = public as $$
declare
  c conversations := require_conversation(caller, assign_conversation.conversation_id, 'support');
begin
  update conversations x set assigned_to = assign_conversation.assigned_to, updated_at = now()
  where x.workspace_id = c.workspace_id and x.id = c.id;
  perform write_event(
    c.workspace_id, c.id, null, 'conversation.assigned',
    jsonb_build_object('by', caller ->> 'subject', 'to', assign_conversation.assigned_to)
  );
  return get_conversation(caller, c.id);
end $$;
comment on function assign_conversation is 'Assigns the conversation to a person, or with null to nobody; does not change hands.';

create function set_priority(caller jsonb, conversation_id bigint, priority integer) returns jsonb
language plpgsql volatile security invoker set search_path = public as $$
declare
  c conversations := require_conversation(caller, set_priority.conversation_id, 'support');
begin
  update conversations x set priority = set_priority.priority, updated_at = now()
  where x.workspace_id = c.workspace_id and x.id = c.id;
  perform write_event(
    c.workspace_id, c.id, null, 'conversation.prioritised',
    jsonb_build_object('by', caller ->> 'subject', 'priority', set_priority.priority)
  );
  return get_conversation(caller, c.id);
end $$;
comment on function set_priority is 'Sets the priority, 0 to 100.';

create function mark_message(caller jsonb, message_id bigint, mark text) returns jsonb
language plpgsql volatile security invoker set search_path = public as $$
declare
  m messages;
begin
  select * into m from find_message(caller, mark_message.message_id);
  if m.id is null then
    raise exception using errcode = 'PT404', message = 'There is no such message.';
  end if;
  perform require_conversation(caller, m.conversation_id, 'support');
  if mark = 'human' then
    update messages x set requires_human = true, human_replied = false where x.workspace_id = m.workspace_id and x.id = m.id;
  else
    update messages x set human_replied = true where x.workspace_id = m.workspace_id and x.id = m.id;
  end if;
  perform settle_flag(m.workspace_id, m.conversation_id);
  perform write_event(
    m.workspace_id, m.conversation_id, m.id,
    case mark when 'human' then 'message.requires_human' else 'message.human_replied' end,
    jsonb_build_object('by', caller ->> 'subject')
  );
  return (select to_jsonb(r) from message_rows r where r.workspace_id = m.workspace_id and r.id = m.id);
end $$;
comment on function mark_message is 'Marks a message `human` (a person is needed) or `replied` (a person has answered).';

create function settle_flag(workspace_id bigint, conversation_id bigint) returns void
language sql volatile security invoker set search_path = public as $$
  update conversations c set requires_human = exists (
    select from messages m
    where m.workspace_id = c.workspace_id and m.conversation_id = c.id and m.requires_human and not m.human_replied
  ), updated_at = now()
  where c.workspace_id = settle_flag.workspace_id and c.id = settle_flag.conversation_id
$$;
comment on function settle_flag is 'A conversation needs a person while one of its messages does.';

create function post_human_reply(
  caller jsonb, conversation_id bigint, content text, parts text[], files jsonb default '[]'
) returns jsonb
language plpgsql volatile security invoker set search_path = public as $$
declare
  c conversations := require_conversation(caller, post_human_reply.conversation_id, 'support');
  me text := caller ->> 'subject';
  made bigint;
begin
  if c.lifecycle not in ('open', 'resolved') then
    raise exception using errcode = 'PT409', message = 'The conversation is closed: reopen it first.';
  end if;
  if c.handler <> 'human' then
    perform set_handler(c, 'human');
    perform write_event(c.workspace_id, c.id, null, 'conversation.taken_over', jsonb_build_object('by', me));
  else
    perform cancel_deliveries(c.workspace_id, c.id, 'a person answered'); -- that we are closed, say
  end if;
  -- Before any message is touched: whoever claims a send holds the turn while marking its message.
  update turns t set seq_done = t.seq_in where t.workspace_id = c.workspace_id and t.conversation_id = c.id;
  update conversations x
  set last_seq = x.last_seq + 1, last_message_at = now(), updated_at = now(), lifecycle = 'open',
    assigned_to = coalesce(x.assigned_to, me)
  where x.workspace_id = c.workspace_id and x.id = c.id returning * into c;
  insert into messages (workspace_id, conversation_id, seq, sender_type, author, content, attachments, delivery_state)
  values (
    c.workspace_id, c.id, c.last_seq, 'human', me, post_human_reply.content, (
      select coalesce(jsonb_agg(jsonb_build_object('type', f.one ->> 'kind') order by f.place), '[]')
      from jsonb_array_elements(files) with ordinality f (one, place)
    ), 'sent'
  )
  returning id into made;
  perform queue_deliveries(c.workspace_id, c.id, made, parts, null);
  perform add_files(c.workspace_id, c.id, made, files);
  update messages m set delivery_state = 'pending'
  where m.workspace_id = c.workspace_id and m.id = made
    and exists (select from deliveries d where d.workspace_id = m.workspace_id and d.message_id = m.id);
  update messages m set human_replied = true
  where m.workspace_id = c.workspace_id and m.conversation_id = c.id and m.requires_human and not m.human_replied;
  perform settle_flag(c.workspace_id, c.id);
  perform write_event(c.workspace_id, c.id, made, 'message.sent_by_human', jsonb_build_object('by', me));
  perform keep_reply_as_correction(m, me) from messages m where m.workspace_id = c.workspace_id and m.id = made;
  perform write_audit(caller, c.workspace_id, 'message.sent', 'message:' || made);
  return (select to_jsonb(r) from message_rows r where r.workspace_id = c.workspace_id and r.id = made);
end $$;
comment on function post_human_reply is 'A person answers: takes over, stores the message, queues its delivery.';
