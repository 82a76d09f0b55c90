import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { startTestProject, type TestProject, until } from '../support/project.ts'
import {
  addTenants,
  callHealth,
  changeProject,
  type HealthTenant,
  makeDue,
  providerCalls,
  readHealth,
  setHealthPassword,
  sweep,
  untilUnused,
  useDatabase,
} from './health-project.ts'

const FLEET = 30
const HOUR_MS = 3_600_000

let project: TestProject
let tenants: HealthTenant[]
/** How far the emulator's clock is behind. Computes that were used two hours ago sleep by themselves. */
let behindMs = 2 * HOUR_MS

beforeAll(async () => {
  project = await startTestProject({ neon: { clock: () => Date.now() - behindMs } })
  tenants = await addTenants(project, FLEET)
  await untilUnused(project)
  behindMs = 0
})

beforeEach(
  () => project.sql`update public.tenant_health set reasons = '[]', calm_checks = 0, troubled_checks = 0,
  unhealthy_checks = 0, connected_at = now() - interval '2 hours', probed_at = now() - interval '2 hours',
  used_at = now() - interval '2 hours'`,
)

afterEach(async () => {
  for (const tenant of tenants) await changeProject(project, tenant, { suspended: true, unavailable: false })
  await project.sql`update provisioning.settings set health_deep_check_hours = default`
})

afterAll(() => project?.stop())

const first = () => {
  const [tenant] = tenants
  if (!tenant) throw new Error('there are tenants')
  return tenant
}
const healthOf = ({ organizationId }: HealthTenant) => readHealth(project, organizationId)

/** What the provider was asked for, and how often a compute was woken or connected to, meanwhile. */
async function costOf(work: () => Promise<unknown>) {
  const calls = { ...providerCalls(project) }
  const { wakeUps, connections } = project.neonEmulator.stats
  await work()
  const made = Object.entries(providerCalls(project)).map(
    ([name, count]) => [name, count - (calls[name] ?? 0)] as const,
  )
  const { stats } = project.neonEmulator
  return {
    calls: Object.fromEntries(made.filter(([, count]) => count > 0)),
    wakeUps: stats.wakeUps - wakeUps,
    connections: stats.connections - connections,
  }
}

