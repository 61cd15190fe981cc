-- Exports, read a page at a time: every conversation that fits in the order of (created_at, id), its messages in the order
-- of `seq`, up to a watermark. No page holds more than so many messages and bytes, whatever a conversation holds.

create index conversations_by_start on conversations (workspace_id, created_at, id) where deleted_at is null;

-- Who may, and what fits -----------------------------------------------------------------------------------------------

create function require_exporter(caller jsonb, workspace_id bigint) returns bigint
language plpgsql stable security invoker set search_path = public as $$
begin
  if not require_exporter.workspace_id = any (visible_workspaces(caller)) then
    raise exception using errcode = 'PT404', message = 'There is no such workspace.';
  end if;
  perform require_role(caller, require_exporter.workspace_id, 'owner');
  return require_exporter.workspace_id;
end $$;
comment on function require_exporter is 'The workspace; PT404 when unseen, PT403 for who is neither its owner nor an admin.';

create function check_export_filters(workspace_id bigint, filters jsonb, services text[]) returns void
language plpgsql stable security invoker set search_path = public as $$
declare
  today constant date := local_day(check_export_filters.workspace_id, now());
  service constant text := filters ->> 'ai_service';
  field text;
begin
  foreach field in array array['start_date', 'end_date'] loop
    if (filters ->> field)::date > today then
      raise exception using errcode = 'PT422', message = format(
        '%s: %s is in the future: the last day there can be is %s.', field, filters ->> field, today
      );
    end if;
  end loop;
  -- One that is no longer configured may have answered once; the ledger knows.
  if service is not null and service <> all (services) and not exists (
    select from usage_lines u where u.workspace_id = check_export_filters.workspace_id and u.provider = service
  ) then
    raise exception using errcode = 'PT422', message = format(
      'ai_service: no service %s has answered here: use one of %s.', to_jsonb(service), array_to_string(services, ', ')
    );
  end if;
end $$;
comment on function check_export_filters is 'Refuses with PT422 days that are still to come and services nobody knows.';

create function exported_conversations(
  workspace_id bigint, filters jsonb, watermark bigint, after_time timestamptz default null, after_id bigint default null,
  max_rows integer default null
) returns table (place bigint, conversation_id bigint, created_at timestamptz, messages bigint)
language plpgsql stable security invoker set search_path = public set plan_cache_mode = force_custom_plan as $$
#variable_conflict use_column
declare
  zone constant text := coalesce(
    (select w.business_hours ->> 'time_zone' from workspaces w where w.id = exported_conversations.workspace_id), 'UTC'
  );
  first constant timestamptz := (filters ->> 'start_date')::timestamp at time zone zone;
  beyond constant timestamptz := ((filters ->> 'end_date')::date + 1)::timestamp at time zone zone;
  least_messages constant bigint := coalesce((filters ->> 'min_messages')::bigint, 1);
  through constant bigint[] := case when filters ->> 'channel' is not null then array(
    select ch.id from channels ch
    where ch.workspace_id = exported_conversations.workspace_id
      and ch.platform = case filters ->> 'channel' when 'facebook' then 'messenger' else filters ->> 'channel' end
  ) end;
