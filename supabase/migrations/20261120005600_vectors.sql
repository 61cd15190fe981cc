set local lock_timeout = '5s';

-- Vectors of chunks, where the extension `vector` (pgvector, from 0.8 on) can be had. Everything works without.
-- All vectors have 1,536 numbers: shorter ones are filled with zeros, which changes no angle between two of one model.

create function add_vectors() returns boolean
language plpgsql volatile security invoker set search_path = public, extensions as $$
declare
  one regprocedure;
begin
  if to_regclass('public.knowledge_vectors') is not null then
    return true;
  end if;
  if not exists (select from pg_extension e where e.extname = 'vector') then
    begin
      create schema if not exists extensions;
      create extension vector with schema extensions;
    exception
      when undefined_file or feature_not_supported or insufficient_privilege or invalid_schema_name then
        raise notice 'No vectors here: the extension `vector` cannot be made (%).', sqlerrm;
        return false;
    end;
  end if;
  if not exists (
    select from pg_extension e join pg_namespace n on n.oid = e.extnamespace
    where e.extname = 'vector' and n.nspname in ('public', 'extensions')
      and string_to_array(substring(e.extversion from '^[0-9.]+'), '.')::integer[] >= array[0, 8]
  ) then
    raise notice 'No vectors here: the extension `vector` is older than 0.8, or not in the schema public or extensions.';
    return false;
  end if;
  grant usage on schema extensions to service_role;
  -- Whatever is made here is closed to everybody (00_platform.sql), the extension's functions too.
  for one in
    select p.oid::regprocedure from pg_depend d
    join pg_extension e on e.oid = d.refobjid and e.extname = 'vector'
    join pg_proc p on p.oid = d.objid
    where d.classid = 'pg_proc'::regclass and d.refclassid = 'pg_extension'::regclass and d.deptype = 'e'
      and not has_function_privilege('service_role', p.oid, 'execute')
  loop
    execute format('grant execute on function %s to service_role', one);
  end loop;

  create table knowledge_vectors (
    workspace_id bigint not null,
    chunk_id bigint not null,
    model text not null,
    embedding halfvec(1536) not null,
    primary key (workspace_id, chunk_id),
    foreign key (workspace_id, chunk_id) references knowledge_chunks (workspace_id, id) on delete cascade
  );
  create index knowledge_vectors_near on knowledge_vectors using hnsw (embedding halfvec_cosine_ops);
  comment on table knowledge_vectors is 'What a chunk means, as the embedding model `model` (provider:model) puts it.';
  alter table knowledge_vectors enable row level security;
  alter table knowledge_vectors force row level security;
  revoke all on knowledge_vectors from public, anon, authenticated;
  grant select, insert, update, delete on knowledge_vectors to service_role;
  grant select on knowledge_vectors to authenticated;
  create policy service on knowledge_vectors to service_role using (true) with check (true);
  create policy own_workspaces on knowledge_vectors for select to authenticated
  using (workspace_id = any (array(select my_workspaces())));
  return true;
end $$;
comment on function add_vectors is
  'Makes the place for vectors where the extension is; for whoever owns the schema, and again after installing pgvector.';

create function has_vectors() returns boolean
language sql stable security invoker set search_path = public as $$
  select to_regclass('public.knowledge_vectors') is not null
$$;
comment on function has_vectors is 'Whether vectors can be kept here.';

create function filled(embedding real[]) returns real[]
language sql immutable security invoker set search_path = public as $$
  select filled.embedding || array_fill(0::real, array[1536 - cardinality(filled.embedding)])
$$;
comment on function filled is 'An embedding with zeros up to 1,536 numbers.';

create function near_chunks(
  workspace_id bigint, embedding real[], model text, max_rows integer, documents bigint[] default null
)
returns table (chunk_id bigint, similarity real)
language plpgsql stable security invoker set search_path = public, extensions as $$
begin
  if near_chunks.embedding is null or not has_vectors() then
    return;
  end if;
  -- A workspace that is a small part of all is looked for until it has enough.
  perform set_config('hnsw.iterative_scan', 'strict_order', true);
  return query
    select v.chunk_id, (1 - (v.embedding <=> filled(near_chunks.embedding)::halfvec(1536)))::real
    from knowledge_vectors v
    where v.workspace_id = near_chunks.workspace_id and v.model = near_chunks.model
      and (near_chunks.documents is null or exists (
        select from knowledge_chunks k
        where k.workspace_id = v.workspace_id and k.id = v.chunk_id and k.document_id = any (near_chunks.documents)
      ))
    order by v.embedding <=> filled(near_chunks.embedding)::halfvec(1536) limit max_rows;
