-- Moving a tenant from one tier into another: its database is made anew beside the present one, with all that belongs to
-- the tier, the rows are copied, and one transaction makes the new one the tenant's. What is left behind
-- is removed after its grace period.

insert into provisioning.job_kinds (kind, label, worker, lane, works_on, purpose, which_database, has_steps_of) values
  ('move', 'Move into another tier', 'provisioning', 'request', '{*}', 'move', 'coming', 'provision'),
  ('check_move', 'Look before a move', 'provisioning', 'request', '{*}', 'maintain', 'current', null),
  ('undo_move', 'Undo of a move', 'removal', 'request', '{*}', 'maintain', 'coming', 'undo'),
  ('remove_former', 'Removal of what a moved tenant has left', 'removal', 'batch', '{neon}', 'maintain', 'former', null),
  ('reopen_database', 'Opening of a database closed for a move', 'provisioning', 'request', '{*}', 'maintain', 'current', null);
update provisioning.job_kinds set made_by_sweep = 'enqueue_reopenings' where kind = 'reopen_database';

insert into provisioning.step_definitions (kind, tier, step, service, position, depends_on) values
  ('move', 'project', 'move_check', 'database', 1, '{}'),
  ('move', 'project', 'move_copy', 'database', 17, '{tenant_schema}'),
  ('move', 'project', 'move_switch', 'database', 100, '{*}'),
  ('check_move', 'database', 'move_check', 'neon', 1, '{}'),
  ('undo_move', 'project', 'reopen_database', 'database', 0, '{}'),
  ('reopen_database', 'database', 'reopen_database', 'neon', 1, '{}'),
  ('remove_former', 'database', 'delete_neon_project', 'neon', 1, '{}');

alter table provisioning.settings
  -- How long the database in use may be closed, while the last rows are copied; and how often that is tried.
  add column move_closed_seconds numeric not null default 20,
  add column move_closings integer not null default 5,
  add constraint move_limits_are_positive check (move_closed_seconds > 0 and move_closings > 0);

-- What steps read and write.

create function provisioning.move_facts(p_organization_id uuid) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
  v_move provisioning.tenant_moves;
begin
  select * into v_move from provisioning.tenant_moves m where m.organization_id = p_organization_id and m.moved_at is null;
  return (
    select jsonb_build_object('fromTier', coalesce(v_move.from_tier, provisioning.tier_of(p_organization_id)),
      'withData', v_move.with_data, 'leaveExtraTables', v_move.leave_extra_tables, 'closings', v_move.closings,
      'isClosed', v_move.closed_until is not null, 'facts', provisioning.tenant(p_organization_id),
      'closedSeconds', least(s.move_closed_seconds, s.step_max_seconds * 0.6), 'mostClosings', s.move_closings,
      'sliceSeconds', least(20, s.step_max_seconds * 0.4),
      'tables', (
        select coalesce(jsonb_object_agg(t.table_name, jsonb_build_object('after', t.after_key, 'pageRows', t.page_rows,
          'passes', t.passes, 'changed', t.changed, 'changedInPass', t.changed_in_pass)), '{}')
        from provisioning.moved_tables t where t.organization_id = p_organization_id))
    from provisioning.settings s);
end
$$;
revoke execute on function provisioning.move_facts(uuid) from public, anon, authenticated, service_role;
comment on function provisioning.move_facts(uuid) is
  'What the steps of a move need: the database in use, how far the rows are copied, and what the settings allow.';

create function provisioning.record_moved_page(
  p_job_id uuid, p_lease_token uuid, p_table text, p_after text[], p_page_rows integer, p_changed integer, p_is_last boolean
) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_job public.provisioning_jobs := provisioning.hold_lease(p_job_id, p_lease_token);
begin
  insert into provisioning.moved_tables as t (organization_id, table_name, after_key, page_rows, changed_in_pass, passes, changed)
  values (v_job.organization_id, p_table, case when not p_is_last then p_after end, p_page_rows,
    case when p_is_last then 0 else p_changed end, p_is_last::integer, case when p_is_last then p_changed else 0 end)
  on conflict (organization_id, table_name) do update set after_key = excluded.after_key, page_rows = excluded.page_rows,
    passes = t.passes + p_is_last::integer,
    changed = case when p_is_last then t.changed_in_pass + p_changed else t.changed end,
    changed_in_pass = case when p_is_last then 0 else t.changed_in_pass + p_changed end;
