set local lock_timeout = '5s';

-- Conversations by the day on which they began: how many there are, with an answer of the AI or without, and what people
-- thought of it. Each is counted as it is now, whenever events say that something happened in it (see 74_activity.sql).

create table conversation_days (
  workspace_id bigint not null references workspaces on delete cascade,
  day date not null,
  status text not null,
  answered boolean not null,
  conversations bigint not null,
  messages bigint not null,
  ratings bigint not null,
  score bigint not null,
  flags bigint not null,
  primary key (workspace_id, day, status, answered)
) with (fillfactor = 80);
comment on table conversation_days is 'Conversations by the day of the workspace''s clock on which they began and their status now; `answered`: by the AI,
at least once. Their messages, and the ratings (`score` is their sum) and flags of these.';

create table counted_conversations (
  workspace_id bigint not null,
  conversation_id bigint not null,
  day date not null,
  status text,
  answered boolean not null,
  messages bigint not null,
  ratings bigint not null,
  score bigint not null,
  flags bigint not null,
  primary key (workspace_id, conversation_id),
  foreign key (workspace_id, conversation_id) references conversations (workspace_id, id) on delete cascade
) with (fillfactor = 80);
comment on table counted_conversations is 'As what each conversation is counted in conversation_days; without a status it was deleted, and is not.';

create function uncount_conversation() returns trigger
language plpgsql volatile security invoker set search_path = public as $$
begin
  update conversation_days d set conversations = d.conversations - 1, messages = d.messages - old.messages,
    ratings = d.ratings - old.ratings, score = d.score - old.score, flags = d.flags - old.flags
  where d.workspace_id = old.workspace_id and d.day = old.day and d.status = old.status and d.answered = old.answered;
  return null;
end $$;
comment on function uncount_conversation is 'A conversation that is gone counts no more.';
create trigger uncount_conversation after delete on counted_conversations for each row execute function uncount_conversation();

create function conversations_now(workspace_id bigint, conversation_ids bigint[]) returns setof counted_conversations
language plpgsql stable security invoker set search_path = public set plan_cache_mode = force_custom_plan as $$
declare
  zone constant text := coalesce(
    (select w.business_hours ->> 'time_zone' from workspaces w where w.id = conversations_now.workspace_id), 'UTC'
  );
begin
  return query
    select c.workspace_id, c.id, coalesce(k.day, (c.created_at at time zone zone)::date),
      case when c.deleted_at is null then wire_status(c.lifecycle, c.handler) end,
      -- What was counted is not looked at again: only what was said since.
      coalesce(k.answered, false) or exists (
        select from messages m
        where m.workspace_id = c.workspace_id and m.conversation_id = c.id and m.seq > coalesce(k.messages, 0)
          and m.sender_type = 'bot'
      ), c.last_seq, r.ratings, coalesce(r.score, 0), f.flags
    from conversations c
    left join counted_conversations k on k.workspace_id = c.workspace_id and k.conversation_id = c.id
    cross join lateral (
      select count(x.id) as ratings, sum(x.score) as score from messages m
      join ratings x on x.workspace_id = m.workspace_id and x.message_id = m.id
      where m.workspace_id = c.workspace_id and m.conversation_id = c.id and m.sender_type = 'bot'
    ) r
    cross join lateral (
      select count(x.id) as flags from messages m
      join flags x on x.workspace_id = m.workspace_id and x.message_id = m.id
      where m.workspace_id = c.workspace_id and m.conversation_id = c.id and m.sender_type = 'bot'
    ) f
    where c.workspace_id = conversations_now.workspace_id and c.id = any (conversation_ids);
end $$;
comment on function conversations_now is 'As what conversations would be counted now.';

create function count_conversations(workspace_id bigint, conversation_ids bigint[]) returns void
language plpgsql volatile security invoker set search_path = public as $$
declare
  kept constant bigint[] := array(
    -- What is deleted at this moment is left to the trigger.
    select c.id from conversations c
    where c.workspace_id = count_conversations.workspace_id and c.id = any (conversation_ids)
    order by c.id for key share skip locked
  );
