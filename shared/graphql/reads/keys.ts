import { PUBLIC_SCHEMA } from '../../kernel/database/schema.ts'
import type { Query } from '../reader.ts'

export const API_KEYS: Query = {
  name: 'API keys',
  sql: (argument) => `
    select coalesce(jsonb_agg(jsonb_build_object(
      'id', k.id, 'organizationId', k.organization_id, 'name', k.name, 'prefix', k.prefix, 'scope', k.scope,
      'status', case when k.revoked_at <= now() then 'revoked' when k.expires_at <= now() then 'expired' else 'active' end,
      'requestsPerMinute', k.requests_per_minute, 'createdBy', k.created_by, 'createdAt', k.created_at,
      'lastUsedAt', k.last_used_at, 'expiresAt', k.expires_at, 'revokedAt', k.revoked_at, 'replacedBy', k.replaced_by
    ) order by k.created_at desc, k.id), '[]')
    from ${PUBLIC_SCHEMA}.tenant_api_keys k where k.organization_id = (${argument} ->> 'organizationId')::uuid`,
}

export const CREATE_API_KEY: Query = {
  name: 'a new API key',
  sql: (argument) => `
    select provisioning.create_api_key_as_caller((${argument} ->> 'organizationId')::uuid, ${argument} ->> 'name',
      ${argument} ->> 'scope', (${argument} ->> 'expiresAt')::timestamptz, (${argument} ->> 'requestsPerMinute')::integer)`,
}

export const RENAME_API_KEY: Query = {
  name: 'another name of an API key',
  sql: (argument) =>
    `select provisioning.rename_api_key_as_caller((${argument} ->> 'id')::uuid, ${argument} ->> 'name')`,
}

export const REROLL_API_KEY: Query = {
  name: 'an API key in the place of another',
  sql: (argument) =>
    `select provisioning.reroll_api_key_as_caller((${argument} ->> 'id')::uuid, (${argument} ->> 'graceHours')::numeric)`,
}

export const REVOKE_API_KEY: Query = {
  name: 'the end of an API key',
  sql: (argument) => `select provisioning.revoke_api_key_as_caller((${argument} ->> 'id')::uuid)`,
}
