-- What people think of the AI's answers, by the day of the answer. Feedback changes: a rating is given again, a flag taken
-- back or dismissed, a message erased. So what is kept of each message is what was counted of it, and a change only says
-- that the message is to be looked at again: the days get the difference.

create table feedback_messages (
  workspace_id bigint not null references workspaces on delete cascade,
  message_id bigint not null,
  day date not null,
  agent_id bigint,
  provider text not null,
  model text not null,
  rating_count bigint not null,
  rating_sum bigint not null,
  rating_squares bigint not null,
  flagged_messages bigint not null,
  safety_issues bigint not null,
  inappropriate bigint not null,
  factual_errors bigint not null,
  outdated bigint not null,
  off_topic bigint not null,
  dismissed_flags bigint not null,
  hand_overs bigint not null,
  corrections bigint not null,
  primary key (workspace_id, message_id)
) with (fillfactor = 80);
create index feedback_messages_by_day on feedback_messages (workspace_id, day);
comment on table feedback_messages is 'What of each AI message is counted in feedback_days: its day by the workspace''s clock, who wrote it, and figures.
Outlives an erased message until the next roll-up takes it out of the days.';

create table feedback_days (
  workspace_id bigint not null references workspaces on delete cascade,
  day date not null,
  agent_id bigint,
  provider text not null,
  model text not null,
  rating_count bigint not null,
  rating_sum bigint not null,
  rating_squares bigint not null,
  flagged_messages bigint not null,
  safety_issues bigint not null,
  inappropriate bigint not null,
  factual_errors bigint not null,
  outdated bigint not null,
  off_topic bigint not null,
  dismissed_flags bigint not null,
  hand_overs bigint not null,
  corrections bigint not null,
  constraint feedback_days_key unique nulls not distinct (workspace_id, day, agent_id, provider, model)
) with (fillfactor = 80);
comment on table feedback_days is 'Ratings, flags, hand-overs and corrections by the day of the message, agent and model. Flags that were dismissed are
in dismissed_flags alone; rating_squares is the sum of the squared scores, from which their spread follows.';

create table feedback_tail (
  workspace_id bigint not null references workspaces on delete cascade,
  message_id bigint not null
) with (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);
create index feedback_tail_message on feedback_tail (workspace_id, message_id);
comment on table feedback_tail is 'AI messages whose feedback has changed since it was counted. Each change adds a row of its own, in its own
transaction: what commits late is counted late, and nobody waits for anybody.';

-- Noticing ----------------------------------------------------------------------------------------------------------

create function notice_feedback() returns trigger
language plpgsql volatile security invoker set search_path = public as $$
declare
  r jsonb := to_jsonb(case when tg_op = 'DELETE' then old else new end);
begin
  -- A workspace that is being deleted takes its days along.
  insert into feedback_tail (workspace_id, message_id)
  select w.id, coalesce(r ->> 'message_id', r ->> 'id')::bigint from workspaces w
  where w.id = (r ->> 'workspace_id')::bigint and coalesce(r ->> 'message_id', r ->> 'id') is not null;
  return null;
end $$;
comment on function notice_feedback is 'A message is to be counted anew.';
create trigger notice_feedback after insert or update or delete on ratings for each row execute function notice_feedback();
create trigger notice_feedback after insert or update or delete on flags for each row execute function notice_feedback();
create trigger notice_feedback after insert or delete on corrections for each row execute function notice_feedback();
-- Most replies hand nothing over, and cost nothing here.
create trigger notice_hand_over after insert on replies for each row when (new.outcome = 'handed_over')
execute function notice_feedback();
create trigger notice_hand_over_undone after update of outcome on replies for each row
when (old.outcome <> new.outcome and 'handed_over' in (old.outcome, new.outcome)) execute function notice_feedback();
create trigger notice_erasure after delete on messages for each row when (old.sender_type = 'bot')
execute function notice_feedback();

-- Counting ----------------------------------------------------------------------------------------------------------

