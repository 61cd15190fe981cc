-- What has changed from one week to the next: topics that rise, questions without an answer, ratings that fall. A week is
-- looked at once, when it is over (due_weeks -> count_topics for it and the four before -> keep_week), and kept as figures.

create table trend_weeks (
  workspace_id bigint not null references workspaces on delete cascade,
  week date not null check (extract(isodow from week) = 1),
  kind text not null check (kind in ('week', 'topic', 'question', 'agent', 'model')),
  place integer not null,
  figures jsonb not null,
  computed_at timestamptz not null default now(),
  primary key (workspace_id, week, kind, place)
);
comment on table trend_weeks is 'Weeks of the workspace''s clock, by their Monday: one line of `week` says that it has been looked at, the others what
stood out. No word or question is kept that fewer than three customers have said.';

create function local_midnight(workspace_id bigint, day date) returns timestamptz
language sql stable security invoker set search_path = public as $$
  select local_midnight.day::timestamp at time zone coalesce(
    (select w.business_hours ->> 'time_zone' from workspaces w where w.id = local_midnight.workspace_id), 'UTC'
  )
$$;
comment on function local_midnight is 'When a day begins by the clock of the workspace.';

create function due_weeks(most integer default 12) returns jsonb
language sql stable security invoker set search_path = public as $$
  select coalesce(jsonb_agg(jsonb_build_object('workspace_id', w.id, 'week', g.week) order by w.id, g.week), '[]')
  from workspaces w
  cross join lateral (
    select date_trunc('week', local_day(w.id, now()))::date - 7 * n as week from generate_series(1, most) n
  ) g
  where g.week + 7 > local_day(w.id, w.created_at) and not exists (
    select from trend_weeks t where t.workspace_id = w.id and t.week = g.week and t.kind = 'week'
  )
$$;
comment on function due_weeks is 'The weeks that are over and not looked at yet, of the last `most`: [{workspace_id, week}], the oldest first.';

-- Topics ------------------------------------------------------------------------------------------------------------

create function topic_language(workspace_id bigint) returns regconfig
language sql stable security invoker set search_path = public as $$
  select coalesce(
    (
      select d.indexed_language from knowledge_documents d
      where d.workspace_id = topic_language.workspace_id and d.indexed_language is not null
      group by 1 order by sum(d.chunks) desc, d.indexed_language limit 1
    ),
    (select w.language from workspaces w where w.id = topic_language.workspace_id)
  )
$$;
comment on function topic_language is 'The language of most of what a workspace knows; its own where it knows nothing.';

create function week_questions(workspace_id bigint, week date, most integer)
returns table (conversation_id bigint, customer_id bigint, message_id bigint, content text)
language sql stable security invoker set search_path = public as $$
  select c.id, c.customer_id, m.id, left(m.content, 300) from (
    -- Always the same ones of a week, and as if by lot: their share says what it says of all.
    select x.id, x.customer_id, x.last_seq from conversations x
    where x.workspace_id = week_questions.workspace_id and x.deleted_at is null
      and x.last_message_at >= local_midnight(week_questions.workspace_id, week)
      and x.created_at < local_midnight(week_questions.workspace_id, week + 7)
    order by hashint8extended(x.id, 0), x.id limit most
  ) c
  cross join lateral (
    select y.id, y.content from messages y
    where y.workspace_id = week_questions.workspace_id and y.conversation_id = c.id and y.seq > c.last_seq - 500
      and y.sender_type = 'user' and y.unsent_at is null
      and y.created_at >= local_midnight(week_questions.workspace_id, week)
      and y.created_at < local_midnight(week_questions.workspace_id, week + 7)
    order by y.seq desc limit 20
  ) m
  limit 4 * most
$$;
comment on function week_questions is
  'What customers said in a week, in up to `most` conversations by lot: of each the last 20 of its 500 latest messages,
and no more than four times `most` in all.';

create function question_tokens(content text) returns table (word text, before text)
language sql immutable parallel safe as $$
  select p.word, p.before from (
    -- Words alone: no numbers, addresses and file names. Two words are neighbours where a space is all that is between.
    select t.tokid, lower(t.token) as word, case
        when lag(t.token) over o ~ '^[ \t]+$' and lag(t.tokid, 2) over o in (1, 2, 10, 11)
        then lower(lag(t.token, 2) over o)
      end as before
    from ts_parse('default', content) with ordinality t (tokid, token, place)
    window o as (order by t.place)
  ) p
  where p.tokid in (1, 2, 10, 11) and length(p.word) between 2 and 40
$$;
comment on function question_tokens is 'The words of a text in small letters, each with its neighbour before it, or null.';