begin
  return query
    select row_number() over (order by c.created_at, c.id), c.id, c.created_at, c.last_seq from conversations c
    where c.workspace_id = exported_conversations.workspace_id and c.deleted_at is null
      and (after_id is null or (c.created_at, c.id) > (after_time, after_id))
      and (first is null or c.created_at >= first) and (beyond is null or c.created_at < beyond)
      and (filters ->> 'status' is null or case filters ->> 'status'
        when 'active' then c.lifecycle = 'open' else wire_status(c.lifecycle, c.handler) = filters ->> 'status'
      end)
      and (filters ->> 'completed' is null or c.lifecycle <> 'open')
      and (filters ->> 'agent' is null or c.agent_id = (filters ->> 'agent')::bigint)
      and (through is null or c.channel_id = any (through))
      -- The message of this number was there, at the watermark: what came later does not make a conversation longer.
      and c.last_seq >= least_messages and coalesce((
        select m.id from messages m
        where m.workspace_id = c.workspace_id and m.conversation_id = c.id and m.seq >= least_messages
        order by m.seq limit 1
      ) <= watermark, false)
      and (filters ->> 'ai_service' is null or exists (
        select from messages m
        where m.workspace_id = c.workspace_id and m.conversation_id = c.id and m.sender_type = 'bot'
          and m.provider = filters ->> 'ai_service' and m.id <= watermark
      ))
      and (filters ->> 'rating' is null or exists (
        select from messages m join ratings r on r.workspace_id = m.workspace_id and r.message_id = m.id
        where m.workspace_id = c.workspace_id and m.conversation_id = c.id and m.id <= watermark
          and r.score = (filters ->> 'rating')::integer
      ))
      and (filters ->> 'flag' is null or exists (
        select from messages m join flags f on f.workspace_id = m.workspace_id and f.message_id = m.id
        where m.workspace_id = c.workspace_id and m.conversation_id = c.id and m.id <= watermark
          and filters ->> 'flag' in ('any', f.flag_type)
      ))
      and (filters ->> 'corrected' is null or exists (
        select from corrections k
        where k.workspace_id = c.workspace_id and k.conversation_id = c.id and k.message_id <= watermark
      ))
    order by c.created_at, c.id limit max_rows;
end $$;
comment on function exported_conversations is
  'The conversations an export is of, in its order, after one of them; `messages` is how many there are by now.';

-- Reading them ---------------------------------------------------------------------------------------------------------

-- json, not jsonb, here and below: text that is put together once, where jsonb would be built and then written out. And no
-- function for each row: one that cannot be written out in the query costs more than the row does.
create function exported_messages(
  workspace_id bigint, conversation_ids bigint[], watermark bigint, options jsonb, after_seq bigint default 0,
  max_messages integer default 2000, max_bytes bigint default 4000000
) returns table (place bigint, conversation_id bigint, up_to bigint, told json)
language plpgsql stable security invoker set search_path = public set timezone = 'UTC'
set plan_cache_mode = force_generic_plan as $$
declare
  judged constant boolean := coalesce((options ->> 'judged')::boolean, false);
  corrected constant boolean := coalesce((options ->> 'corrected')::boolean, false);
begin
  return query
    with said as materialized (
      select i.place, x.*, sum(octet_length(x.content)) over w - octet_length(x.content) as before
      from unnest(conversation_ids) with ordinality i (id, place)
      cross join lateral (
        select m.conversation_id, m.id as message_id, m.seq, m.sent_at, m.sender_type, m.provider, m.model, m.reply_to_id,
          m.created_at, case when m.unsent_at is null then m.content else '' end as content,
          m.unsent_at is null and coalesce(m.delivery_state not in ('cancelled', 'failed'), true) as heard,
          case when m.attachments <> '[]' then m.attachments end as attachments
        from messages m
        where m.workspace_id = exported_messages.workspace_id and m.conversation_id = i.id and m.id <= watermark
          and m.seq > case i.place when 1 then coalesce(after_seq, 0) else 0 end
        order by m.seq limit max_messages
      ) x
      window w as (order by i.place, x.seq)
      order by i.place, x.seq limit max_messages
    )
    select s.place, s.conversation_id, max(s.seq), json_agg(json_build_array(
      s.message_id, s.sent_at, s.sender_type, s.content, s.seq, s.provider, s.model, s.reply_to_id,
      case when s.sender_type = 'bot' then s.created_at end, s.heard,
      case when s.attachments is not null then (
        select json_agg(coalesce(f ->> 'type', 'file')) from jsonb_array_elements(s.attachments) f
      ) end,
      case when judged and s.sender_type = 'bot' then (
        select json_agg(json_build_object('score', r.score, 'comment', r.comment) order by r.id) from ratings r
        where r.workspace_id = exported_messages.workspace_id and r.message_id = s.message_id
      ) end,
      case when judged and s.sender_type = 'bot' then (
        select json_agg(json_build_object(
          'flag_type', f.flag_type, 'comment', f.comment, 'outcome', f.outcome
        ) order by f.id) from flags f
        where f.workspace_id = exported_messages.workspace_id and f.message_id = s.message_id
      ) end,
      case when corrected and s.sender_type = 'bot' then (
        select json_build_object(
          'question', k.question, 'context', k.context, 'answer', k.answer, 'better_answer', k.better_answer
        ) from corrections k
        where k.workspace_id = exported_messages.workspace_id and k.message_id = s.message_id
      ) end
    ) order by s.seq)
    from said s where s.before < max_bytes group by s.place, s.conversation_id;
