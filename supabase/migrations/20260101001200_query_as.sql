-- How the GraphQL function reads: as the caller, so that grants and policies decide; or, for operators, as the backend does.

create function provisioning.query_as(p_claims jsonb, p_query text, p_arguments jsonb, p_as_operator boolean default false)
returns jsonb
language plpgsql volatile security invoker set search_path = '' as $$
declare
  v_role_before text := current_setting('role');
  v_role text := p_claims ->> 'role';
  v_result jsonb;
begin
  if v_role is null or v_role not in ('authenticated', 'service_role') then
    raise exception 'There are no queries as the role "%".', v_role using errcode = 'insufficient_privilege';
  end if;
  perform set_config('request.jwt.claims', p_claims::text, true);
  if p_as_operator then
    perform provisioning.assert_operator();
    v_role := 'service_role';
  end if;
  perform set_config('role', v_role, true);
  -- Planned only now, so that grants and policies are those of the role.
  execute p_query into v_result using p_arguments;
  -- Both settings end with the transaction, and so does an error's; this is for whatever else the transaction does.
  perform set_config('role', v_role_before, true), set_config('request.jwt.claims', '', true);
  return v_result;
end
$$;
revoke execute on function provisioning.query_as(jsonb, text, jsonb, boolean) from public, anon, authenticated, service_role;
comment on function provisioning.query_as(jsonb, text, jsonb, boolean) is
  'Runs a query of the GraphQL function as the caller that the claims name (authenticated or service_role), in one round trip
and one transaction, which a pooler in transaction mode serves too. The query is a fixed text; what callers say is in
p_arguments, its $1. With p_as_operator it sees what the backend sees, after it has made sure that the caller is an operator
(TP403); the claims stay the caller''s. For the owner alone: it trusts the claims.';
