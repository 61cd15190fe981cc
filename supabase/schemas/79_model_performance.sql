-- The day table line by line, and how each model did on each day: rolled up or not, right up to this moment.

create function list_usage(
  caller jsonb, workspace_id bigint, days integer, after jsonb default null, max_rows integer default 50
) returns jsonb
language plpgsql stable security invoker set search_path = public as $$
declare
  first date := local_day(list_usage.workspace_id, now()) - days + 1;
begin
  if not list_usage.workspace_id = any (visible_workspaces(caller)) then
    raise exception using errcode = 'PT404', message = 'There is no such workspace.';
  end if;
  return (
    select coalesce(jsonb_agg(jsonb_build_object(
      'workspace', list_usage.workspace_id, 'day', s.day, 'purpose', s.purpose, 'provider', s.provider,
      'model', s.model, 'platform', s.platform, 'outcome', s.outcome
    ) || s.figures order by s.day desc, s.purpose, s.provider, s.model, s.platform, s.outcome), '[]')
    from (
      select l.day, l.purpose, l.provider, l.model, l.platform, l.outcome, usage_figures(
        sum(l.calls), sum(l.calls) filter (where l.outcome = 'failed'), sum(l.fallback_calls), sum(l.estimated_calls),
        sum(l.input_tokens), sum(l.output_tokens), sum(l.cached_tokens), sum(l.reasoning_tokens), sum(l.cost),
        sum(l.cost_unknown_calls)
      ) as figures
      from usage_lines l
      where l.workspace_id = list_usage.workspace_id and l.day >= first and (
        after is null or l.day < (after ->> 0)::date or l.day = (after ->> 0)::date
        and (l.purpose, l.provider, l.model, l.platform, l.outcome)
          > (after ->> 1, after ->> 2, after ->> 3, after ->> 4, after ->> 5)
      )
      group by l.day, l.purpose, l.provider, l.model, l.platform, l.outcome
      order by l.day desc, l.purpose, l.provider, l.model, l.platform, l.outcome limit max_rows
    ) s
  );
end $$;
comment on function list_usage is
  'A page of a workspace''s usage, latest day first; `after` is [day, purpose, provider, model, platform, outcome] of the last.';

create function model_performance(
  caller jsonb, workspace_id bigint, days integer, after jsonb default null, max_rows integer default 50
) returns jsonb
language plpgsql stable security invoker set search_path = public as $$
declare
  first date := local_day(model_performance.workspace_id, now()) - days + 1;
begin
  if not model_performance.workspace_id = any (visible_workspaces(caller)) then
    raise exception using errcode = 'PT404', message = 'There is no such workspace.';
  end if;
  return (
    with page as materialized (
      select l.day, l.provider, l.model, sum(l.calls) as calls,
        coalesce(sum(l.calls) filter (where l.outcome in ('answered', 'handed_over')), 0) as replies,
        coalesce(sum(l.calls) filter (where l.outcome = 'handed_over'), 0) as handed_over,
        coalesce(sum(l.calls) filter (where l.outcome = 'superseded'), 0) as superseded,
        coalesce(sum(l.calls) filter (where l.outcome = 'failed'), 0) as errors, sum(l.fallback_calls) as fallbacks,
        sum(l.input_tokens) as input_tokens, sum(l.output_tokens) as output_tokens, sum(l.cost) as cost,
        sum(l.cost_unknown_calls) as cost_unknown
      from usage_lines l
      where l.workspace_id = model_performance.workspace_id and l.day >= first and l.purpose = 'reply' and (
        after is null or l.day < (after ->> 0)::date
        or l.day = (after ->> 0)::date and (l.provider, l.model) > (after ->> 1, after ->> 2)
      )
      group by l.day, l.provider, l.model
      order by l.day desc, l.provider, l.model limit max_rows
    ), times as (
      select t.day, t.provider, t.model, sum_times(t.latencies) as latencies, sum_times(t.first_tokens) as first_tokens
      from usage_time_lines t
      where t.workspace_id = model_performance.workspace_id and t.day between (select min(p.day) from page p)
        and (select max(p.day) from page p)
      group by t.day, t.provider, t.model
    ), feedback as materialized (
      select f.day, f.provider, f.model, sum(f.rating_count) as ratings, sum(f.rating_sum) as scores,
        sum(f.flagged_messages) as flagged
      from feedback_lines f
      where f.workspace_id = model_performance.workspace_id and f.day between (select min(p.day) from page p)
        and (select max(p.day) from page p)
      group by f.day, f.provider, f.model
    )
    select coalesce(jsonb_agg(jsonb_build_object(
      'workspace', model_performance.workspace_id, 'day', p.day, 'provider', p.provider, 'model', p.model,
      'calls', p.calls, 'replies', p.replies, 'errors', p.errors, 'fallbacks', p.fallbacks,
      'first_token_p50_ms', time_at(t.first_tokens, 0.5), 'first_token_p95_ms', time_at(t.first_tokens, 0.95),
      'latency_p50_ms', time_at(t.latencies, 0.5), 'latency_p95_ms', time_at(t.latencies, 0.95),
      'input_tokens', p.input_tokens, 'output_tokens', p.output_tokens,
      'cost', case when p.cost_unknown < p.calls then p.cost end, 'cost_unknown_calls', p.cost_unknown,
      'hand_over_rate', round(p.handed_over / nullif(p.replies, 0), 4),
      'superseded_rate', round(p.superseded / nullif(p.calls, 0), 4),
      'average_rating', round(f.scores / nullif(f.ratings, 0), 2), 'rating_count', coalesce(f.ratings, 0),
      -- A reply is booked a moment before or after its message: at midnight that can be another day.
      'flag_rate', round(least(coalesce(f.flagged, 0) / nullif(p.replies, 0), 1), 4)
    ) order by p.day desc, p.provider, p.model), '[]')
    from page p
    left join times t on t.day = p.day and t.provider = p.provider and t.model = p.model
    left join feedback f on f.day = p.day and f.provider = p.provider and f.model = p.model
  );
end $$;
comment on function model_performance is
  'A page of how models answered customers, latest day first; `after` is [day, provider, model] of the last one seen.';
