import type { Query } from '../reader.ts'

export const PAUSES: Query = { name: 'pauses', sql: () => 'select provisioning.pauses_as_caller()' }

export const PAUSE: Query = {
  name: 'pause',
  sql: (argument) => `
    select to_jsonb(provisioning.pause_as_caller(${argument} ->> 'scope', ${argument} ->> 'name', ${argument} ->> 'reason'))`,
}

export const RESUME: Query = {
  name: 'resume',
  sql: (argument) =>
    `select to_jsonb(provisioning.resume_as_caller(${argument} ->> 'scope', ${argument} ->> 'name'))`,
}
