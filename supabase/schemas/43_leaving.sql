-- A turn that the AI does not answer, because it is closed or switched off: the customer is told once that it is
-- closed, and people are always told that somebody waits.

create function leave_turn(
  workspace_id bigint, conversation_id bigint, lease_no bigint, epoch bigint, seq_in bigint, text text, parts text[]
) returns jsonb
language plpgsql volatile security invoker set search_path = public as $$
declare
  c conversations;
  t turns;
  w workspaces;
  closed timestamptz;
  there boolean;
  told jsonb;
  asked bigint;
  made bigint;
begin
  select * into c from conversations x
  where x.workspace_id = leave_turn.workspace_id and x.id = leave_turn.conversation_id for no key update;
  select * into t from turns x
  where x.workspace_id = leave_turn.workspace_id and x.conversation_id = leave_turn.conversation_id for update;
  -- Asked again because the first answer got lost on the way: what was done stays done.
  select jsonb_build_object('outcome', r.outcome, 'message_id', r.message_id) into told from replies r
  where r.workspace_id = c.workspace_id and r.conversation_id = c.id and r.answered_seq = leave_turn.seq_in
    and r.lease_no = leave_turn.lease_no;
  if told is not null then
    return told;
  elsif t.conversation_id is null or t.lease_no <> leave_turn.lease_no then
    return jsonb_build_object('outcome', 'lost');
  elsif t.epoch <> leave_turn.epoch then
    return jsonb_build_object('outcome', 'taken_over');
  elsif t.lease_until is null or t.lease_until < clock_timestamp() then
    return jsonb_build_object('outcome', 'lost');
  end if;
  -- Asked again here, under the locks and by the one clock: it may have opened since the turn was claimed.
  select * into w from workspaces x where x.id = c.workspace_id;
  closed := closed_since(w.business_hours, clock_timestamp());
  if closed is null and c.handler = 'ai' and w.auto_response then
    update turns x set lease_until = null, attempts = 0
    where x.workspace_id = c.workspace_id and x.conversation_id = c.id;
    return jsonb_build_object('outcome', 'retried');
  end if;
  select m.id into asked from messages m
  where m.workspace_id = c.workspace_id and m.conversation_id = c.id and m.sender_type = 'user' and m.unsent_at is null
    and m.seq > t.seq_done and m.seq <= leave_turn.seq_in
  order by m.seq desc limit 1;
  there := closed is not null and is_somebody_there(c, t, closed);
  if asked is not null and text <> '' and not there and (t.closed_told_at is null or t.closed_told_at < closed)
    and closed is not null
  then
    update turns x set closed_told_at = clock_timestamp()
    where x.workspace_id = c.workspace_id and x.conversation_id = c.id;
    made := say_closed(c, t.epoch, closed, leave_turn.text, leave_turn.parts);
  end if;
  update turns x
  set seq_done = leave_turn.seq_in, lease_until = null, attempts = 0, superseded = 0,
    due_at = case when x.seq_in > leave_turn.seq_in then x.due_at end,
    waiting_since = case when x.seq_in > leave_turn.seq_in then x.waiting_since end
  where x.workspace_id = c.workspace_id and x.conversation_id = c.id;
  -- A person who has the conversation and is there needs no telling: the watchdog looks after them.
  if asked is not null and (c.handler = 'ai' or closed is not null and not there) then
    perform call_person(c.workspace_id, c.id, asked, case
      when closed is null then 'automatic answers are switched off' else 'the customer wrote while it was closed'
    end);
  end if;
  insert into replies (workspace_id, conversation_id, message_id, outcome, answered_seq, lease_no, epoch, text)
  values (
    c.workspace_id, c.id, made, case when made is null then 'left' else 'out_of_hours' end, leave_turn.seq_in,
    leave_turn.lease_no, leave_turn.epoch, case when made is null then '' else leave_turn.text end
  );
  return jsonb_build_object('outcome', case when made is null then 'left' else 'out_of_hours' end, 'message_id', made);
end $$;
comment on function leave_turn is
  'Ends a turn without the AI: says once in a closed period that it is closed, and flags the message for people.';

create function is_somebody_there(c conversations, t turns, closed timestamptz) returns boolean
language sql stable security invoker set search_path = public as $$
  select c.handler = 'human' and (coalesce(t.person_at >= closed, false) or exists (
    select from messages m
    where m.workspace_id = c.workspace_id and m.conversation_id = c.id and m.sender_type = 'human'
      and m.created_at >= closed
  ))
