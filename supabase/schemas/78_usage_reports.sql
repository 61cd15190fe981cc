-- Statistics: the days that are rolled up and the tail that is not, in one statement, so that nothing is missing or double.

create view usage_lines with (security_invoker = true) as
select * from usage_days union all select * from usage_tail_days;
comment on view usage_lines is 'Calls to models by the day, rolled up or not.';

create view usage_time_lines with (security_invoker = true) as
select * from usage_times union all select * from usage_tail_times;
comment on view usage_time_lines is 'How long calls took by the day, rolled up or not.';

create function usage_figures(
  calls numeric, failed numeric, fallback numeric, estimated numeric, input numeric, output numeric, cached numeric,
  reasoning numeric, cost numeric, cost_unknown numeric
) returns jsonb
language sql immutable parallel safe as $$
  select jsonb_build_object(
    'calls', coalesce(calls, 0), 'failed_calls', coalesce(failed, 0), 'fallback_calls', coalesce(fallback, 0),
    'estimated_calls', coalesce(estimated, 0), 'input_tokens', coalesce(input, 0), 'output_tokens', coalesce(output, 0),
    'cached_tokens', coalesce(cached, 0), 'reasoning_tokens', coalesce(reasoning, 0),
    'total_tokens', coalesce(input + output, 0),
    'cost', case when calls > 0 and cost_unknown = calls then null else coalesce(cost, 0) end,
    'cost_unknown_calls', coalesce(cost_unknown, 0)
  )
$$;
comment on function usage_figures is 'Sums as statistics show them; the cost is null where no call has a known one.';

create function period_of(workspace_id bigint, days integer) returns jsonb
language sql stable security invoker set search_path = public as $$
  select jsonb_build_object(
    'workspace', workspace_id, 'days', days, 'from', local_day(workspace_id, now()) - days + 1,
    'to', local_day(workspace_id, now()), 'time_zone', coalesce(
      (select w.business_hours ->> 'time_zone' from workspaces w where w.id = period_of.workspace_id), 'UTC'
    )
  )
$$;
comment on function period_of is 'The last days of a workspace up to today, by its own clock.';

create function usage_customer_list(workspace_id bigint, from_day date, most integer) returns jsonb
language sql stable security invoker set search_path = public as $$
  with lines as (
    select d.customer_id, d.calls, d.tokens, d.cost, d.cost_unknown_calls from usage_customers d
    where d.workspace_id = usage_customer_list.workspace_id and d.day >= from_day
    union all
    select u.customer_id, 1, u.input_tokens + u.output_tokens, coalesce(u.cost, 0), (u.cost is null)::integer
    from usage_tail t join usage u on u.id = t.usage_id
    where t.workspace_id = usage_customer_list.workspace_id and u.day >= from_day and u.customer_id is not null
  ), sums as (
    select l.customer_id, sum(l.calls) as calls, sum(l.tokens) as tokens, sum(l.cost) as cost,
      sum(l.cost_unknown_calls) as cost_unknown
    from lines l group by l.customer_id
    order by sum(l.cost) desc, sum(l.calls) desc, l.customer_id limit most
  )
  select coalesce(jsonb_agg(jsonb_build_object(
    'customer_id', p.external_id, 'name', p.name, 'platform', wire_platform(ch.platform), 'calls', s.calls,
    'total_tokens', s.tokens, 'cost', case when s.cost_unknown < s.calls then s.cost end,
    'cost_unknown_calls', s.cost_unknown
  ) order by s.cost desc, s.calls desc, s.customer_id), '[]')
  from sums s
  join customers p on p.workspace_id = usage_customer_list.workspace_id and p.id = s.customer_id
  join channels ch on ch.workspace_id = p.workspace_id and ch.id = p.channel_id
$$;
comment on function usage_customer_list is 'The customers who cost most since a day.';

create function usage_stats(caller jsonb, workspace_id bigint, days integer, customers integer default 10) returns jsonb
language plpgsql stable security invoker set search_path = public as $$
declare
  first date := local_day(usage_stats.workspace_id, now()) - days + 1;
