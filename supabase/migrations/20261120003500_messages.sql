set local lock_timeout = '5s';

-- What a webhook reports becomes customers, conversations, messages, turns and events: each message once, in its order.

create function store_messages(inbound read_inbound_row[], out stored bigint, out due_in double precision)
language plpgsql volatile security invoker set search_path = public as $$
begin
  -- From here on nobody else stores for these customers: the statements below see what is committed, once.
  insert into customers as p (workspace_id, channel_id, external_id, name)
  select e.workspace_id, e.channel_id, e.customer, max(e.data ->> 'customer_name') from unnest(inbound) e
  where e.kind in ('message', 'postback', 'echo') and e.customer <> ''
  group by 1, 2, 3 order by 1, 2, 3
  on conflict on constraint customers_external_key do update
  set last_seen_at = now(), name = coalesce(excluded.name, p.name);

  with arrived as (
    select distinct on (e.workspace_id, coalesce(e.external_id, e.place::text))
      e.*, p.id as customer_id,
      case when e.kind = 'echo' then case when (e.data ->> 'own')::boolean then 'bot' else 'human' end else 'user' end as sender
    from unnest(inbound) e
    join customers p on p.workspace_id = e.workspace_id and p.channel_id = e.channel_id and p.external_id = e.customer
    where e.kind in ('message', 'postback', 'echo')
      and not exists (
        select from messages m where m.workspace_id = e.workspace_id and m.external_id = e.external_id
      )
      and not (e.kind = 'echo' and is_own_echo(e))
    order by e.workspace_id, coalesce(e.external_id, e.place::text), e.place
  ), tallied as (
    select a.workspace_id, a.channel_id, a.customer_id, count(*) as total,
      bool_or(a.sender = 'human') as taken,
      max(least(coalesce(a.at, now()), now())) filter (where a.sender = 'user') as customer_at
    from arrived a group by 1, 2, 3
  ), current as (
    insert into conversations as c (
      workspace_id, channel_id, customer_id, agent_id, handler, last_seq, last_message_at, last_customer_at
    )
    select t.workspace_id, t.channel_id, t.customer_id, coalesce(ch.agent_id, a.id),
      case when t.taken then 'human' else starting_handler(w, ch.default_handler) end, t.total, now(), t.customer_at
    from tallied t
    join workspaces w on w.id = t.workspace_id
    join channels ch on ch.workspace_id = t.workspace_id and ch.id = t.channel_id
    left join agents a on a.workspace_id = t.workspace_id and a.is_default
    order by t.workspace_id, t.customer_id
    on conflict (workspace_id, customer_id) where lifecycle in ('open', 'resolved') and deleted_at is null and not explicit
    do update set last_seq = c.last_seq + excluded.last_seq, last_message_at = now(), updated_at = now(),
      lifecycle = 'open',
      last_customer_at = greatest(c.last_customer_at, excluded.last_customer_at),
      handler = case when excluded.handler = 'human' and (
        select t.taken from tallied t
        where t.workspace_id = excluded.workspace_id and t.customer_id = excluded.customer_id
      ) then 'human' else c.handler end
    returning c.workspace_id, c.id, c.customer_id, c.last_seq, c.handler, (xmax = 0) as opened
  ), kept as (
    insert into messages (
      workspace_id, conversation_id, seq, sender_type, content, attachments, sent_at, external_id, reply_to_id,
      delivery_state, metadata
    )
    select a.workspace_id, c.id,
      c.last_seq - t.total + row_number() over (partition by a.workspace_id, a.customer_id order by a.place),
      a.sender, a.text, coalesce(a.data -> 'attachments', '[]'), coalesce(a.at, now()), a.external_id,
      (select m.id from messages m where m.workspace_id = a.workspace_id and m.external_id = a.reply_to),
      case when a.sender <> 'user' then 'sent' end,
      jsonb_strip_nulls((a.data - array['attachments', 'own', 'customer_name', 'callback_query_id']) || jsonb_build_object('platform', wire_platform(a.platform)))
    from arrived a
    join tallied t on t.workspace_id = a.workspace_id and t.customer_id = a.customer_id
    join current c on c.workspace_id = a.workspace_id and c.customer_id = a.customer_id
    on conflict do nothing
    returning workspace_id, id, conversation_id, seq, sender_type, sent_at
  ), open_or_closed as (
    select w.id, w.quiet_seconds, w.answer_within_seconds, closed_since(w.business_hours, now()) is not null as closed
    from workspaces w where w.id in (select k.workspace_id from kept k)
  ), moved as (
    -- Due also where a person has the conversation and the business is closed: the customer is told so.
    insert into turns as t (workspace_id, conversation_id, seq_in, seq_done, due_at, waiting_since, epoch, watch_at)
    select k.workspace_id, k.conversation_id, max(k.seq),
      case when automatic and bool_or(k.sender_type = 'user') then 0 else max(k.seq) end,
      case when automatic and bool_or(k.sender_type = 'user')
        then clock_timestamp() + w.quiet_seconds * interval '1 second' end,
      case when automatic then clock_timestamp() end,
      bool_or(k.sender_type = 'human')::int,
      case when bool_or(k.sender_type = 'user') then clock_timestamp() + w.answer_within_seconds * interval '1 second' end
    from kept k
    join current c on c.workspace_id = k.workspace_id and c.id = k.conversation_id
    join open_or_closed w on w.id = k.workspace_id
    join tallied y on y.workspace_id = c.workspace_id and y.customer_id = c.customer_id
    cross join lateral (select c.handler = 'ai' or w.closed and not y.taken as automatic) a
    group by k.workspace_id, k.conversation_id, automatic, w.quiet_seconds, w.answer_within_seconds
    order by k.workspace_id, k.conversation_id
    on conflict (workspace_id, conversation_id) do update set
      seq_in = greatest(t.seq_in, excluded.seq_in),
      epoch = t.epoch + excluded.epoch,
      watch_at = coalesce(t.watch_at, excluded.watch_at),
      lease_until = case when excluded.epoch = 1 then null else t.lease_until end,
      waiting_since = case when excluded.due_at is null then null else coalesce(t.waiting_since, excluded.waiting_since) end,
      -- The quiet time begins anew with every message, but nobody waits longer than four of them.
      due_at = case when excluded.epoch = 1 then null when excluded.due_at is null then t.due_at
        when t.answered_at > (
          select max(k.sent_at) + interval '10 minutes' from kept k
          where k.workspace_id = excluded.workspace_id and k.conversation_id = excluded.conversation_id
            and k.sender_type = 'user'
        ) then t.due_at
        else least(
          excluded.due_at,
          coalesce(t.waiting_since, excluded.waiting_since) + 4 * (excluded.due_at - excluded.waiting_since)
        ) end
    returning t.due_at
  ), told as (
    insert into events (workspace_id, conversation_id, message_id, type, data)
    select x.workspace_id, x.conversation_id, x.message_id, x.type, x.data from (
      select c.workspace_id, c.id as conversation_id, null::bigint as message_id, 'conversation.opened' as type,
        '{}'::jsonb as data, 0 as place
      from current c where c.opened
      union all
      select k.workspace_id, k.conversation_id, k.id,
        case k.sender_type when 'user' then 'message.received' else 'message.sent_by_human' end,
        jsonb_build_object('seq', k.seq), k.seq
      from kept k where k.sender_type <> 'bot'
      union all
      select c.workspace_id, c.id, null, 'conversation.taken_over', '{"by": "channel"}', 9223372036854775807
      from current c join tallied t on t.workspace_id = c.workspace_id and t.customer_id = c.customer_id
      where t.taken
    ) x order by x.workspace_id, x.conversation_id, x.place
  )
  select (select count(*) from kept), (
    select extract(epoch from min(m.due_at) - clock_timestamp()) from moved m
  ) into stored, due_in;
  if exists (select from unnest(inbound) e where e.data ? 'attachments') then
    perform note_attachments(inbound);
  end if;