end $$;
comment on function exported_messages is
  'What was said in conversations, of the first one after `after_seq`: arrays, see exports/conversation.py, until there are
`max_messages` or more than `max_bytes`. Who judged a message is not told.';

create function exported_parts(
  workspace_id bigint, conversation_ids bigint[], watermark bigint, options jsonb, after_seq bigint default 0,
  max_messages integer default 2000, max_bytes bigint default 4000000
) returns json
language plpgsql stable security invoker set search_path = public set timezone = 'UTC'
set plan_cache_mode = force_generic_plan as $$
begin
  return (
    with parts as materialized (
      select m.place, m.up_to, m.told, c.*
      from exported_messages(
        exported_parts.workspace_id, conversation_ids, watermark, options, after_seq, max_messages, max_bytes
      ) m
      join conversations c on c.workspace_id = exported_parts.workspace_id and c.id = m.conversation_id
    )
    select json_build_object(
      'parts', (
        select coalesce(json_agg(json_build_array(json_build_object(
          'id', t.id, 'title', t.title, 'created_at', t.created_at,
          -- As wire_status and wire_platform say it: a call of them would take longer than all the rest.
          'status', case when t.lifecycle <> 'open' then t.lifecycle when t.handler = 'ai' then 'active' else 'support_active' end,
          'guest_id', p.external_id, 'name', p.name, 'email', p.email, 'phone', p.metadata ->> 'phone',
          'ip', p.metadata ->> 'ip_address',
          'channel', case ch.platform when 'messenger' then 'facebook' else ch.platform end,
          'agent', a.name, 'agent_id', a.id, 'summary', nullif(s.content, '')
        ), t.told) order by t.place), '[]')
        from parts t
        join customers p on p.workspace_id = t.workspace_id and p.id = t.customer_id
        join channels ch on ch.workspace_id = t.workspace_id and ch.id = t.channel_id
        left join agents a on a.id = t.agent_id
        left join summaries s on s.workspace_id = t.workspace_id and s.conversation_id = t.id
      ),
      'after', (
        select json_build_array(t.created_at, t.id, case when exists (
          select from messages m
          where m.workspace_id = t.workspace_id and m.conversation_id = t.id and m.id <= watermark and m.seq > t.up_to
        ) then t.up_to end) from parts t order by t.place desc limit 1
      )
    )
  );
end $$;
comment on function exported_parts is
  'Conversations with what was said in them: {parts: [[conversation, messages], …], after: [created_at, id, seq]}; `seq` where the
last one goes on.';

create function exported_page(
  workspace_id bigint, filters jsonb, watermark bigint, options jsonb default '{}', after jsonb default null,
  max_messages integer default 2000, max_bytes bigint default 4000000
) returns json
language plpgsql stable security invoker set search_path = public as $$
declare
  -- One that was begun is finished, whatever it has become meanwhile.
  begun constant bigint[] := case when after ->> 2 is not null then array[(after ->> 1)::bigint] else '{}' end;
begin
  return exported_parts(exported_page.workspace_id, begun || array(
    select x.conversation_id from (
      select e.*, sum(e.messages) over (order by e.place) - e.messages as before
      from exported_conversations(
        exported_page.workspace_id, filters, watermark, (after ->> 0)::timestamptz, (after ->> 1)::bigint, 500
      ) e
    ) x where x.before < max_messages order by x.place
  ), watermark, options, (after ->> 2)::bigint, max_messages, max_bytes);
end $$;
comment on function exported_page is 'The next page of an export, for those whose right to it is known.';

