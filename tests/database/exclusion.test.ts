import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { addKind, claimAtOnce, closeOpenJobs, createOnlyJob, Engine, enqueue } from './engine.ts'
import { only, openProject, type Project, type Tenant } from './project.ts'

const KINDS = ['provision', 'rotate', 'migrate', 'resize', 'invoice', 'undo']

let project: Project
let engine: Engine
let tenant: Tenant

beforeAll(async () => {
  project = await openProject()
  engine = new Engine(project.sql)
  for (const kind of ['rotate', 'migrate', 'resize']) await addKind(project, { kind, worksOn: ['neon'] })
  await addKind(project, { kind: 'invoice', worksOn: ['stripe'], service: 'stripe' })
})

beforeEach(async () => {
  tenant = await createOnlyJob(project)
})

afterAll(async () => {
  await project.close()
})

const claim = async (kinds: readonly string[] = KINDS) => engine.claim(10, kinds)
const enqueueHere = (kind: string) => enqueue(project, tenant.organizationId, kind)

describe('of two jobs of one organization that work on the same service', () => {
  it('a rotation waits while a provisioning is at work, and is claimed when that has ended', async () => {
    const provision = only(await claim())
    const rotate = await enqueueHere('rotate')
    expect(await claim()).toEqual([])
    await engine.run(provision)
    expect(only(await claim()).jobId).toBe(rotate)
  })

  it('a migration waits for a resize, whichever worker asks', async () => {
    await closeOpenJobs(project)
    await enqueueHere('resize')
    const resize = only(await claim())
    const migrate = await enqueueHere('migrate')
    expect(await claim(['migrate'])).toEqual([])
    await engine.run(resize)
    expect(only(await claim(['migrate'])).jobId).toBe(migrate)
  })

  it('one is taken when both are due', async () => {
    await closeOpenJobs(project)
    const both = [await enqueueHere('rotate'), await enqueueHere('migrate')]
    const first = only(await claim())
    expect(both).toContain(first.jobId)
    await engine.run(first)
    expect(both).toContain(only(await claim()).jobId)
  })

  it('one waits for a retry of the other without holding it back', async () => {
    const provision = only(await claim())
    const rotate = await enqueueHere('rotate')
    await engine.start(provision, 'neon_project')
    await engine.fail(provision, 'neon_project', undefined, 60)
    await engine.start(provision, 'stripe_customer')
    await engine.complete(provision, 'stripe_customer')
    expect(await engine.finish(provision)).toBe('queued')
    expect(only(await claim()).jobId, 'nobody is at work').toBe(rotate)
    await engine.passTime(provision.jobId)
    expect(await claim()).toEqual([])
  })

  it('one waits until the other is taken over when its worker has died, because a heartbeat may revive that one', async () => {
    const provision = only(await claim(['provision']))
    await enqueueHere('rotate')
    await engine.expireLease(provision.jobId)
    expect(await claim(['rotate'])).toEqual([])
    await engine.extend(provision)
    expect(await claim()).toEqual([])
    await engine.expireLease(provision.jobId)
    expect(only(await claim()).jobId, 'the one that is taken over').toBe(provision.jobId)
  })

  it('one is free when the other is cancelled in the middle', async () => {
    const provision = only(await claim())
    const rotate = await enqueueHere('rotate')
    await engine.cancel(provision.jobId)
    expect(only(await claim()).jobId).toBe(rotate)
  })

  it('never are both at work, with eight claimers at once', async () => {
    await closeOpenJobs(project)
    for (let round = 0; round < 5; round++) {
      for (const kind of ['rotate', 'migrate', 'resize']) await enqueueHere(kind)
      const leases = await claimAtOnce(project, 8, 3, KINDS)
      expect(leases).toHaveLength(1)
      await engine.run(only(leases))
    }
  })
})

describe('jobs that do not touch each other are at work at once:', () => {
  it('on different services of one organization', async () => {
    await closeOpenJobs(project)
    const wanted = [await enqueueHere('rotate'), await enqueueHere('invoice')]
    const claimed = [...(await claim()), ...(await claim())].map(({ jobId }) => jobId)
    expect(claimed.sort()).toEqual(wanted.sort())
  })

  it('on the same service of different organizations', async () => {
    await closeOpenJobs(project)
    await enqueueHere('rotate')
    await enqueue(project, crypto.randomUUID(), 'rotate')
    expect(await claim()).toHaveLength(2)
  })
})

it('a kind that works on all services excludes every other', async () => {
  const provision = only(await claim())
  await enqueueHere('invoice')
  expect(await claim()).toEqual([])
  await engine.run(provision)
  expect(await claim()).toHaveLength(1)
})
