set local lock_timeout = '5s';

-- What Supabase brings along and a bare Postgres lacks: roles, auth.uid(), and closed doors by default.
-- On Supabase everything here exists already and nothing is changed but the default privileges.

do $$
declare
  wanted text;
  may_act constant text :=
    case when current_setting('server_version_num')::integer < 160000 then 'member' else 'set' end;
begin
  foreach wanted in array array['anon', 'authenticated', 'service_role'] loop
    if not exists (select from pg_roles where rolname = wanted) then
      execute format('create role %I nologin noinherit', wanted);
    end if;
  end loop;
  if not (select rolbypassrls from pg_roles where rolname = 'service_role') then
    begin
      alter role service_role bypassrls;
    exception when insufficient_privilege then
      raise notice 'service_role cannot be given bypassrls here: its policies let it pass instead';
    end;
  end if;
  -- From 16 on whoever makes a role administers it, but may not act as it without being granted that as well.
  if not pg_has_role(current_user, 'service_role', may_act) then
    execute format('grant service_role to %I', current_user);
  end if;
end $$;

do $$
begin
  if to_regnamespace('auth') is null then
    create schema auth;
    grant usage on schema auth to anon, authenticated, service_role;
  end if;
  if to_regprocedure('auth.uid()') is null then
    execute $define$
      create function auth.uid() returns uuid language sql stable set search_path = '' as $body$
        select nullif(
          coalesce(
            nullif(pg_catalog.current_setting('request.jwt.claim.sub', true), ''),
            nullif(pg_catalog.current_setting('request.jwt.claims', true), '')::pg_catalog.jsonb ->> 'sub'
          ), ''
        )::pg_catalog.uuid
      $body$
    $define$;
    grant execute on function auth.uid() to anon, authenticated, service_role;
  end if;
end $$;

grant usage on schema public to anon, authenticated, service_role;

-- Without the first line every new function could be called by anybody through the REST API.
alter default privileges revoke execute on functions from public;
alter default privileges in schema public revoke execute on functions from anon, authenticated;
alter default privileges in schema public revoke all on tables from anon, authenticated;
alter default privileges in schema public revoke all on sequences from anon, authenticated;
alter default privileges in schema public grant execute on functions to service_role;
alter default privileges in schema public grant select, insert, update, delete on tables to service_role;
alter default privileges in schema public grant usage on sequences to service_role;

create function applied_migrations() returns jsonb
language plpgsql stable security definer set search_path = '' as $$
begin
  -- Kept by `supabase db push` and by `switchboard migrate`, out of reach for service_role: hence security definer.
  if pg_catalog.to_regclass('supabase_migrations.schema_migrations') is null then
    return '[]';
  end if;
  return (
    select coalesce(pg_catalog.jsonb_agg(m.version order by m.version), '[]')
    from supabase_migrations.schema_migrations m
  );
end $$;
comment on function applied_migrations is 'The versions of the migrations this database has seen, oldest first.';