create function export_page(
  caller jsonb, workspace_id bigint, filters jsonb, watermark bigint, options jsonb default '{}',
  after jsonb default null, max_messages integer default 2000, max_bytes bigint default 4000000
) returns json
language plpgsql stable security invoker set search_path = public as $$
begin
  return exported_page(
    require_exporter(caller, export_page.workspace_id), filters, watermark, options, after, max_messages, max_bytes
  );
end $$;
comment on function export_page is
  'The next page of an export, see exported_parts; `after` is that of the page before. No parts: that was all.';

create function export_sample(
  caller jsonb, workspace_id bigint, conversation_ids bigint[], watermark bigint, options jsonb default '{}',
  max_messages integer default 2000
) returns json
language plpgsql stable security invoker set search_path = public as $$
begin
  return exported_parts(
    require_exporter(caller, export_sample.workspace_id), conversation_ids, watermark, options, 0, max_messages
  );
end $$;
comment on function export_sample is 'Some conversations by their ids, as export_page tells them.';

create function measure_export(
  caller jsonb, workspace_id bigint, filters jsonb, watermark bigint, samples integer default 0
) returns jsonb
language plpgsql stable security invoker set search_path = public as $$
declare
  w constant bigint := require_exporter(caller, measure_export.workspace_id);
begin
  return (
    with found as materialized (
      select e.place, e.conversation_id, e.messages from exported_conversations(w, filters, watermark) e
    ), total as (
      select count(*) as conversations, coalesce(sum(f.messages), 0) as messages from found f
    )
    select jsonb_build_object('conversations', t.conversations, 'messages', t.messages, 'sample', (
      -- Every so manieth one, from the middle of the first step on.
      select coalesce(jsonb_agg(f.conversation_id order by f.place), '[]') from found f
      where samples > 0 and (f.place - 1 + greatest(t.conversations / samples, 1) / 2 + 1)
        % greatest(t.conversations / samples, 1) = 0
    ))
    from total t
  );
end $$;
comment on function measure_export is
  'How many conversations and messages an export would hold, and the ids of about `samples` conversations evenly spread over it.';

-- From begin to end ----------------------------------------------------------------------------------------------------

create function begin_export(
  caller jsonb, workspace_id bigint, details jsonb, services text[], deed text default null, watermark jsonb default null
) returns jsonb
language plpgsql volatile security invoker set search_path = public set timezone = 'UTC' as $$
declare
  w constant bigint := require_exporter(caller, begin_export.workspace_id);
  mark constant jsonb := coalesce(watermark, jsonb_build_object('message_id', coalesce((
    select max(m.id) from messages m where m.workspace_id = w
  ), 0), 'at', now()));
begin
  perform check_export_filters(w, details -> 'filters', services);
  if deed is not null then
    perform write_audit(caller, w, deed, 'workspace:' || w, details);
  end if;
  -- Whoever was writing a message below the mark had a transaction's number by then, and this one's is higher: it is taken
  -- after the mark.
  return jsonb_build_object('watermark', mark, 'running', pg_current_xact_id()::text);
end $$;
comment on function begin_export is
  'Lets an export begin, and writes that down as `deed`: {watermark: {message_id, at}, running: see export_settled}.';

create function export_settled(running text) returns boolean
language sql stable security invoker set search_path = public as $$
  select pg_snapshot_xmin(pg_current_snapshot()) >= export_settled.running::xid8
$$;
comment on function export_settled is
  'Whether everything that was under way when an export began has ended: no message below the watermark can come any more.';

create function end_export(caller jsonb, workspace_id bigint, deed text, details jsonb) returns void
language plpgsql volatile security invoker set search_path = public as $$
declare
  w constant bigint := require_exporter(caller, end_export.workspace_id);
begin
  perform write_audit(caller, w, deed, 'workspace:' || w, details);
end $$;
comment on function end_export is 'Writes down how an export, or a preview of one, ended: counts and a hash, never contents.';

-- The dashboard --------------------------------------------------------------------------------------------------------

