import type { KeyedQuery, Query } from '../reader.ts'

/** {filter, sort, first, after}. Refused by the database to all but operators and the service role, as the two below. */
export const TENANTS: Query = {
  name: 'tenants',
  sql: (argument) => `
    select provisioning.list_tenants(${argument} -> 'filter', ${argument} ->> 'sort', (${argument} ->> 'first')::integer,
      ${argument} ->> 'after')`,
}

/** {email}, {id} or {slug}. */
export const TENANT: Query = {
  name: 'tenant',
  sql: (argument) => `
    select provisioning.find_tenant_as_operator(${argument} ->> 'email', (${argument} ->> 'id')::uuid, ${argument} ->> 'slug')`,
}

export const TENANT_COUNTS: Query = {
  name: 'tenant counts',
  sql: () => 'select provisioning.tenant_counts()',
}

/** {filter, dryRun, first} */
export const RETRY_TENANTS: Query = {
  name: 'bulk retry',
  sql: (argument) => `
    select provisioning.retry_tenants(${argument} -> 'filter', (${argument} ->> 'dryRun')::boolean, (${argument} ->> 'first')::integer)`,
}

/** For the operators' reader. */
export const VERIFICATION: Query = {
  name: 'verification',
  sql: (argument) => `select provisioning.describe_tenant(${argument} ->> 'subject')`,
}

/** For the operators' reader: the summaries of organizations. */
export const TENANT_SUMMARIES: KeyedQuery = {
  name: 'tenant summaries',
  missing: null,
  sql: (argument) => `
    select jsonb_object_agg(key, provisioning.tenant_as_operator(key::uuid))
    from jsonb_array_elements_text(${argument} -> 'keys') key`,
}

export const IS_OPERATOR: Query = {
  name: 'is operator',
  sql: () => `select to_jsonb(auth.role() = 'service_role' or provisioning.is_operator())`,
}