create function count_topics(
  workspace_id bigint, week date, terms text[] default null, most integer default 3000, fewest integer default 5
) returns jsonb
language plpgsql stable security invoker set search_path = public set work_mem = '64MB' as $$
declare
  language constant regconfig := topic_language(count_topics.workspace_id);
  counted jsonb;
begin
  with said as materialized (
    select * from week_questions(count_topics.workspace_id, count_topics.week, most)
  ), tokens as materialized (
    select s.conversation_id, s.customer_id, t.word, t.before from said s cross join lateral question_tokens(s.content) t
  ), words as materialized (
    -- Each word is looked up once, not each time it is said; stop words have no stem.
    select d.word, l.lexeme from (select distinct k.word from tokens k) d
    cross join lateral (select u.lexeme from unnest(to_tsvector(language, d.word)) u limit 1) l
  ), spoken as materialized (
    select x.term, x.said_as, x.conversation_id, x.customer_id, count(*) as times from (
      select w.lexeme as term, k.word as said_as, k.conversation_id, k.customer_id
      from tokens k join words w on w.word = k.word
      union all
      select b.lexeme || ' ' || w.lexeme, k.before || ' ' || k.word, k.conversation_id, k.customer_id
      from tokens k join words w on w.word = k.word join words b on b.word = k.before
    ) x
    where terms is null or x.term = any (terms)
    group by 1, 2, 3, 4
  ), sums as (
    select s.term, sum(s.times) as times, count(distinct s.conversation_id) as conversations,
      count(distinct s.customer_id) as customers
    from spoken s group by s.term
    having terms is not null or count(distinct s.customer_id) >= 3 and count(distinct s.conversation_id) >= fewest
    order by 3 desc, 1 limit 5000
  ), names as (
    -- As most people write it; as its stem, where no way of writing it is that of three.
    select distinct on (s.term) s.term, s.said_as from spoken s
    where terms is null and s.term in (select u.term from sums u)
    group by s.term, s.said_as having count(distinct s.customer_id) >= 3
    order by s.term, sum(s.times) desc, s.said_as
  )
  select jsonb_build_object(
    'conversations', (select count(distinct s.conversation_id) from said s), 'topics', coalesce(jsonb_agg(
      jsonb_build_object(
        'term', u.term, 'name', coalesce(n.said_as, u.term), 'count', u.times, 'conversations', u.conversations,
        'customers', u.customers
      ) order by u.conversations desc, u.term
    ), '[]')
  ) into counted
  from sums u left join names n on n.term = u.term;
  return counted;
end $$;
comment on function count_topics is
  'Words and pairs of words that customers said in a week: {conversations: how many were looked at, topics}; those that three
customers said in `fewest` conversations or, given `terms`, those.';

create function g_square(one bigint, of_one bigint, other bigint, of_other bigint) returns double precision
language sql immutable parallel safe as $$
  select 2 * coalesce(sum(c.seen * ln(c.seen / c.expected)) filter (where c.seen > 0), 0) from (
    select x.seen::double precision, x.of * x.all_seen::double precision / nullif(of_one + of_other, 0) as expected
    from (values
      (one, of_one, one + other), (other, of_other, one + other),
      (of_one - one, of_one, of_one + of_other - one - other),
      (of_other - other, of_other, of_one + of_other - one - other)
    ) x (seen, of, all_seen)
  ) c
$$;
comment on function g_square is
  'The log-likelihood ratio of two shares (Dunning, Computational Linguistics 19, 1993): how unlikely it is that they are one.';

create function rising_topics(counts jsonb) returns table (place integer, figures jsonb)
language sql immutable security invoker set search_path = public as $$
  with weeks as (
    select w.one, w.place, (w.one ->> 'conversations')::bigint as looked_at
    from jsonb_array_elements(counts) with ordinality w (one, place)
  ), ours as (
    select sum(w.looked_at) filter (where w.place = 1) as now, sum(w.looked_at) filter (where w.place > 1) as before,
      count(*) filter (where w.place > 1 and w.looked_at > 0) as weeks
    from weeks w
  ), earlier as (
    select t.value ->> 'term' as term, sum((t.value ->> 'conversations')::bigint) as conversations
    from weeks w cross join lateral jsonb_array_elements(w.one -> 'topics') t where w.place > 1 group by 1
  ), compared as materialized (
    select t.term, t.name, t.count, t.conversations, t.customers, coalesce(e.conversations, 0) as earlier, o.*,
      g_square(t.conversations, o.now::bigint, coalesce(e.conversations, 0)::bigint, o.before::bigint) as g
    from weeks w
    cross join ours o
    cross join lateral jsonb_to_recordset(w.one -> 'topics')
      t (term text, name text, count bigint, conversations bigint, customers bigint)
    left join earlier e on e.term = t.term
    -- A share of next to nothing is none: a workspace's first weeks have no trends.
    where w.place = 1 and o.now >= 20 and o.before >= 20
  ), risen as (
    select c.* from compared c
    -- One in ten thousand, were nothing changed: of thousands of words, hardly any is shown by chance.
    where c.conversations / c.now > c.earlier / c.before and c.g >= 15.13
  )
  select (row_number() over (order by r.g desc, r.term))::integer, jsonb_build_object(
    'topic', r.name, 'count', r.count, 'conversations', r.conversations, 'customers', r.customers,
    'previous_conversations', r.earlier, 'previous_mean', round(r.earlier / r.weeks, 2),
    'ratio', round(r.conversations / r.now / nullif(r.earlier / r.before, 0), 2), 'g2', round(r.g::numeric, 2)
  )
  from risen r
  -- "Oat" and "milk" say nothing beside "oat milk".
  where position(' ' in r.term) > 0 or not exists (
    select from risen p
    where r.term = any (string_to_array(p.term, ' ')) and p.term <> r.term and p.conversations >= 0.8 * r.conversations
  )
  order by r.g desc, r.term limit 50