create function count_feedback(workspace_id bigint, message_id bigint) returns setof feedback_messages
language sql stable security invoker set search_path = public as $$
  select m.workspace_id, m.id, local_day(m.workspace_id, m.created_at), m.agent_id, coalesce(m.provider, ''),
    coalesce(m.model, ''), r.count, r.sum, r.squares, (f.standing > 0)::integer, f.safety, f.inappropriate, f.factual,
    f.outdated, f.off_topic, f.dismissed, h.count, k.count
  from messages m
  cross join lateral (
    select count(*), coalesce(sum(x.score), 0) as sum, coalesce(sum(x.score * x.score), 0) as squares from ratings x
    where x.workspace_id = m.workspace_id and x.message_id = m.id
  ) r
  cross join lateral (
    select count(*) filter (where x.stands) as standing,
      count(*) filter (where x.stands and x.flag_type = 'safety_issue') as safety,
      count(*) filter (where x.stands and x.flag_type = 'inappropriate') as inappropriate,
      count(*) filter (where x.stands and x.flag_type = 'factual_error') as factual,
      count(*) filter (where x.stands and x.flag_type = 'outdated') as outdated,
      count(*) filter (where x.stands and x.flag_type = 'off_topic') as off_topic,
      count(*) filter (where not x.stands) as dismissed
    from (
      select y.flag_type, y.outcome is distinct from 'dismissed' as stands from flags y
      where y.workspace_id = m.workspace_id and y.message_id = m.id
    ) x
  ) f
  cross join lateral (
    select count(*) from replies x
    where x.workspace_id = m.workspace_id and x.conversation_id = m.conversation_id and x.message_id = m.id
      and x.outcome = 'handed_over'
  ) h
  cross join lateral (
    select count(*) from corrections x where x.workspace_id = m.workspace_id and x.message_id = m.id
  ) k
  where m.workspace_id = count_feedback.workspace_id and m.id = count_feedback.message_id and m.sender_type = 'bot'
    and r.count + f.standing + f.dismissed + h.count + k.count > 0
$$;
comment on function count_feedback is 'What there is to count of a message now; no row where nobody thinks anything of it, or it is gone.';

create view feedback_changes with (security_invoker = true) as
select n.* from (select distinct t.workspace_id, t.message_id from feedback_tail t) t
cross join lateral count_feedback(t.workspace_id, t.message_id) n
union all
select k.workspace_id, k.message_id, k.day, k.agent_id, k.provider, k.model,
  -k.rating_count, -k.rating_sum, -k.rating_squares, -k.flagged_messages, -k.safety_issues, -k.inappropriate,
  -k.factual_errors, -k.outdated, -k.off_topic, -k.dismissed_flags, -k.hand_overs, -k.corrections
from (select distinct t.workspace_id, t.message_id from feedback_tail t) t
join feedback_messages k on k.workspace_id = t.workspace_id and k.message_id = t.message_id;
comment on view feedback_changes is 'What the next roll-up adds to the days: the messages of the tail as they are now, less what was counted of them.';

create view feedback_lines with (security_invoker = true) as
select * from feedback_days
union all
select c.workspace_id, c.day, c.agent_id, c.provider, c.model,
  c.rating_count, c.rating_sum, c.rating_squares, c.flagged_messages, c.safety_issues, c.inappropriate,
  c.factual_errors, c.outdated, c.off_topic, c.dismissed_flags, c.hand_overs, c.corrections
from feedback_changes c;
comment on view feedback_lines is 'Feedback by the day, rolled up or not: to be added up, right at any moment.';

create view feedback_message_lines with (security_invoker = true) as
select k.* from feedback_messages k
where not exists (
  select from feedback_tail t where t.workspace_id = k.workspace_id and t.message_id = k.message_id
)
union all
select n.* from (select distinct t.workspace_id, t.message_id from feedback_tail t) t
cross join lateral count_feedback(t.workspace_id, t.message_id) n;
comment on view feedback_message_lines is 'The same message by message.';

create function roll_up_feedback(max_rows integer default 2000) returns jsonb
language plpgsql volatile security invoker set search_path = public as $$
declare
  counted bigint;
