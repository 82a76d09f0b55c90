import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { closeOpenJobs, Engine, enqueue, FINAL, type JobRow, type Lease, type StepRow } from './engine.ts'
import { createTenant, openProject, type Project, refusal } from './project.ts'

/*
 * Two tenants, each with a provisioning, a rotation and an invoice, and workers who claim, run, fail, die and come back in any
 * order. The provisioning excludes the other two, which do not exclude each other. The model knows only who holds a lease and
 * what has succeeded; after each command the rows are checked against it.
 */

const TENANTS = 2
/** The steps of all are those of a provisioning, so that one model serves them. */
const WORKS_ON: Readonly<Record<string, string>> = { provision: '*', rotation: 'neon', invoice: 'stripe' }
const KINDS = Object.keys(WORKS_ON)
/** That of the first tenant and of the second, then the rotations of both, then their invoices. */
const JOBS = KINDS.length * TENANTS
const JOBS_OF = Array.from({ length: TENANTS }, (_, tenant) =>
  KINDS.map((_, kind) => kind * TENANTS + tenant),
)
const STEPS = [
  'stripe_customer',
  'neon_project',
  'credentials',
  'tenant_schema',
  'verify_connection',
  'graphql_endpoint',
] as const
const MAX_ATTEMPTS = 3
/** npm run test:long tries more. */
const RUNS = Number(process.env.PROPERTY_RUNS ?? 20)
const LIMIT_MS = 10_000 + RUNS * 500
/** Less than twice the base, so that the second failure meets the cap. */
const BACKOFF = { backoff_base_seconds: 10, backoff_cap_seconds: 15 }

interface Model {
  /** Leases in the order in which they were given, of each job. The last one is the holder's, while it holds. */
  readonly leases: Lease[][]
  readonly held: boolean[]
  readonly expired: boolean[]
  /** The steps of each job as they were after the previous command. */
  readonly previous: StepRow[][]
}

interface Real {
  readonly engine: Engine
  readonly jobIds: readonly string[]
  readonly previous: StepRow[][]
}

/** What a command may do that no other may. */
interface Allowed {
  /** The job whose steps a retry may have made new. */
  readonly reset?: number
  /** How a command moved the number of a step's attempts. */
  readonly moved?: { readonly job: number; readonly step: number; readonly by: 1 | -1 }
}

type Command = fc.AsyncCommand<Model, Real>

let project: Project
let engine: Engine
/** Failures after which the time of the next attempt was looked at. */
let delays = 0
/** How often two jobs of one tenant were seen at work at once. */
let together = 0

beforeAll(async () => {
  project = await openProject()
  engine = new Engine(project.sql)
  for (const [kind, service] of Object.entries(WORKS_ON).slice(1)) {
    // In no lane that gives way: what that one takes is told by lanes.test.ts.
    await project.sql`insert into provisioning.job_kinds (kind, label, worker, lane, works_on, purpose)
      values (${kind}, ${kind}, 'provisioning', 'request', ${[service]}, 'maintain')`
    await project.sql`insert into provisioning.step_definitions (kind, tier, step, service, position, depends_on)
      select ${kind}, tier, step, service, position, depends_on
      from provisioning.step_definitions where kind = 'provision'`
  }
  await project.sql`update provisioning.settings set ${project.sql({ max_step_attempts: MAX_ATTEMPTS, ...BACKOFF })}`
})

afterAll(async () => {
  await project.close()
})

function at<T>(items: readonly T[], index: number): T {
  const item = items[index]
  if (item === undefined) throw new Error(`there is no item ${index}`)
  return item
}

/** Whether these two, of one tenant, may not be at work at once. */
function excludeEachOther(job: number, other: number): boolean {
  const [one, two] = [job, other].map((index) => WORKS_ON[at(KINDS, Math.floor(index / TENANTS))])
  return job !== other && (one === '*' || two === '*' || one === two)
}

