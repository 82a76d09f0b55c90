import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { Engine } from './engine.ts'
import { createTenant, only, openProject, type Project, type Tenant } from './project.ts'

let project: Project
let engine: Engine
let tenant: Tenant

beforeAll(async () => {
  project = await openProject()
  engine = new Engine(project.sql)
})

beforeEach(async () => {
  tenant = await createTenant(project)
})

afterAll(() => project?.close())

const rowsOfSteps = async () =>
  (await project.sql`select from public.provisioning_steps where job_id = ${tenant.jobId}`).length

const stepsShown = async () =>
  only(
    await project.sql<{ statuses: string[] }[]>`
      select json_agg(distinct s.status) as statuses from provisioning.steps_of(${tenant.jobId}) s`,
  ).statuses

const status = async () =>
  only(
    await project.sql<{ status: Record<string, string> }[]>`
      select provisioning_status as status from public.organizations where id = ${tenant.organizationId}`,
  ).status

const claimed = async () => (await engine.claim(100)).find(({ jobId }) => jobId === tenant.jobId)

describe('a job that no worker has claimed has no rows for its steps, and', () => {
  it('shows those that it will have as pending, also after its status was derived again', async () => {
    const before = await status()
    await project.sql`select provisioning.refresh_status(${tenant.organizationId})`
    expect(await status()).toEqual(before)
    expect(before).toMatchObject({ overall: 'pending', stripe: 'pending', neon: 'pending' })
    expect([await rowsOfSteps(), await stepsShown()]).toEqual([0, ['pending']])
  })

  it('when it is cancelled shows them as cancelled, needs no undo and is never claimed', async () => {
    const cancelled = only(
      await project.sql<{ job_id: string; undo_job_id: string | null }[]>`
        select * from provisioning.cancel_provisioning(${tenant.organizationId})`,
    )
    expect(cancelled).toEqual({ job_id: tenant.jobId, undo_job_id: null })
    expect(await status()).toMatchObject({ overall: 'cancelled', stripe: 'cancelled', neon: 'cancelled' })
    expect([await rowsOfSteps(), await stepsShown()]).toEqual([0, ['cancelled']])
    expect(await claimed()).toBeUndefined()
  })

  it('after a retry, whole or of a service, is due and gets all of its steps at the claim', async () => {
    for (const services of [null, ['neon']])
      expect(
        only(
          await project.sql<{ job_id: string; status: string }[]>`
            select * from provisioning.request_provisioning(${tenant.organizationId}, ${services})`,
        ),
      ).toEqual({ job_id: tenant.jobId, status: 'queued' })
    expect([await rowsOfSteps(), await stepsShown()]).toEqual([0, ['pending']])
    expect(await claimed()).toBeDefined()
    const definitions = await project.sql`
      select from provisioning.step_definitions where kind = 'provision' and tier = 'database'`
    expect(await rowsOfSteps()).toBe(definitions.length)
  })

  it('with another size begins with a database of that size', async () => {
    await project.sql`select provisioning.request_provisioning(${tenant.organizationId}, null, 'large')`
    expect(await rowsOfSteps()).toBe(0)
    const lease = await claimed()
    if (!lease) throw new Error('the job was not claimed')
    const ready = await engine.start(lease, 'stripe_customer')
    expect(ready).toBeDefined()
    const size = await project.sql`
      select size from public.organization_databases where organization_id = ${tenant.organizationId}`
    expect(only(size)).toEqual({ size: 'large' })
  })
})
