-- What happens in conversations by the day, counted from the events: whatever a function writes an event of is counted.

create table activity_days (
  workspace_id bigint not null references workspaces on delete cascade,
  day date not null,
  platform text not null,
  type text not null,
  events bigint not null,
  waited_ms bigint not null,
  waits bigint[] not null,
  position bigint not null,
  primary key (workspace_id, day, platform, type)
) with (fillfactor = 80);
create index activity_days_position on activity_days (workspace_id, position desc);
comment on table activity_days is 'Events by the day of the workspace''s clock. `waits` counts, for what answered a customer, how long they had waited
(see time_edges), waited_ms is their sum, and the highest `position` how far the workspace''s events are counted.';

create function waited(e events) returns bigint
language sql stable security invoker set search_path = public as $$
  -- What was said while the database was away came in later than it was said.
  select case when e.type in ('reply.answered', 'reply.handed_over', 'message.sent_by_human') and not e.data ? 'tracked'
  then (
    select case
      when min(q.created_at) <= e.at then (extract(epoch from e.at - min(q.created_at)) * 1000)::bigint
      when min(q.created_at) > e.at then 0 -- the clock was set back
    end
    from messages m
    join messages q on q.workspace_id = m.workspace_id and q.conversation_id = m.conversation_id and q.seq < m.seq
      and q.sender_type = 'user' and q.seq > coalesce((
        select max(a.seq) from messages a
        where a.workspace_id = m.workspace_id and a.conversation_id = m.conversation_id and a.seq < m.seq
          and a.sender_type in ('bot', 'human')
      ), 0)
    where m.workspace_id = e.workspace_id and m.id = e.message_id
  ) end
$$;
comment on function waited is 'How long, in milliseconds, the first message waited that this event answers; null if it answers none.';

create view activity with (security_invoker = true) as
select e.workspace_id, local_day(e.workspace_id, e.at) as day, coalesce(ch.platform, '') as platform, e.type, waited(e) as ms,
  e.position, e.conversation_id
from events e
left join conversations c on c.workspace_id = e.workspace_id and c.id = e.conversation_id
left join channels ch on ch.workspace_id = c.workspace_id and ch.id = c.channel_id;
comment on view activity is 'Events as they are counted.';

create function activity_mark(workspace_id bigint) returns bigint
language sql stable security invoker set search_path = public as $$
  select coalesce((
    select d.position from activity_days d where d.workspace_id = activity_mark.workspace_id
    order by d.position desc limit 1
  ), 0)
$$;
comment on function activity_mark is 'The place in the feed up to which the workspace''s events are counted.';

create function roll_up_activity(max_rows integer default 5000) returns jsonb
language plpgsql volatile security invoker set search_path = public as $$
declare
  found jsonb;
  touched jsonb;
  one record;
begin
  if not pg_try_advisory_xact_lock(hashtext('switchboard.activity')) then
    return jsonb_build_object('events', 0, 'more', false);
  end if;
  -- Places are given to what is committed, by one transaction at a time: below the mark nothing comes later.
  with fresh as materialized (
    select a.* from workspaces w
    cross join lateral (
      select * from activity v where v.workspace_id = w.id and v.position > activity_mark(w.id)
      order by v.position limit max_rows
    ) a
  ), counted as (
    insert into activity_days as d
    select f.workspace_id, f.day, f.platform, f.type, count(*), coalesce(sum(f.ms), 0), count_times(array_agg(f.ms)),
      max(f.position)
    from fresh f group by 1, 2, 3, 4
    on conflict on constraint activity_days_pkey do update set
      events = d.events + excluded.events, waited_ms = d.waited_ms + excluded.waited_ms,
      waits = add_times(d.waits, excluded.waits), position = greatest(d.position, excluded.position)
  )
  select jsonb_build_object('events', coalesce(sum(n), 0), 'more', coalesce(max(n), 0) >= max_rows),
    coalesce(jsonb_object_agg(x.workspace_id, x.conversations), '{}')
  into found, touched
  from (
    select f.workspace_id, count(*) as n, jsonb_agg(distinct f.conversation_id) as conversations
    from fresh f group by f.workspace_id
  ) x;
  for one in select key::bigint as id, value as conversations from jsonb_each(touched) order by 1 loop
    perform count_conversations(one.id, array(select v::bigint from jsonb_array_elements_text(one.conversations) v));
  end loop;
  return found;
end $$;
comment on function roll_up_activity is
  'Counts up to `max_rows` events of each workspace into the days; by one at a time, again does no harm.';

create function activity_lines(workspace_id bigint, from_day date)
returns table (day date, platform text, type text, events bigint, waited_ms bigint, waits bigint[])
language sql stable security invoker set search_path = public as $$
  select d.day, d.platform, d.type, d.events, d.waited_ms, d.waits from activity_days d
  where d.workspace_id = activity_lines.workspace_id and d.day >= from_day
  union all
  select v.day, v.platform, v.type, count(*), coalesce(sum(v.ms), 0), count_times(array_agg(v.ms)) from (
    select * from activity a
    where a.workspace_id = activity_lines.workspace_id and a.position > activity_mark(activity_lines.workspace_id)
    union all
    select * from activity a where a.workspace_id = activity_lines.workspace_id and a.position is null
  ) v
  where v.day >= from_day group by v.day, v.platform, v.type
$$;
comment on function activity_lines is 'What happened in a workspace since a day: what is counted, and what is not counted yet.';
