-- All rows that say something of Stripe: the customer of each organization, for its bills.

insert into provisioning.services (service, label, checked_by) values ('stripe', 'Stripe', 'stripe_checks');

insert into provisioning.step_definitions (kind, tier, step, service, position, depends_on) values
  ('provision', 'database', 'stripe_customer', 'stripe', 1, '{}'),
  ('deprovision', 'database', 'delete_stripe_customer', 'stripe', 3, '{}'),
  ('undo', 'database', 'delete_stripe_customer', 'stripe', 3, '{}'),
  ('update_details', 'database', 'update_stripe_customer', 'stripe', 1, '{}'),
  ('provision', 'project', 'stripe_customer', 'stripe', 1, '{}'),
  ('deprovision', 'project', 'delete_stripe_customer', 'stripe', 20, '{}'),
  ('undo', 'project', 'delete_stripe_customer', 'stripe', 20, '{}'),
  ('update_details', 'project', 'update_stripe_customer', 'stripe', 1, '{}');

insert into provisioning.provider_status (provider, service, label) values
  ('stripe_test', 'stripe', 'Stripe (test mode)'),
  ('stripe_live', 'stripe', 'Stripe');
-- Documented are 25 calls a second in test mode and 100 live; this leaves room for what else uses the account.
insert into provisioning.rate_limits (provider, scope, burst, per_second) values
  ('stripe_test', '*', 12, 13),
  ('stripe_live', '*', 50, 50);

-- Bookkeeping often wants to keep customers: set kept_on_deletion to false where it does not.
insert into provisioning.resource_kinds (kind, service, label, kept_on_deletion) values
  ('stripe_customer', 'stripe', 'Stripe customer', true);

create function provisioning.stripe_checks(p_facts jsonb) returns setof provisioning.tenant_check
language plpgsql stable security definer set search_path = '' as $$
declare
  v_organization jsonb := p_facts -> 'organization';
  v_address_problem text := (
    select r.details ->> 'billing_email' from public.tenant_resources r
    where r.organization_id = (v_organization ->> 'id')::uuid and r.kind = 'stripe_customer' and r.state = 'active');
begin
  return next provisioning.resource_check(p_facts, 'stripe_customer', 'stripe',
    case when v_organization ->> 'stripe_customer_id' is null then 'The organization has no customer at Stripe.' end,
    concat_ws(', ', v_organization ->> 'stripe_customer_id',
      v_organization ->> 'billing_email' || coalesce(' (' || v_address_problem || ')', ''),
      'subscription ' || (v_organization ->> 'stripe_subscription_status')));
end
$$;
revoke execute on function provisioning.stripe_checks(jsonb) from public, anon, authenticated, service_role;

-- What the steps write beside their own rows. Each is called in the same statement as complete_step.

create function provisioning.record_stripe_customer(p_job_id uuid, p_lease_token uuid, p_customer_id text,
  p_url text default null, p_address_refused boolean default false)
returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_job public.provisioning_jobs;
begin
  -- The status in the same row follows with complete_step.
  perform provisioning.hold_owner((select j.organization_id from public.provisioning_jobs j where j.id = p_job_id));
  v_job := provisioning.hold_lease(p_job_id, p_lease_token);
  update public.organizations o set stripe_customer_id = p_customer_id
  where o.id = v_job.organization_id
    and o.stripe_customer_id is distinct from p_customer_id;
  perform provisioning.record_resource(v_job.organization_id, 'stripe_customer', v_job.organization_id::text, p_customer_id,
    p_url, case when p_address_refused then '{"billing_email": "refused by Stripe"}' else '{}' end::jsonb);
end
$$;
revoke execute on function provisioning.record_stripe_customer(uuid, uuid, text, text, boolean)
  from public, anon, authenticated, service_role;
comment on function provisioning.record_stripe_customer(uuid, uuid, text, text, boolean) is
  'The organization has this customer. It is found by its metadata, which hold the organization''s id.
p_address_refused: it has no address, because Stripe does not take the billing address.';

create function provisioning.forget_stripe_customer(p_job_id uuid, p_lease_token uuid) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_job public.provisioning_jobs := provisioning.hold_lease(p_job_id, p_lease_token);
begin
  update public.organizations o set stripe_customer_id = null
  where o.id = v_job.organization_id and o.stripe_customer_id is not null;
  perform provisioning.forget_resource(v_job.organization_id, 'stripe_customer');
end
$$;
revoke execute on function provisioning.forget_stripe_customer(uuid, uuid) from public, anon, authenticated, service_role;
comment on function provisioning.forget_stripe_customer(uuid, uuid) is 'The customer is deleted.';

-- Another account, or the other mode of the key ---------------------------------------------------------------------

create function provisioning.audit_unknown_stripe_customer(p_job_id uuid, p_lease_token uuid, p_customer_id text) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_job public.provisioning_jobs := provisioning.hold_lease(p_job_id, p_lease_token);
begin
  perform provisioning.audit(v_job.organization_id, 'stripe_customer.unknown', 'stripe_customer', p_customer_id,
    jsonb_build_object('job_id', p_job_id));
end
$$;
revoke execute on function provisioning.audit_unknown_stripe_customer(uuid, uuid, text)
  from public, anon, authenticated, service_role;
comment on function provisioning.audit_unknown_stripe_customer(uuid, uuid, text) is
  'The account of the key does not know the recorded customer, which is kept.';

create function provisioning.leave_stripe_customer(p_organization_id uuid) returns text
language plpgsql security definer set search_path = '' as $$
declare
  v_customer_id text;
begin
  perform provisioning.hold_owner(p_organization_id);
  update public.organizations o set stripe_customer_id = null
  where o.id = p_organization_id and o.stripe_customer_id is not null;
  update public.tenant_resources r set state = 'kept', remove_at = null, details = r.details - 'request'
  where r.organization_id = p_organization_id and r.kind = 'stripe_customer' and r.state = 'active'
  returning r.external_id into v_customer_id;
  if v_customer_id is null then
    raise exception 'The organization % has no Stripe customer.', p_organization_id using errcode = 'TP404';
  end if;
  perform provisioning.audit(p_organization_id, 'stripe_customer.left', 'stripe_customer', v_customer_id);
  return v_customer_id;
end
$$;
revoke execute on function provisioning.leave_stripe_customer(uuid) from public, anon, authenticated, service_role;
comment on function provisioning.leave_stripe_customer(uuid) is
  'For an operator, in SQL, when the Stripe account was changed on purpose: lets go of the organization''s customer, which stays
where it is, and returns its id. The next retry makes a customer in the account of the key; a removal leaves the old one. Audited.
Raises TP404 when none is recorded.';
