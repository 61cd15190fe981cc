-- The one word `status`, written: for one conversation by a person, for up to a thousand by their team.

create function set_statuses(
  caller jsonb, conversation_ids bigint[], status text, personal boolean default false
) returns jsonb
language plpgsql volatile security invoker set search_path = public as $$
declare
  me text := caller ->> 'subject';
  chosen conversations[];
  to_ai conversations[];
  to_people conversations[];
  ended conversations[];
  plan jsonb;
begin
  -- The order in which messages are stored locks them as well, so that neither waits for the other in a circle.
  select coalesce(array_agg(x.c), '{}') into chosen from (
    select c from conversations c
    where c.workspace_id = any (visible_workspaces(caller)) and c.id = any (conversation_ids) and c.deleted_at is null
      and ((caller ->> 'admin')::boolean or caller -> 'roles' ->> c.workspace_id::text in ('support', 'owner'))
    order by c.workspace_id, c.customer_id, c.id for no key update
  ) x;
  with asked as (
    select distinct i.id, c.lifecycle, c.handler, c.assigned_to,
      case when c.id is not null then wire_status(c.lifecycle, c.handler) end as before,
      case
        when c.id is not null then
          case when set_statuses.status = 'active' and not (w.auto_response and w.ai_ready)
            then 'support_active' else set_statuses.status end
      end as target,
      case
        when set_statuses.status <> 'active' then null
        when not w.auto_response then 'Automatic answers are switched off in this workspace: a person has it.'
        when not w.ai_ready then 'No provider is configured for this workspace''s model: a person has it.'
      end as note,
      exists (select from find_conversation(caller, i.id)) as seen
    from unnest(conversation_ids) i (id)
    left join unnest(chosen) c on c.id = i.id
    left join workspaces w on w.id = c.workspace_id
  ), decided as (
    select a.*, case
      when not a.seen then 'not_found'
      when a.target is null then 'forbidden'
      when a.target in ('active', 'support_active', 'resolved') and a.lifecycle in ('closed', 'archived') then 'closed'
      when personal and a.target = 'support_active' and a.handler = 'human' and a.assigned_to <> me then 'taken'
      when a.target = a.before then 'unchanged'
      else 'changed'
    end as result
    from asked a
  )
  select coalesce(jsonb_agg(jsonb_build_object(
    'id', d.id, 'result', d.result, 'status', case d.result when 'changed' then d.target else d.before end,
    'target', d.target,
    'detail', case d.result
      when 'not_found' then 'There is no such conversation.'
      when 'forbidden' then 'This needs the role support.'
      when 'closed' then 'The conversation is closed: reopen it first.'
      when 'taken' then format('%s has taken over this conversation already.', d.assigned_to)
      else d.note
    end
  )), '[]') into plan from decided d;
  select
    array_agg(c) filter (where p.target = 'active'),
    array_agg(c) filter (where p.target = 'support_active'),
    array_agg(c) filter (where p.target not in ('active', 'support_active'))
  into to_ai, to_people, ended
  from jsonb_to_recordset(plan) p (id bigint, result text, target text)
  join unnest(chosen) c on c.id = p.id
  where p.result = 'changed';
  perform change_hands(to_ai, 'ai', null, caller);
  perform change_hands(to_people, 'human', case when personal and me not like 'api\_key:%' then me end, caller);
  perform end_conversations(ended, set_statuses.status, caller);
  return plan;
end $$;
comment on function set_statuses is
  'Writes a status; says of each id: changed, unchanged, not_found, forbidden, closed or taken. A `personal` takeover is the
caller''s own.';

create function change_hands(chosen conversations[], handler text, assigned_to text, caller jsonb) returns void
language plpgsql volatile security invoker set search_path = public as $$
declare
  me text := caller ->> 'subject';
  resumed conversations[];
begin
  if chosen is null then
    return;
  end if;
  perform raise_epochs(chosen, change_hands.handler, 'the conversation changed hands');
  update conversations c set handler = change_hands.handler, lifecycle = 'open', assigned_to = change_hands.assigned_to,
    updated_at = now()
  from unnest(chosen) f where c.workspace_id = f.workspace_id and c.id = f.id;
  if change_hands.handler = 'ai' then
    select array_agg(c) into resumed from conversations c
    join unnest(chosen) f on f.workspace_id = c.workspace_id and f.id = c.id and f.handler <> 'ai';
    perform resume_ai(resumed, null);
  end if;
  with told as (
    insert into events (workspace_id, conversation_id, type, data)
    select f.workspace_id, f.id, case
        when f.handler = change_hands.handler then 'conversation.reopened'
        when change_hands.handler = 'ai' then 'conversation.handed_back' else 'conversation.taken_over'
      end, jsonb_build_object('by', me)
    from unnest(chosen) f order by f.workspace_id, f.id
    returning events.workspace_id, events.conversation_id, events.type
  )
  insert into audit (workspace_id, actor, action, subject)
  select e.workspace_id, me, e.type, 'conversation:' || e.conversation_id from told e;
end $$;
comment on function change_hands is 'Changes hands of conversations that the caller has locked, as take_over and hand_back do of one.';

create function end_conversations(chosen conversations[], lifecycle text, caller jsonb) returns void
language plpgsql volatile security invoker set search_path = public as $$
begin
  if chosen is null then
    return;
  end if;
  perform raise_epochs(chosen, null, 'the conversation was ' || end_conversations.lifecycle);
  update turns t set seq_done = t.seq_in
  from unnest(chosen) f where t.workspace_id = f.workspace_id and t.conversation_id = f.id;
  update conversations c set lifecycle = end_conversations.lifecycle, updated_at = now(),
    closed_at = case when end_conversations.lifecycle in ('closed', 'archived') then now() end
  from unnest(chosen) f where c.workspace_id = f.workspace_id and c.id = f.id;
  insert into events (workspace_id, conversation_id, type, data)
  select f.workspace_id, f.id, 'conversation.' || end_conversations.lifecycle,
    jsonb_build_object('by', caller ->> 'subject')
  from unnest(chosen) f order by f.workspace_id, f.id;
end $$;
comment on function end_conversations is 'Resolves, archives or closes conversations that the caller has locked; the AI stops.';

create function raise_epochs(chosen conversations[], handler text, reason text) returns void
language plpgsql volatile security invoker set search_path = public as $$
begin
  perform from turns t join unnest(chosen) f on f.workspace_id = t.workspace_id and f.id = t.conversation_id
  order by t.workspace_id, t.conversation_id for update of t;
  update turns t set epoch = t.epoch + 1, due_at = null, waiting_since = null, lease_until = null, attempts = 0,
    person_at = case when raise_epochs.handler = 'human' then clock_timestamp() else t.person_at end
  from unnest(chosen) f where t.workspace_id = f.workspace_id and t.conversation_id = f.id;
  perform cancel_deliveries(f.workspace_id, f.id, raise_epochs.reason) from unnest(chosen) f;
end $$;
comment on function raise_epochs is 'What set_handler does to one turn and its sends, for many that the caller has locked.';