end $$;
comment on function store_messages is 'Customers, conversations, messages and turns of one webhook, each message once.';

create function flag_late(inbound read_inbound_row[]) returns void
language plpgsql volatile security invoker set search_path = public as $$
declare
  late messages;
begin
  for late in
    with stored as materialized (
      select m.workspace_id, m.id, m.conversation_id, e.at
      from unnest(inbound) e
      join messages m on m.workspace_id = e.workspace_id and m.external_id = e.external_id
      where e.at < now() - interval '10 minutes' and m.sender_type = 'user' and m.created_at = now()
    )
    update messages m set requires_human = true
    from stored s
    join turns t on t.workspace_id = s.workspace_id and t.conversation_id = s.conversation_id
    join conversations c on c.workspace_id = s.workspace_id and c.id = s.conversation_id
    where m.workspace_id = s.workspace_id and m.id = s.id and c.handler = 'ai'
      and t.due_at is null and t.answered_at > s.at + interval '10 minutes'
    returning m.*
  loop
    perform settle_flag(late.workspace_id, late.conversation_id);
    perform write_event(
      late.workspace_id, late.conversation_id, late.id, 'message.requires_human',
      '{"reason": "it came long after a newer one had been answered"}'
    );
  end loop;
end $$;
comment on function flag_late is
  'What this transaction has stored and the AI does not answer, because it is older than what was answered, is for people.';