describe(`a fleet of ${FLEET} sleepers`, () => {
  it('sleeps on over many sweeps, each of which costs one page of the list', async () => {
    const cost = await costOf(async () => {
      for (let time = 0; time < 10; time++) await sweep(project, tenants)
    })
    expect(cost).toEqual({ calls: { listProjects: 10 }, wakeUps: 0, connections: 0 })
    for (const tenant of tenants)
      expect(await healthOf(tenant)).toMatchObject({ status: 'sleeping', reasons: [] })
  })

  it('is asked for one by one while only one of them is due', async () => {
    const cost = await costOf(() => sweep(project, [first()]))
    expect(cost).toEqual({ calls: { listProjectEndpoints: 1, getProject: 1 }, wakeUps: 0, connections: 0 })
    expect(await healthOf(first())).toMatchObject({ status: 'sleeping' })
  })

  it('sleeps on when somebody asks for a check', async () => {
    const cost = await costOf(async () => {
      const { body } = await callHealth(project, { organizationId: first().organizationId })
      expect(body).toMatchObject({ status: 'sleeping', reasons: [] })
    })
    expect(cost).toMatchObject({ wakeUps: 0, connections: 0 })
  })

  it('has the one woken for which a deep check is asked, and no other', async () => {
    const cost = await costOf(async () => {
      const { body } = await callHealth(project, { organizationId: first().organizationId, deep: true })
      expect(body).toMatchObject({ status: 'healthy', metrics: { latency_ms: expect.any(Number) } })
    })
    expect(cost).toMatchObject({ wakeUps: 1, connections: 2 })
  })

  it('has those woken whose last connection is longer ago than the settings allow, once', async () => {
    await project.sql`update provisioning.settings set health_deep_check_hours = 3`
    await project.sql`update public.tenant_health set probed_at = now() - interval '4 hours', connected_at = now() - interval '4 hours'
      where organization_id = ${first().organizationId}`
    expect(await costOf(() => sweep(project, tenants))).toMatchObject({ wakeUps: 1, connections: 2 })
    await until('healthy tenant', async () => (await healthOf(first())).status === 'healthy' || undefined)
    await changeProject(project, first(), { suspended: true })
    expect(await costOf(() => sweep(project, tenants))).toMatchObject({ wakeUps: 0, connections: 0 })
  })

  it('is not woken again and again by a deep check that failed', async () => {
    await project.sql`update provisioning.settings set health_deep_check_hours = 1`
    await project.sql`update public.tenant_health set probed_at = now() where organization_id <> ${first().organizationId}`
    await setHealthPassword(project, first(), 'not the password')
    expect(await costOf(() => sweep(project, [first()]))).toMatchObject({ wakeUps: 1 })
    expect(await healthOf(first())).toMatchObject({
      status: 'unhealthy',
      reasons: [{ code: 'login_refused' }],
    })
    await changeProject(project, first(), { suspended: true })
    expect(await costOf(() => sweep(project, [first()]))).toMatchObject({ wakeUps: 0, connections: 0 })
    await setHealthPassword(project, first(), first().healthPassword)
  })

  it('is never woken where the settings say so', async () => {
    await project.sql`update provisioning.settings set health_deep_check_hours = 0`
    await project.sql`update public.tenant_health set probed_at = now() - interval '10 years'`
    expect(await costOf(() => sweep(project, tenants))).toMatchObject({ wakeUps: 0, connections: 0 })
  })

  it('has a sleeper whose quota is used up, and one that is nearly full, found without waking them', async () => {
    const [full, exhausted] = [tenants[1] ?? first(), tenants[2] ?? first()]
    await project.sql`update public.tenant_health set metrics = '{"size_bytes": 500000000}' where organization_id = ${full.organizationId}`
    await changeProject(project, exhausted, { quotaExceeded: true })
    expect(await costOf(() => sweep(project, tenants))).toMatchObject({ wakeUps: 0, connections: 0 })
    await changeProject(project, exhausted, { quotaExceeded: false })
    expect(await healthOf(full)).toMatchObject({ status: 'degraded', reasons: [{ code: 'storage_high' }] })
    expect(await healthOf(exhausted)).toMatchObject({
      status: 'unhealthy',
      reasons: [{ code: 'quota_suspended', message: expect.stringContaining('compute time') }],
    })
    await project.sql`update public.tenant_health set metrics = '{}'`
  })

  it.each(['active_time_seconds', 'compute_time_seconds', 'written_data_bytes', 'data_transfer_bytes'])(
    'has one whose quota of %s is used up told as unhealthy by every kind of check, until it is free again',
    async (quota) => {
      const exhausted = tenants[2] ?? first()
      const suspended = { status: 'unhealthy', reasons: [{ code: 'quota_suspended' }] }
      const ask = async (deep: boolean) =>
        (await callHealth(project, { organizationId: exhausted.organizationId, deep })).body
      await changeProject(project, exhausted, { quotaExceeded: quota })
      expect(await ask(false)).toMatchObject(suspended)
      expect(await ask(true)).toMatchObject(suspended)
      for (let time = 0; time < 2; time++) {
        await sweep(project, tenants)
        expect(await healthOf(exhausted)).toMatchObject(suspended)
      }
      await changeProject(project, exhausted, { quotaExceeded: false })
      await sweep(project, tenants)
      expect(await healthOf(exhausted)).toMatchObject({ status: 'sleeping', reasons: [] })
    },
  )

  it('has one that was used since the last check, and whose quota no list tells of, found by the list', async () => {
    const exhausted = tenants[3] ?? first()
    await changeProject(project, exhausted, { suspended: false })
    await changeProject(project, exhausted, { quotaExceeded: 'data_transfer_bytes' })
    // Seen last before that, and seen again only when it must have been asleep for long.
    behindMs = -600_000
    await project.sql`update public.tenant_health set checked_at = now() - interval '20 minutes'`
    const cost = await costOf(() => sweep(project, tenants))
    behindMs = 0
    await changeProject(project, exhausted, { quotaExceeded: false })
    expect(cost).toMatchObject({ wakeUps: 0, connections: 0 })
    expect(await healthOf(exhausted)).toMatchObject({
      reasons: [{ code: 'quota_suspended', message: expect.stringContaining('data transfer') }],
    })
  })

  it('has one whose compute is disabled told as unhealthy by the list, too, until it is enabled', async () => {
    const disabled = tenants[4] ?? first()
    const enable = (yes: boolean) =>
      project.neon.updateProjectEndpoint(disabled.projectId, disabled.endpointId, {
        endpoint: { disabled: !yes },
      })
    await enable(false)
    await sweep(project, [disabled])
    expect(await healthOf(disabled)).toMatchObject({ reasons: [{ code: 'compute_disabled' }] })
    await sweep(project, tenants)
    expect(await healthOf(disabled)).toMatchObject({
      status: 'unhealthy',
      reasons: [{ code: 'compute_disabled' }],
    })
    await enable(true)
    await sweep(project, tenants)
    expect(await healthOf(disabled)).toMatchObject({ status: 'sleeping', reasons: [] })
  })

  it('keeps a certificate that will expire, which sleep does not renew', async () => {
    const reason = { code: 'certificate_expires', severity: 'degraded', message: 'It expires in 3 days.' }
    await project.sql`update public.tenant_health set reasons = ${project.sql.json([reason])}
      where organization_id = ${first().organizationId}`
    await sweep(project, tenants)
    expect(await healthOf(first())).toMatchObject({ status: 'degraded', reasons: [reason] })
  })

  it('is read from the first page on after Neon has refused a page, as it does with a cursor from elsewhere', async () => {
    await makeDue(project, tenants)
    await project.sql`update provisioning.fleet_read set token = gen_random_uuid(), cursor = 'of-another-account',
      lease_expires_at = now() - interval '1 second', started_at = now()`
    await callHealth(project, {})
    await until('end of the read', async () => {
      const [row] = await project.sql<
        { ended: boolean }[]
      >`select token is null and cursor is null as ended from provisioning.fleet_read`
      return row?.ended || undefined
    })
    expect(await costOf(() => sweep(project, tenants))).toMatchObject({ calls: { listProjects: 1 } })
  })

  it('is not read again and again while Neon leaves some of it out of its list', async () => {
    const missing = tenants.slice(0, 5)
    for (const tenant of missing) await changeProject(project, tenant, { unavailable: true })
    await sweep(project, tenants.slice(5))
    await makeDue(project, tenants)
    const cost = await costOf(async () => {
      await callHealth(project, {})
      await until('end of the list', async () => {
        const [row] = await project.sql<
          { read: boolean }[]
        >`select finished_at is not null as read from provisioning.fleet_read`
        return row?.read || undefined
      })
      for (let time = 0; time < 5; time++) await callHealth(project, {})
    })
    expect(cost).toEqual({ calls: { listProjects: 2 }, wakeUps: 0, connections: 0 })
  })

  it('has one whose project is gone found by its absence, and asked for by its id', async () => {
    const lost = tenants.pop() ?? first()
    await project.neon.deleteProject(lost.projectId)
    await makeDue(project, tenants)
    const cost = await costOf(async () => {
      await callHealth(project, {})
      await until('unhealthy tenant', async () => (await healthOf(lost)).status === 'unhealthy' || undefined)
    })
    expect(cost).toMatchObject({
      calls: { listProjectEndpoints: expect.any(Number) },
      wakeUps: 0,
      connections: 0,
    })
    expect(await healthOf(lost)).toMatchObject({ reasons: [{ code: 'project_deleted' }] })
    await project.sql`delete from public.tenant_health where organization_id = ${lost.organizationId}`
  })
})

