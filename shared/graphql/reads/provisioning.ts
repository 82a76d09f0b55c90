import { PUBLIC_SCHEMA } from '../../kernel/database/schema.ts'
import type { KeyedQuery, Query } from '../reader.ts'

/** The newest job that provisions each organization, its steps, and what they amount to. */
export const PROVISIONING_STATUS: KeyedQuery = {
  name: 'provisioning status',
  missing: null,
  sql: (argument) =>
    `select provisioning.progress_of(array(select jsonb_array_elements_text(${argument} -> 'keys')::uuid))`,
}

/** Pages of {first, after} of each organization's history; after is [started_at, id] or null. */
export const EVENTS: KeyedQuery = {
  name: 'events',
  missing: [],
  sql: (argument) => `
    select jsonb_object_agg(key.id, page.list)
    from (select jsonb_array_elements_text(${argument} -> 'keys')::uuid as id) key
    cross join lateral (
      select coalesce(jsonb_agg(jsonb_build_object('id', e.id, 'eventType', e.event_type, 'resourceType', e.resource_type,
        'resourceId', e.resource_id, 'status', e.status, 'errorMessage', e.error_message, 'metadata', e.metadata,
        'startedAt', e.started_at, 'completedAt', e.completed_at) order by e.started_at desc, e.id), '[]') as list
      from (
        select e.id, e.event_type, e.resource_type, e.resource_id, e.status, e.error_message, e.metadata, e.started_at,
          e.completed_at
        from ${PUBLIC_SCHEMA}.provisioning_events e
        where e.organization_id = key.id ${rowsAfter(argument, 'e.started_at', 'e.id')}
        order by e.started_at desc, e.id limit (${argument} ->> 'first')::integer) e) page`,
}

/** Of one organization, or when that is null of all that the caller may see. */
export const ALERTS: Query = {
  name: 'alerts',
  sql: (argument) => `
    select ${alertList(argument, `(${argument} ->> 'organizationId' is null or a.organization_id = (${argument} ->> 'organizationId')::uuid)`)}`,
}

/** Pages of {includeResolved, first, after} of each organization's alerts. */
export const ORGANIZATION_ALERTS: KeyedQuery = {
  name: 'organization alerts',
  missing: [],
  sql: (argument) => `
    select jsonb_object_agg(key, ${alertList(argument, 'a.organization_id = key::uuid')})
    from jsonb_array_elements_text(${argument} -> 'keys') key`,
}

function alertList(argument: string, condition: string): string {
  return `(
    select coalesce(jsonb_agg(jsonb_build_object('id', a.id, 'organizationId', a.organization_id, 'kind', a.kind,
      'severity', a.severity, 'message', a.message, 'metadata', a.metadata, 'openedAt', a.opened_at,
      'escalatedAt', a.escalated_at, 'resolvedAt', a.resolved_at) order by a.opened_at desc, a.id), '[]')
    from (
      select a.id, a.organization_id, a.kind, a.severity, a.message, a.metadata, a.opened_at, a.escalated_at, a.resolved_at
      from ${PUBLIC_SCHEMA}.tenant_alerts a
      where ${condition} and (a.resolved_at is null or (${argument} ->> 'includeResolved')::boolean)
        ${rowsAfter(argument, 'a.opened_at', 'a.id')}
      order by a.opened_at desc, a.id limit (${argument} ->> 'first')::integer) a)`
}

/** Rows after the position, newest first; the first condition alone could use an index, the second is exact. */
function rowsAfter(argument: string, time: string, id: string): string {
  const [at, after] = [`(${argument} #>> '{after,0}')::timestamptz`, `(${argument} #>> '{after,1}')::uuid`]
  return `and (${argument} ->> 'after' is null or (${time} <= ${at} and (${time} < ${at} or ${id} > ${after})))`
}

export const OPTIONS: Query = {
  name: 'provisioning options',
  sql: () => 'select provisioning.provisioning_options()',
}

export const PROVISION: Query = {
  name: 'provision',
  sql: (argument) => `
    select to_jsonb(provisioning.provision_as_caller((${argument} ->> 'organizationId')::uuid,
      case when jsonb_typeof(${argument} -> 'services') = 'array'
        then array(select jsonb_array_elements_text(${argument} -> 'services')) end,
      ${argument} ->> 'databaseSize', ${argument} ->> 'dataRegion', ${argument} ->> 'tier'))`,
}

export const CANCEL: Query = {
  name: 'cancel',
  sql: (argument) => `select provisioning.cancel_as_caller((${argument} ->> 'organizationId')::uuid)`,
}

export const MOVE: Query = {
  name: 'move',
  sql: (argument) => `
    select to_jsonb(provisioning.move_as_caller((${argument} ->> 'organizationId')::uuid, ${argument} ->> 'tier',
      (${argument} ->> 'dryRun')::boolean, (${argument} ->> 'withData')::boolean, (${argument} ->> 'leaveExtraTables')::boolean))`,
}

export const CANCEL_MOVE: Query = {
  name: 'cancel move',
  sql: (argument) =>
    `select to_jsonb(provisioning.cancel_move_as_caller((${argument} ->> 'organizationId')::uuid))`,
}

export const ROTATE: Query = {
  name: 'rotate',
  sql: (argument) => `
    select to_jsonb(provisioning.rotate_as_caller((${argument} ->> 'organizationId')::uuid, (${argument} ->> 'graceHours')::integer))`,
}