end
$$;
revoke execute on function provisioning.record_moved_page(uuid, uuid, text, text[], integer, integer, boolean)
  from public, anon, authenticated, service_role;
comment on function provisioning.record_moved_page(uuid, uuid, text, text[], integer, integer, boolean) is
  'The rows of a table up to this key are the same in both databases; p_is_last: there are no more behind it.';

create function provisioning.close_for_move(p_job_id uuid, p_lease_token uuid, p_seconds double precision) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_job public.provisioning_jobs := provisioning.hold_lease(p_job_id, p_lease_token);
begin
  update provisioning.tenant_moves m set closed_until = clock_timestamp() + make_interval(secs => p_seconds),
    closings = m.closings + 1
  where m.organization_id = v_job.organization_id and m.moved_at is null;
end
$$;
revoke execute on function provisioning.close_for_move(uuid, uuid, double precision)
  from public, anon, authenticated, service_role;
comment on function provisioning.close_for_move(uuid, uuid, double precision) is
  'From now on the database in use takes nobody in. A sweep opens it when the time is over and no worker is at the move.';

create function provisioning.record_reopened(p_job_id uuid, p_lease_token uuid) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_job public.provisioning_jobs := provisioning.hold_lease(p_job_id, p_lease_token);
begin
  update provisioning.tenant_moves m set closed_until = null
  where m.organization_id = v_job.organization_id and m.moved_at is null;
end
$$;
revoke execute on function provisioning.record_reopened(uuid, uuid) from public, anon, authenticated, service_role;
comment on function provisioning.record_reopened(uuid, uuid) is 'The database in use takes connections as before.';

create function provisioning.enqueue_reopenings(p_limit integer) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_id uuid;
begin
  for v_id in
    select m.organization_id from provisioning.tenant_moves m
    where m.closed_until < now() and not exists (
      select from provisioning.job_leases l where l.job_id = m.job_id and l.expires_at > now())
    order by m.closed_until limit p_limit
  loop
    perform provisioning.enqueue(v_id, 'reopen_database');
  end loop;
end
$$;
revoke execute on function provisioning.enqueue_reopenings(integer) from public, anon, authenticated, service_role;
comment on function provisioning.enqueue_reopenings(integer) is
  'Makes a job for each of up to p_limit databases that were closed for a move whose worker is gone.';

-- The switch.

create function provisioning.take_coming_logins(p_organization_id uuid) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_prefix constant text := provisioning.login_secret(p_organization_id, '', p_is_coming => true);
  v_name text;
  v_password text;
begin
  delete from vault.secrets s
  where s.name like provisioning.login_secret(p_organization_id, '%') and not starts_with(s.name, v_prefix);
  for v_name in select s.name from vault.secrets s where starts_with(s.name, v_prefix) loop
    v_password := provisioning.vault_secret(v_name);
    if v_password is null then
      raise exception 'Vault cannot decrypt "%".', v_name using errcode = 'TP413';
    end if;
    perform provisioning.keep_secret(provisioning.login_secret(p_organization_id, substr(v_name, length(v_prefix) + 1)),
      v_password, 'Password of a login into a tenant''s own database');
    delete from vault.secrets s where s.name = v_name;
  end loop;
end
$$;
revoke execute on function provisioning.take_coming_logins(uuid) from public, anon, authenticated, service_role;
comment on function provisioning.take_coming_logins(uuid) is
  'The passwords of the database that an organization moves to take the place of those of the one that it leaves.';

create function provisioning.provision_as_moved(p_job public.provisioning_jobs) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_kind constant text := provisioning.kind_for('provision');
  v_old public.provisioning_jobs;
  v_new uuid;
