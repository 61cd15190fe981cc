-- Conversations that were deleted: out of sight at once, kept with all that hangs on them, and gone after thirty days.

create index conversations_deleted on conversations (deleted_at, id) where deleted_at is not null;

create function kept_after_deletion() returns interval
language sql immutable parallel safe as $$
  select interval '30 days'
$$;
comment on function kept_after_deletion is 'How long a deleted conversation can be restored.';

create function my_deleted_conversations() returns setof bigint
language sql stable security definer set search_path = '' as $$
  select c.id from public.conversations c
  where c.deleted_at is not null and c.workspace_id = any (array(select public.my_workspaces()))
$$;
comment on function my_deleted_conversations is
  'What people signed in through Supabase must not see any more. With its owner''s rights: they cannot see which it is.';
grant execute on function my_deleted_conversations() to authenticated;

create function delete_conversation(caller jsonb, conversation_id bigint) returns void
language plpgsql volatile security invoker set search_path = public as $$
declare
  c conversations := require_conversation(caller, delete_conversation.conversation_id, 'support');
begin
  perform raise_epochs(array[c], null, 'the conversation was deleted');
  update turns t set seq_done = t.seq_in, watch_at = null
  where t.workspace_id = c.workspace_id and t.conversation_id = c.id;
  update conversations x set deleted_at = now(), updated_at = now() where x.workspace_id = c.workspace_id and x.id = c.id;
  perform write_event(
    c.workspace_id, c.id, null, 'conversation.deleted', jsonb_build_object('by', caller ->> 'subject')
  );
  perform write_audit(caller, c.workspace_id, 'conversation.deleted', 'conversation:' || c.id);
end $$;
comment on function delete_conversation is
  'Hides a conversation and its messages everywhere; a reply on its way to be made is not sent. It can be restored.';

create function restore_conversation(caller jsonb, conversation_id bigint) returns jsonb
language plpgsql volatile security invoker set search_path = public as $$
declare
  c conversations;
begin
  select * into c from conversations x
  where x.workspace_id = any (visible_workspaces(caller)) and x.id = restore_conversation.conversation_id
    and (x.deleted_at is null or x.deleted_at > now() - kept_after_deletion());
  if c.id is null then
    raise exception using errcode = 'PT404', message = 'There is no such conversation.';
  end if;
  perform require_role(caller, c.workspace_id, 'owner');
  select * into c from conversations x where x.workspace_id = c.workspace_id and x.id = c.id for no key update;
  if c.deleted_at is not null then
    begin
      update conversations x set deleted_at = null, updated_at = now()
      where x.workspace_id = c.workspace_id and x.id = c.id;
    exception when unique_violation then
      -- The customer writes in a newer one by now: this one comes back to be read.
      update conversations x set deleted_at = null, updated_at = now(), lifecycle = 'closed', closed_at = now()
      where x.workspace_id = c.workspace_id and x.id = c.id;
    end;
    -- The AI answers nothing that old; whether somebody still waits, the watchdog tells people.
    update turns t set watch_at = clock_timestamp() where t.workspace_id = c.workspace_id and t.conversation_id = c.id;
    perform write_event(
      c.workspace_id, c.id, null, 'conversation.restored', jsonb_build_object('by', caller ->> 'subject')
    );
    perform write_audit(caller, c.workspace_id, 'conversation.restored', 'conversation:' || c.id);
  end if;
  return get_conversation(caller, c.id);
end $$;
comment on function restore_conversation is
  'Brings a deleted conversation back as it was; closed, where its customer has a newer one. PT404 after its thirty days.';

create function list_deleted_conversations(caller jsonb, after jsonb default null, max_rows integer default 50)
returns jsonb
language sql stable security invoker set search_path = public as $$
  select coalesce(jsonb_agg(d.one order by d.deleted_at desc, d.id desc), '[]') from (
    select k.deleted_at, k.id, to_jsonb(r) || jsonb_build_object('restorable_until', k.deleted_at + kept_after_deletion())
      as one
    from (
      select c.workspace_id, c.id, c.deleted_at from conversations c
      where c.workspace_id = any (visible_workspaces(caller)) and c.deleted_at > now() - kept_after_deletion()
        and ((caller ->> 'admin')::boolean or caller -> 'roles' ->> c.workspace_id::text = 'owner')
        and (after is null or (c.deleted_at, c.id) < ((after ->> 0)::timestamptz, (after ->> 1)::bigint))
      order by c.deleted_at desc, c.id desc limit max_rows
    ) k
    join conversation_rows r on r.workspace_id = k.workspace_id and r.id = k.id
  ) d
$$;
comment on function list_deleted_conversations is
  'A page of what the caller may restore, deleted last first; `after` is [deleted_at, id] of the last one seen.';

create function expired_conversations(max_rows integer default 20) returns jsonb
language sql stable security invoker set search_path = public as $$
  select coalesce(jsonb_agg(jsonb_build_object('workspace_id', g.workspace_id, 'conversation_id', g.id, 'files', (
    select coalesce(jsonb_agg(a.storage_key), '[]') from messages m
    join attachments a on a.workspace_id = m.workspace_id and a.message_id = m.id
    where m.workspace_id = g.workspace_id and m.conversation_id = g.id and a.storage_key is not null
  ))), '[]')
  from (
    -- An hour later than it can be restored: what is being purged is in nobody's hands any more.
    select c.workspace_id, c.id from conversations c
    where c.deleted_at < now() - kept_after_deletion() - interval '1 hour'
    order by c.deleted_at, c.id limit max_rows
  ) g
$$;
comment on function expired_conversations is 'Deleted conversations whose time is up, with the keys of their files in storage.';

create function purge_conversation(workspace_id bigint, conversation_id bigint, max_rows integer default 2000)
returns jsonb
language plpgsql volatile security invoker set search_path = public as $$
declare
  c conversations;
  messages_gone bigint;
begin
  select * into c from conversations x
  where x.workspace_id = purge_conversation.workspace_id and x.id = purge_conversation.conversation_id
    and x.deleted_at < now() - kept_after_deletion() - interval '1 hour'
  for update;
  delete from messages m
  where m.workspace_id = c.workspace_id and m.id = any (array(
    select x.id from messages x where x.workspace_id = c.workspace_id and x.conversation_id = c.id limit max_rows
  ));
  get diagnostics messages_gone = row_count;
  if messages_gone < max_rows then
    delete from conversations x where x.workspace_id = c.workspace_id and x.id = c.id;
  end if;
  return jsonb_build_object('messages', messages_gone, 'done', messages_gone < max_rows);
end $$;
comment on function purge_conversation is
  'Deletes up to `max_rows` messages of a conversation whose time is up, and with the last ones itself. The ledger stays.';
