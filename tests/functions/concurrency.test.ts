import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { Gateway } from '../../local/gateway/gateway.ts'
import { FUNCTION, type SignedUp, startTestProject, type TestProject, until } from '../support/project.ts'

const WORKER_CONCURRENCY = 4
const MAX_RUNNING_JOBS = 6

let project: TestProject
let second: Gateway

beforeAll(async () => {
  project = await startTestProject({
    settings: {
      worker_concurrency: WORKER_CONCURRENCY,
      max_running_jobs: MAX_RUNNING_JOBS,
      worker_max_jobs: 100,
      max_step_attempts: 100,
    },
  })
  second = await project.startSecondGateway()
})

afterAll(() => project?.stop())

afterEach(() => {
  project.neonEmulator.faults.clear()
  project.stripeEmulator.faults.clear()
})

async function expectOneOfEach({ organizationId }: SignedUp): Promise<void> {
  const { projects, customers } = await project.resources(organizationId)
  expect({ projects: projects.length, customers: customers.length }).toEqual({ projects: 1, customers: 1 })
}

const signUpMany = (count: number) =>
  project.whileHeld(() => Promise.all(Array.from({ length: count }, () => project.signUp())))

/** Rings at the second process, as the database rings at the first. */
async function ringSecond(): Promise<void> {
  const reply = await project.call({ gateway: second, body: await project.signDoorbell() })
  expect(reply.status).toBe(202)
}

/** The most jobs that were under a live lease at once before the work ended, well or not. */
async function mostRunningJobsUntil(work: Promise<unknown>): Promise<number> {
  let over = false
  void work
    .catch(() => undefined)
    .finally(() => {
      over = true
    })
  let most = 0
  while (!over) {
    const [row] = await project.sql<{ n: number }[]>`
      select count(*)::int as n from provisioning.job_leases where expires_at > now()`
    most = Math.max(most, row?.n ?? 0)
    await sleep(4)
  }
  return most
}

describe('two function processes', () => {
  it('drain thirty sign-ups together, below the cap on running jobs, into one project and one customer each', async () => {
    const people = await signUpMany(30)
    const ready = (person: SignedUp) => project.waitFor(person.organizationId, 'ready', 50_000)
    const finished = Promise.all(people.map(ready))
    const watched = mostRunningJobsUntil(finished)
    await Promise.all(people.slice(0, 5).map(() => ringSecond()))
    await finished
    const most = await watched
    // More than one process may have at work, so both were.
    expect(most).toBeGreaterThan(WORKER_CONCURRENCY)
    expect(most).toBeLessThanOrEqual(MAX_RUNNING_JOBS)
    for (const person of people) await expectOneOfEach(person)
    expect(project.neonEmulator.stats.calls.createProject).toBe(30)
    expect(project.stripeEmulator.stats.calls.PostCustomers).toBe(30)
    const [row] = await project.sql`
      select sum(attempts)::int as jobs, (select sum(attempts)::int from public.provisioning_steps) as steps
      from public.provisioning_jobs`
    expect(row).toEqual({ jobs: 30, steps: 180 })
  }, 60_000)

  it('get through a storm of faults with one project and one customer for each', async () => {
    const actions = [
      { type: 'status', status: 500 },
      { type: 'reset' },
      { type: 'act_then_reset' },
      { type: 'status', status: 429, retryAfterSeconds: 1 },
    ] as const
    for (const { faults } of [project.neonEmulator, project.stripeEmulator])
      for (const action of actions) faults.add({ action, probability: 0.1 })
    const people = await signUpMany(8)
    const over = async (): Promise<true | undefined> => {
      const [row] = await project.sql<{ open: number }[]>`
        select count(*)::int as open from public.provisioning_jobs where status <> 'succeeded'`
      if (row?.open === 0) return true
      await ringSecond()
      return undefined
    }
    await project.whileTimePasses('end of the storm', over)
    project.neonEmulator.faults.clear()
    project.stripeEmulator.faults.clear()
    for (const person of people) await expectOneOfEach(person)
  })
})

describe('a worker that stalls while another takes its job over', () => {
  const signal = (name: NodeJS.Signals) => project.services.gateway.functions.kill(FUNCTION, name)
  const freeze = () => expect(signal('SIGSTOP')).toBe(true)
  afterEach(() => void signal('SIGCONT'))

  /** The second process takes the job of a frozen first one, and has finished it when this resolves. */
  async function takeOver(person: SignedUp): Promise<void> {
    await project.expireLeases()
    await ringSecond()
    await project.waitFor(person.organizationId)
  }

  const history = async ({ organizationId }: SignedUp) =>
    (
      await project.sql`
        select j.status, j.attempts, o.stripe_customer_id, d.neon_project_id, d.updated_at,
          (select count(*)::int from public.provisioning_events e where e.organization_id = o.id) as events
        from public.organizations o join public.provisioning_jobs j on j.organization_id = o.id
        join public.organization_databases d on d.organization_id = o.id where o.id = ${organizationId}`
    ).map((row) => ({ ...row }))

  it('between its look and its creation does not create, and writes nothing', async () => {
    const calls = () => project.neonEmulator.stats.calls
    const lookups = calls().listProjects ?? 0
    project.neonEmulator.faults.add({
      match: { operation: 'listProjects' },
      action: { type: 'latency', ms: 500 },
      times: 1,
    })
    const person = await project.signUp()
    await until('lookup', () => (calls().listProjects ?? 0) > lookups || undefined)
    freeze()
    // By now the answer "there is none" waits in the frozen process's socket.
    await sleep(600)
    const creations = calls().createProject ?? 0
    await takeOver(person)
    const before = await history(person)
    signal('SIGCONT')
    await until('word of the lost lease', () => saysLeaseLost(person) || undefined)
    expect(calls().createProject).toBe(creations + 1)
    expect(await history(person)).toEqual(before)
    await expectOneOfEach(person)
  })

  it('in the middle of its creation finds its project adopted, and writes nothing', async () => {
    const { stats } = project.neonEmulator
    project.neonEmulator.faults.add({
      match: { operation: 'createProject' },
      action: { type: 'latency', ms: 400 },
      times: 1,
    })
    const creations = stats.calls.createProject ?? 0
    const person = await project.signUp()
    await until(
      'creation',
      () => (project.neonEmulator.stats.calls.createProject ?? 0) > creations || undefined,
    )
    freeze()
    await until('project', () => project.neonEmulator.stats.projects > stats.projects || undefined)
    await takeOver(person)
    const before = await history(person)
    signal('SIGCONT')
    await until('word of the lost lease', () => saysLeaseLost(person) || undefined)
    expect(project.neonEmulator.stats.calls.createProject).toBe(creations + 1)
    expect(await history(person)).toEqual(before)
    await expectOneOfEach(person)
  })

  const saysLeaseLost = ({ jobId }: SignedUp) =>
    project.log.some(({ text }) => text.includes(jobId) && text.includes('another worker holds the lease'))
})