$$;
comment on function rising_topics is
  'What is said in a greater share of the first week''s conversations than in the others'', the least likely first.';

-- Questions and ratings -----------------------------------------------------------------------------------------------

create function repeated_questions(workspace_id bigint, week date, weeks_before integer)
returns table (place integer, figures jsonb)
language sql stable security invoker set search_path = public set work_mem = '64MB' as $$
  with asked as materialized (
    select question_words(k.question) as words, c.customer_id,
      k.asked_at >= local_midnight(repeated_questions.workspace_id, week) as now
    from knowledge_questions k
    join conversations c on c.workspace_id = k.workspace_id and c.id = k.conversation_id and c.deleted_at is null
    where k.workspace_id = repeated_questions.workspace_id
      and k.asked_at >= local_midnight(repeated_questions.workspace_id, week - 28)
      and k.asked_at < local_midnight(repeated_questions.workspace_id, week + 7)
  ), sums as (
    select a.words, count(*) filter (where a.now) as times, count(*) filter (where not a.now) as earlier,
      count(distinct a.customer_id) filter (where a.now) as customers
    from asked a group by a.words
  )
  select 0, jsonb_build_object(
    'unanswered', coalesce(sum(s.times), 0), 'previous_unanswered', coalesce(sum(s.earlier), 0),
    'previous_unanswered_mean', round(coalesce(sum(s.earlier), 0) / nullif(weeks_before, 0), 2)
  ) from sums s
  union all
  select * from (
    select (row_number() over (order by s.times desc, s.words))::integer as place, jsonb_build_object(
      'question', left(s.words, 500), 'count', s.times, 'customers', s.customers, 'previous_count', s.earlier,
      'previous_mean', round(s.earlier::numeric / nullif(weeks_before, 0), 2)
    )
    from sums s where s.customers >= 3 order by s.times desc, s.words limit 50
  ) q
$$;
comment on function repeated_questions is
  'Questions that found nothing in a week, the most frequent first, if three customers asked them; place 0: all of them together.';

create function fallen_ratings(workspace_id bigint, week date, kind text, fewest integer default 10)
returns table (place integer, figures jsonb)
language sql stable security invoker set search_path = public as $$
  with felt as materialized ( -- once, however it is joined: what is not counted yet is added up here
    select f.* from feedback_message_lines f
    where f.workspace_id = fallen_ratings.workspace_id and f.day between week - 28 and week + 6 and f.rating_count > 0
      and (fallen_ratings.kind <> 'agent' or f.agent_id is not null)
  ), lines as (
    select case fallen_ratings.kind
        when 'agent' then jsonb_build_object('agent_id', f.agent_id)
        else jsonb_build_object('provider', f.provider, 'model', f.model)
      end as whose, f.day >= week as now, f.rating_count as n, f.rating_sum as s, f.rating_squares as q
    from felt f
    join messages m on m.workspace_id = f.workspace_id and m.id = f.message_id
    join conversations c on c.workspace_id = m.workspace_id and c.id = m.conversation_id and c.deleted_at is null
  ), sums as (
    select l.whose, sum(l.n) filter (where l.now) as n, sum(l.s) filter (where l.now) as s,
      sum(l.q) filter (where l.now) as q, sum(l.n) filter (where not l.now) as n0,
      sum(l.s) filter (where not l.now) as s0, sum(l.q) filter (where not l.now) as q0
    from lines l group by l.whose
  ), compared as (
    select x.*, x.s / x.n - x.s0 / x.n0 as difference,
      ((x.q - x.s * x.s / x.n) / (x.n - 1) / x.n + (x.q0 - x.s0 * x.s0 / x.n0) / (x.n0 - 1) / x.n0) as spread
    from sums x where x.n >= fewest and x.n0 >= fewest
  ), judged as (
    -- Welch's t; everybody of one mind in both is as sure as can be, and has none.
    select c.*, case when c.spread > 1e-9 then c.difference / sqrt(c.spread) end as t from compared c where c.difference < 0
  )
  select (row_number() over (order by j.difference, j.whose::text))::integer, j.whose || jsonb_build_object(
    'average', round(j.s / j.n, 2), 'count', j.n, 'previous_average', round(j.s0 / j.n0, 2), 'previous_count', j.n0,
    'difference', round(j.difference, 2), 't', round(j.t, 2)
  )
  from judged j where coalesce(j.t, -99) <= -2 order by j.difference, j.whose::text limit 50
