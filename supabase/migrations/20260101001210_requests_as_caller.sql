-- Requests of the GraphQL function for one organization. Each checks who asks.

create function provisioning.provision_as_caller(
  p_organization_id uuid, p_services text[] default null, p_database_size text default null, p_data_region text default null,
  p_tier text default null
) returns uuid
language plpgsql security definer set search_path = '' as $$
declare
  v_job_id uuid;
begin
  perform provisioning.assert_may(p_organization_id, '{owner,admin}');
  select r.job_id into v_job_id from provisioning.request_provisioning(
    p_organization_id, p_services, p_database_size, p_data_region, auth.uid(), p_tier) r;
  perform provisioning.ring_doorbell('provisioning');
  return v_job_id;
end
$$;
revoke execute on function provisioning.provision_as_caller(uuid, text[], text, text, text)
  from public, anon, authenticated, service_role;
grant execute on function provisioning.provision_as_caller(uuid, text[], text, text, text) to authenticated, service_role;
comment on function provisioning.provision_as_caller(uuid, text[], text, text, text) is
  'request_provisioning for the owners and admins of the organization and the service role; rings, and returns the job.
Raises TP403 and what request_provisioning raises.';

create function provisioning.cancel_as_caller(p_organization_id uuid) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
  v_job_id uuid;
  v_undo_job_id uuid;
begin
  perform provisioning.assert_may(p_organization_id, '{owner,admin}');
  select c.job_id, c.undo_job_id into v_job_id, v_undo_job_id from provisioning.cancel_provisioning(p_organization_id) c;
  -- The undo is not due yet; the sweep will ring for it.
  return jsonb_build_object('organizationId', p_organization_id, 'jobId', v_job_id, 'undoJobId', v_undo_job_id);
end
$$;
revoke execute on function provisioning.cancel_as_caller(uuid) from public, anon, authenticated, service_role;
grant execute on function provisioning.cancel_as_caller(uuid) to authenticated, service_role;
comment on function provisioning.cancel_as_caller(uuid) is
  'cancel_provisioning for the owners and admins of the organization and the service role: {organizationId, jobId, undoJobId}.
Raises TP403 and what cancel_provisioning raises.';
