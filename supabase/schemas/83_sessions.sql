-- Sessions: a program names its user and asks; the conversation is found or opened, and the question stored, in one call.

create function ask_in_session(
  caller jsonb, workspace_id bigint, customer_id text, content text, external_id text, agent_id bigint default null
) returns jsonb
language plpgsql volatile security invoker set search_path = public as $$
declare
  channel bigint;
  customer bigint;
  session bigint;
begin
  if not ask_in_session.workspace_id = any (visible_workspaces(caller)) then
    raise exception using errcode = 'PT404', message = 'There is no such workspace.';
  end if;
  perform require_role(caller, ask_in_session.workspace_id, 'support');
  perform require_agent(ask_in_session.workspace_id, ask_in_session.agent_id);
  channel := program_channel(ask_in_session.workspace_id, 'api');
  -- From here on nobody else asks for this customer: two first questions at once meet in one session.
  insert into customers (workspace_id, channel_id, external_id)
  values (ask_in_session.workspace_id, channel, ask_in_session.customer_id)
  on conflict on constraint customers_external_key do update set last_seen_at = now() returning id into customer;
  -- Asked again: in the session in which it was asked first, whatever has become of that.
  select m.conversation_id into session from messages m
  join conversations c on c.workspace_id = m.workspace_id and c.id = m.conversation_id and c.deleted_at is null
  where m.workspace_id = ask_in_session.workspace_id and m.external_id = ask_in_session.external_id
    and c.customer_id = customer;
  if session is null then
    select c.id into session from conversations c
    where c.workspace_id = ask_in_session.workspace_id and c.customer_id = customer and c.explicit
      and c.lifecycle in ('open', 'resolved') and c.deleted_at is null
    order by c.id desc limit 1 for no key update;
  end if;
  if session is null then
    session := (open_explicitly(ask_in_session.workspace_id, channel, customer, ask_in_session.agent_id)).id;
  end if;
  return add_user_message(caller, session, ask_in_session.content, '{}', ask_in_session.external_id);
end $$;
comment on function ask_in_session is
  'A question of a program''s user in their newest open session, or in a new one; once for each `external_id`.';

create function list_sessions(
  caller jsonb, filters jsonb, customer_id text default null, after jsonb default null, max_rows integer default 50
) returns jsonb
language plpgsql stable security invoker set search_path = public as $$
declare
  found jsonb;
begin
  if list_sessions.customer_id is null then
    return list_conversations(caller, filters, 'last_message_at', after, max_rows);
  end if;
  select jsonb_agg(to_jsonb(r) order by r.last_message_at desc, r.id desc) into found from (
    select r.* from customers p
    join channels ch on ch.workspace_id = p.workspace_id and ch.id = p.channel_id
    join conversations c on c.workspace_id = p.workspace_id and c.customer_id = p.id and c.deleted_at is null
    join conversation_rows r on r.workspace_id = c.workspace_id and r.id = c.id
    where ch.workspace_id = any (visible_workspaces(caller)) and p.external_id = list_sessions.customer_id
      and conversation_matches(c, filters)
      and (filters -> 'platforms' is null or filters -> 'platforms' ? ch.platform)
      and (filters ->> 'q' is null or conversation_says(c, filters ->> 'q'))
      and (after is null or (c.last_message_at, c.id) < ((after ->> 0)::timestamptz, (after ->> 1)::bigint))
    order by c.last_message_at desc, c.id desc limit max_rows
  ) r;
  return coalesce(found, '[]');
end $$;
comment on function list_sessions is
  'A page of conversations, newest first, of one customer if named; `after` is [last_message_at, id] of the last one seen.';
