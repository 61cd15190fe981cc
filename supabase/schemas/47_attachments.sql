-- Files: noted with their message, copied in the background (claim_attachments -> keep_attachment or fail_attachment), and
-- sent by people.

create function note_attachments(inbound read_inbound_row[]) returns void
language sql volatile security invoker set search_path = public as $$
  insert into attachments (workspace_id, conversation_id, message_id, place, source, name, content_type, bytes)
  select m.workspace_id, m.conversation_id, m.id, v.place, v.one, left(v.one ->> 'title', 200), v.one ->> 'content_type',
    (v.one ->> 'bytes')::bigint
  from unnest(inbound) e
  join messages m on m.workspace_id = e.workspace_id and m.external_id = e.external_id and m.created_at = now()
  cross join lateral jsonb_array_elements(e.data -> 'attachments') with ordinality v (one, place)
  where e.data ? 'attachments' and (v.one ? 'url' or v.one ? 'file_id')
    -- A shared link and a template are text with an address in it, not files of the channel.
    and v.one ->> 'type' not in ('fallback', 'template')
  on conflict on constraint attachments_place_key do nothing
$$;
comment on function note_attachments is 'The files of messages that this transaction has stored, to be copied.';

create function claim_attachments(max_rows integer, lease_seconds double precision, max_attempts integer) returns jsonb
language sql volatile security invoker set search_path = public as $$
  with due as (
    select a.workspace_id, a.id from attachments a
    where a.state = 'waiting' and a.next_at <= clock_timestamp()
      and (a.lease_until is null or a.lease_until <= clock_timestamp())
    order by a.next_at limit max_rows
    for update skip locked
  ), worn_out as (
    update attachments a
    set state = 'failed', reason = 'every attempt to copy it was cut short', lease_until = null,
      settled_at = clock_timestamp()
    from due where a.workspace_id = due.workspace_id and a.id = due.id and a.attempts >= max_attempts
  ), taken as (
    update attachments a
    set attempts = a.attempts + 1, lease_until = clock_timestamp() + lease_seconds * interval '1 second'
    from due where a.workspace_id = due.workspace_id and a.id = due.id and a.attempts < max_attempts
    returning a.*
  )
  select coalesce(jsonb_agg(jsonb_build_object(
    'workspace_id', t.workspace_id, 'id', t.id, 'attempt', t.attempts, 'source', t.source, 'name', t.name,
    'platform', ch.platform, 'account', ch.account
  )), '[]')
  from taken t
  join conversations c on c.workspace_id = t.workspace_id and c.id = t.conversation_id
  join channels ch on ch.workspace_id = c.workspace_id and ch.id = c.channel_id
$$;
comment on function claim_attachments is 'Leases files that are to be copied; one whose every lease ran out has failed.';

create function keep_attachment(workspace_id bigint, attachment_id bigint, attempt integer, kept jsonb) returns boolean
language plpgsql volatile security invoker set search_path = public as $$
declare
  a attachments;
begin
  update attachments x
  set state = 'stored', reason = null, lease_until = null, settled_at = clock_timestamp(), name = kept ->> 'name',
    kind = kept ->> 'kind', content_type = kept ->> 'content_type', bytes = (kept ->> 'bytes')::bigint,
    sha256 = kept ->> 'sha256', storage_key = kept ->> 'storage_key'
  where x.workspace_id = keep_attachment.workspace_id and x.id = attachment_id and x.state = 'waiting'
    and x.attempts = attempt
  returning * into a;
  if a.id is null then
    return false;
  end if;
  perform write_event(
    a.workspace_id, a.conversation_id, a.message_id, 'attachment.stored', jsonb_build_object('attachment_id', a.id)
  );
  return true;
end $$;
comment on function keep_attachment is 'The copy is in storage: kept {name, kind, content_type, bytes, sha256, storage_key}.';

create function fail_attachment(
  workspace_id bigint, attachment_id bigint, attempt integer, reason text, retry_seconds double precision default null
) returns void
language plpgsql volatile security invoker set search_path = public as $$
declare
  a attachments;
begin
  update attachments x
  set state = case when retry_seconds is null then 'failed' else 'waiting' end, reason = fail_attachment.reason,
    lease_until = null, next_at = clock_timestamp() + coalesce(retry_seconds, 0) * interval '1 second',
    settled_at = case when retry_seconds is null then clock_timestamp() end
  where x.workspace_id = fail_attachment.workspace_id and x.id = attachment_id and x.state = 'waiting'
    and x.attempts = attempt
  returning * into a;
  if a.state = 'failed' then
    perform write_event(
      a.workspace_id, a.conversation_id, a.message_id, 'attachment.failed',
      jsonb_build_object('attachment_id', a.id, 'reason', a.reason)
    );
  end if;
end $$;
comment on function fail_attachment is 'A file could not be copied: again after `retry_seconds`, or never, with the reason.';

create function find_attachment(attachment_id bigint) returns jsonb
language sql stable security invoker set search_path = public as $$
  select jsonb_build_object(
    'id', a.id, 'name', a.name, 'kind', a.kind, 'content_type', a.content_type, 'bytes', a.bytes,
    'storage_key', a.storage_key
  )
  from attachments a
  join conversations c on c.workspace_id = a.workspace_id and c.id = a.conversation_id and c.deleted_at is null
  where a.id = find_attachment.attachment_id and a.state = 'stored'
$$;
comment on function find_attachment is 'A stored file, or null; for whoever holds a signed link to it.';

create function add_files(workspace_id bigint, conversation_id bigint, message_id bigint, files jsonb) returns void
language sql volatile security invoker set search_path = public as $$
  with kept as (
    insert into attachments (
      workspace_id, conversation_id, message_id, place, state, name, kind, content_type, bytes, sha256, storage_key,
      settled_at
    )
    select add_files.workspace_id, add_files.conversation_id, add_files.message_id, f.place, 'stored', f.one ->> 'name',
      f.one ->> 'kind', f.one ->> 'content_type', (f.one ->> 'bytes')::bigint, f.one ->> 'sha256',
      f.one ->> 'storage_key', clock_timestamp()
    from jsonb_array_elements(files) with ordinality f (one, place)
    returning id, place
  )
  insert into deliveries (workspace_id, conversation_id, message_id, part, text, attachment_id, next_at)
  select c.workspace_id, c.id, add_files.message_id, k.place + (
      select count(*) from deliveries d
      where d.workspace_id = c.workspace_id and d.message_id = add_files.message_id
    ), '', k.id, clock_timestamp()
  from kept k
  join conversations c on c.workspace_id = add_files.workspace_id and c.id = add_files.conversation_id
  join channels ch on ch.workspace_id = c.workspace_id and ch.id = c.channel_id
  -- Programs read what is sent to their users themselves.
  where ch.account not like 'workspace:%'
  order by k.place
$$;
comment on function add_files is 'Files of a person''s message, in storage already; sent after its text where there is a channel.';
