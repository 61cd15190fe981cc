set local lock_timeout = '5s';

-- The ledger by the day: what statistics are read from. What is not rolled up yet is read from the ledger beside it, so
-- that both together equal the ledger at any moment.

create table usage_days (
  workspace_id bigint references workspaces on delete cascade,
  day date not null,
  purpose text not null,
  provider text not null,
  model text not null,
  platform text not null,
  outcome text not null,
  calls bigint not null,
  fallback_calls bigint not null,
  estimated_calls bigint not null,
  input_tokens bigint not null,
  output_tokens bigint not null,
  cached_tokens bigint not null,
  reasoning_tokens bigint not null,
  cost numeric not null,
  cost_unknown_calls bigint not null,
  constraint usage_days_key unique nulls not distinct (workspace_id, day, purpose, provider, model, platform, outcome)
) with (fillfactor = 80);
create index usage_days_by_day on usage_days (day);
comment on table usage_days is 'Calls to models by the day. `cost` is the sum of the costs that are known, cost_unknown_calls the number of those
that are not.';

create table usage_times (
  workspace_id bigint references workspaces on delete cascade,
  day date not null,
  provider text not null,
  model text not null,
  latencies bigint[] not null,
  first_tokens bigint[] not null,
  constraint usage_times_key unique nulls not distinct (workspace_id, day, provider, model)
) with (fillfactor = 80);
comment on table usage_times is 'Calls by the day and by how long they took, see time_edges; only those that came to their end: how soon a call
failed says nothing about how fast a model is.';

create table usage_customers (
  workspace_id bigint not null references workspaces on delete cascade,
  day date not null,
  customer_id bigint not null,
  calls bigint not null,
  tokens bigint not null,
  cost numeric not null,
  cost_unknown_calls bigint not null,
  primary key (workspace_id, day, customer_id)
) with (fillfactor = 80);
create index usage_customers_customer on usage_customers (workspace_id, customer_id);
comment on table usage_customers is 'Calls to models by the day and the customer for whom they were made; goes with the customer.';

create function forget_usage() returns trigger
language plpgsql volatile security invoker set search_path = public as $$
begin
  delete from usage_customers u where u.workspace_id = old.workspace_id and u.customer_id = old.id;
  return null;
end $$;
comment on function forget_usage is 'What a customer used is not theirs any more once they are gone; the totals stay.';
-- After the foreign key of the ledger, which waits for a roll-up under way: triggers fire in the order of their names.
create trigger forget_usage after delete on customers for each row execute function forget_usage();

-- Times, so that they can be added up ---------------------------------------------------------------------------------

create function time_edges() returns integer[]
language sql immutable parallel safe as $$
  select '{
    1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 13, 16, 19, 23, 27, 32, 38, 45, 54, 64, 76, 91, 108, 128, 152, 181, 215, 256, 304,
    362, 431, 512, 609, 724, 861, 1024, 1218, 1448, 1722, 2048, 2435, 2896, 3444, 4096, 4871, 5793, 6889, 8192, 9742,
    11585, 13777, 16384, 19484, 23170, 27554, 32768, 38968, 46341, 55109, 65536, 77936, 92682, 110218, 131072, 155872,
    185364, 220436, 262144, 311744, 370728, 440872, 524288, 623487, 741455, 881744, 1048576, 1246974, 1482910, 1763488,
    2097152, 2493948, 2965821, 3526975, 4194304, 4987896, 5931642, 7053950, 8388608, 9975792, 11863283, 14107901,
    16777216, 19951585, 23726566, 28215802, 33554432, 39903169, 47453133, 56431603, 67108864, 79806339, 94906266,
    112863206, 134217728, 159612677, 189812531, 225726413, 268435456, 319225354, 379625062, 451452825, 536870912,
    638450708, 759250125, 902905651, 1073741824
  }'::integer[]
