-- All that there is to know of one user and one organization, as JSON. Nothing here is a secret: of Vault only names are read,
-- and whether a secret is there.

create function provisioning.user_facts(p_user_id uuid) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
begin
  return jsonb_build_object(
    'user', (
      select jsonb_build_object('id', u.id, 'email', u.email, 'created_at', u.created_at, 'last_sign_in_at', u.last_sign_in_at,
        'confirmed_at', coalesce(u.email_confirmed_at, u.phone_confirmed_at), 'is_anonymous', u.is_anonymous,
        'deleted_at', u.deleted_at, 'banned_until', u.banned_until,
        'is_provisioned', (u.raw_app_meta_data @> '{"provision": false}') is not true)
      from auth.users u where u.id = p_user_id),
    'sign_up_failure', (select to_jsonb(f) from provisioning.sign_up_failures f where f.user_id = p_user_id),
    'profile', (select to_jsonb(p) from public.profiles p where p.id = p_user_id),
    'expected_by', (
      select coalesce(jsonb_agg(jsonb_build_object('organization_id', e.organization_id, 'slug', o.slug, 'role', e.role,
        'ends_at', e.ends_at) order by e.created_at), '[]')
      from provisioning.waiting_users w join provisioning.expected_members e on e.email = w.email and e.ends_at > now()
      join public.organizations o on o.id = e.organization_id
      where w.user_id = p_user_id),
    'wallet', (select to_jsonb(w) from public.wallets w where w.user_id = p_user_id),
    'memberships', (
      select coalesce(jsonb_agg(jsonb_build_object('organization_id', m.organization_id, 'slug', o.slug, 'role', m.role)
        order by m.created_at), '[]')
      from public.organization_members m join public.organizations o on o.id = m.organization_id where m.user_id = p_user_id));
end
$$;
revoke execute on function provisioning.user_facts(uuid) from public, anon, authenticated, service_role;

create function provisioning.newest_jobs(p_organization_id uuid) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
begin
  return (
    select coalesce(jsonb_object_agg(j.kind, to_jsonb(j) || jsonb_build_object('purpose', k.purpose,
      'details', provisioning.personal_details_of(j.id),
      'paused_because', provisioning.paused_because(j.id),
      'lease_expires_at', (select l.expires_at from provisioning.job_leases l where l.job_id = j.id),
      'steps', (
        select coalesce(jsonb_agg(to_jsonb(s) - 'job_id' - 'organization_id' order by s.position), '[]')
        from provisioning.steps_of(j.id) s))), '{}')
    from (
      select distinct on (i.kind) i.* from public.provisioning_jobs i
      where i.organization_id = p_organization_id order by i.kind, i.created_at desc) j
    join provisioning.job_kinds k using (kind));
end
$$;
revoke execute on function provisioning.newest_jobs(uuid) from public, anon, authenticated, service_role;
comment on function provisioning.newest_jobs(uuid) is
  'The newest job of each kind with its steps and the end of its lease, by kind. Before a worker has claimed a job, its steps are
those that it will have, pending.';

create function provisioning.organization_facts(p_organization_id uuid) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
begin
  return jsonb_build_object(
    'organization_id', p_organization_id,
    'organization', (
      select to_jsonb(o) || jsonb_build_object('owner_email', (select u.email from auth.users u where u.id = o.owner_id))
      from public.organizations o where o.id = p_organization_id),
    'members', (
      select coalesce(jsonb_agg(jsonb_build_object('user_id', m.user_id, 'email', u.email, 'role', m.role)
        order by m.created_at), '[]')
      from (select * from public.organization_members i where i.organization_id = p_organization_id
        order by i.created_at limit 20) m left join auth.users u on u.id = m.user_id),
    'member_count', (select count(*) from public.organization_members m where m.organization_id = p_organization_id),
    'owner_is_member', (
      select exists (select from public.organization_members m
        where m.organization_id = o.id and m.user_id = o.owner_id and m.role = 'owner')
      from public.organizations o where o.id = p_organization_id),
    'plan', (
      select to_jsonb(p) from provisioning.plans p join public.organizations o using (plan) where o.id = p_organization_id),
    'region', (
      select to_jsonb(r) from provisioning.regions r join public.organizations o using (data_region)
      where o.id = p_organization_id),
    'database', (
      select to_jsonb(d) || jsonb_build_object('credentials_in_vault', exists (
        select from vault.secrets s where s.id = d.credentials_secret_id))
      from public.organization_databases d where d.organization_id = p_organization_id),
    'health', (
      select to_jsonb(h) - 'organization_id' from public.tenant_health h where h.organization_id = p_organization_id),
    'resources', (
      select coalesce(jsonb_agg(jsonb_build_object('service', r.service, 'kind', r.kind, 'label', k.label, 'name', r.name,
        'external_id', r.external_id, 'url', r.url, 'state', r.state,
        'parts', coalesce(r.details -> 'parts', '[]'), 'details', r.details - 'request' - 'parts')
        order by r.created_at, r.kind), '[]')
      from public.tenant_resources r join provisioning.resource_kinds k using (service, kind)
      where r.organization_id = p_organization_id and r.state <> 'removed'),
    'jobs', provisioning.newest_jobs(p_organization_id),
    'events', (
      select coalesce(jsonb_agg(to_jsonb(e) - 'organization_id' order by e.started_at desc, e.id), '[]')
      from (select * from public.provisioning_events i where i.organization_id = p_organization_id
        order by i.started_at desc, i.id limit 20) e),
    'alerts', (
      select coalesce(jsonb_agg(to_jsonb(a) - 'organization_id' order by a.opened_at), '[]')
      from public.tenant_alerts a where a.organization_id = p_organization_id and a.resolved_at is null),
    'audit', (
      select coalesce(jsonb_agg(to_jsonb(l) - 'organization_id' || jsonb_build_object(
        'details', provisioning.personal_details_of(l.id)) order by l.created_at desc, l.id), '[]')
      from (select * from public.audit_logs i where i.organization_id = p_organization_id
        order by i.created_at desc, i.id limit 10) l));
end
$$;
revoke execute on function provisioning.organization_facts(uuid) from public, anon, authenticated, service_role;
