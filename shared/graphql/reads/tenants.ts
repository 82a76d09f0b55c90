import type { Query } from '../reader.ts'

/** {filter, sort, first, after}; one row more than asked for when there are more. Refused by the database to most. */
export const TENANTS: Query = {
  name: 'tenants',
  sql: (argument) => `
    select provisioning.page_of_tenants(${argument} -> 'filter', ${argument} ->> 'sort', (${argument} ->> 'first')::integer,
      nullif(${argument} -> 'after', 'null'))`,
}

export const IS_OPERATOR: Query = {
  name: 'is operator',
  sql: () => `select to_jsonb(auth.role() = 'service_role' or provisioning.is_operator())`,
}
