import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createOnlyJob, Engine, FINAL } from './engine.ts'
import { only, openProject, type Project } from './project.ts'

let project: Project
let engine: Engine

beforeAll(async () => {
  project = await openProject()
  engine = new Engine(project.sql)
})

afterAll(async () => {
  await project.close()
})

const alertsOf = (organizationId: string) =>
  project.sql<
    {
      kind: string
      severity: string
      message: string
      metadata: { code?: string; step?: string }
      open: boolean
    }[]
  >`
    select kind, severity, message, metadata, resolved_at is null as open from public.tenant_alerts
    where organization_id = ${organizationId} order by opened_at`

/** Runs the only job to its end, the Stripe branch as told. */
async function runJob(stripe: 'fails' | 'succeeds'): Promise<void> {
  await engine.run(only(await engine.claim()), stripe === 'fails' ? { stripe_customer: FINAL } : {})
}

describe('a job that fails for good', () => {
  it('opens one alert with the reason, however often it fails, and resolves it when it succeeds', async () => {
    const { organizationId, jobId } = await createOnlyJob(project)
    await runJob('fails')
    const expected = { kind: 'provision_failed', severity: 'critical', message: FINAL.message, open: true }
    expect(await alertsOf(organizationId)).toMatchObject([
      { ...expected, metadata: { code: FINAL.code, step: 'stripe_customer' } },
    ])

    await project.sql`select provisioning.retry_job(${jobId})`
    await runJob('fails')
    expect(await alertsOf(organizationId)).toMatchObject([expected])

    await project.sql`select provisioning.retry_job(${jobId})`
    await runJob('succeeds')
    expect(await alertsOf(organizationId)).toMatchObject([{ ...expected, open: false }])
  })

  it('opens another alert when it fails again after it had succeeded', async () => {
    const { organizationId, jobId } = await createOnlyJob(project)
    await runJob('fails')
    await project.sql`select provisioning.retry_job(${jobId})`
    await runJob('succeeds')
    await project.sql`select provisioning.retry_job(${jobId}, '{stripe}')`
    await runJob('fails')
    expect((await alertsOf(organizationId)).map(({ open }) => open)).toEqual([false, true])
  })
})

describe('a job that succeeds at once', () => {
  it('opens none', async () => {
    const { organizationId } = await createOnlyJob(project)
    await runJob('succeeds')
    expect(await alertsOf(organizationId)).toEqual([])
  })
})