begin
  with fresh as materialized (
    select n.* from conversations_now(count_conversations.workspace_id, kept) n
  ), changes as (
    select n.day, n.status, n.answered, 1 as many, n.messages, n.ratings, n.score, n.flags from fresh n
    union all
    select k.day, k.status, k.answered, -1, -k.messages, -k.ratings, -k.score, -k.flags from counted_conversations k
    where k.workspace_id = count_conversations.workspace_id and k.conversation_id = any (kept)
  ), counted as (
    insert into counted_conversations as k select * from fresh
    on conflict on constraint counted_conversations_pkey do update set
      status = excluded.status, answered = excluded.answered, messages = excluded.messages, ratings = excluded.ratings,
      score = excluded.score, flags = excluded.flags
  )
  insert into conversation_days as d
  select count_conversations.workspace_id, g.day, g.status, g.answered, sum(g.many), sum(g.messages), sum(g.ratings),
    sum(g.score), sum(g.flags)
  from changes g where g.status is not null group by g.day, g.status, g.answered
  order by g.day, g.status, g.answered
  on conflict on constraint conversation_days_pkey do update set
    conversations = d.conversations + excluded.conversations, messages = d.messages + excluded.messages,
    ratings = d.ratings + excluded.ratings, score = d.score + excluded.score, flags = d.flags + excluded.flags;
end $$;
comment on function count_conversations is 'Counts conversations as they are now, instead of as they were counted before; again does no harm.';

create function recount_conversations(workspace_id bigint, max_rows integer default 5000) returns jsonb
language plpgsql volatile security invoker set search_path = public as $$
declare
  missing constant bigint[] := array(
    select c.id from conversations c
    where c.workspace_id = recount_conversations.workspace_id and not exists (
      select from counted_conversations k where k.workspace_id = c.workspace_id and k.conversation_id = c.id
    )
    order by c.id limit max_rows
  );
begin
  perform pg_advisory_xact_lock(hashtext('switchboard.activity'));
  perform count_conversations(recount_conversations.workspace_id, missing);
  return jsonb_build_object('conversations', cardinality(missing), 'more', cardinality(missing) >= max_rows);
end $$;
comment on function recount_conversations is
  'Counts up to `max_rows` conversations of which no event told; after emptying counted_conversations, all of them anew.';

create function conversation_lines(workspace_id bigint, from_day date)
returns table (
  day date, status text, answered boolean, conversations bigint, messages bigint, ratings bigint, score bigint, flags bigint
)
language plpgsql stable security invoker set search_path = public set plan_cache_mode = force_custom_plan as $$
#variable_conflict use_column
declare
  mark constant bigint := activity_mark(conversation_lines.workspace_id);
  touched constant bigint[] := array(
    select e.conversation_id from events e
    where e.workspace_id = conversation_lines.workspace_id and e.position > mark and e.conversation_id is not null
    union
    select e.conversation_id from events e
    where e.workspace_id = conversation_lines.workspace_id and e.position is null and e.conversation_id is not null
  );
begin
  return query
    select d.day, d.status, d.answered, d.conversations, d.messages, d.ratings, d.score, d.flags from conversation_days d
    where d.workspace_id = conversation_lines.workspace_id and (from_day is null or d.day >= from_day)
    union all
    select k.day, k.status, k.answered, -1, -k.messages, -k.ratings, -k.score, -k.flags from counted_conversations k
    where k.workspace_id = conversation_lines.workspace_id and k.conversation_id = any (touched) and k.status is not null
      and (from_day is null or k.day >= from_day)
    union all
    select n.day, n.status, n.answered, 1, n.messages, n.ratings, n.score, n.flags
    from conversations_now(conversation_lines.workspace_id, touched) n
    where n.status is not null and (from_day is null or n.day >= from_day);
end $$;
comment on function conversation_lines is
  'Conversations by day, status and whether the AI answered, right up to this moment: what is counted, and what happened since.';