$$;
comment on function time_edges is 'Milliseconds at which one count of times ends and the next begins: four to each doubling, up to twelve days.';

create function count_times(times bigint[]) returns bigint[]
language plpgsql immutable parallel safe set search_path = public as $$
declare
  edges constant integer[] := time_edges();
  counts bigint[] := '{}';
  place integer;
  t bigint;
begin
  foreach t in array coalesce(times, '{}') loop
    continue when t is null;
    place := width_bucket(least(greatest(t, 0), 2147483647)::integer, edges) + 1;
    if place > cardinality(counts) then
      counts := counts || array_fill(0::bigint, array[place - cardinality(counts)]);
    end if;
    counts[place] := counts[place] + 1;
  end loop;
  return counts;
end $$;
comment on function count_times is 'Counts times in milliseconds: element i is how many are below edge i and not below the one before.';

create function add_times(one bigint[], other bigint[]) returns bigint[]
language plpgsql immutable parallel safe set search_path = public as $$
declare
  longer bigint[] := case when cardinality(one) >= cardinality(other) then one else other end;
  shorter bigint[] := case when cardinality(one) >= cardinality(other) then other else one end;
begin
  for place in 1..cardinality(shorter) loop
    if shorter[place] > 0 then
      longer[place] := longer[place] + shorter[place];
    end if;
  end loop;
  return longer;
end $$;
comment on function add_times is 'The counts of both together.';

create aggregate sum_times(bigint[]) (sfunc = add_times, stype = bigint[], initcond = '{}', parallel = safe);
comment on aggregate sum_times(bigint[]) is 'The counts of all together.';

create function time_at(counts bigint[], share double precision) returns integer
language sql immutable parallel safe set search_path = public as $$
  select round(low + (high - low) * greatest(share * total - (upto - n), 0) / n)::integer
  from (
    select n, coalesce((time_edges())[place - 1], 0) as low, (time_edges())[least(place, 116)] as high,
      sum(n) over (order by place) as upto, sum(n) over () as total, place
    from unnest(counts) with ordinality v (n, place)
  ) x
  where n > 0 and upto >= share * total
  order by place limit 1
$$;
comment on function time_at is 'The time in milliseconds that this share of the counted ones is not above, to a tenth; null without any.';

-- Keeping them ------------------------------------------------------------------------------------------------------

create view usage_tail_days with (security_invoker = true) as
select u.workspace_id, u.day, u.purpose, u.provider, u.model, u.platform, u.outcome, count(*) as calls,
  count(*) filter (where u.fallback) as fallback_calls, count(*) filter (where u.estimated) as estimated_calls,
  sum(u.input_tokens) as input_tokens, sum(u.output_tokens) as output_tokens, sum(u.cached_tokens) as cached_tokens,
  sum(u.reasoning_tokens) as reasoning_tokens, coalesce(sum(u.cost), 0) as cost,
  count(*) filter (where u.cost is null) as cost_unknown_calls
from usage_tail t join usage u on u.id = t.usage_id
group by u.workspace_id, u.day, u.purpose, u.provider, u.model, u.platform, u.outcome;
comment on view usage_tail_days is 'What of the ledger is not rolled up yet, as the lines of usage_days that it will make.';

create view usage_tail_times with (security_invoker = true) as
select u.workspace_id, u.day, u.provider, u.model, count_times(array_agg(u.latency_ms::bigint)) as latencies,
  count_times(array_agg(u.first_token_ms::bigint)) as first_tokens
from usage_tail t join usage u on u.id = t.usage_id
where u.outcome in ('answered', 'handed_over')
group by u.workspace_id, u.day, u.provider, u.model;
comment on view usage_tail_times is 'The same as the lines of usage_times.';

create function roll_up_usage(max_rows integer default 5000) returns jsonb
language plpgsql volatile security invoker set search_path = public as $$
declare
  counted bigint;