$$;
comment on function is_somebody_there is 'Whether a person came or spoke after it closed: they are there, whatever the hours say.';

create function say_closed(c conversations, epoch bigint, closed timestamptz, text text, parts text[]) returns bigint
language plpgsql volatile security invoker set search_path = public as $$
declare
  made bigint;
begin
  update conversations x set last_seq = x.last_seq + 1, last_message_at = now(), updated_at = now()
  where x.workspace_id = c.workspace_id and x.id = c.id returning * into c;
  insert into messages (workspace_id, conversation_id, seq, sender_type, content, delivery_state, metadata)
  values (
    c.workspace_id, c.id, c.last_seq, 'system', say_closed.text,
    case when cardinality(parts) = 0 then 'sent' else 'pending' end,
    jsonb_build_object('out_of_hours', true, 'closed_since', closed)
  )
  returning id into made;
  perform queue_deliveries(c.workspace_id, c.id, made, parts, say_closed.epoch);
  perform write_event(c.workspace_id, c.id, made, 'reply.out_of_hours', jsonb_build_object('seq', c.last_seq));
  return made;
end $$;
comment on function say_closed is 'The out-of-hours text, stored and queued; fenced by the epoch like a reply of the AI''s.';

create function call_person(workspace_id bigint, conversation_id bigint, message_id bigint, reason text) returns void
language plpgsql volatile security invoker set search_path = public as $$
begin
  update messages m set requires_human = true
  where m.workspace_id = call_person.workspace_id and m.id = call_person.message_id and not m.human_replied;
  perform settle_flag(call_person.workspace_id, call_person.conversation_id);
  perform write_event(
    call_person.workspace_id, call_person.conversation_id, call_person.message_id, 'message.requires_human',
    jsonb_build_object('reason', call_person.reason)
  );
end $$;
comment on function call_person is 'Flags a message for people, with the reason.';

-- The watchdog ------------------------------------------------------------------------------------------------------

create function raise_waiting(max_conversations integer default 100) returns jsonb
language plpgsql volatile security invoker set search_path = public as $$
declare
  t record;
  looked integer := 0;
  raised integer := 0;
  waiting record;
begin
  -- Only a hint where to look: whether somebody waits is asked of the messages, which no other code has to keep right.
  for t in
    select c.workspace_id, c.id, c.lifecycle, c.deleted_at, w.answer_within_seconds * interval '1 second' as patience
    from turns x
    join conversations c on c.workspace_id = x.workspace_id and c.id = x.conversation_id
    join workspaces w on w.id = x.workspace_id
    where x.watch_at <= clock_timestamp()
    order by x.watch_at limit max_conversations
    for no key update of c skip locked
  loop
    looked := looked + 1;
    select min(m.created_at) as since, max(m.id) as message into waiting
    from messages m
    where t.lifecycle in ('open', 'resolved') and t.deleted_at is null
      and m.workspace_id = t.workspace_id and m.conversation_id = t.id and m.sender_type = 'user'
      and m.unsent_at is null and m.seq > last_seen(t.workspace_id, t.id);
    update turns x set watch_at = case
      when waiting.since + t.patience > clock_timestamp() then waiting.since + t.patience
    end
    where x.workspace_id = t.workspace_id and x.conversation_id = t.id;
    if waiting.since + t.patience <= clock_timestamp() then
      raised := raised + 1;
      perform call_person(t.workspace_id, t.id, waiting.message, format(
        'nobody has answered for %s minutes', ceil(extract(epoch from clock_timestamp() - waiting.since) / 60)
      ));
    end if;
  end loop;
  return jsonb_build_object('looked', looked, 'raised', raised);
end $$;
comment on function raise_waiting is
  'The watchdog: flags conversations whose customer has waited too long with no answer of anybody''s and no flag.';

create function last_seen(workspace_id bigint, conversation_id bigint) returns bigint
language sql stable security invoker set search_path = public as $$
  select coalesce((
    select m.seq from messages m
    where m.workspace_id = last_seen.workspace_id and m.conversation_id = last_seen.conversation_id and case m.sender_type
      when 'user' then m.requires_human or m.human_replied
      when 'system' then false
      else coalesce(m.delivery_state, 'sent') in ('sent', 'delivered', 'read', 'unknown') or m.requires_human or m.human_replied
    end
    order by m.seq desc limit 1
  ), 0)
$$;
comment on function last_seen is
  'Up to which seq the customer has been answered, as far as the channel knows, or people have been told; 0 if never.';