begin
  if not usage_stats.workspace_id = any (visible_workspaces(caller)) then
    raise exception using errcode = 'PT404', message = 'There is no such workspace.';
  end if;
  return (
    with sums as materialized (
      select grouping(l.day, l.model, l.purpose, l.platform, l.outcome) as kind, l.day, l.provider, l.model, l.purpose,
        l.platform, l.outcome, sum(l.calls) as calls, usage_figures(
          sum(l.calls), sum(l.calls) filter (where l.outcome = 'failed'), sum(l.fallback_calls), sum(l.estimated_calls),
          sum(l.input_tokens), sum(l.output_tokens), sum(l.cached_tokens), sum(l.reasoning_tokens), sum(l.cost),
          sum(l.cost_unknown_calls)
        ) as figures
      from usage_lines l where l.workspace_id = usage_stats.workspace_id and l.day >= first
      group by grouping sets ((), (l.day), (l.provider, l.model), (l.purpose), (l.platform), (l.outcome))
    ), times as (
      select l.provider, l.model, sum_times(l.latencies) as latencies, sum_times(l.first_tokens) as first_tokens
      from usage_time_lines l where l.workspace_id = usage_stats.workspace_id and l.day >= first
      group by l.provider, l.model
    )
    select period_of(usage_stats.workspace_id, days) || jsonb_build_object(
      'totals', (select s.figures from sums s where s.kind = 31),
      'by_day', (
        select jsonb_agg(
          jsonb_build_object('day', d.day) || coalesce(
            s.figures, usage_figures(null, null, null, null, null, null, null, null, null, null)
          ) order by d.day
        )
        from (select first + n as day from generate_series(0, days - 1) n) d
        left join sums s on s.kind = 15 and s.day = d.day
      ),
      'by_model', coalesce((
        select jsonb_agg(jsonb_build_object(
          'provider', s.provider, 'model', s.model,
          'latency_p50_ms', time_at(t.latencies, 0.5), 'latency_p95_ms', time_at(t.latencies, 0.95),
          'first_token_p50_ms', time_at(t.first_tokens, 0.5), 'first_token_p95_ms', time_at(t.first_tokens, 0.95)
        ) || s.figures order by s.calls desc, s.provider, s.model)
        from sums s left join times t on t.provider = s.provider and t.model = s.model where s.kind = 23
      ), '[]'),
      'by_purpose', coalesce((
        select jsonb_agg(jsonb_build_object('purpose', s.purpose) || s.figures order by s.calls desc, s.purpose)
        from sums s where s.kind = 27
      ), '[]'),
      'by_channel', coalesce((
        select jsonb_agg(
          jsonb_build_object('platform', nullif(wire_platform(s.platform), '')) || s.figures
          order by s.calls desc, s.platform
        ) from sums s where s.kind = 29
      ), '[]'),
      'by_outcome', coalesce((
        select jsonb_agg(jsonb_build_object('outcome', s.outcome) || s.figures order by s.calls desc, s.outcome)
        from sums s where s.kind = 30
      ), '[]'),
      'top_customers', case when customers > 0
        then usage_customer_list(usage_stats.workspace_id, first, customers) else '[]'
      end
    )
  );
end $$;
comment on function usage_stats is 'What a workspace used in its last days, today included, right up to this moment.';

