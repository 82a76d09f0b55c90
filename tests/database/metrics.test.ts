import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { GAUGES, type Reading, registryOf } from '../../shared/metrics/gauges.ts'
import { type Caller, runAs } from '../support/roles.ts'
import {
  createBegunTenant,
  createTenant,
  openProject,
  type Project,
  refusal,
  type Tenant,
} from './project.ts'

let project: Project
let tenants: readonly Tenant[]

beforeAll(async () => {
  project = await openProject()
  tenants = [
    await createBegunTenant(project),
    await createBegunTenant(project),
    await createTenant(project),
    await createTenant(project),
    await createTenant(project),
  ]
})

afterAll(() => project?.close())

const read = () => project.sql<Reading[]>`select metric, labels, value from provisioning.metrics()`

/** The values of a metric, by its labels: `{"kind":"provision","state":"due"}` is `provision due`. */
async function valuesOf(metric: keyof typeof GAUGES): Promise<Record<string, number>> {
  const readings = (await read()).filter((reading) => reading.metric === metric)
  return Object.fromEntries(
    readings.map(({ labels, value }) => [
      GAUGES[metric].labels.map((label) => labels[label]).join(' '),
      value,
    ]),
  )
}

const tenant = (index: number) => {
  const found = tenants[index]
  if (!found) throw new Error(`there is no tenant ${index}`)
  return found
}

