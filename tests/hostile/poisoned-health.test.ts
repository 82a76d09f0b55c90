import postgres from 'postgres'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { CheckResult } from '../../shared/health/health-store.ts'
import { HealthStore } from '../../shared/health/health-store.ts'
import { writeResults } from '../../shared/health/result-writer.ts'
import {
  addTenant,
  addTenants,
  callHealth,
  type HealthTenant,
  healthRole,
  physicalName,
  readHealth,
  sweep,
} from '../functions/health-project.ts'
import { type SignedUp, startTestProject, type TestProject } from '../support/project.ts'
import { POISON } from './attacks.ts'
import { asOwner, whileOthersAreFine } from './tenants.ts'

let project: TestProject
let neighbour: SignedUp

beforeAll(async () => {
  project = await startTestProject({
    settings: { health_timeout_seconds: 4, health_requests_per_minute: 1000 },
  })
  neighbour = await project.signUp()
  await project.waitFor(neighbour.organizationId)
  await callHealth(project, { organizationId: neighbour.organizationId })
})

afterAll(() => project?.stop())

const besideOthers = <T>(attack: () => Promise<T>) => whileOthersAreFine(project, { neighbour }, attack)

const check = async (tenant: HealthTenant) => {
  const { status, body } = await callHealth(project, { organizationId: tenant.organizationId, deep: true })
  expect(status).toBe(200)
  return body
}

/**
 * Functions and views that answer in the place of the catalogue, made by the strongest login that a tenant can get, and found
 * first by every session of the login that checks it, which is more than a tenant could do.
 */
async function poison(tenant: HealthTenant): Promise<void> {
  await asOwner(project, tenant.organizationId, (sql) => sql.unsafe(POISON))
  const role = await healthRole(project, tenant)
  await project.superuser.unsafe(`
    alter role ${role} set search_path = evil, pg_catalog;
    alter role ${role} set datestyle = 'German';
    alter role ${role} set standard_conforming_strings = off;
    alter role ${role} set default_transaction_read_only = on`)
}

describe('a tenant that answers in the place of the catalogue', () => {
  it('is measured by the catalogue all the same', async () => {
    const tenant = await addTenant(project)
    await poison(tenant)
    const { status, metrics } = await besideOthers(() => check(tenant))
    expect(status).toBe('healthy')
    const { size_bytes: size, max_connections: max } = Object(metrics)
    expect(size).toBeGreaterThan(1_000_000)
    expect(size).toBeLessThan(100_000_000)
    expect(max).toBeLessThan(10_000)
  })

  it('keeps none of the others from being seen', async () => {
    const [offender, ...bystanders] = await addTenants(project, 12)
    if (!offender) throw new Error('no tenant was made')
    await poison(offender)
    const [sick] = bystanders
    if (!sick) throw new Error('no bystander was made')
    const name = await healthRole(project, sick)
    await project.superuser`alter role ${project.superuser(name)} nologin`
    await project.sql`update public.tenant_health set awake = true, probed_at = now() - interval '30 days'`
    await besideOthers(() => sweep(project, [offender, ...bystanders]))
    const found = await Promise.all(
      bystanders.map(({ organizationId }) => readHealth(project, organizationId)),
    )
    expect(found.map(({ status }) => status)).toEqual(
      bystanders.map((bystander) => (bystander === sick ? 'unhealthy' : 'healthy')),
    )
  })
})

describe('a measurement that cannot be', () => {
  it('is refused with a reason of its own, wherever it comes from', async () => {
    const tenant = await addTenant(project)
    // What no owner can do, short of a Postgres of their own: the catalogue itself lies.
    const sql = superuserIn(await physicalName(project, tenant))
    try {
      await sql.unsafe(`set allow_system_table_mods = on;
        create or replace function pg_catalog.pg_database_size(name) returns bigint language sql as 'select -1::bigint'`)
    } finally {
      await sql.end()
    }
    const { status, reasons, metrics } = await besideOthers(() => check(tenant))
    expect({ status, reasons }).toMatchObject({
      status: 'unhealthy',
      reasons: [{ code: 'measurement_invalid', severity: 'unhealthy' }],
    })
    expect(Object(metrics).size_bytes).toBeUndefined()
  })
})

describe('a result that the database refuses', () => {
  it('is written down as that, and the others of its batch as they are', async () => {
    const [offender, ...bystanders] = await addTenants(project, 4)
    if (!offender) throw new Error('no tenant was made')
    const result = ({ organizationId }: HealthTenant, size: number): CheckResult => ({
      organizationId,
      checkedAt: new Date().toISOString(),
      probe: 'connection',
      status: 'healthy',
      reasons: [],
      metrics: { size_bytes: size },
      connected: true,
    })
    const store = new HealthStore(project.sql)
    await writeResults(store, [
      result(offender, 1e30),
      ...bystanders.map((tenant) => result(tenant, 1_000_000)),
    ])
    expect(await readHealth(project, offender.organizationId)).toMatchObject({
      status: 'unhealthy',
      reasons: [{ code: 'result_refused' }],
    })
    for (const { organizationId } of bystanders)
      expect(await readHealth(project, organizationId)).toMatchObject({
        status: 'healthy',
        metrics: { size_bytes: 1_000_000 },
      })
  })
})

function superuserIn(database: string): postgres.Sql {
  const url = new URL(project.databaseUrl('supabase_admin'))
  url.pathname = `/${database}`
  return postgres(url.href, { max: 1, onnotice: () => undefined })
}