$$;
comment on function fallen_ratings is
  'Agents or models rated lower in a week than in the four before, with `fewest` ratings in both, by at least two standard errors.';

-- Keeping and reading -------------------------------------------------------------------------------------------------

create function keep_week(workspace_id bigint, week date, counts jsonb) returns jsonb
language plpgsql volatile security invoker set search_path = public as $$
declare
  weeks_before constant integer := (
    select count(*) from jsonb_array_elements(counts) with ordinality c (one, place)
    where c.place > 1 and (c.one ->> 'conversations')::bigint > 0
  );
begin
  -- Whoever is second finds the week kept, and leaves it as it is.
  insert into trend_weeks (workspace_id, week, kind, place, figures)
  select keep_week.workspace_id, keep_week.week, 'week', 0, q.figures || jsonb_build_object(
    'conversations', counts -> 0 -> 'conversations', 'previous_weeks', weeks_before, 'previous_conversations', (
      select coalesce(sum((c.one ->> 'conversations')::bigint), 0)
      from jsonb_array_elements(counts) with ordinality c (one, place) where c.place > 1
    )
  )
  from repeated_questions(keep_week.workspace_id, keep_week.week, weeks_before) q
  where q.place = 0 and exists (select from workspaces w where w.id = keep_week.workspace_id)
  on conflict do nothing;
  if not found then
    return jsonb_build_object('kept', false);
  end if;
  insert into trend_weeks (workspace_id, week, kind, place, figures)
  select keep_week.workspace_id, keep_week.week, x.kind, x.place, x.figures from (
    select 'topic' as kind, t.* from rising_topics(counts) t
    union all
    select 'question', q.* from repeated_questions(keep_week.workspace_id, keep_week.week, weeks_before) q where q.place > 0
    union all
    select k.kind, f.* from unnest(array['agent', 'model']) k (kind)
    cross join lateral fallen_ratings(keep_week.workspace_id, keep_week.week, k.kind) f
  ) x;
  delete from trend_weeks t where t.workspace_id = keep_week.workspace_id and t.week < keep_week.week - 7 * 12;
  return jsonb_build_object('kept', true);
end $$;
comment on function keep_week is
  'Keeps what stood out in a week, once; `counts` are those of count_topics for it and for the four weeks before it.';

create function list_trends(caller jsonb, workspace_id bigint, weeks integer default 4) returns jsonb
language plpgsql stable security invoker set search_path = public as $$
declare
  this_week constant date := date_trunc('week', local_day(list_trends.workspace_id, now()))::date;
begin
  if not list_trends.workspace_id = any (visible_workspaces(caller)) then
    raise exception using errcode = 'PT404', message = 'There is no such workspace.';
  end if;
  return (
    select coalesce(jsonb_agg(w.figures || jsonb_build_object(
      'workspace', w.workspace_id, 'week', to_char(w.week, 'IYYY-"W"IW'), 'from', w.week, 'to', w.week + 6,
      'computed_at', w.computed_at, 'topics', trend_lines(w, 'topic'), 'questions', trend_lines(w, 'question'),
      'agents', trend_lines(w, 'agent'), 'models', trend_lines(w, 'model')
    ) order by w.week desc), '[]')
    from trend_weeks w
    where w.workspace_id = list_trends.workspace_id and w.kind = 'week' and w.week >= this_week - 7 * weeks
  );
end $$;
comment on function list_trends is 'What stood out in the last weeks of a workspace that are over and have been looked at, latest first.';

create function trend_lines(w trend_weeks, kind text) returns jsonb
language sql stable security invoker set search_path = public as $$
  select coalesce(jsonb_agg(case trend_lines.kind
    when 'agent' then t.figures || jsonb_build_object('name', (
      select a.name from agents a where a.id = (t.figures ->> 'agent_id')::bigint
    ))
    else t.figures
  end order by t.place), '[]')
  from trend_weeks t where t.workspace_id = w.workspace_id and t.week = w.week and t.kind = trend_lines.kind
$$;
comment on function trend_lines is 'The lines of one kind of a week, the most striking first.';