begin
  select * into v_old from public.provisioning_jobs j
  where j.organization_id = p_job.organization_id and j.kind = v_kind order by j.created_at desc limit 1 for update;
  if v_old.status in ('queued', 'running') then
    perform provisioning.cancel_job(v_old.id, false);
  end if;
  insert into public.provisioning_jobs (organization_id, kind, tier, lane, requested_by, attempts, started_at)
  values (p_job.organization_id, v_kind, p_job.tier, 'request', p_job.requested_by, 1, now()) returning id into v_new;
  -- What both tiers have is as it was; what the move has made is as if it had been provisioned.
  insert into public.provisioning_steps (job_id, step, organization_id, service, position, depends_on, status, attempts, output,
    started_at, finished_at)
  select v_new, d.step, p_job.organization_id, d.service, d.position, d.depends_on,
    case when s.status = 'succeeded' then 'succeeded' else 'pending' end, coalesce(s.attempts, 0), coalesce(s.output, '{}'),
    s.started_at, case when s.status = 'succeeded' then s.finished_at end
  from provisioning.steps_for(v_kind, p_job.tier) d
  left join lateral (
    select s.* from public.provisioning_steps s
    where s.step = d.step and s.service = d.service and s.job_id in (p_job.id, v_old.id)
    order by s.job_id = p_job.id desc limit 1) s on true;
  if not exists (select from public.provisioning_steps s where s.job_id = v_new and s.status <> 'succeeded') then
    update public.provisioning_jobs j set status = 'succeeded', finished_at = now() where j.id = v_new;
  end if;
end
$$;
revoke execute on function provisioning.provision_as_moved(public.provisioning_jobs)
  from public, anon, authenticated, service_role;
comment on function provisioning.provision_as_moved(public.provisioning_jobs) is
  'Gives an organization a job that stands for its provisioning in the tier that it has moved to, so that its status, its retries
and whatever else looks at that job are those of the tier.';

create function provisioning.begin_anew_in_tier(p_job public.provisioning_jobs) returns void
language plpgsql security definer set search_path = '' as $$
begin
  with waiting as (
    update public.provisioning_jobs j set tier = p_job.tier, attempts = 0, next_attempt_at = now()
    from provisioning.job_kinds k
    where j.organization_id = p_job.organization_id and j.status = 'queued' and j.tier <> p_job.tier and k.kind = j.kind
      and k.which_database = 'current' and exists (
        select from provisioning.step_definitions d where d.kind = j.kind and d.tier = p_job.tier)
    returning j.id
  )
  delete from public.provisioning_steps s using waiting w where s.job_id = w.id;
end
$$;
revoke execute on function provisioning.begin_anew_in_tier(public.provisioning_jobs)
  from public, anon, authenticated, service_role;
comment on function provisioning.begin_anew_in_tier(public.provisioning_jobs) is
  'What waits to be done for an organization is done in the tier that it has moved to, from the beginning.';

create function provisioning.leave_former(p_move provisioning.tenant_moves) returns uuid
language plpgsql security definer set search_path = '' as $$
begin
  perform provisioning.release_resources(p_move.organization_id, p_with_grace => true, p_services => array(
    select d.service from provisioning.step_definitions d where d.kind = 'remove_former' and d.tier = p_move.from_tier));
  return provisioning.enqueue(p_move.organization_id, 'remove_former', '{}', null, null, p_move.from_tier);
end
$$;
revoke execute on function provisioning.leave_former(provisioning.tenant_moves) from public, anon, authenticated, service_role;
comment on function provisioning.leave_former(provisioning.tenant_moves) is
  'What an organization has left behind is removed when the hours of grace of its kind are over. Returns the job.';

create function provisioning.switch_tenant(p_job_id uuid, p_lease_token uuid, p_tables jsonb) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_job public.provisioning_jobs;
  v_move provisioning.tenant_moves;
  v_former public.organization_databases;
  v_removal uuid;
