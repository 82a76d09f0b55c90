import type { KeyedQuery, Query } from '../reader.ts'

/** The newest provision job of each organization, its steps, and what they amount to. */
export const PROVISIONING_STATUS: KeyedQuery = {
  name: 'provisioning status',
  missing: null,
  sql: (argument) => `
    select jsonb_object_agg(o.id, status.document || jsonb_build_object('revision', md5(status.document::text)))
    from public.organizations o
    left join lateral (
      select j.id, j.status, j.attempts, j.next_attempt_at, j.last_error from public.provisioning_jobs j
      where j.organization_id = o.id and j.kind = 'provision' order by j.created_at desc limit 1) j on true
    left join lateral (
      select jsonb_agg(jsonb_build_object('step', s.step, 'service', s.service, 'status', s.status, 'attempts', s.attempts,
          'nextAttemptAt', s.next_attempt_at, 'startedAt', s.started_at, 'finishedAt', s.finished_at, 'error', s.error)
          order by s.position) as list,
        100 * count(*) filter (where s.status = 'succeeded') / greatest(count(*), 1) as percent
      from public.provisioning_steps s where s.job_id = j.id) steps on true
    left join lateral (
      select jsonb_agg(jsonb_build_object('service', state.key, 'status', state.value, 'attempts', of.attempts,
        'nextAttemptAt', of.next_attempt_at, 'error', of.error) order by of.position, state.key) as list
      from jsonb_each_text(o.provisioning_status - 'overall' - 'changed_at') state
      cross join lateral (
        select coalesce(sum(s.attempts), 0) as attempts, min(s.next_attempt_at) as next_attempt_at, min(s.position) as position,
          (array_agg(s.error order by s.position) filter (where s.error is not null))[1] as error
        from public.provisioning_steps s where s.job_id = j.id and s.service = state.key) of) services on true
    cross join lateral (
      select jsonb_build_object(
        'organizationId', o.id, 'overall', o.provisioning_status -> 'overall',
        'percent', case when o.provisioning_status ->> 'overall' = 'ready' then 100 else coalesce(steps.percent, 0) end,
        'attempts', coalesce(j.attempts, 0), 'nextAttemptAt', case when j.status = 'queued' then j.next_attempt_at end,
        'error', j.last_error, 'jobId', j.id, 'jobStatus', j.status,
        'services', coalesce(services.list, '[]'), 'steps', coalesce(steps.list, '[]'),
        'changedAt', o.provisioning_status -> 'changed_at', 'provisionedAt', o.provisioned_at) as document) status
    where o.id = any (array(select jsonb_array_elements_text(${argument} -> 'keys')::uuid))`,
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
        from public.provisioning_events e
        where e.organization_id = key.id ${rowsAfter(argument, 'e.started_at', 'e.id')}
        order by e.started_at desc, e.id limit (${argument} ->> 'first')::integer) e) page`,
}

/** Of one organization, or when that is null of all that the caller may see. */
export const ALERTS: Query = {
  name: 'alerts',
  sql: (argument) => `
    select coalesce(jsonb_agg(jsonb_build_object('id', a.id, 'organizationId', a.organization_id, 'kind', a.kind,
      'severity', a.severity, 'message', a.message, 'metadata', a.metadata, 'openedAt', a.opened_at,
      'escalatedAt', a.escalated_at,
      'resolvedAt', a.resolved_at) order by a.opened_at desc, a.id), '[]')
    from (
      select a.id, a.organization_id, a.kind, a.severity, a.message, a.metadata, a.opened_at,
        a.escalated_at, a.resolved_at
      from public.tenant_alerts a
      where (${argument} ->> 'organizationId' is null or a.organization_id = (${argument} ->> 'organizationId')::uuid)
        and (a.resolved_at is null or (${argument} ->> 'includeResolved')::boolean)
        ${rowsAfter(argument, 'a.opened_at', 'a.id')}
      order by a.opened_at desc, a.id limit (${argument} ->> 'first')::integer) a`,
}

/** Rows after the position, newest first; the first condition alone could use an index, the second is exact. */
function rowsAfter(argument: string, time: string, id: string): string {
  const [at, after] = [`(${argument} #>> '{after,0}')::timestamptz`, `(${argument} #>> '{after,1}')::uuid`]
  return `and (${argument} ->> 'after' is null or (${time} <= ${at} and (${time} < ${at} or ${id} > ${after})))`
}

export const PROVISION: Query = {
  name: 'provision',
  sql: (argument) => `
    select to_jsonb(provisioning.provision_as_caller((${argument} ->> 'organizationId')::uuid,
      case when jsonb_typeof(${argument} -> 'services') = 'array'
        then array(select jsonb_array_elements_text(${argument} -> 'services')) end,
      ${argument} ->> 'databaseSize', ${argument} ->> 'dataRegion'))`,
}

export const CANCEL: Query = {
  name: 'cancel',
  sql: (argument) => `select provisioning.cancel_as_caller((${argument} ->> 'organizationId')::uuid)`,
}
