import { readFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { services } from '../../shared/services/registry.ts'
import { blocked } from './blocked.ts'
import { createTenant, only, openProject, type Project, refusal } from './project.ts'

let project: Project

beforeAll(async () => {
  project = await openProject()
})

afterAll(async () => {
  await project.close()
})

const FOREIGN_KEY_VIOLATION = '23503'
/** A plan to which nothing else refers: thresholds come with each. */
async function addPlan(plan: string): Promise<void> {
  await project.sql`insert into provisioning.plans (plan, default_size, sizes, history_retention_seconds) values (${plan}, 'small', '{small}', 0)`
  await project.sql`delete from provisioning.health_thresholds where plan = ${plan}`
}

describe('the table of states in docs/states.md', () => {
  it.each([
    ['provisioning_jobs.status', 'job_status_is_known'],
    ['provisioning_steps.status', 'step_status_is_known'],
    ['tenant_health.status', 'health_status_is_known'],
    ['tenant_resources.state', 'resource_state_is_known'],
    ['provider_status.state', 'state_is_known'],
    ['reconciliation_runs.status', 'run_status_is_known'],
  ])('has of %s the states that the database knows', async (column, constraint) => {
    const page = await readFile(new URL('../../docs/states.md', import.meta.url), 'utf8')
    const row = page.split('\n').find((line) => line.startsWith('|') && line.includes(column)) ?? ''
    const told = [...(row.split('|')[2] ?? '').matchAll(/`(\w+)`/g)].map(([, state]) => state)
    const { definition } = only(
      await project.sql<{ definition: string }[]>`
        select pg_get_constraintdef(oid) as definition from pg_constraint where conname = ${constraint}`,
    )
    const known = [...definition.matchAll(/'(\w+)'/g)].map(([, state]) => state)
    expect(known.length).toBeGreaterThan(2)
    expect(told.toSorted()).toEqual(known.toSorted())
  })
})

describe('the providers that health calls, because they host databases', () => {
  const hosts = services.filter(({ databaseWatch }) => databaseWatch).map(({ name }) => name)

  it('each have a share of their rate limits that is for health alone', async () => {
    expect(hosts).toEqual(expect.arrayContaining(['neon', 'supabase']))
    const shares = await project.sql`
      select provider from provisioning.provider_shares where holder = 'health' and share > 0`
    expect(shares.map(({ provider }) => provider).sort()).toEqual([...hosts].sort())
  })

  it('each are named with their share in docs/operations.md', async () => {
    const page = await readFile(new URL('../../docs/operations.md', import.meta.url), 'utf8')
    const told = page.split('\n- ').find((entry) => entry.startsWith('`provisioning.provider_shares`')) ?? ''
    const shares = await project.sql<{ provider: string; percent: number }[]>`
      select provider, (share * 100)::int as percent from provisioning.provider_shares where holder = 'health'`
    for (const { provider, percent } of shares)
      expect(told).toMatch(new RegExp(`${percent} % of ${provider}'s`, 'i'))
  })
})

// Sign-ups lock no row of the lookup tables; these are the checks that foreign keys would make.
describe('the plan and the region of an organization', () => {
  it.each([
    ['plan', 'gold'],
    ['data_region', 'moon'],
  ])('(%s) can only become one that exists', async (column, value) => {
    const { organizationId } = await createTenant(project)
    const change = project.sql`update public.organizations set ${project.sql({ [column]: value })} where id = ${organizationId}`
    expect(await refusal(change)).toBe(FOREIGN_KEY_VIOLATION)
  })

  it('cannot be removed or renamed while an organization has them', async () => {
    const { organizationId } = await createTenant(project, { metadata: { data_region: 'eu-west-2' } })
    await addPlan('trial')
    await project.sql`update public.organizations set plan = 'trial' where id = ${organizationId}`
    const attempts = [
      project.sql`delete from provisioning.plans where plan = 'trial'`,
      project.sql`update provisioning.plans set plan = 'test' where plan = 'trial'`,
      project.sql`delete from provisioning.regions where data_region = 'eu-west-2'`,
      project.sql`update provisioning.regions set data_region = 'eu-west-3' where data_region = 'eu-west-2'`,
    ]
    for (const attempt of attempts) expect(await refusal(attempt)).toBe(FOREIGN_KEY_VIOLATION)
    await project.sql`update public.organizations set plan = 'free' where id = ${organizationId}`
    await project.sql`delete from provisioning.plans where plan = 'trial'`
  })

  it('cannot be removed by somebody who comes while an organization takes them on', async () => {
    const { organizationId } = await createTenant(project)
    await addPlan('brief')
    let removal: Promise<string | undefined> | undefined
    await project.sql.begin(async (tx) => {
      await tx`update public.organizations set plan = 'brief' where id = ${organizationId}`
      removal = refusal(project.sql`delete from provisioning.plans where plan = 'brief'`)
      await blocked(project, 1)
    })
    expect(await removal).toBe(FOREIGN_KEY_VIOLATION)
  })
})

describe('provisioning.uuid_v7', () => {
  const RFC_9562 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/
  const millisecondsOf = (id: string) => Number.parseInt(id.replaceAll('-', '').slice(0, 12), 16)

  it('makes ids that tell the time in their first 48 bits, and are all different', async () => {
    const before = Date.now()
    const { ids } = only(
      await project.sql<{ ids: string[] }[]>`
        select array(select provisioning.uuid_v7() from generate_series(1, 1000)) as ids`,
    )
    expect(new Set(ids).size).toBe(1000)
    for (const id of ids) {
      expect(id).toMatch(RFC_9562)
      expect(millisecondsOf(id)).toBeGreaterThan(before - 1000)
      expect(millisecondsOf(id)).toBeLessThan(Date.now() + 1000)
    }
    expect(ids.map(millisecondsOf)).toEqual(ids.map(millisecondsOf).toSorted((a, b) => a - b))
  })

  it('gives organizations and jobs their ids', async () => {
    const { organizationId, jobId } = await createTenant(project)
    expect(organizationId).toMatch(RFC_9562)
    expect(jobId).toMatch(RFC_9562)
  })
})