create function usage_global(caller jsonb, days integer, max_rows integer default 50) returns jsonb
language plpgsql stable security invoker set search_path = public as $$
begin
  if not (caller ->> 'admin')::boolean then
    raise exception using errcode = 'PT403', message = 'Only an admin sees the usage of all workspaces.';
  end if;
  return (
    with since as (
      select w.id, local_day(w.id, now()) - days + 1 as first from workspaces w
      union all
      select null, local_day(null, now()) - days + 1
    ), lines as materialized (
      select d.* from (
        -- The earliest of all days lets an index be used; the day that counts is the workspace's own.
        select * from usage_days x where x.day >= (select min(s.first) from since s)
        union all
        select * from usage_tail_days
      ) d
      join since s on s.id = d.workspace_id or s.id is null and d.workspace_id is null
      where d.day >= s.first
    ), sums as materialized (
      select grouping(l.day, l.model, l.purpose, l.workspace_id) as kind, l.day, l.provider, l.model, l.purpose,
        l.workspace_id, sum(l.calls) as calls, sum(l.cost) as cost, usage_figures(
          sum(l.calls), sum(l.calls) filter (where l.outcome = 'failed'), sum(l.fallback_calls), sum(l.estimated_calls),
          sum(l.input_tokens), sum(l.output_tokens), sum(l.cached_tokens), sum(l.reasoning_tokens), sum(l.cost),
          sum(l.cost_unknown_calls)
        ) as figures
      from lines l group by grouping sets ((), (l.day), (l.provider, l.model), (l.purpose), (l.workspace_id))
    )
    select jsonb_build_object(
      'days', days,
      'totals', (select s.figures from sums s where s.kind = 15),
      'by_day', coalesce((
        select jsonb_agg(jsonb_build_object('day', s.day) || s.figures order by s.day) from sums s where s.kind = 7
      ), '[]'),
      'by_model', coalesce((
        select jsonb_agg(
          jsonb_build_object('provider', s.provider, 'model', s.model) || s.figures
          order by s.calls desc, s.provider, s.model
        ) from sums s where s.kind = 11
      ), '[]'),
      'by_purpose', coalesce((
        select jsonb_agg(jsonb_build_object('purpose', s.purpose) || s.figures order by s.calls desc, s.purpose)
        from sums s where s.kind = 13
      ), '[]'),
      'by_workspace', coalesce((
        select jsonb_agg(
          jsonb_build_object('workspace', x.workspace_id, 'name', w.name) || x.figures
          order by x.cost desc, x.calls desc, x.workspace_id
        )
        from (
          select * from sums s where s.kind = 14 order by s.cost desc, s.calls desc, s.workspace_id limit max_rows
        ) x
        left join workspaces w on w.id = x.workspace_id
      ), '[]'),
      'workspaces', (select count(*) from sums s where s.kind = 14)
    )
  );
end $$;
comment on function usage_global is
  'What all workspaces used in their last days, the dearest first; a line without a workspace is the installation''s own.';

create function waits_of(counts bigint[], waited_ms numeric) returns jsonb
language sql immutable parallel safe set search_path = public as $$
  select jsonb_build_object(
    'count', n, 'average_ms', round(waited_ms / nullif(n, 0)), 'p50_ms', time_at(counts, 0.5), 'p95_ms', time_at(counts, 0.95)
  ) from (select coalesce(sum(c), 0) as n from unnest(counts) c) x
$$;
comment on function waits_of is 'How long customers waited: how many, the average, the median and what one in twenty exceeds.';

create function chat_analytics(caller jsonb, workspace_id bigint, days integer) returns jsonb
language plpgsql stable security invoker set search_path = public as $$
declare
  period jsonb := period_of(chat_analytics.workspace_id, days);
  first date := (period ->> 'from')::date;
