import type { Query } from '../reader.ts'

export const ACCESS_LOGINS: Query = {
  name: 'logins for a time',
  sql: (argument) => `select provisioning.access_logins_as_caller((${argument} ->> 'organizationId')::uuid)`,
}

export const REQUEST_ACCESS: Query = {
  name: 'a login for a time',
  sql: (argument) => `
    select provisioning.request_access_as_caller((${argument} ->> 'organizationId')::uuid, ${argument} ->> 'role',
      (${argument} ->> 'minutes')::integer)`,
}

export const REVEAL_ACCESS: Query = {
  name: 'the password of a login for a time',
  sql: (argument) => `select provisioning.reveal_access_as_caller((${argument} ->> 'id')::uuid)`,
}

export const END_ACCESS: Query = {
  name: 'the end of a login for a time',
  sql: (argument) => `select provisioning.end_access_as_caller((${argument} ->> 'id')::uuid)`,
}