/** What must hold after any command. */
async function checkInvariants(
  { engine, jobIds, previous }: Real,
  { reset, moved }: Allowed = {},
): Promise<void> {
  const rows = await Promise.all(jobIds.map((jobId) => Promise.all([engine.job(jobId), engine.steps(jobId)])))
  for (const jobs of JOBS_OF) {
    const atWork = jobs.filter((job) => at(rows, job)[0].lease_token !== null)
    if (atWork.length > 1) together++
    const excluded = atWork.filter((job) => atWork.some((other) => excludeEachOther(job, other)))
    expect(excluded, 'no two jobs are at work that exclude each other').toEqual([])
  }
  for (const [job, [row, steps]] of rows.entries()) {
    for (const [index, step] of steps.entries()) {
      const before = at(at(previous, job), index)
      if (job === reset) continue
      if (before.status === 'succeeded')
        expect(step, 'a finished step is never written again').toEqual(before)
      if (before.status === 'failed') expect(step.status, 'nor does a failed one run again').toBe('failed')
      const by = moved?.job === job && moved.step === index ? moved.by : 0
      expect(step.attempts, 'a start counts, a deferral gives back, nothing else does either').toBe(
        before.attempts + by,
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
    const claimed = await real.engine.claim(this.limit, KINDS)
    expect(claimed.length).toBeLessThanOrEqual(this.limit)
    for (const lease of claimed) {
      const job = real.jobIds.indexOf(lease.jobId)
      expect(at(model.held, job) && !at(model.expired, job), "a live lease is nobody else's").toBe(false)
      expect(at(model.leases, job).some(({ token }) => token === lease.token)).toBe(false)
      at(model.leases, job).push(lease)
      model.held[job] = true
      model.expired[job] = false
    }
    const isDue = ({ finished_at, lease_expires_at, next_attempt_at }: JobRow) =>
      finished_at === null && (lease_expires_at ?? next_attempt_at).getTime() < Date.now() - 50
    // One of each tenant: what is due and excluded by no lease, not even by that of a dead worker, which may come back.
    const claimable = JOBS_OF.filter((jobs) =>
      jobs.some(
        (job) =>
          isDue(at(before, job)) &&
          !jobs.some((other) => at(before, other).lease_token !== null && excludeEachOther(job, other)),
      ),
    )
    expect(claimed.length, 'nothing that may be claimed is passed over').toBeGreaterThanOrEqual(
      Math.min(claimable.length, this.limit),
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
const DEFER_SECONDS = 30

function withoutTime(step: StepRow): StepRow {
  return { ...step, next_attempt_at: null }
}

/** The first two steps depend on nothing, each of the others on the one before it. */
function canStart({ status, next_attempt_at }: StepRow, index: number, steps: readonly StepRow[]): boolean {
  const due = status === 'pending' || (next_attempt_at !== null && next_attempt_at.getTime() <= Date.now())
  return due && (index < 2 || at(steps, index - 1).status === 'succeeded')
}

/**
 * A worker writes: the holder, or one who was the holder `age` leases ago. `aimed` at a step of which the write can be true,
 * if there is one: at random, few writes would ever meet a running step.
 */
class WorkerWrites implements Command {
  readonly job: number
  readonly write: Write
  readonly age: number
  readonly aimed: boolean
  readonly choice: number
  step: number
  constructor(job: number, write: Write, choice: number, age: number, aimed: boolean) {
    this.job = job
    this.write = write
    this.choice = choice
    this.step = choice
    this.age = age
    this.aimed = aimed
  }
  check = ({ leases, held, previous }: Readonly<Model>) => {
    const suits = (this.age > 0 || at(held, this.job)) && this.suitable(at(previous, this.job)).length > 0
    return at(leases, this.job).length > this.age && (suits || !this.aimed)
  }

  async run(model: Model, real: Real) {
    const leases = at(model.leases, this.job)
    const lease = at(leases, leases.length - 1 - this.age)
    const jobBefore = await real.engine.job(lease.jobId)
    if (this.aimed) this.aim(at(real.previous, this.job))
    const startedAt = Date.now()
    const code = await refusal(this.perform(real.engine, lease))
    const endedAt = Date.now()
    const before = at(at(real.previous, this.job), this.step)
    if (this.age > 0 || !at(model.held, this.job)) {
      expect(code, 'a stale token writes nothing').toBe('TP001')
      expect(await real.engine.job(lease.jobId)).toEqual(jobBefore)
      expect(await real.engine.steps(lease.jobId)).toEqual(at(real.previous, this.job))
    } else {
      const needsRunningStep = OF_A_STEP.includes(this.write)
      expect(code).toBe(needsRunningStep && before.status !== 'running' ? 'TP002' : undefined)
      if (this.write === 'finish') model.held[this.job] = false
      if (this.write === 'extend') model.expired[this.job] = false
    }
    // The end of a run gives another turn to services that were asked for meanwhile.
    const rerun = this.write === 'finish' && jobBefore.rerun_services !== null
    const by = code === undefined ? await this.countsBy(real, before) : undefined
    await checkInvariants(real, {
      ...(rerun ? { reset: this.job } : {}),
      ...(by ? { moved: { job: this.job, step: this.step, by } } : {}),
    })
    if (code === undefined) this.checkDelay(at(at(real.previous, this.job), this.step), startedAt, endedAt)
  }

  suitable(steps: readonly StepRow[]): StepRow[] {
    if (this.write === 'start') return steps.filter(canStart)
    return OF_A_STEP.includes(this.write) ? steps.filter(({ status }) => status === 'running') : [...steps]
  }

  aim(steps: readonly StepRow[]): void {
    const suitable = this.suitable(steps)
    this.step = steps.indexOf(at(suitable, this.choice % suitable.length))
  }

  async countsBy({ engine, jobIds }: Real, before: StepRow): Promise<1 | -1 | undefined> {
    if (this.write === 'defer' || this.write === 'defer a lost reply') return -1
    if (this.write !== 'start') return undefined
    // One that may not start stays as it is.
    const { status } = await engine.step(at(jobIds, this.job), before.step)
    return status === before.status ? undefined : 1
  }

  /** When the next attempt is due, after a write between these two moments. */
  checkDelay(step: StepRow, startedAt: number, endedAt: number): void {
    const delay = this.delaySeconds(step.attempts)
    if (delay === undefined) return
    if (delay === null) {
      expect(step).toMatchObject({ status: 'failed', next_attempt_at: null })
      return
    }
    const [least, most] = delay
    const due = step.next_attempt_at?.getTime()
    expect(due, `after ${this.write}, attempt ${step.attempts}`).toBeGreaterThanOrEqual(
      startedAt + least * 1000,
    )
    // Dates have no microseconds.
    expect(due, `after ${this.write}, attempt ${step.attempts}`).toBeLessThanOrEqual(
      endedAt + most * 1000 + 1,
    )
    delays++
  }

  /** The shortest and the longest; null when there is no next attempt, undefined for writes that end none. */
  delaySeconds(attempts: number): readonly [number, number] | null | undefined {
    const { backoff_base_seconds: base, backoff_cap_seconds: cap } = BACKOFF
    switch (this.write) {
      case 'fail':
        return attempts < MAX_ATTEMPTS ? [0, Math.min(cap, base * 2 ** (attempts - 1))] : null
      case 'lose the reply':
        return attempts < MAX_ATTEMPTS ? [SETTLE_SECONDS, SETTLE_SECONDS] : null
      case 'fail for good':
      case 'lose the last reply':
        return null
      case 'defer':
        return [DEFER_SECONDS, DEFER_SECONDS]
      case 'defer a lost reply':
        return [SETTLE_SECONDS, SETTLE_SECONDS]
      default:
        return undefined
    }
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
        return engine.defer(lease, step, DEFER_SECONDS)
      case 'defer a lost reply':
        return engine.defer(lease, step, DEFER_SECONDS, SETTLE_SECONDS)
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
    if (alive)
      expect(after.map(withoutTime), 'but for when its steps are due').toEqual(before.map(withoutTime))
    else if (status === 'queued') model.held[this.job] = false
    for (const [index, step] of before.entries()) {
      if (step.status !== 'succeeded' || at(after, index).status === 'succeeded') continue
      expect(this.services, 'only a service that is named is looked at again').toContain(step.service)
      expect(finished_at, 'and only when the job had ended').not.toBeNull()
    }
    await checkInvariants(real, { reset: this.job })
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
    await checkInvariants(real, nothingToCancel ? {} : { reset: this.job })
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
const aimed = fc.oneof(
  { weight: 5, arbitrary: fc.constant(true) },
  { weight: 1, arbitrary: fc.constant(false) },
)
const write = (...writes: Write[]) =>
  fc.tuple(job, fc.constantFrom(...writes), step, age, aimed).map((values) => new WorkerWrites(...values))

const claim = fc.integer({ min: 1, max: 3 }).map((limit) => new Claim(limit))
const timePasses = fc.constant(new TimePasses())

const commands = fc.commands(
  [
    claim,
    claim,
    write('start'),
    write('start'),
    write('start'),
    write('complete'),
    write('complete', 'save'),
    write('fail'),
    write('defer', 'lose the reply', 'lose the last reply', 'defer a lost reply'),
    write('extend', 'finish', 'fail for good'),
    job.map((value) => new LeaseRunsOut(value)),
    fc.nat(TENANTS - 1).map((value) => new Cancel(value)),
    timePasses,
    timePasses,
    fc
      .tuple(job, fc.constantFrom(null, ['stripe'], ['neon'], ['stripe', 'neon'], ['other']))
      .map((values) => new Retry(...values)),
  ],
  { maxCommands: 100, size: 'max' },
)

/** What every run must have seen, however few sequences a slow machine has time for. */
const certain = [
  new Claim(3),
  new WorkerWrites(0, 'start', 0, 0, true),
  new WorkerWrites(0, 'fail', 0, 0, true),
  // What excluded the others of this tenant is over, and a claim takes one job of each tenant.
  new Cancel(0),
  new Claim(3),
  new Claim(3),
]

/** Whatever happened, a worker for whom everything works brings each open job to its end. */
async function driveToTheEnd({ engine, jobIds }: Real): Promise<void> {
  for (const jobId of jobIds) {
    for (let runs = 0; runs < 8 && (await engine.job(jobId)).finished_at === null; runs++) {
      // Of all: what the other job of a tenant holds is in the way of this one.
      for (const other of jobIds) {
        await engine.expireLease(other)
        await engine.passTime(other)
      }
      for (const lease of await engine.claim(JOBS, KINDS)) await engine.run(lease)
    }
    const { status, finished_at } = await engine.job(jobId)
    expect(finished_at, `an open job has a way forward (it is ${status})`).not.toBeNull()
    if (status === 'cancelled') continue
    const failed = (await engine.steps(jobId)).filter((row) => row.status === 'failed')
    expect(status).toBe(failed.length === 0 ? 'succeeded' : 'failed')
  }
}

describe('the job state machine', () => {
  it(
    'keeps its promises under any sequence of claims, writes, deaths, retries and cancellations',
    async () => {
      await fc.assert(
        fc.asyncProperty(commands, async (sequence) => {
          await closeOpenJobs(project)
          const tenants = [await createTenant(project), await createTenant(project)]
          const others = KINDS.slice(1).flatMap((kind) =>
            tenants.map(({ organizationId }) => enqueue(project, organizationId, kind)),
          )
          const jobIds = [...tenants.map(({ jobId }) => jobId), ...(await Promise.all(others))]
          const previous = await Promise.all(jobIds.map((jobId) => engine.steps(jobId)))
          const real: Real = { engine, jobIds, previous }
          const model: Model = {
            leases: jobIds.map(() => []),
            held: jobIds.map(() => false),
            expired: jobIds.map(() => false),
            previous,
          }
          await fc.asyncModelRun(() => ({ model, real }), sequence)
          await driveToTheEnd(real)
        }),
        // A failure prints the seed and the path; pass them here to see it again.
        {
          numRuns: RUNS,
          examples: [[certain]],
          endOnFailure: false,
          interruptAfterTimeLimit: LIMIT_MS,
          markInterruptAsFailure: false,
        },
      )
      expect(delays).toBeGreaterThan(0)
      expect(together, 'jobs that do not exclude each other are at work at once').toBeGreaterThan(0)
    },
    LIMIT_MS + 50_000,
  )
})
