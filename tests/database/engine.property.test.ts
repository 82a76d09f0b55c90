import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { closeOpenJobs, Engine, FINAL, type Lease, type StepRow } from './engine.ts'
import { createTenant, openProject, type Project, refusal } from './project.ts'

/*
 * Two jobs, and workers who claim, run, fail, die and come back in any order. The model knows only who holds a lease
 * and what has succeeded; after each command the rows are checked against it.
 */

const JOBS = 2
const STEPS = [
  'stripe_customer',
  'neon_project',
  'tenant_schema',
  'credentials',
  'verify_connection',
] as const
const MAX_ATTEMPTS = 3

interface Model {
  /** Leases in the order in which they were given, of each job. The last one is the holder's, while it holds. */
  readonly leases: Lease[][]
  readonly held: boolean[]
  readonly expired: boolean[]
}

interface Real {
  readonly engine: Engine
  readonly jobIds: readonly string[]
  /** The steps of each job as they were after the previous command. */
  readonly previous: StepRow[][]
}

type Command = fc.AsyncCommand<Model, Real>

let project: Project
let engine: Engine

beforeAll(async () => {
  project = await openProject()
  engine = new Engine(project.sql)
  await project.sql`update provisioning.settings set max_step_attempts = ${MAX_ATTEMPTS}`
})

afterAll(async () => {
  await project.close()
})

function at<T>(items: readonly T[], index: number): T {
  const item = items[index]
  if (item === undefined) throw new Error(`there is no item ${index}`)
  return item
}

/** What must hold after any command. `reset` is the job whose steps a retry may have made new. */
async function checkInvariants({ engine, jobIds, previous }: Real, reset?: number): Promise<void> {
  for (const [job, jobId] of jobIds.entries()) {
    const row = await engine.job(jobId)
    const steps = await engine.steps(jobId)
    for (const [index, step] of steps.entries()) {
      const before = at(at(previous, job), index)
      if (job === reset) continue
      if (before.status === 'succeeded')
        expect(step, 'a finished step is never written again').toEqual(before)
      if (before.status === 'failed') expect(step.status, 'nor does a failed one run again').toBe('failed')
      const refunded = before.status === 'running' && step.status === 'retrying' ? 1 : 0
      expect(step.attempts, 'attempts only grow, a deferral aside').toBeGreaterThanOrEqual(
        before.attempts - refunded,
      )
      expect(step.attempts).toBeLessThanOrEqual(MAX_ATTEMPTS + 1)
    }
    for (const step of steps) {
      const open = (step.settles_at?.getTime() ?? 0) > Date.now() + 1_000
      if (open) expect(step.status, 'nothing is tried while an answer is open').not.toMatch(/pending|running/)
      if (open && step.next_attempt_at)
        expect(step.next_attempt_at.getTime()).toBeGreaterThanOrEqual(step.settles_at?.getTime() ?? 0)
    }
    previous[job] = [...steps]
    if (row.finished_at === null) {
      expect(row.lease_expires_at ?? row.next_attempt_at, 'an open job falls due some time').toBeInstanceOf(
        Date,
      )
      expect(
        steps.some(({ status }) => ['pending', 'running', 'retrying'].includes(status)) ||
          row.status === 'running',
        'an open job has something left to do, or a worker about to end it',
      ).toBe(true)
    } else {
      expect(steps.filter(({ status }) => status === 'running')).toEqual([])
      expect(steps.every(({ status }) => status === 'succeeded')).toBe(row.status === 'succeeded')
    }
  }
}

class Claim implements Command {
  readonly limit: number
  constructor(limit: number) {
    this.limit = limit
  }
  check = () => true
  async run(model: Model, real: Real) {
    const before = await Promise.all(real.jobIds.map((jobId) => real.engine.job(jobId)))
    const claimed = await real.engine.claim(this.limit)
    expect(claimed.length).toBeLessThanOrEqual(this.limit)
    for (const lease of claimed) {
      const job = real.jobIds.indexOf(lease.jobId)
      expect(at(model.held, job) && !at(model.expired, job), "a live lease is nobody else's").toBe(false)
      expect(at(model.leases, job).some(({ token }) => token === lease.token)).toBe(false)
      at(model.leases, job).push(lease)
      model.held[job] = true
      model.expired[job] = false
    }
    const due = before.filter(
      ({ finished_at, lease_expires_at, next_attempt_at }) =>
        finished_at === null && (lease_expires_at ?? next_attempt_at).getTime() < Date.now() - 50,
    )
    expect(claimed.length, 'nothing due is passed over').toBeGreaterThanOrEqual(
      Math.min(due.length, this.limit),
    )
    await checkInvariants(real)
  }
  toString = () => `claim(${this.limit})`
}

