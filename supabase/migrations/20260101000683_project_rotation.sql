-- Rotation of what is secret of a tenant's own Supabase project: the password of its database, and its secret key. It is part of
-- the job that gives people another login. What reads a key elsewhere is told of the new one before the former one ends.

insert into provisioning.job_kinds (kind, label, worker, lane, works_on, purpose, made_by_sweep) values
  ('end_project_keys', 'End of keys', 'provisioning', 'batch', '{supabase}', 'maintain', 'enqueue_key_ends');
update provisioning.job_kinds set works_on = works_on || '{supabase,github,vercel,n8n}' where kind = 'rotate_credentials';

insert into provisioning.step_definitions (kind, tier, step, service, position, depends_on) values
  ('rotate_credentials', 'project', 'new_project_password', 'supabase', 3, '{limit_former_login}'),
  ('rotate_credentials', 'project', 'new_secret_key', 'supabase', 4, '{new_project_password}'),
  ('rotate_credentials', 'project', 'hand_on_to_repository', 'github', 5, '{new_secret_key}'),
  ('rotate_credentials', 'project', 'hand_on_to_deployment', 'vercel', 6, '{new_secret_key}'),
  -- A deployment keeps the values that it was built with.
  ('rotate_credentials', 'project', 'deploy_anew', 'vercel', 7, '{hand_on_to_deployment}'),
  ('rotate_credentials', 'project', 'hand_on_to_workflows', 'n8n', 8, '{new_secret_key}'),
  ('rotate_credentials', 'project', 'limit_former_key', 'supabase', 9,
    '{new_secret_key,hand_on_to_repository,deploy_anew,hand_on_to_workflows}'),
  ('end_project_keys', 'project', 'end_former_keys', 'supabase', 1, '{}');

create table provisioning.former_project_keys (
  organization_id uuid not null references public.organizations (id) on delete cascade,
  -- By which Supabase knows it. Never the key.
  key_id text not null,
  -- Null as long as somebody may not have been told of the one in its place.
  ends_at timestamptz,
  -- When a sweep looks next whether it can be ended.
  look_at timestamptz,
  created_at timestamptz not null default now(),
  primary key (organization_id, key_id),
  constraint keys_with_an_end_are_looked_at check ((ends_at is null) = (look_at is null))
);
comment on table provisioning.former_project_keys is
  'Secret keys of tenants'' own Supabase projects in whose place another one has come. They are deleted there after their end.';
create index former_project_keys_look_at_idx on provisioning.former_project_keys (look_at) where look_at is not null;
alter table provisioning.former_project_keys enable row level security;
revoke all on provisioning.former_project_keys from anon, authenticated, service_role;

create function provisioning.record_project_password(p_job_id uuid, p_lease_token uuid) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_job public.provisioning_jobs := provisioning.hold_lease(p_job_id, p_lease_token);
begin
  perform provisioning.audit(v_job.organization_id, 'project_password.rotated', 'job', v_job.id::text);
end
$$;
revoke execute on function provisioning.record_project_password(uuid, uuid) from public, anon, authenticated, service_role;
comment on function provisioning.record_project_password(uuid, uuid) is
  'The role postgres of the tenant''s own Supabase project has another password, which Vault has already.';

create function provisioning.note_former_key(p_job_id uuid, p_lease_token uuid, p_key_id text) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_job public.provisioning_jobs := provisioning.hold_lease(p_job_id, p_lease_token);
begin
  insert into provisioning.former_project_keys (organization_id, key_id) values (v_job.organization_id, p_key_id)
  on conflict do nothing;
end
$$;
revoke execute on function provisioning.note_former_key(uuid, uuid, text) from public, anon, authenticated, service_role;
comment on function provisioning.note_former_key(uuid, uuid, text) is
  'Another key comes in the place of this one. It ends when all have been told of that: see limit_former_keys.';

create function provisioning.record_secret_key(p_job_id uuid, p_lease_token uuid, p_key_id text) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_job public.provisioning_jobs := provisioning.hold_lease(p_job_id, p_lease_token);
begin
  perform provisioning.audit(v_job.organization_id, 'project_key.rotated', 'key', p_key_id,
    jsonb_build_object('job_id', v_job.id));
end
$$;
revoke execute on function provisioning.record_secret_key(uuid, uuid, text) from public, anon, authenticated, service_role;
comment on function provisioning.record_secret_key(uuid, uuid, text) is
  'The tenant''s own Supabase project has this secret key, which Vault has already.';

create function provisioning.limit_former_keys(p_job_id uuid, p_lease_token uuid) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_job public.provisioning_jobs := provisioning.hold_lease(p_job_id, p_lease_token);
  v_ends_at timestamptz := now() + make_interval(hours => coalesce((v_job.request ->> 'grace_hours')::integer, (
    select s.rotation_grace_hours from provisioning.settings s)));
begin
  update provisioning.former_project_keys k set ends_at = v_ends_at, look_at = v_ends_at
  where k.organization_id = v_job.organization_id and k.ends_at is null;
end
$$;
revoke execute on function provisioning.limit_former_keys(uuid, uuid) from public, anon, authenticated, service_role;
comment on function provisioning.limit_former_keys(uuid, uuid) is
  'Whoever uses the key of the tenant''s own Supabase project has the new one. Former ones end after the hours of grace that the
job asks for, or the settings say.';

create function provisioning.record_ended_keys(p_job_id uuid, p_lease_token uuid, p_key_ids text[]) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_job public.provisioning_jobs := provisioning.hold_lease(p_job_id, p_lease_token);
begin
  delete from provisioning.former_project_keys k
  where k.organization_id = v_job.organization_id and k.key_id = any (p_key_ids);
  perform provisioning.audit(v_job.organization_id, 'project_key.ended', 'key', k) from unnest(p_key_ids) k;
end
$$;
revoke execute on function provisioning.record_ended_keys(uuid, uuid, text[]) from public, anon, authenticated, service_role;
comment on function provisioning.record_ended_keys(uuid, uuid, text[]) is 'These keys open nothing any more.';

create function provisioning.enqueue_key_ends(p_limit integer) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_id uuid;
begin
  for v_id in
    with due as (
      select k.organization_id, k.key_id from provisioning.former_project_keys k where k.look_at <= now()
      order by k.look_at limit p_limit for update skip locked
    )
    update provisioning.former_project_keys k set look_at = now() + interval '10 minutes' from due
    where k.organization_id = due.organization_id and k.key_id = due.key_id
    returning k.organization_id
  loop
    perform provisioning.enqueue(v_id, 'end_project_keys');
  end loop;
end
$$;
revoke execute on function provisioning.enqueue_key_ends(integer) from public, anon, authenticated, service_role;
comment on function provisioning.enqueue_key_ends(integer) is
  'Makes a job for each of up to p_limit former keys whose end has come.';