create function export_statistics(caller jsonb, workspace_id bigint, days integer default null) returns jsonb
language plpgsql stable security invoker set search_path = public set plan_cache_mode = force_custom_plan as $$
declare
  w constant bigint := require_exporter(caller, export_statistics.workspace_id);
  -- A day that is always there: with infinity in it no index would be read as it should.
  first constant date := case when days is null then '1970-01-01'::date else local_day(w, now()) - days + 1 end;
begin
  return (
    with begun as materialized (
      select * from conversation_lines(w, first)
    ), happened as materialized (
      select * from activity_lines(w, first)
    ), sums as (
      select coalesce(sum(b.conversations), 0) as conversations,
        coalesce(sum(b.conversations) filter (where b.answered), 0) as answered,
        coalesce(sum(b.messages) filter (where b.answered), 0) as messages,
        coalesce(sum(b.ratings), 0) as ratings, coalesce(sum(b.score), 0) as score, coalesce(sum(b.flags), 0) as flags
      from begun b
    ), answers as (
      select coalesce(sum(h.events) filter (where h.type in ('reply.answered', 'reply.handed_over')), 0) as ai,
        coalesce(sum(h.events) filter (where h.type = 'reply.handed_over'), 0) as handed_over,
        coalesce(sum(h.events) filter (where h.type = 'message.sent_by_human'), 0) as people,
        coalesce(sum_times(h.waits) filter (where h.type in ('reply.answered', 'reply.handed_over')), '{}') as waits,
        coalesce(sum(h.waited_ms) filter (where h.type in ('reply.answered', 'reply.handed_over')), 0) as waited_ms
      from happened h
    ), services as (
      select u.provider, sum(u.calls) as responses from usage_lines u
      where u.workspace_id = w and u.day >= first and u.purpose = 'reply' and u.outcome in ('answered', 'handed_over')
      group by u.provider
    ), active as (
      select coalesce(b.day, h.day) as day, coalesce(b.conversations, 0) as conversations, coalesce(h.responses, 0) as responses
      from (
        select x.day, sum(x.conversations) as conversations from begun x where x.answered group by x.day
      ) b full join (
        select x.day, sum(x.events) as responses from happened x
        where x.type in ('reply.answered', 'reply.handed_over') group by x.day
      ) h on h.day = b.day
      where b.conversations > 0 or h.responses > 0
    )
    select jsonb_build_object(
      'workspace', w, 'days', days,
      'total_ai_conversations', s.answered, 'total_conversations', s.conversations, 'total_messages', s.messages,
      'ai_services', (
        select coalesce(jsonb_agg(jsonb_build_object(
          'service', v.provider, 'responses', v.responses,
          'share', round(v.responses / nullif((select sum(x.responses) from services x), 0), 4)
        ) order by v.responses desc, v.provider), '[]') from services v
      ),
      'outcomes', (
        select jsonb_object_agg(o.status, coalesce(b.conversations, 0))
        from unnest(array['active', 'support_active', 'resolved', 'archived', 'closed']) o (status)
        left join (
          select x.status, sum(x.conversations) as conversations from begun x where x.answered group by x.status
        ) b on b.status = o.status
      ),
      'average_conversation_length', round(s.messages / nullif(s.answered, 0), 2),
      'most_active_days', (
        select coalesce(jsonb_agg(jsonb_build_object(
          'day', t.day, 'conversations', t.conversations, 'responses', t.responses
        ) order by t.conversations desc, t.responses desc, t.day desc), '[]')
        from (select * from active a order by a.conversations desc, a.responses desc, a.day desc limit 7) t
      ),
      'effectiveness', jsonb_build_object(
        'average_rating', round(s.score / nullif(s.ratings, 0), 2), 'rating_count', s.ratings, 'flag_count', s.flags,
        'hand_over_rate', round(a.handed_over / nullif(a.ai, 0), 4),
        'ai_share', round(a.ai / nullif(a.ai + a.people, 0), 4),
        'response_times', waits_of(a.waits, a.waited_ms)
      )
    )
    from sums s cross join answers a
  );
end $$;
comment on function export_statistics is
  'The figures of the export page, of the last days or of all: from what is counted by the day, right up to this moment.';