begin
  perform provisioning.hold_owner((select j.organization_id from public.provisioning_jobs j where j.id = p_job_id));
  v_job := provisioning.hold_lease(p_job_id, p_lease_token);
  select * into v_move from provisioning.tenant_moves m where m.organization_id = v_job.organization_id for update;
  if v_move.job_id is distinct from v_job.id or v_move.moved_at is not null then
    raise exception 'This is not the move that is under way.' using errcode = 'TP413';
  end if;
  perform provisioning.provision_as_moved(v_job);
  select * into v_former from public.organization_databases d where d.organization_id = v_job.organization_id for update;
  perform provisioning.take_coming_logins(v_job.organization_id);
  delete from provisioning.tenant_logins l where l.organization_id = v_job.organization_id;
  delete from public.tenant_health h where h.organization_id = v_job.organization_id;
  perform provisioning.resolve_alert(v_job.organization_id, 'tenant_health');
  update public.organization_databases d set neon_project_id = null, neon_branch_id = null, neon_endpoint_id = null,
    supabase_project_ref = c.supabase_project_ref, region = c.region, host = c.host,
    pooled_host = c.pooled_host, port = c.port, pooled_port = c.pooled_port,
    pooler_tenant = c.pooler_tenant, database_name = c.database_name, role_name = c.role_name, ssl_mode = c.ssl_mode,
    ssl_verified_at = c.ssl_verified_at, graphql_enabled = coalesce(c.graphql_enabled, false),
    graphql_endpoint = c.graphql_endpoint, schema_version = c.schema_version, schema_drift_at = null, health_status = 'unknown',
    credentials_secret_id = (
      select s.id from vault.secrets s where s.name = provisioning.login_secret(
        d.organization_id, substr(c.role_name, length(c.database_name) + 2))),
    password_changed_at = now(), own_passwords_changed_at = now(), rotation_look_at = now()
  from jsonb_populate_record(null::public.organization_databases, v_move.coming) c
  where d.organization_id = v_job.organization_id;
  perform provisioning.begin_health_checks(v_job.organization_id, v_move.to_tier);
  update provisioning.tenant_moves m set former = to_jsonb(v_former), closed_until = null, moved_at = clock_timestamp()
  where m.organization_id = v_job.organization_id;
  update provisioning.moved_tables t set rows_moved = n.rows, checksum = n.checksum
  from jsonb_to_recordset(p_tables) n ("table" text, rows bigint, checksum numeric)
  where t.organization_id = v_job.organization_id and t.table_name = n.table;
  v_removal := provisioning.leave_former(v_move);
  perform provisioning.begin_anew_in_tier(v_job);
  perform provisioning.record_event(v_job.organization_id, v_job.id, 'tenant.moved', 'tier', 'succeeded', v_move.to_tier, null,
    jsonb_build_object('from', v_move.from_tier, 'to', v_move.to_tier), v_move.created_at, clock_timestamp());
  perform provisioning.audit(v_job.organization_id, 'tenant.moved', 'tier', v_move.to_tier, jsonb_build_object(
    'from', v_move.from_tier, 'to', v_move.to_tier, 'with_data', v_move.with_data, 'job_id', v_job.id,
    'removal_job_id', v_removal,
    'rows', (select coalesce(sum(n.rows), 0) from jsonb_to_recordset(p_tables) n (rows bigint))));
end
$$;
revoke execute on function provisioning.switch_tenant(uuid, uuid, jsonb) from public, anon, authenticated, service_role;
comment on function provisioning.switch_tenant(uuid, uuid, jsonb) is
  'The organization is of the tier that it has moved to, and its database is the new one: row, passwords, endpoint and status at
once. p_tables: [{table, rows, checksum}], what both databases had at the end. Called in the statement that ends the step.';

-- What operators ask for.

create function provisioning.newest_move(p_organization_id uuid) returns public.provisioning_jobs
language plpgsql security definer set search_path = '' as $$
declare
  v_job public.provisioning_jobs;
begin
  select j.* into v_job from public.provisioning_jobs j
  where j.organization_id = p_organization_id and j.kind = provisioning.kind_for('move')
  order by j.created_at desc limit 1 for update;
  return v_job;
end
$$;
revoke execute on function provisioning.newest_move(uuid) from public, anon, authenticated, service_role;
comment on function provisioning.newest_move(uuid) is
  'Locks and returns the newest job that moves the organization; nulls for none.';

create function provisioning.assert_movable(
  p_organization public.organizations, p_job public.provisioning_jobs, p_tier text
) returns void
language plpgsql stable security definer set search_path = '' as $$
declare
  v_from constant text := provisioning.tier_of(p_organization.id);