type Write =
  | 'extend'
  | 'start'
  | 'save'
  | 'complete'
  | 'fail'
  | 'fail for good'
  | 'lose the reply'
  | 'lose the last reply'
  | 'defer'
  | 'defer a lost reply'
  | 'finish'

/** Which of them say something of a running step. */
const OF_A_STEP: readonly Write[] = [
  'save',
  'complete',
  'fail',
  'fail for good',
  'lose the reply',
  'lose the last reply',
  'defer',
  'defer a lost reply',
]
/** Longer than a test takes, so that only TimePasses settles it. */
const SETTLE_SECONDS = 600

/** A worker writes: the holder, or one who was the holder `age` leases ago. */
class WorkerWrites implements Command {
  readonly job: number
  readonly write: Write
  readonly step: number
  readonly age: number
  constructor(job: number, write: Write, step: number, age: number) {
    this.job = job
    this.write = write
    this.step = step
    this.age = age
  }
  check = ({ leases }: Readonly<Model>) => at(leases, this.job).length > this.age

  async run(model: Model, real: Real) {
    const leases = at(model.leases, this.job)
    const lease = at(leases, leases.length - 1 - this.age)
    const jobBefore = await real.engine.job(lease.jobId)
    const code = await refusal(this.perform(real.engine, lease))
    if (this.age > 0 || !at(model.held, this.job)) {
      expect(code, 'a stale token writes nothing').toBe('TP001')
      expect(await real.engine.job(lease.jobId)).toEqual(jobBefore)
      expect(await real.engine.steps(lease.jobId)).toEqual(at(real.previous, this.job))
    } else {
      const wasRunning = at(at(real.previous, this.job), this.step).status === 'running'
      const needsRunningStep = OF_A_STEP.includes(this.write)
      expect(code).toBe(needsRunningStep && !wasRunning ? 'TP002' : undefined)
      if (this.write === 'finish') model.held[this.job] = false
      if (this.write === 'extend') model.expired[this.job] = false
    }
    // The end of a run gives another turn to services that were asked for meanwhile.
    const rerun = this.write === 'finish' && jobBefore.rerun_services !== null
    await checkInvariants(real, rerun ? this.job : undefined)
  }

  async perform(engine: Engine, lease: Lease): Promise<unknown> {
    const step = at(STEPS, this.step)
    switch (this.write) {
      case 'extend':
        return engine.extend(lease)
      case 'start':
        return engine.start(lease, step)
      case 'save':
        return engine.saveOutput(lease, step, { saved: true })
      case 'complete':
        return engine.complete(lease, step)
      case 'fail':
        return engine.fail(lease, step)
      case 'fail for good':
        return engine.fail(lease, step, FINAL)
      case 'lose the reply':
        return engine.fail(lease, step, undefined, 0, { settles: SETTLE_SECONDS })
      case 'lose the last reply':
        return engine.fail(lease, step, FINAL, 0, { settles: SETTLE_SECONDS })
      case 'defer':
        return engine.defer(lease, step, 30)
      case 'defer a lost reply':
        return engine.defer(lease, step, 30, SETTLE_SECONDS)
      case 'finish':
        return engine.finish(lease)
    }
  }
  toString = () => `${this.write}(job ${this.job}, ${at(STEPS, this.step)}, lease of ${this.age} ago)`
}

class LeaseRunsOut implements Command {
  readonly job: number
  constructor(job: number) {
    this.job = job
  }
  check = ({ held }: Readonly<Model>) => at(held, this.job)
  async run(model: Model, real: Real) {
    await real.engine.expireLease(at(real.jobIds, this.job))
    model.expired[this.job] = true
    await checkInvariants(real)
  }
  toString = () => `the lease of job ${this.job} runs out`
}

class TimePasses implements Command {
  check = () => true
  async run(_: Model, real: Real) {
    for (const [job, jobId] of real.jobIds.entries()) {
      await real.engine.passTime(jobId)
      real.previous[job] = [...(await real.engine.steps(jobId))]
    }
  }
  toString = () => 'time passes'
}

class Retry implements Command {
  readonly job: number
  readonly services: readonly string[] | null
  constructor(job: number, services: readonly string[] | null) {
    this.job = job
    this.services = services
  }
  check = () => true
  async run(model: Model, real: Real) {
    const jobId = at(real.jobIds, this.job)
    const alive = at(model.held, this.job) && !at(model.expired, this.job)
    const { finished_at } = await real.engine.job(jobId)
    const before = at(real.previous, this.job)
    const status = await real.engine.retry(jobId, this.services)
    const after = await real.engine.steps(jobId)
    expect(status === 'running', 'a job at work is left alone').toBe(alive)
    if (alive) expect(after).toEqual(before)
    else if (status === 'queued') model.held[this.job] = false
    for (const [index, step] of before.entries()) {
      if (step.status !== 'succeeded' || at(after, index).status === 'succeeded') continue
      expect(this.services, 'only a service that is named is looked at again').toContain(step.service)
      expect(finished_at, 'and only when the job had ended').not.toBeNull()
    }
    await checkInvariants(real, this.job)
  }
  toString = () => `retry(job ${this.job}, ${this.services ?? 'whole'})`
}

