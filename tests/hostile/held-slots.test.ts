import { setTimeout as sleep } from 'node:timers/promises'
import type postgres from 'postgres'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { withinDeadline } from '../../shared/engine/deadline.ts'
import { type SignedUp, startTestProject, type TestProject } from '../support/project.ts'
import { apiConnection, loginConnection, strongestConnection } from '../support/tenant-logins.ts'
import { retryNeon } from './tenants.ts'

let project: TestProject
let tenant: SignedUp
const cleanUps: (() => Promise<unknown>)[] = []

beforeAll(async () => {
  project = await startTestProject({ settings: { max_step_attempts: 1 } })
  tenant = await project.signUp()
  await project.waitFor(tenant.organizationId)
})

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0)) await cleanUp()
})

afterAll(() => project?.stop())

/** Holds something in the tenant's own database until the test has ended. */
async function hold(sql: postgres.Sql, statement: string): Promise<void> {
  cleanUps.push(() => sql.end({ timeout: 0 }))
  await sql.unsafe(statement)
}

describe('a tenant that holds a lock in its own database', () => {
  it.each([
    ['as its strongest login', strongestConnection, 'select pg_advisory_lock(7221)', 20_000],
    ['as the login that people are shown', loginConnection, 'select pg_advisory_lock(7221)', 20_000],
    // Which no tenant can lock, but somebody of ours.
    [
      'on the record of its schema',
      apiConnection,
      'begin; lock table provisioning.schema_migrations',
      30_000,
    ],
  ])('(%s) fails alone, and soon', async (_what, open, statement, withinMs) => {
    await hold(await open(project, tenant.organizationId), statement)
    const startedAt = performance.now()
    const [reply, bystander] = await Promise.all([retryNeon(project, tenant), project.signUp()])
    expect(performance.now() - startedAt).toBeLessThan(withinMs)
    const { steps } = await project.provisioning(tenant.organizationId)
    expect(reply.body).toMatchObject({ status: 'failed' })
    expect(steps.tenant_schema?.error).toMatchObject({ code: 'tenant_database_locked' })
    await project.waitFor(bystander.organizationId, 'ready', 20_000)
  })
})

describe('as many tenants as there are places, each with a lock in its own database', () => {
  const PLACES = 8

  it('keep nobody’s sign-up waiting until their steps give up', async () => {
    const [{ share } = { share: 1 }] = await project.sql<{ share: number }[]>`
      select l.max_running::float8 / s.max_running_jobs as share from provisioning.lanes l, provisioning.settings s
      where l.lane = 'request'`
    expect(share).toBeLessThan(0.8)
    await project.sql`update provisioning.settings set max_running_jobs = ${PLACES}`
    await project.sql`update provisioning.lanes set max_running = ${Math.floor(share * PLACES)} where lane = 'request'`
    const people = await Promise.all(Array.from({ length: PLACES }, () => project.signUp()))
    for (const { organizationId } of people) {
      await project.waitFor(organizationId, 'ready', 60_000)
      await hold(await loginConnection(project, organizationId), 'select pg_advisory_lock(7221)')
    }
    const attack = Promise.all(people.map((person) => retryNeon(project, person)))
    const bystanders = await Promise.all([project.signUp(), project.signUp()])
    for (const { organizationId } of bystanders) await project.waitFor(organizationId, 'ready', 30_000)
    for (const { body } of await attack) expect(body).toMatchObject({ status: 'failed' })
    // By the database's clock: the bystanders were ready while others still held their places.
    const [row] = await project.sql<{ before: boolean }[]>`
      select (select max(provisioned_at) from public.organizations
          where id = any (${bystanders.map(({ organizationId }) => organizationId)}))
        < (select max(finished_at) from public.provisioning_jobs
          where organization_id = any (${people.map(({ organizationId }) => organizationId)})) as before`
    expect(row).toEqual({ before: true })
  }, 120_000)
})

describe('work with a deadline', () => {
  const never = new AbortController().signal

  it('is told of it, and its own answer counts when it heeds that', async () => {
    const startedAt = performance.now()
    const heeds = (signal: AbortSignal) =>
      new Promise<string>((resolve) => {
        signal.addEventListener('abort', () => resolve(`ended: ${Object(signal.reason).code}`))
      })
    expect(await withinDeadline(50, never, heeds, 5_000)).toBe('ended: DEADLINE')
    expect(performance.now() - startedAt).toBeLessThan(4_000)
  })

  it('is left behind when it does not', async () => {
    expect(await withinDeadline(50, never, () => sleep(60_000, 'late', { ref: false }), 50)).toBeUndefined()
    const lost = new AbortController()
    setTimeout(() => lost.abort(), 50)
    expect(
      await withinDeadline(60_000, lost.signal, () => sleep(60_000, 'late', { ref: false }), 50),
    ).toBeUndefined()
  })

  it('is not disturbed when it ends in time', async () => {
    expect(await withinDeadline(1_000, never, () => sleep(20, 'done'), 50)).toBe('done')
  })
})
