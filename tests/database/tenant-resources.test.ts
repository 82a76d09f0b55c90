import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { claimedJob, type Lease } from './engine.ts'
import { only, openProject, type Project, refusal } from './project.ts'

let project: Project

beforeAll(async () => {
  project = await openProject()
})

afterAll(async () => {
  await project.close()
})

interface Row {
  readonly name: string
  readonly externalId: string | null
  readonly state: string
  readonly requests: number
  readonly details: Readonly<Record<string, unknown>>
  readonly removeAt: Date | null
}

const rowsOf = (organizationId: string, kind = 'neon_project') =>
  project.sql<Row[]>`
    select name, external_id as "externalId", state, requests, details, remove_at as "removeAt" from public.tenant_resources
    where organization_id = ${organizationId} and kind = ${kind} order by created_at`

const plan = ({ jobId, token }: Lease, name: string, details = {}, kind = 'neon_project') =>
  project.sql`select provisioning.plan_resource(${jobId}, ${token}, ${kind}, ${name}, ${project.sql.json(details)})`
const unplan = ({ jobId, token }: Lease, details = {}, kind = 'neon_project') =>
  project.sql`select provisioning.unplan_resource(${jobId}, ${token}, ${kind}, ${project.sql.json(details)})`
const record = (organizationId: string, id: string, kind = 'neon_project') =>
  project.sql`select provisioning.record_resource(${organizationId}, ${kind}, 'recorded', ${id})`
const wish = (organizationId: string, region: string) =>
  project.sql`select * from provisioning.request_provisioning(${organizationId}, p_data_region => ${region})`
const regionOf = async (organizationId: string) =>
  only(
    await project.sql<{ region: string }[]>`
      select region from public.organization_databases where organization_id = ${organizationId}`,
  ).region

describe('a resource', () => {
  it('is planned under the name of the first request, whatever later ones call it, until its id is known', async () => {
    const { lease, organizationId } = await claimedJob(project)
    await plan(lease, 'first', { size: 'small' })
    await plan(lease, 'second', { request: { key: 'k' } })
    expect(await rowsOf(organizationId)).toMatchObject([
      { name: 'first', state: 'planned', requests: 2, details: { size: 'small', request: { key: 'k' } } },
    ])
    await record(organizationId, 'p-1')
    expect(await rowsOf(organizationId)).toMatchObject([
      { name: 'first', externalId: 'p-1', state: 'active', requests: 0, details: {} },
    ])
  })

  it('is planned by a worker, which thereby renews its lease', async () => {
    const { lease } = await claimedJob(project)
    await project.sql`update provisioning.job_leases set expires_at = now() + interval '1 second' where job_id = ${lease.jobId}`
    await plan(lease, 'name')
    const [row] = await project.sql`
      select expires_at > now() + interval '30 seconds' as renewed from provisioning.job_leases where job_id = ${lease.jobId}`
    expect(row?.renewed).toBe(true)
  })

  it('of no kind that there is cannot be planned', async () => {
    const { lease } = await claimedJob(project)
    expect(await refusal(plan(lease, 'name', {}, 'castle'))).toBe('TP422')
  })

  it('was never there when its only request was refused', async () => {
    const { lease, organizationId } = await claimedJob(project)
    await plan(lease, 'name')
    await unplan(lease)
    expect(await rowsOf(organizationId)).toEqual([])
  })

  it('may be there when a request before the refused one has no answer', async () => {
    const { lease, organizationId } = await claimedJob(project)
    await plan(lease, 'name', { request: { key: 'lost' } })
    await plan(lease, 'name', { request: { key: 'refused' } })
    await unplan(lease, { request: { key: 'lost' } })
    expect(await rowsOf(organizationId)).toMatchObject([
      { state: 'planned', requests: 1, details: { request: { key: 'lost' } } },
    ])
  })

  it('that is there stays so while another request for it is refused', async () => {
    const { lease, organizationId } = await claimedJob(project)
    await record(organizationId, 'p-old')
    await plan(lease, 'name')
    await unplan(lease)
    expect(await rowsOf(organizationId)).toMatchObject([{ state: 'active', externalId: 'p-old' }])
  })

  it('is one of its kind: another id replaces the one before', async () => {
    const { organizationId } = await claimedJob(project)
    await record(organizationId, 'p-before')
    await record(organizationId, 'p-after')
    expect(await rowsOf(organizationId)).toMatchObject([{ externalId: 'p-after', state: 'active' }])
  })
})

describe('the data region', () => {
  it('can be changed until something that stands in it may exist', async () => {
    const { lease, organizationId } = await claimedJob(project)
    await wish(organizationId, 'eu-central-1')
    expect(await regionOf(organizationId)).toBe('aws-eu-central-1')
    await plan(lease, 'customer', {}, 'stripe_customer')
    await wish(organizationId, 'us-west-2')
    await plan(lease, 'project')
    expect(await refusal(wish(organizationId, 'eu-central-1'))).toBe('TP409')
    expect(await regionOf(organizationId)).toBe('aws-us-west-2')
    // The one that it is in is no change.
    expect(await refusal(wish(organizationId, 'us-west-2'))).toBeUndefined()
    await unplan(lease)
    await wish(organizationId, 'eu-central-1')
    expect(await regionOf(organizationId)).toBe('aws-eu-central-1')
  })

  it('asked for once more means what provisioning.regions says of it now', async () => {
    const { organizationId } = await claimedJob(project)
    const meaning = (region: string) =>
      project.sql`update provisioning.regions set neon_region = ${region} where data_region = 'sa-east-1'`
    await meaning('aws-nowhere-1')
    await wish(organizationId, 'sa-east-1')
    expect(await regionOf(organizationId)).toBe('aws-nowhere-1')
    await meaning('aws-sa-east-1')
    await wish(organizationId, 'sa-east-1')
    expect(await regionOf(organizationId)).toBe('aws-sa-east-1')
  })
})

describe('what a deleted organization had', () => {
  it('is removed after the grace of its kind or kept, and what was sent in an open request is not kept for ever', async () => {
    const { lease, organizationId } = await claimedJob(project)
    await plan(lease, 'customer', { request: { email: 'ann@example.com' } }, 'stripe_customer')
    await plan(lease, 'project', { request: { name: 'Ann' }, region: 'r' })
    await project.sql`delete from public.organizations where id = ${organizationId}`
    const [customer, neon] = [
      only(await rowsOf(organizationId, 'stripe_customer')),
      only(await rowsOf(organizationId)),
    ]
    expect(customer).toMatchObject({ state: 'kept', details: {}, removeAt: null })
    // Still needed to find what the request has made.
    expect(neon).toMatchObject({ state: 'planned', details: { request: { name: 'Ann' } } })
    expect(neon.removeAt?.getTime()).toBeCloseTo(Date.now() + 72 * 3_600_000, -5)
    await project.sql`select provisioning.forget_resource(${organizationId}, 'neon_project')`
    expect(await rowsOf(organizationId)).toMatchObject([{ state: 'removed', details: { region: 'r' } }])
  })
})