describe('provisioning.metrics()', () => {
  it('gives gauges that the endpoint knows, with the labels that it knows, each series once', async () => {
    const readings = await read()
    const wrong = readings.filter(({ metric, labels }) => {
      const known = Object.entries(GAUGES).find(([name]) => name === metric)?.[1].labels
      return (
        JSON.stringify([...(known ?? [])].sort()) !== JSON.stringify(Object.keys(labels).sort()) || !known
      )
    })
    expect(wrong).toEqual([])
    const series = readings.map(({ metric, labels }) => `${metric} ${JSON.stringify(labels)}`)
    expect(series.filter((each, index) => series.indexOf(each) !== index)).toEqual([])
  })

  it('tells jobs by kind and state, and for how long the oldest has been due', async () => {
    await project.sql`update public.provisioning_jobs set next_attempt_at = now() + interval '1 hour'`
    await project.sql`update public.provisioning_jobs set next_attempt_at = now() - interval '90 seconds'
      where id in (${tenant(2).jobId}, ${tenant(3).jobId})`
    await project.sql`update public.provisioning_jobs set next_attempt_at = now() - interval '10 seconds'
      where id = ${tenant(4).jobId}`
    expect(await valuesOf('provisioning_jobs')).toMatchObject({
      'provision due': 3,
      'provision later': 2,
      'provision running': 0,
      'provision lost': 0,
      'deprovision due': 0,
    })
    const oldest = await valuesOf('provisioning_oldest_due_job_seconds')
    expect(oldest.provision).toBeGreaterThanOrEqual(90)
    expect(oldest.provision).toBeLessThan(120)
    expect(oldest.deprovision).toBe(0)
  })

  it('tells running jobs from those whose worker fell silent', async () => {
    await project.sql`select provisioning.claim_jobs('{provision}', 3)`
    expect(await valuesOf('provisioning_jobs')).toMatchObject({ 'provision running': 3, 'provision due': 0 })
    await project.sql`update provisioning.job_leases set expires_at = now() - interval '300 seconds'
      where job_id = ${tenant(2).jobId}`
    expect(await valuesOf('provisioning_jobs')).toMatchObject({ 'provision running': 2, 'provision lost': 1 })
    expect((await valuesOf('provisioning_oldest_due_job_seconds')).provision).toBeGreaterThanOrEqual(300)
  })

  it('tells which kinds are paused', async () => {
    await project.sql`select provisioning.pause('kind', 'provision', 'a test')`
    expect(await valuesOf('provisioning_paused')).toMatchObject({ provision: 1, deprovision: 0 })
    await project.sql`select provisioning.resume('kind', 'provision')`
    expect(await valuesOf('provisioning_paused')).toMatchObject({ provision: 0 })
  })

  it('counts the jobs that have ended within the last hour, and no older ones', async () => {
    for (const [index, minutes] of [
      [0, 5],
      [1, 65],
    ] as const)
      await project.sql`update public.provisioning_jobs set status = 'failed', last_error = '{"code": "step_crashed"}',
        finished_at = now() - make_interval(mins => ${minutes}) where id = ${tenant(index).jobId}`
    expect(await valuesOf('provisioning_jobs_finished_last_hour')).toMatchObject({
      'provision failed': 1,
      'provision succeeded': 0,
    })
    // The ends of both opened an alert.
    expect(await valuesOf('provisioning_open_alerts')).toEqual({ 'provision_failed critical': 2 })
  })

  it('tells how long the steps of the last hour took, how they ended and why', async () => {
    const { jobId, organizationId } = tenant(0)
    const attempt = (
      step: string,
      outcome: string,
      ago: string,
      seconds: number,
      code?: string,
    ) => project.sql`
      insert into public.provisioning_events (organization_id, job_id, event_type, resource_type, status, metadata,
        started_at, completed_at)
      values (${organizationId}, ${jobId}, ${`step.${outcome}`}, ${step}, ${outcome},
        ${project.sql.json(code === undefined ? {} : { code })}, now() - ${ago}::interval,
        now() - ${ago}::interval + make_interval(secs => ${seconds}))`
    for (const seconds of [1, 2, 3]) await attempt('stripe_customer', 'succeeded', '10 minutes', seconds)
    await attempt('stripe_customer', 'succeeded', '2 hours', 100)
    await attempt('neon_project', 'retrying', '10 minutes', 50, 'neon_unavailable')
    await attempt('neon_project', 'retrying', '5 minutes', 50, 'neon_unavailable')
    await attempt('neon_project', 'failed', '5 minutes', 50, 'neon_key_rejected')
    for (const code of ['ann@example.com', 'x'.repeat(64)])
      await attempt('neon_project', 'failed', '5 minutes', 50, code)
    expect(await valuesOf('provisioning_steps_last_hour')).toEqual({
      'provision stripe_customer succeeded': 3,
      'provision neon_project retrying': 2,
      'provision neon_project failed': 3,
    })
    expect(await valuesOf('provisioning_step_seconds_last_hour')).toEqual({
      'provision stripe_customer 0.5': 2,
      'provision stripe_customer 0.95': expect.closeTo(2.9),
    })
    expect(await valuesOf('provisioning_step_seconds_sum_last_hour')).toEqual({
      'provision stripe_customer': 6,
    })
    expect(await valuesOf('provisioning_step_failures_last_hour')).toEqual({
      'neon neon_unavailable': 2,
      'neon neon_key_rejected': 1,
      'neon other': 2,
    })
  })

  it('tells the circuit breaker of each provider, and what is left of its rate', async () => {
    await project.sql`update provisioning.settings set breaker_failures = 2`
    for (const _ of [1, 2]) await project.sql`select provisioning.end_call('neon', 'neon_unavailable')`
    await project.sql`update provisioning.rate_limits set burst = 10, per_second = 0.001 where provider = 'stripe_test'`
    await project.sql`select provisioning.take_tokens('stripe_test', 'GET /customers', 0) from generate_series(1, 5)`
    expect(await valuesOf('provisioning_provider_breaker')).toMatchObject({
      'neon open': 1,
      'neon closed': 0,
      'neon half_open': 0,
      'stripe_test closed': 1,
      'stripe_test open': 0,
    })
    expect(await valuesOf('provisioning_provider_consecutive_failures')).toMatchObject({
      neon: 2,
      stripe_test: 0,
    })
    const free = await valuesOf('provisioning_provider_free_ratio')
    expect(free.neon).toBe(1)
    expect(free.stripe_test).toBeCloseTo(0.5, 1)
    expect((await valuesOf('provisioning_provider_calls_per_second')).stripe_test).toBeCloseTo(0.001)
    await project.sql`select provisioning.pause_calls('stripe_test', 'GET /customers', 60)`
    expect((await valuesOf('provisioning_provider_wait_seconds')).stripe_test).toBeGreaterThan(50)
  })

  it('tells tenants by state and health, and the versions of their schemas', async () => {
    const heal = (index: number, health: string, version: number | null, status = 'active') => project.sql`
      update public.organization_databases
      set health_status = ${health}, schema_version = ${version}, status = ${status}
      where organization_id = ${tenant(index).organizationId}`
    for (const index of [2, 3, 4])
      await project.sql`select provisioning.begin_provisioning(${tenant(index).jobId})`
    await heal(0, 'unhealthy', 3)
    await heal(1, 'degraded', 3)
    await heal(2, 'healthy', 1)
    // One that is not ready has no version yet that counts.
    await heal(3, 'unknown', 2, 'pending')
    await heal(4, 'unknown', 1, 'pending')
    await project.sql`update public.organizations set provisioning_status = provisioning_status || '{"overall": "failed"}'
      where id = ${tenant(0).organizationId}`
    await project.sql`update public.organizations set provisioning_status = provisioning_status || '{"overall": "ready"}'
      where id = ${tenant(1).organizationId}`
    const states = await valuesOf('provisioning_tenants')
    expect(states).toMatchObject({ failed: 1, ready: 1 })
    expect(Object.values(states).reduce((sum, count) => sum + count, 0)).toBe(5)
    expect(await valuesOf('provisioning_tenants_by_health')).toEqual({ degraded: 1, unhealthy: 1 })
    expect(await valuesOf('provisioning_schema_version_tenants')).toEqual({ 1: 1, 3: 2 })
  })

  it('tells how a fleet migration stands, and that it is stopped', async () => {
    expect(await valuesOf('provisioning_fleet_migration_stopped')).toEqual({ '': 0 })
    expect(await valuesOf('provisioning_fleet_migration_tenants')).toEqual({})
    await project.sql`insert into provisioning.fleet_migrations (to_version, state, canary_tenants, max_failures_percent,
      stopped_because, queued, done, failed) values (4, 'stopped', 1, 10, 'a test', 3, 2, 1)`
    expect(await valuesOf('provisioning_fleet_migration_stopped')).toEqual({ '': 1 })
    expect(await valuesOf('provisioning_fleet_migration_tenants')).toEqual({ queued: 3, done: 2, failed: 1 })
    await project.sql`delete from provisioning.fleet_migrations`
  })

  it('tells what waits in pg_net, by whom it rings, and since when it does not send', async () => {
    await project.superuser`delete from net.http_request_queue`
    await project.sql`select vault.update_secret(id, 'http://127.0.0.1:9/functions/v1') from vault.secrets
      where name = 'functions_base_url'`
    await project.sql`select vault.create_secret('http://127.0.0.1:9/functions/v1', 'functions_base_url')
      where not exists (select from vault.secrets where name = 'functions_base_url')`
    // Nobody sends here while this transaction is open.
    await project.superuser.begin(async (tx) => {
      await tx`select net.http_post('http://127.0.0.1:9/functions/v1/deliver-alerts') from generate_series(1, 2)`
      await tx`select net.http_post('http://127.0.0.1:9/something-else')`
      const rows = await tx<Reading[]>`select metric, labels, value from provisioning.metrics()
        where metric = 'provisioning_pg_net_queue'`
      const queue = Object.fromEntries(rows.map(({ labels, value }) => [labels.worker, value]))
      expect(queue).toMatchObject({ alerts: 2, provisioning: 0, none: 1 })
      await tx`delete from net.http_request_queue`
    })
    expect(await valuesOf('provisioning_pg_net_unsent_seconds')).toEqual({ '': 0 })
    await project.sql`update provisioning.dispatch_state set unsent_since = now() - interval '2 minutes',
      last_swept_at = now() - interval '40 seconds'`
    expect((await valuesOf('provisioning_pg_net_unsent_seconds'))['']).toBeGreaterThanOrEqual(120)
    expect((await valuesOf('provisioning_sweep_age_seconds'))['']).toBeCloseTo(40, -1)
    expect(await valuesOf('provisioning_dispatch_problem')).toEqual({ '': 1 })
    await project.sql`update provisioning.dispatch_state set unsent_since = null, last_swept_at = null`
    expect(await valuesOf('provisioning_sweep_age_seconds')).toEqual({ '': Number.POSITIVE_INFINITY })
  })

  it('tells the connections of the functions from all others', async () => {
    await project.sql.begin(async (tx) => {
      // Test files share the server, whose connections do not change within a transaction.
      await tx`set local application_name = 'tenant-provisioning'`
      const [seen] = await tx`
        select count(*) filter (where application_name = 'tenant-provisioning')::integer as functions,
          count(*) filter (where application_name <> 'tenant-provisioning')::integer as others
        from pg_stat_activity where backend_type = 'client backend'`
      const told = await tx<Reading[]>`select metric, labels, value from provisioning.metrics()
        where metric = 'provisioning_connections'`
      expect(Object.fromEntries(told.map(({ labels, value }) => [labels.of, value]))).toEqual(seen)
      expect(seen?.functions).toBeGreaterThan(0)
      expect(seen?.others).toBeGreaterThan(0)
    })
    expect((await valuesOf('provisioning_connections_max'))['']).toBeGreaterThan(20)
  })

  it('counts users whose sign-up failed, and news of alerts that nobody has taken', async () => {
    await project.sql`insert into provisioning.sign_up_failures (user_id, sqlstate, message)
      values (${tenant(0).user.id}, 'XX000', 'a test')`
    expect(await valuesOf('provisioning_sign_up_failures')).toEqual({ '': 1 })
    await project.sql`delete from provisioning.alert_deliveries`
    await project.sql`insert into provisioning.alert_deliveries (alert_id, event) select id, 'opened' from public.tenant_alerts`
    expect(await valuesOf('provisioning_alert_deliveries_waiting')).toEqual({ '': 2 })
  })

  it('has no label that names a tenant', async () => {
    const rows = await project.sql<{ name: string }[]>`
      select id::text as name from public.organizations union all select slug from public.organizations
      union all select id::text from public.provisioning_jobs union all select email from public.profiles`
    const text = await registryOf(await read()).metrics()
    expect(rows.length).toBeGreaterThan(15)
    expect(rows.filter(({ name }) => text.includes(name))).toEqual([])
  })

  it('gives up at once where something is locked, with no connection kept waiting', async () => {
    await project.superuser.begin(async (tx) => {
      await tx`lock table public.tenant_alerts in access exclusive mode`
      const startedAt = performance.now()
      expect(await refusal(read())).toBe('55P03')
      expect(performance.now() - startedAt).toBeLessThan(8_000)
    })
  })

  it('is for the service role alone', async () => {
    const as = (caller: Caller) =>
      refusal(runAs(project.api, caller, (tx) => tx`select * from provisioning.metrics()`))
    const stranger = { role: 'authenticated', userId: tenant(0).user.id } as const
    expect([await as({ role: 'anon' }), await as(stranger), await as({ role: 'service_role' })]).toEqual([
      '42501',
      '42501',
      undefined,
    ])
  })
})