/** Somebody cancels: whoever held the job is fenced off at once. */
class Cancel implements Command {
  readonly job: number
  constructor(job: number) {
    this.job = job
  }
  check = () => true
  async run(model: Model, real: Real) {
    const jobId = at(real.jobIds, this.job)
    const before = await real.engine.job(jobId)
    const steps = at(real.previous, this.job)
    const { code, wasReady } = await real.engine.cancel(jobId)
    const after = await real.engine.job(jobId)
    const nothingToCancel =
      ['succeeded', 'cancelled'].includes(before.status) || (before.status === 'failed' && wasReady)
    expect(code).toBe(nothingToCancel ? 'TP410' : undefined)
    if (nothingToCancel) expect(after).toEqual(before)
    else {
      expect(after).toMatchObject({ status: 'cancelled', lease_token: null })
      model.held[this.job] = false
      for (const [index, step] of (await real.engine.steps(jobId)).entries()) {
        const kept = wasReady && ['succeeded', 'failed'].includes(at(steps, index).status)
        expect(step.status, 'what was made is undone, except under a tenant that is in use').toBe(
          kept ? at(steps, index).status : 'cancelled',
        )
      }
    }
    await checkInvariants(real, nothingToCancel ? undefined : this.job)
  }
  toString = () => `cancel(job ${this.job})`
}

const job = fc.nat(JOBS - 1)
const step = fc.nat(STEPS.length - 1)
// Most of the time the holder writes; now and then one who lost the lease.
const age = fc.oneof(
  { weight: 5, arbitrary: fc.constant(0) },
  { weight: 1, arbitrary: fc.integer({ min: 1, max: 3 }) },
)
const write = (...writes: Write[]) =>
  fc.tuple(job, fc.constantFrom(...writes), step, age).map((values) => new WorkerWrites(...values))

const commands = fc.commands(
  [
    fc.integer({ min: 1, max: 3 }).map((limit) => new Claim(limit)),
    write('start'),
    write('start'),
    write('complete'),
    write('complete', 'fail', 'defer', 'save'),
    write('lose the reply', 'lose the last reply', 'defer a lost reply'),
    write('lose the reply', 'finish'),
    write('extend', 'finish', 'fail for good'),
    job.map((value) => new LeaseRunsOut(value)),
    job.map((value) => new Cancel(value)),
    fc.constant(new TimePasses()),
    fc
      .tuple(job, fc.constantFrom(null, ['stripe'], ['neon'], ['stripe', 'neon'], ['other']))
      .map((values) => new Retry(...values)),
  ],
  { maxCommands: 60, size: 'max' },
)

/** Whatever happened, a worker for whom everything works brings each open job to its end. */
async function driveToTheEnd({ engine, jobIds }: Real): Promise<void> {
  for (const jobId of jobIds) {
    for (let runs = 0; runs < 4 && (await engine.job(jobId)).finished_at === null; runs++) {
      await engine.expireLease(jobId)
      await engine.passTime(jobId)
      for (const lease of await engine.claim(JOBS)) await engine.run(lease)
    }
    const { status, finished_at } = await engine.job(jobId)
    expect(finished_at, `an open job has a way forward (it is ${status})`).not.toBeNull()
    if (status === 'cancelled') continue
    const failed = (await engine.steps(jobId)).filter((row) => row.status === 'failed')
    expect(status).toBe(failed.length === 0 ? 'succeeded' : 'failed')
  }
}

describe('the job state machine', () => {
  it('keeps its promises under any sequence of claims, writes, deaths, retries and cancellations', async () => {
    await fc.assert(
      fc.asyncProperty(commands, async (sequence) => {
        await closeOpenJobs(project)
        const tenants = [await createTenant(project), await createTenant(project)]
        const jobIds = tenants.map(({ jobId }) => jobId)
        const real: Real = {
          engine,
          jobIds,
          previous: await Promise.all(jobIds.map(async (jobId) => [...(await engine.steps(jobId))])),
        }
        const model: Model = { leases: [[], []], held: [false, false], expired: [false, false] }
        await fc.asyncModelRun(() => ({ model, real }), sequence)
        await driveToTheEnd(real)
      }),
      // A failure prints the seed and the path; pass them here to see it again.
      { numRuns: 40, endOnFailure: false, interruptAfterTimeLimit: 20_000, markInterruptAsFailure: false },
    )
  }, 60_000)
})