begin
  if not pg_try_advisory_xact_lock(hashtext('switchboard.feedback')) then
    return jsonb_build_object('messages', 0, 'more', false);
  end if;
  -- One statement, one look: a mark is seen exactly when the change is that it tells of. What commits later has a mark of
  -- its own, and is counted next time.
  with taken as (
    delete from feedback_tail t where t.ctid = any (array(
      select x.ctid from feedback_tail x limit max_rows for update skip locked
    )) returning t.workspace_id, t.message_id
  ), marked as materialized (
    select distinct t.workspace_id, t.message_id from taken t
  ), fresh as materialized (
    select n.* from marked m cross join lateral count_feedback(m.workspace_id, m.message_id) n
  ), changes as (
    select f.* from fresh f
    union all
    select k.workspace_id, k.message_id, k.day, k.agent_id, k.provider, k.model,
      -k.rating_count, -k.rating_sum, -k.rating_squares, -k.flagged_messages, -k.safety_issues, -k.inappropriate,
      -k.factual_errors, -k.outdated, -k.off_topic, -k.dismissed_flags, -k.hand_overs, -k.corrections
    from marked m
    join feedback_messages k on k.workspace_id = m.workspace_id and k.message_id = m.message_id
  ), days as (
    insert into feedback_days as d
    select c.workspace_id, c.day, c.agent_id, c.provider, c.model,
      sum(c.rating_count), sum(c.rating_sum), sum(c.rating_squares), sum(c.flagged_messages), sum(c.safety_issues),
      sum(c.inappropriate), sum(c.factual_errors), sum(c.outdated), sum(c.off_topic), sum(c.dismissed_flags),
      sum(c.hand_overs), sum(c.corrections)
    from changes c group by 1, 2, 3, 4, 5
    on conflict on constraint feedback_days_key do update set
      rating_count = d.rating_count + excluded.rating_count, rating_sum = d.rating_sum + excluded.rating_sum,
      rating_squares = d.rating_squares + excluded.rating_squares,
      flagged_messages = d.flagged_messages + excluded.flagged_messages,
      safety_issues = d.safety_issues + excluded.safety_issues,
      inappropriate = d.inappropriate + excluded.inappropriate,
      factual_errors = d.factual_errors + excluded.factual_errors, outdated = d.outdated + excluded.outdated,
      off_topic = d.off_topic + excluded.off_topic, dismissed_flags = d.dismissed_flags + excluded.dismissed_flags,
      hand_overs = d.hand_overs + excluded.hand_overs, corrections = d.corrections + excluded.corrections
  ), kept as (
    insert into feedback_messages select f.* from fresh f
    on conflict on constraint feedback_messages_pkey do update set
      day = excluded.day, agent_id = excluded.agent_id, provider = excluded.provider, model = excluded.model,
      rating_count = excluded.rating_count, rating_sum = excluded.rating_sum,
      rating_squares = excluded.rating_squares, flagged_messages = excluded.flagged_messages,
      safety_issues = excluded.safety_issues, inappropriate = excluded.inappropriate,
      factual_errors = excluded.factual_errors, outdated = excluded.outdated, off_topic = excluded.off_topic,
      dismissed_flags = excluded.dismissed_flags, hand_overs = excluded.hand_overs, corrections = excluded.corrections
  ), gone as (
    delete from feedback_messages k using marked m
    where k.workspace_id = m.workspace_id and k.message_id = m.message_id and not exists (
      select from fresh f where f.workspace_id = k.workspace_id and f.message_id = k.message_id
    )
  )
  select count(*) into counted from taken;
  return jsonb_build_object('messages', counted, 'more', counted >= max_rows);
end $$;
comment on function roll_up_feedback is 'Counts up to `max_rows` changes of feedback into the days; by one at a time, again does no harm.';

create function rebuild_feedback(from_day date, to_day date) returns jsonb
language plpgsql volatile security invoker set search_path = public as $$
declare
  due bigint;
begin
  perform pg_advisory_xact_lock(hashtext('switchboard.feedback'));
  delete from feedback_days d where d.day between from_day and to_day;
  with counted as (
    delete from feedback_messages k where k.day between from_day and to_day returning k.workspace_id, k.message_id
  ), told as (
    select x.workspace_id, x.message_id from ratings x
    union select x.workspace_id, x.message_id from flags x
    union select x.workspace_id, x.message_id from corrections x
    union select x.workspace_id, x.message_id from replies x where x.outcome = 'handed_over'
  )
  insert into feedback_tail (workspace_id, message_id)
  select c.workspace_id, c.message_id from counted c
  union
  select m.workspace_id, m.id from told t
  join messages m on m.workspace_id = t.workspace_id and m.id = t.message_id
  -- No time zone is further away than a day.
  where m.created_at >= from_day - 1 and m.created_at < to_day + 2
    and local_day(m.workspace_id, m.created_at) between from_day and to_day;
  get diagnostics due = row_count;
  return jsonb_build_object('messages', due);
end $$;
comment on function rebuild_feedback is
  'Has the days from the first to the last counted anew from ratings, flags, replies and corrections, by the next roll-ups.';