begin
  if not pg_try_advisory_xact_lock(hashtext('switchboard.usage')) then
    return jsonb_build_object('calls', 0, 'more', false);
  end if;
  -- What is committed and in the tail is counted and leaves it, in one transaction: nothing depends on the order in which
  -- ids were taken or transactions ended, and doing it again finds nothing left to do.
  with taken as (
    delete from usage_tail t where t.ctid = any (array(
      select x.ctid from usage_tail x limit max_rows for update skip locked
    )) returning t.usage_id
  ), rows as materialized (
    select u.* from taken t join usage u on u.id = t.usage_id
  ), days as (
    insert into usage_days as d
    select u.workspace_id, u.day, u.purpose, u.provider, u.model, u.platform, u.outcome, count(*),
      count(*) filter (where u.fallback), count(*) filter (where u.estimated), sum(u.input_tokens),
      sum(u.output_tokens), sum(u.cached_tokens), sum(u.reasoning_tokens), coalesce(sum(u.cost), 0),
      count(*) filter (where u.cost is null)
    from rows u group by 1, 2, 3, 4, 5, 6, 7
    on conflict on constraint usage_days_key do update set
      calls = d.calls + excluded.calls, fallback_calls = d.fallback_calls + excluded.fallback_calls,
      estimated_calls = d.estimated_calls + excluded.estimated_calls,
      input_tokens = d.input_tokens + excluded.input_tokens, output_tokens = d.output_tokens + excluded.output_tokens,
      cached_tokens = d.cached_tokens + excluded.cached_tokens,
      reasoning_tokens = d.reasoning_tokens + excluded.reasoning_tokens, cost = d.cost + excluded.cost,
      cost_unknown_calls = d.cost_unknown_calls + excluded.cost_unknown_calls
  ), times as (
    insert into usage_times as d
    select u.workspace_id, u.day, u.provider, u.model, count_times(array_agg(u.latency_ms::bigint)),
      count_times(array_agg(u.first_token_ms::bigint))
    from rows u where u.outcome in ('answered', 'handed_over') group by 1, 2, 3, 4
    on conflict on constraint usage_times_key do update set
      latencies = add_times(d.latencies, excluded.latencies),
      first_tokens = add_times(d.first_tokens, excluded.first_tokens)
  ), customers as (
    insert into usage_customers as d
    select u.workspace_id, u.day, u.customer_id, count(*), sum(u.input_tokens + u.output_tokens),
      coalesce(sum(u.cost), 0), count(*) filter (where u.cost is null)
    from rows u where u.customer_id is not null group by 1, 2, 3
    on conflict on constraint usage_customers_pkey do update set
      calls = d.calls + excluded.calls, tokens = d.tokens + excluded.tokens, cost = d.cost + excluded.cost,
      cost_unknown_calls = d.cost_unknown_calls + excluded.cost_unknown_calls
  )
  select count(*) into counted from taken;
  return jsonb_build_object('calls', counted, 'more', counted >= max_rows);
end $$;
comment on function roll_up_usage is 'Counts up to `max_rows` calls of the tail into the days; by one at a time, again does no harm.';

create function rebuild_usage(from_day date, to_day date) returns jsonb
language plpgsql volatile security invoker set search_path = public as $$
declare
  due bigint;
begin
  perform pg_advisory_xact_lock(hashtext('switchboard.usage'));
  delete from usage_days d where d.day between from_day and to_day;
  delete from usage_times d where d.day between from_day and to_day;
  delete from usage_customers d where d.day between from_day and to_day;
  insert into usage_tail (workspace_id, usage_id)
  select u.workspace_id, u.id from usage u where u.day between from_day and to_day
  on conflict do nothing;
  get diagnostics due = row_count;
  return jsonb_build_object('calls', due);
end $$;
comment on function rebuild_usage is
  'Has the days from the first to the last counted anew from the ledger, by the next roll-ups; what is read stays right meanwhile.';