begin
  perform provisioning.assert_tier(p_organization, p_tier);
  if v_from = p_tier then
    raise exception 'The organization is of the tier "%" already.', p_tier using errcode = 'TP413';
  end if;
  if not exists (select from provisioning.step_definitions d where d.kind = provisioning.kind_for('move') and d.tier = p_tier)
    or not exists (select from provisioning.step_definitions d where d.kind = 'check_move' and d.tier = v_from) then
    raise exception 'A tenant cannot be moved from the tier "%" into "%".', v_from, p_tier using errcode = 'TP413';
  end if;
  if p_job.status is distinct from 'succeeded' then
    raise exception 'A tenant is moved when it is ready and nothing else is under way; its provisioning_status says how it is.'
      using errcode = 'TP413';
  end if;
  if exists (
    select from public.provisioning_jobs j
    where j.organization_id = p_organization.id and j.kind = 'undo_move' and j.status in ('queued', 'running')) then
    raise exception 'What a cancelled move had made is still being removed. Try again when that is done, in about a minute.'
      using errcode = 'TP423';
  end if;
end
$$;
revoke execute on function provisioning.assert_movable(public.organizations, public.provisioning_jobs, text)
  from public, anon, authenticated, service_role;
comment on function provisioning.assert_movable(public.organizations, public.provisioning_jobs, text) is
  'Raises TP402 (the plan does not have the tier), TP413 (it cannot be moved there, or not now), TP422 (unknown tier) or TP423.';

create function provisioning.begin_move(
  p_organization_id uuid, p_tier text, p_with_data boolean, p_leave_extra_tables boolean
) returns uuid
language plpgsql security definer set search_path = '' as $$
declare
  v_kind constant text := provisioning.kind_for('move');
  v_job public.provisioning_jobs := provisioning.newest_move(p_organization_id);
  v_job_id uuid := v_job.id;
begin
  if v_job.status is null or v_job.status not in ('queued', 'running', 'failed') then
    v_job_id := provisioning.enqueue(p_organization_id, v_kind, '{}', auth.uid(), null, p_tier);
    delete from provisioning.tenant_moves m where m.organization_id = p_organization_id;
    insert into provisioning.tenant_moves (organization_id, job_id, from_tier, to_tier, with_data, leave_extra_tables, coming)
    select p_organization_id, v_job_id, provisioning.tier_of(p_organization_id), p_tier, p_with_data, p_leave_extra_tables,
      to_jsonb(jsonb_populate_record(null::public.organization_databases, jsonb_build_object('organization_id', p_organization_id,
        'region', d.region, 'size', d.size, 'ssl_mode', 'require')))
    from public.organization_databases d where d.organization_id = p_organization_id;
    return v_job_id;
  end if;
  update provisioning.tenant_moves m set with_data = p_with_data, leave_extra_tables = p_leave_extra_tables, closings = 0
  where m.organization_id = p_organization_id and m.job_id = v_job.id;
  if v_job.status = 'failed' then
    perform provisioning.retry_job(v_job.id);
  end if;
  return v_job_id;
end
$$;
revoke execute on function provisioning.begin_move(uuid, text, boolean, boolean) from public, anon, authenticated, service_role;
comment on function provisioning.begin_move(uuid, text, boolean, boolean) is
  'The job that moves an organization: a new one, or the one that is under way or has failed, which is tried again.';

create function provisioning.move_as_caller(
  p_organization_id uuid, p_tier text, p_dry_run boolean, p_with_data boolean, p_leave_extra_tables boolean
) returns uuid
language plpgsql security definer set search_path = '' as $$
declare
  v_held record;
  v_job_id uuid;