create function yield_to_people(inbound read_inbound_row[]) returns void
language plpgsql volatile security invoker set search_path = public as $$
begin
  perform cancel_deliveries(m.workspace_id, m.conversation_id, 'a person answered on the channel')
  from messages m join unnest(inbound) e
    on e.kind = 'echo' and m.workspace_id = e.workspace_id and m.external_id = e.external_id
  where m.sender_type = 'human';
  perform keep_reply_as_correction(m, 'channel')
  from messages m join unnest(inbound) e
    on e.kind = 'echo' and m.workspace_id = e.workspace_id and m.external_id = e.external_id
  where m.sender_type = 'human';
end $$;
comment on function yield_to_people is 'A person answered on the channel itself: what the AI had ready there stays unsent, and what it had said
is corrected if it was no good.';

create function note_reachable(inbound read_inbound_row[]) returns void
language plpgsql volatile security invoker set search_path = public as $$
declare
  e record;
  who bigint;
begin
  for e in select x.* from unnest(inbound) x where x.kind in ('blocked', 'unblocked') order by x.place loop
    update customers p set unreachable_since = case e.kind when 'blocked' then coalesce(e.at, now()) end
    where p.workspace_id = e.workspace_id and p.channel_id = e.channel_id and p.external_id = e.customer
      and (p.unreachable_since is null) = (e.kind = 'blocked')
    returning p.id into who;
    if who is not null then
      perform write_event(
        e.workspace_id, (
          select max(c.id) from conversations c
          where c.workspace_id = e.workspace_id and c.customer_id = who and c.deleted_at is null
        ), null, case e.kind when 'blocked' then 'customer.unreachable' else 'customer.reachable' end,
        jsonb_build_object('customer_id', who)
      );
    end if;
  end loop;
end $$;
comment on function note_reachable is 'Customers who have blocked us on their channel, or let us write again.';

create function store_changes(inbound read_inbound_row[]) returns void
language plpgsql volatile security invoker set search_path = public as $$
declare
  e record;
  echo read_inbound_row;
  changed messages;
begin
  for echo in select x.* from unnest(inbound) x where x.kind = 'echo' order by x.place loop
    perform mark_delivered(echo.workspace_id, d.id, echo.external_id) from find_echoed(echo) d;
  end loop;

  for e in
    select x.* from unnest(inbound) x where x.kind in ('edit', 'unsend', 'reaction') order by x.place
  loop
    update messages m set
      content = case when e.kind = 'edit' then e.text else m.content end,
      edited_at = case when e.kind = 'edit' then coalesce(e.at, now()) else m.edited_at end,
      unsent_at = case when e.kind = 'unsend' then coalesce(e.at, now()) else m.unsent_at end,
      metadata = m.metadata || case e.kind
        when 'edit' then jsonb_build_object(
          'edits', coalesce(m.metadata -> 'edits', '[]') || jsonb_build_object('before', m.content, 'at', e.at)
        )
        when 'reaction' then jsonb_build_object('reaction', e.data -> 'reaction')
        else '{}'
      end
    where m.workspace_id = e.workspace_id and m.external_id = e.external_id
      and not (e.kind = 'edit' and m.content = e.text)
      and not (e.kind = 'unsend' and m.unsent_at is not null)
    returning * into changed;
    if changed.id is not null then
      perform write_event(
        changed.workspace_id, changed.conversation_id, changed.id,
        case e.kind when 'edit' then 'message.edited' when 'unsend' then 'message.unsent' else 'message.reacted' end, '{}'
      );
    end if;
  end loop;

  perform note_reachable(inbound);

  -- A receipt names messages or a moment up to which everything has arrived; who has read one has read those before it.
  update messages m set delivery_state = case x.kind when 'read' then 'read' else 'delivered' end
  from unnest(inbound) x
  join customers p on p.workspace_id = x.workspace_id and p.channel_id = x.channel_id and p.external_id = x.customer
  join conversations c on c.workspace_id = p.workspace_id and c.customer_id = p.id
  left join lateral (
    select max(r.seq) as seq from messages r
    where x.kind = 'read' and r.workspace_id = c.workspace_id and r.conversation_id = c.id and r.id in (
      select s.id from messages s where s.workspace_id = x.workspace_id and s.external_id = x.external_id
      union all
      select d.message_id from deliveries d where d.workspace_id = x.workspace_id and d.external_id = x.external_id
    )
  ) seen on true
  where x.kind in ('read', 'delivery')
    and m.workspace_id = c.workspace_id and m.conversation_id = c.id and m.sender_type <> 'user'
    and m.delivery_state = any (case x.kind when 'read' then array['sent', 'delivered'] else array['sent'] end)
    and (
      m.sent_at <= (x.data ->> 'watermark')::timestamptz
      or m.external_id = x.external_id
      or m.seq <= seen.seq
      or exists (
        select from deliveries d where d.workspace_id = m.workspace_id and d.message_id = m.id
          and x.data -> 'mids' ? d.external_id
      )
    );
end $$;
comment on function store_changes is 'Echoes of our own sends, edits, unsends, reactions and receipts.';