end $$;
comment on function near_chunks is 'The chunks nearest in meaning, by cosine (1 is the same); none where there are no vectors;
`documents` are the only ones to look into.';

create function chunks_to_embed(workspace_id bigint, document_id bigint, model text, max_rows integer) returns jsonb
language plpgsql stable security invoker set search_path = public, extensions as $$
declare
  found jsonb;
begin
  if not has_vectors() then
    return '[]';
  end if;
  select jsonb_agg(jsonb_build_object('chunk_id', c.id, 'text', c.text) order by c.place) into found from (
    select k.id, k.place, concat_ws(E'\n', d.title, nullif(k.heading, ''), k.content) as text
    from knowledge_documents d
    join knowledge_chunks k
      on k.workspace_id = d.workspace_id and k.document_id = d.id and k.lease_no = d.indexed_lease
    left join knowledge_vectors v
      on v.workspace_id = k.workspace_id and v.chunk_id = k.id and v.model = chunks_to_embed.model
    where d.workspace_id = chunks_to_embed.workspace_id and d.id = chunks_to_embed.document_id and v.chunk_id is null
    order by k.place limit max_rows
  ) c;
  return coalesce(found, '[]');
end $$;
comment on function chunks_to_embed is 'The next chunks of a document that this model has not put into numbers yet.';

create function store_vectors(
  workspace_id bigint, document_id bigint, lease_no bigint, version bigint, model text, vectors jsonb,
  lease_seconds double precision
) returns jsonb
language plpgsql volatile security invoker set search_path = public, extensions as $$
declare
  d knowledge_documents;
begin
  select * into d from hold_document(
    store_vectors.workspace_id, store_vectors.document_id, store_vectors.lease_no, store_vectors.version, lease_seconds
  );
  if d.id is null then
    return jsonb_build_object('held', false);
  end if;
  insert into knowledge_vectors as v (workspace_id, chunk_id, model, embedding)
  select d.workspace_id, k.id, store_vectors.model, filled(x.embedding)::halfvec(1536)
  from jsonb_to_recordset(vectors) x (chunk_id bigint, embedding real[])
  join knowledge_chunks k on k.workspace_id = d.workspace_id and k.id = x.chunk_id and k.document_id = d.id
  on conflict on constraint knowledge_vectors_pkey do update set model = excluded.model, embedding = excluded.embedding;
  return jsonb_build_object('held', true);
end $$;
comment on function store_vectors is 'Keeps what an embedding model made of some chunks, while the lease holds.';

create function finish_embedding(workspace_id bigint, document_id bigint, lease_no bigint, model text) returns void
language sql volatile security invoker set search_path = public as $$
  update knowledge_documents d set embedding_model = finish_embedding.model
  where d.workspace_id = finish_embedding.workspace_id and d.id = finish_embedding.document_id
    and d.lease_no = finish_embedding.lease_no
$$;
comment on function finish_embedding is 'All chunks of the document have a vector of this model.';

create function sweep_knowledge(embedding_model text default null) returns jsonb
language plpgsql volatile security invoker set search_path = public as $$
declare
  found bigint;
begin
  update knowledge_documents d set due_at = clock_timestamp(), attempts = 0
  where (d.workspace_id, d.id) in (
    select x.workspace_id, x.id from knowledge_documents x join workspaces w on w.id = x.workspace_id
    where x.due_at is null and x.state = 'ready' and (
      x.indexed_language <> coalesce(x.language, w.language)
      or (sweep_knowledge.embedding_model is not null and has_vectors()
        and x.embedding_model is distinct from sweep_knowledge.embedding_model)
    )
    limit 1000
  );
  get diagnostics found = row_count;
  return jsonb_build_object('due', found);
end $$;
comment on function sweep_knowledge is
  'Makes due again what was indexed in another language than its workspace has now, or by another embedding model.';

select add_vectors();
