set local lock_timeout = '5s';

-- What is written down twice is compared with what it was made of, and mended. No other code may come to rely on this:
-- each mend is counted, logged and told as an event, because it is the trace of a fault.

create function true_conversation(
  c conversations, out last_seq bigint, out last_message_at timestamptz, out last_customer_at timestamptz,
  out requires_human boolean, out done bigint, out turn_wrong boolean, out overdue boolean, out over boolean, out unwatched boolean
)
language plpgsql stable security invoker set search_path = public as $$
declare
  t turns;
  asked bigint;
  seen bigint;
begin
  select coalesce(max(m.seq), 0), coalesce(max(m.created_at), c.created_at),
    max(least(m.sent_at, m.created_at)) filter (where m.sender_type = 'user'),
    coalesce(bool_or(m.requires_human and not m.human_replied), false),
    max(m.seq) filter (where m.sender_type = 'user' and m.unsent_at is null)
  into last_seq, last_message_at, last_customer_at, requires_human, asked
  from messages m where m.workspace_id = c.workspace_id and m.conversation_id = c.id;
  -- No number is given twice, also not that of a message that is gone.
  last_seq := greatest(last_seq, (
    select max(r.answered_seq) from replies r where r.workspace_id = c.workspace_id and r.conversation_id = c.id
  ));
  select * into t from turns x where x.workspace_id = c.workspace_id and x.conversation_id = c.id;
  seen := last_seen(c.workspace_id, c.id);
  turn_wrong := t.conversation_id is null or t.seq_in > last_seq or t.seq_done > last_seq;
  done := least(coalesce(t.seq_done, last_answer(c.workspace_id, c.id)), last_seq);
  overdue := c.lifecycle = 'open' and c.handler = 'ai' and t.due_at is null
    and coalesce(asked > greatest(done, seen), false);
  over := c.lifecycle not in ('open', 'resolved') and t.due_at is not null;
  unwatched := c.lifecycle in ('open', 'resolved') and t.watch_at is null and coalesce(asked > seen, false);
end $$;
comment on function true_conversation is 'What a conversation''s counters would be if they were counted now, and what its turn lacks.';

create function faults_of(c conversations) returns text[]
language sql stable security invoker set search_path = public as $$
  select array_remove(array[
    case when c.last_seq <> f.last_seq then 'last_seq' end,
    case when c.last_message_at <> f.last_message_at then 'last_message_at' end,
    case when c.last_customer_at is distinct from f.last_customer_at then 'last_customer_at' end,
    case when c.requires_human <> f.requires_human then 'requires_human' end,
    case when f.turn_wrong then 'turn' end,
    case when f.overdue then 'due' end,
    case when f.over then 'over' end,
    case when f.unwatched then 'watch' end
  ], null)
  from true_conversation(c) f
$$;
comment on function faults_of is
  'What is wrong with a conversation: counters that differ from its messages; turn: its turn is missing or ahead of it; due: an
open question that nobody would answer; over: an answer due in one that has ended; watch: one that waits and is not watched.';

create function mend_conversation(c conversations) returns text[]
language plpgsql volatile security invoker set search_path = public as $$
declare
  faults constant text[] := faults_of(c);
  f record;
begin
  if faults = '{}' then
    return faults;
  end if;
  select * into f from true_conversation(c);
  update conversations x set last_seq = f.last_seq, last_message_at = f.last_message_at,
    last_customer_at = f.last_customer_at, requires_human = f.requires_human
  where x.workspace_id = c.workspace_id and x.id = c.id;
  -- A turn made anew must not take the numbers of one that is gone: whoever held that is fenced off.
  insert into turns as t (
    workspace_id, conversation_id, seq_in, seq_done, lease_no, epoch, due_at, waiting_since, watch_at
  )
  select c.workspace_id, c.id, f.last_seq, case when f.overdue then f.done else f.last_seq end,
    coalesce(max(r.lease_no), 0) + 1, coalesce(max(r.epoch), 0) + 1,
    case when f.overdue then clock_timestamp() end, case when f.overdue then clock_timestamp() end,
    case when f.unwatched then clock_timestamp() end
  from replies r where r.workspace_id = c.workspace_id and r.conversation_id = c.id
  on conflict (workspace_id, conversation_id) do update set
    seq_in = case when f.overdue then f.last_seq else least(t.seq_in, f.last_seq) end,
    seq_done = least(t.seq_done, f.last_seq),
    due_at = case when f.over then null else coalesce(t.due_at, excluded.due_at) end,
    waiting_since = case when f.over then null else coalesce(t.waiting_since, excluded.waiting_since) end,
    watch_at = coalesce(t.watch_at, excluded.watch_at);
  perform write_event(c.workspace_id, c.id, null, 'conversation.mended', jsonb_build_object('faults', to_jsonb(faults)));
  return faults;
end $$;
comment on function mend_conversation is 'Sets right what is wrong with a conversation that the caller has locked; says what it was.';

create function reconcile_conversations(workspace_id bigint, after bigint default 0, max_rows integer default 200)
returns jsonb
language plpgsql volatile security invoker set search_path = public as $$
declare
  ids bigint[];
  c conversations;
  mended text[] := '{}';
begin
  ids := array(
    select x.id from conversations x
    where x.workspace_id = reconcile_conversations.workspace_id and x.id > reconcile_conversations.after
      and x.deleted_at is null
    order by x.id limit max_rows
  );
  -- One that somebody is at right now is looked at the next time. Whether it is wrong is asked again under its lock.
  for c in
    select x.* from conversations x
    where x.workspace_id = reconcile_conversations.workspace_id and x.id = any (ids) and faults_of(x) <> '{}'
    order by x.id for no key update skip locked
  loop
    mended := mended || mend_conversation(c);
  end loop;
  return jsonb_build_object(
    'looked', cardinality(ids), 'after', ids[cardinality(ids)],
    'mended', (select coalesce(jsonb_object_agg(m.fault, m.times), '{}') from (
      select fault, count(*) as times from unnest(mended) fault group by 1
    ) m)
  );
end $$;
comment on function reconcile_conversations is
  'Mends what is wrong among the next `max_rows` conversations of a workspace: {looked, after, mended: {what: how often}}.';

create function count_statuses(caller jsonb) returns jsonb
language sql stable security invoker set search_path = public as $$
  select coalesce(jsonb_agg(jsonb_build_object(
    'workspace_id', s.workspace_id, 'statuses', s.statuses, 'total', s.total, 'requires_human', s.waiting
  ) order by s.workspace_id), '[]')
  from (
    select n.workspace_id, jsonb_object_agg(n.status, n.total) as statuses, sum(n.total)::bigint as total,
      sum(n.waiting)::bigint as waiting
    from (
      select c.workspace_id, wire_status(c.lifecycle, c.handler) as status, count(*) as total,
        count(*) filter (where c.requires_human) as waiting
      from conversations c
      where c.workspace_id = any (visible_workspaces(caller)) and c.deleted_at is null
      group by 1, 2
    ) n group by 1
  ) s
$$;
comment on function count_statuses is 'How many conversations of each workspace have which status, and how many need a person.';