describe('a compute that is awake', () => {
  it('is connected to while somebody uses it', async () => {
    const user = await useDatabase(project, first())
    expect(await costOf(() => sweep(project, tenants))).toMatchObject({
      connections: 2,
    })
    await user.end()
    expect(await healthOf(first())).toMatchObject({
      status: 'healthy',
      metrics: { connections: expect.any(Number), latency_ms: expect.any(Number) },
    })
  })

  it('is connected to for some time after somebody has used it, so that trouble is seen', async () => {
    await changeProject(project, first(), { suspended: false })
    await project.sql`update public.tenant_health set used_at = now() - interval '200 seconds', probed_at = now(), connected_at = now()
      where organization_id = ${first().organizationId}`
    expect(await costOf(() => sweep(project, [first()]))).toMatchObject({ connections: 2 })
  })

  it('only because of our own checks is left alone until it sleeps', async () => {
    await callHealth(project, { organizationId: first().organizationId, deep: true })
    await project.sql`update public.tenant_health set used_at = now() - interval '301 seconds'
      where organization_id = ${first().organizationId}`
    await makeDue(project, [first()])
    const { checked_at: checkedAt } = await healthOf(first())
    const cost = await costOf(async () => {
      await callHealth(project, {})
      await until('release', async () => {
        const { due_in: seconds } = await healthOf(first())
        return (seconds > 50 && seconds < 75) || undefined
      })
    })
    expect(cost).toEqual({ calls: { listProjectEndpoints: 1 }, wakeUps: 0, connections: 0 })
    expect(await healthOf(first())).toMatchObject({ status: 'healthy', checked_at: checkedAt })
    await changeProject(project, first(), { suspended: true })
    await sweep(project, [first()])
    expect(await healthOf(first())).toMatchObject({ status: 'sleeping' })
  })

  it('and lets us in through one of its hosts only is left alone for as long', async () => {
    const tenant = tenants[5] ?? first()
    await project.sql`update public.organization_databases set pooled_host = 'nowhere.invalid'
      where organization_id = ${tenant.organizationId}`
    const { body } = await callHealth(project, { organizationId: tenant.organizationId, deep: true })
    expect(body).toMatchObject({ status: 'unhealthy', metrics: { connect_ms: expect.any(Number) } })
    await project.sql`update public.tenant_health set used_at = now() - interval '301 seconds'
      where organization_id = ${tenant.organizationId}`
    await makeDue(project, [tenant])
    const cost = await costOf(async () => {
      await callHealth(project, {})
      await until('release', async () => {
        const { due_in: seconds } = await healthOf(tenant)
        return (seconds > 50 && seconds < 75) || undefined
      })
    })
    expect(cost).toEqual({ calls: { listProjectEndpoints: 1 }, wakeUps: 0, connections: 0 })
  })

  it('and does not let us in is tried all the same', async () => {
    const tenant = tenants[6] ?? first()
    await setHealthPassword(project, tenant, 'not the password')
    await callHealth(project, { organizationId: tenant.organizationId, deep: true })
    await project.sql`update public.tenant_health set used_at = now() - interval '301 seconds'
      where organization_id = ${tenant.organizationId}`
    const { checked_at: before } = await healthOf(tenant)
    await sweep(project, [tenant])
    expect(await healthOf(tenant)).toMatchObject({ reasons: [{ code: 'login_refused' }] })
    expect((await healthOf(tenant)).checked_at).not.toEqual(before)
  })

  it('and never sleeps, by its size, is connected to however long nobody has used it', async () => {
    await project.sql`update provisioning.database_sizes set suspend_timeout_seconds = -1 where size = 'small'`
    await callHealth(project, { organizationId: first().organizationId, deep: true })
    await project.sql`update public.tenant_health set used_at = now() - interval '1 day'`
    const cost = await costOf(() => sweep(project, [first()]))
    await project.sql`update provisioning.database_sizes set suspend_timeout_seconds = 300 where size = 'small'`
    expect(cost).toMatchObject({ connections: 2 })
  })
})