begin
  if not chat_analytics.workspace_id = any (visible_workspaces(caller)) then
    raise exception using errcode = 'PT404', message = 'There is no such workspace.';
  end if;
  return (
    with lines as materialized (
      select * from activity_lines(chat_analytics.workspace_id, first)
    ), sums as materialized (
      select grouping(l.day, l.platform) as kind, l.day, l.platform,
        coalesce(sum(l.events) filter (where l.type = 'conversation.opened'), 0) as opened,
        coalesce(sum(l.events) filter (where l.type = 'conversation.reopened'), 0) as reopened,
        coalesce(sum(l.events) filter (where l.type = 'conversation.resolved'), 0) as resolved,
        coalesce(sum(l.events) filter (where l.type = 'conversation.closed'), 0) as closed,
        coalesce(sum(l.events) filter (where l.type = 'conversation.archived'), 0) as archived,
        coalesce(sum(l.events) filter (where l.type = 'conversation.taken_over'), 0) as taken_over,
        coalesce(sum(l.events) filter (where l.type = 'conversation.handed_back'), 0) as handed_back,
        coalesce(sum(l.events) filter (where l.type = 'reply.handed_over'), 0) as handed_over,
        coalesce(sum(l.events) filter (where l.type = 'message.received'), 0) as customers,
        coalesce(sum(l.events) filter (where l.type in ('reply.answered', 'reply.handed_over')), 0) as ai,
        coalesce(sum(l.events) filter (where l.type = 'message.sent_by_human'), 0) as people,
        coalesce(sum(l.events) filter (where l.type = 'reply.out_of_hours'), 0) as out_of_hours
      from lines l group by grouping sets ((), (l.day), (l.platform))
    ), shown as (
      select s.kind, s.day, s.platform, jsonb_build_object(
        'conversations', jsonb_build_object(
          'opened', s.opened, 'reopened', s.reopened, 'resolved', s.resolved, 'closed', s.closed,
          'archived', s.archived, 'taken_over', s.taken_over, 'handed_over', s.handed_over,
          'handed_back', s.handed_back
        ),
        'messages', jsonb_build_object(
          'total', s.customers + s.ai + s.people + s.out_of_hours, 'from_customers', s.customers, 'from_ai', s.ai,
          'from_people', s.people, 'out_of_hours', s.out_of_hours
        ),
        'ai_share', round(s.ai / nullif(s.ai + s.people, 0), 4)
      ) as figures
      from sums s
    ), waits as (
      select case grouping(w.who) when 1 then 'all' else w.who end as who, sum_times(w.waits) as counts,
        sum(w.waited_ms) as ms
      from (
        select case l.type when 'message.sent_by_human' then 'people' else 'ai' end as who, l.waits, l.waited_ms
        from lines l where l.waits <> '{}'
      ) w group by grouping sets ((), (w.who))
    ), calls as materialized (
      select l.outcome, sum(l.calls) as calls from usage_lines l
      where l.workspace_id = chat_analytics.workspace_id and l.day >= first and l.purpose = 'reply' group by l.outcome
    ), questions as materialized (
      select q.question from knowledge_questions q
      where q.workspace_id = chat_analytics.workspace_id
        and q.asked_at >= first::timestamp at time zone (period ->> 'time_zone')
        and not exists (
          select from conversations c
          where c.workspace_id = q.workspace_id and c.id = q.conversation_id and c.deleted_at is not null
        )
    )
    select period || (select s.figures from shown s where s.kind = 3) || jsonb_build_object(
      'replies', (
        select jsonb_object_agg(o.outcome, coalesce(c.calls, 0))
        from unnest(array['answered', 'handed_over', 'superseded', 'taken_over', 'lost', 'failed']) o (outcome)
        left join calls c on c.outcome = o.outcome
      ),
      'response_times', (
        select jsonb_object_agg(w.who, waits_of(x.counts, x.ms))
        from unnest(array['all', 'ai', 'people']) w (who) left join waits x on x.who = w.who
      ),
      'unanswered_questions', jsonb_build_object(
        'count', (select count(*) from questions),
        'top', (
          select coalesce(jsonb_agg(jsonb_build_object('question', t.question, 'times', t.times) order by t.times desc, t.question), '[]')
          from (
            select min(q.question) as question, count(*) as times from questions q
            group by question_words(q.question)
            order by count(*) desc, min(q.question) limit 5
          ) t
        )
      ),
      'by_day', (
        select jsonb_agg(jsonb_build_object('day', d.day) || coalesce(s.figures, empty.figures) order by d.day)
        from (select first + n as day from generate_series(0, days - 1) n) d
        left join shown s on s.kind = 1 and s.day = d.day
        cross join (
          select jsonb_build_object(
            'conversations', (select jsonb_object_agg(k, 0) from jsonb_object_keys(x.figures -> 'conversations') k),
            'messages', (select jsonb_object_agg(k, 0) from jsonb_object_keys(x.figures -> 'messages') k),
            'ai_share', null
          ) as figures from shown x where x.kind = 3
        ) empty
      ),
      'by_channel', coalesce((
        select jsonb_agg(jsonb_build_object('platform', wire_platform(s.platform)) || s.figures order by s.platform)
        from shown s where s.kind = 2 and s.platform <> ''
      ), '[]')
    )
  );
end $$;
comment on function chat_analytics is 'What happened in a workspace''s conversations in its last days, right up to this moment.';
