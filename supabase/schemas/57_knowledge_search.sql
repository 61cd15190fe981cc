-- Finding what a workspace knows: full text in the language of the documents, joined with vectors (56_vectors.sql) where
-- there are any.

create function search_scope(workspace_id bigint, language regconfig) returns text
language sql stable security invoker set search_path = public as $$
  select '~' || search_scope.workspace_id || '~' || search_scope.language
$$;
comment on function search_scope is
  'A word that every chunk of a workspace and language has: it lets the index of all chunks look at one business alone.';

create function quote_lexeme(word text) returns text
language sql immutable security invoker set search_path = public as $$
  select '''' || replace(replace(word, '\', '\\'), '''', '''''') || ''''
$$;
comment on function quote_lexeme is 'A word as a tsquery is written, whatever characters are in it.';

create function at_least(terms text[], fewest integer) returns text
language plpgsql immutable security invoker set search_path = public as $$
declare
  size constant integer := cardinality(terms);
  parts text[] := '{}';
begin
  if fewest >= size then
    return '(' || array_to_string(terms, ' & ') || ')';
  elsif fewest <= 1 then
    return '(' || array_to_string(terms, ' | ') || ')';
  end if;
  for place in 1 .. size - fewest + 1 loop
    parts := parts || (terms[place] || ' & ' || at_least(terms[place + 1 :], fewest - 1));
  end loop;
  return '(' || array_to_string(parts, ' | ') || ')';
end $$;
comment on function at_least is 'The text of a tsquery that holds where `fewest` of the terms do.';

create function match_chunks(
  workspace_id bigint, language regconfig, query text, thorough boolean, documents bigint[] default null
)
returns table (chunk_id bigint, share real, rank real)
language plpgsql stable security invoker
-- The index is the only way that stays fast when the table has grown and its statistics have not.
set search_path = public set enable_seqscan = off as $$
declare
  scope constant text := quote_lexeme(search_scope(match_chunks.workspace_id, match_chunks.language));
  words text[];
  terms text[];
  hits bigint[] := '{}';
  fewest integer;
begin
  -- The long words say most, numbers more than short words; more than eight of them say nothing new.
  words := array(
    select w.lexeme from unnest(to_tsvector(match_chunks.language, left(match_chunks.query, 4000))) w
    order by w.lexeme ~ '[0-9]' desc, length(w.lexeme) desc, w.lexeme limit 8
  );
  if cardinality(words) = 0 then
    return;
  end if;
  terms := array(select quote_lexeme(w) || case when thorough and length(w) > 3 then ':*' else '' end from unnest(words) w);
  if not thorough then
    terms := terms[1 : 6];
  end if;
  -- First those that hold all words, then three quarters of them, half, a quarter, any: each step costs the index more,
  -- and most questions are done after the first ones.
  for fewest in
    select distinct greatest(1, ceil(cardinality(terms) * part)::integer) as step
    from unnest(array[1, 0.75, 0.5, 0.25, 0]) part order by step desc
  loop
    if thorough then
      -- Beginnings of words are many in an index that all businesses share: the few passages of this one are read instead,
      -- which `is true` brings about.
      hits := array(
        select k.id from knowledge_chunks k
        join knowledge_documents d
          on d.workspace_id = k.workspace_id and d.id = k.document_id and d.indexed_lease = k.lease_no
        where k.workspace_id = match_chunks.workspace_id
          and (k.search @@ (scope || ' & ' || at_least(terms, fewest))::tsquery) is true
          and (match_chunks.documents is null or k.document_id = any (match_chunks.documents)) limit 200
      );
    else
      hits := array(
        select k.id from knowledge_chunks k
        cross join lateral (
          select from knowledge_documents d
          where d.workspace_id = k.workspace_id and d.id = k.document_id and d.indexed_lease = k.lease_no limit 1
        ) found
        where k.search @@ (scope || ' & ' || at_least(terms, fewest))::tsquery
          and (match_chunks.documents is null or k.document_id = any (match_chunks.documents)) limit 200
      );
    end if;
    exit when cardinality(hits) >= 20;
  end loop;
  return query select s.* from score_chunks(match_chunks.workspace_id, hits, words) s;
end $$;
comment on function match_chunks is
  'Passages that hold words of the question. `thorough` also finds words that only begin so: dear where there is much.';