begin
  perform provisioning.assert_operator();
  perform provisioning.count_act(p_organization_id);
  select * into v_held from provisioning.hold_provisioning(p_organization_id);
  perform provisioning.assert_movable(v_held.organization, v_held.job, p_tier);
  v_job_id := case when p_dry_run then provisioning.enqueue(p_organization_id, 'check_move', '{}', auth.uid())
    else provisioning.begin_move(p_organization_id, p_tier, p_with_data, p_leave_extra_tables) end;
  perform provisioning.audit(p_organization_id, case when p_dry_run then 'move.checked' else 'move.requested' end, 'job',
    v_job_id::text, jsonb_build_object('tier', p_tier, 'with_data', p_with_data, 'leave_extra_tables', p_leave_extra_tables));
  perform provisioning.ring_doorbell('provisioning');
  return v_job_id;
end
$$;
revoke execute on function provisioning.move_as_caller(uuid, text, boolean, boolean, boolean)
  from public, anon, authenticated, service_role;
grant execute on function provisioning.move_as_caller(uuid, text, boolean, boolean, boolean) to authenticated, service_role;
comment on function provisioning.move_as_caller(uuid, text, boolean, boolean, boolean) is
  'Moves a tenant into another tier, for operators and the service role, and returns the job. p_dry_run only looks: the job''s
output says what would be in the way. Without p_with_data no rows are copied; p_leave_extra_tables leaves tables behind that
people have made. Raises TP402, TP403, TP404, TP413, TP422, TP423 or TP429.';

create function provisioning.cancel_move_as_caller(p_organization_id uuid) returns uuid
language plpgsql security definer set search_path = '' as $$
declare
  v_job public.provisioning_jobs;
  v_undo uuid;
begin
  perform provisioning.assert_operator();
  perform provisioning.count_act(p_organization_id);
  perform provisioning.hold_provisioning(p_organization_id);
  v_job := provisioning.newest_move(p_organization_id);
  if v_job.status is null or v_job.status in ('succeeded', 'cancelled') then
    raise exception 'No move of the organization is under way.' using errcode = 'TP410';
  end if;
  perform provisioning.cancel_job(v_job.id, true);
  perform provisioning.release_resources(p_organization_id, p_with_grace => false, p_services => array(
    select d.service from provisioning.steps_for('undo_move', v_job.tier, p_organization_id) d));
  v_undo := provisioning.enqueue_removal(p_organization_id, 'undo_move', p_tier => v_job.tier);
  perform provisioning.record_event(p_organization_id, v_job.id, 'job.cancelled', v_job.kind, 'cancelled', v_job.id::text, null,
    jsonb_build_object('undo_job_id', v_undo), v_job.created_at, clock_timestamp());
  perform provisioning.audit(p_organization_id, 'move.cancelled', 'job', v_job.id::text,
    jsonb_build_object('undo_job_id', v_undo));
  return v_undo;
end
$$;
revoke execute on function provisioning.cancel_move_as_caller(uuid) from public, anon, authenticated, service_role;
grant execute on function provisioning.cancel_move_as_caller(uuid) to authenticated, service_role;
comment on function provisioning.cancel_move_as_caller(uuid) is
  'Stops a move before its switch, for operators and the service role, and returns the job that removes what it has made. The
tenant stays where it is. Raises TP403, TP404, TP410 when none is under way, or TP429.';

create function public.move_tenant(
  organization_id uuid, tier text default 'project', dry_run boolean default false, with_data boolean default true,
  leave_extra_tables boolean default false
) returns uuid
language sql volatile security invoker set search_path = '' as $$
  select provisioning.move_as_caller(organization_id, tier, dry_run, with_data, leave_extra_tables)
$$;
revoke execute on function public.move_tenant(uuid, text, boolean, boolean, boolean) from public, anon;
grant execute on function public.move_tenant(uuid, text, boolean, boolean, boolean) to authenticated, service_role;
comment on function public.move_tenant(uuid, text, boolean, boolean, boolean) is
  'Moves a tenant into another tier, for operators and the backend, and returns the job. See provisioning.move_as_caller.';

create function public.cancel_move(organization_id uuid) returns uuid
language sql volatile security invoker set search_path = '' as $$
  select provisioning.cancel_move_as_caller(organization_id)
$$;
revoke execute on function public.cancel_move(uuid) from public, anon;
grant execute on function public.cancel_move(uuid) to authenticated, service_role;
comment on function public.cancel_move(uuid) is
  'Stops a move before its switch, for operators and the backend, and returns the job that removes what it has made.';