create function score_chunks(workspace_id bigint, ids bigint[], words text[])
returns table (chunk_id bigint, share real, rank real)
language plpgsql stable security invoker set search_path = public as $$
declare
  starts constant text[] := array(select quote_lexeme(w) || case when length(w) > 3 then ':*' else ':' end from unnest(words) w);
  anywhere constant tsquery[] := array(select rtrim(s, ':')::tsquery from unnest(starts) s);
  inside constant tsquery[] := array(select (s || 'D')::tsquery from unnest(starts) s);
  any_word constant tsquery := at_least(array(select rtrim(s, ':') from unnest(starts) s), 1)::tsquery;
begin
  return query
    select k.id, ((
      -- A word that only the title or a heading has counts half: those are true of every passage below them.
      select sum(case when k.search @@ i.word then 1 when k.search @@ a.word then 0.5 else 0 end)
      from unnest(inside, anywhere) p (inside, anywhere)
      cross join lateral (values (p.inside)) i (word) cross join lateral (values (p.anywhere)) a (word)
    ) / cardinality(words))::real, ts_rank_cd(k.search, any_word, 1)
    from (
      -- Unpacked once for all the comparisons.
      select c.id, c.search || ''::tsvector as search from knowledge_chunks c
      where c.workspace_id = score_chunks.workspace_id and c.id = any (ids) offset 0
    ) k;
end $$;
comment on function score_chunks is
  '`share` is the share of the question''s meaningful words that a passage holds, `rank` how close together they stand.';

create function search_knowledge(
  workspace_id bigint, query text, max_rows integer default 5, embedding real[] default null,
  embedding_model text default null, documents bigint[] default null
) returns jsonb
language sql stable security invoker set search_path = public as $$
  with by_words as (
    select m.*, row_number() over (order by m.share desc, m.rank desc, m.chunk_id) as place
    from (
      select d.indexed_language as language, sum(d.chunks) as chunks from knowledge_documents d
      where d.workspace_id = search_knowledge.workspace_id and d.indexed_language is not null group by 1
    ) l
    cross join lateral match_chunks(
      search_knowledge.workspace_id, l.language, search_knowledge.query, l.chunks <= 2000,
      search_knowledge.documents
    ) m
    order by place limit 40
  ), by_meaning as (
    select n.*, row_number() over (order by n.similarity desc, n.chunk_id) as place
    from near_chunks(
      search_knowledge.workspace_id, search_knowledge.embedding, search_knowledge.embedding_model, 40,
      search_knowledge.documents
    ) n
  ), fused as (
    -- Reciprocal rank fusion: Cormack, Clarke and Büttcher, SIGIR 2009, with their 60.
    select coalesce(w.chunk_id, m.chunk_id) as chunk_id, coalesce(w.share, 0) as share, m.similarity,
      coalesce(1.0 / (60 + w.place), 0) + coalesce(1.0 / (60 + m.place), 0) as fusion, w.place
    from by_words w full join by_meaning m on m.chunk_id = w.chunk_id
    order by fusion desc, w.place, chunk_id limit max_rows
  )
  select coalesce(jsonb_agg(jsonb_build_object(
    'chunk_id', k.id, 'document_id', k.document_id, 'title', d.title, 'heading', k.heading, 'text', k.content,
    'score', greatest(f.share, f.similarity, 0), 'words', f.share, 'similarity', f.similarity
  ) order by f.fusion desc, f.place, k.id), '[]')
  from fused f
  join knowledge_chunks k on k.workspace_id = search_knowledge.workspace_id and k.id = f.chunk_id
  join knowledge_documents d on d.workspace_id = k.workspace_id and d.id = k.document_id
$$;
comment on function search_knowledge is
  'Passages for a question, best first. `score` is the share of the question''s meaningful words that a passage holds, or
how near it is in meaning (cosine), whichever is more; `documents` are the only ones to look into.';

create function ask_knowledge(
  caller jsonb, workspace_id bigint, query text, max_rows integer default 5, embedding real[] default null,
  embedding_model text default null
) returns jsonb
language plpgsql stable security invoker set search_path = public as $$
begin
  if not ask_knowledge.workspace_id = any (visible_workspaces(caller)) then
    raise exception using errcode = 'PT404', message = 'There is no such workspace.';
  end if;
  return search_knowledge(
    ask_knowledge.workspace_id, ask_knowledge.query, ask_knowledge.max_rows, ask_knowledge.embedding,
    ask_knowledge.embedding_model
  );
end $$;
comment on function ask_knowledge is 'search_knowledge for people who try what would be found; PT404 for a workspace that is not theirs.';
