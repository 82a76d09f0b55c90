import { setTimeout as sleep } from 'node:timers/promises'
import postgres from 'postgres'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { FaultRule } from '../../local/emulators/http/faults.ts'
import { type MadeProject, makeNeonProject } from '../support/neon-project.ts'
import {
  FUNCTION,
  type Provisioning,
  type SignedUp,
  startTestProject,
  type TestProject,
  until,
} from '../support/project.ts'

let project: TestProject
/** How far the clock that Stripe's idempotency keys and search go by is ahead. */
let stripeAheadMs = 0

beforeAll(async () => {
  project = await startTestProject({ stripe: { clock: () => Date.now() + stripeAheadMs } })
})

afterAll(() => project?.stop())

afterEach(async () => {
  const { neonEmulator, stripeEmulator } = project
  await project.sql`delete from provisioning.token_buckets`
  await project.sql`update provisioning.settings set max_step_attempts = 8, breaker_failures = 1000`
  for (const { faults } of [neonEmulator, stripeEmulator]) faults.clear()
  neonEmulator.setTimings({ operationMs: 0, createMs: 0 })
  neonEmulator.setLimits({ maxProjects: 100_000 })
  stripeEmulator.setTimings({ searchLagMs: 0 })
})

type Action = FaultRule['action']

const neonFault = (operation: string, action: Action, times?: number) =>
  project.neonEmulator.faults.add({ match: { operation }, action, ...(times ? { times } : {}) })
const stripeFault = (operation: string, action: Action, times?: number) =>
  project.stripeEmulator.faults.add({ match: { operation }, action, ...(times ? { times } : {}) })

const status = (code: number, more: Partial<Extract<Action, { type: 'status' }>> = {}) =>
  ({ type: 'status', status: code, ...more }) as const

interface Attempt {
  readonly code: string
  readonly message: string
  readonly attempt: number
  /** Seconds from the failure to the next attempt. */
  readonly waits: number
}

/** The failed attempts that the history tells of. */
async function attempts({ organizationId }: SignedUp): Promise<Attempt[]> {
  const rows = await project.sql<Attempt[]>`
    select metadata ->> 'code' as code, error_message as message, (metadata ->> 'attempt')::int as attempt,
      extract(epoch from (metadata ->> 'next_attempt_at')::timestamptz - completed_at)::float8 as waits
    from public.provisioning_events
    where organization_id = ${organizationId} and event_type in ('step.retrying', 'step.failed') order by completed_at`
  return [...rows]
}

/** Does not wait for the retries that are put off: they are made due until the job ends. */
async function hurryTo(person: SignedUp, overall: string): Promise<Provisioning> {
  return until(`${overall} organization`, async () => {
    const state = await project.provisioning(person.organizationId)
    if (state.overall === overall) return state
    await project.hurry()
    await sleep(100)
    return undefined
  })
}

async function expectOneOfEach({ organizationId }: SignedUp): Promise<void> {
  const { projects, customers } = await project.resources(organizationId)
  expect({ projects: projects.length, customers: customers.length }).toEqual({ projects: 1, customers: 1 })
}

/** Signs up, with these columns in the organization's row before anything is made for it. */
function signUpWith(columns: Record<string, string | null>): Promise<SignedUp> {
  return project.whileHeld(async () => {
    const person = await project.signUp()
    await change(person, columns)
    return person
  })
}

async function change({ organizationId }: SignedUp, columns: Record<string, string | null>): Promise<void> {
  await project.sql`update public.organizations set ${project.sql(columns)} where id = ${organizationId}`
}

const retry = (person: SignedUp, wish: Record<string, unknown> = {}) =>
  project.request({ organizationId: person.organizationId, wait: true, ...wish })

describe('a failure that another attempt cannot change is final at once', () => {
  interface Case {
    readonly what: string
    readonly arm: () => unknown
    readonly mend?: () => unknown
    readonly step: 'stripe_customer' | 'neon_project'
    readonly code: string
    readonly says: RegExp
  }

  it.each<Case>([
    {
      what: 'a Stripe key that is not accepted',
      arm: () => stripeFault('GetCustomers', status(401)),
      step: 'stripe_customer',
      code: 'stripe_key_rejected',
      says: /STRIPE_SECRET_KEY.*retry/,
    },
    {
      what: 'a Stripe key that may not create customers',
      arm: () => stripeFault('PostCustomers', status(403)),
      step: 'stripe_customer',
      code: 'stripe_key_rejected',
      says: /STRIPE_SECRET_KEY/,
    },
    {
      what: 'a customer that Stripe refuses',
      arm: () => stripeFault('PostCustomers', status(400)),
      step: 'stripe_customer',
      code: 'stripe_request_refused',
      says: /refused.*injected fault/i,
    },
    {
      what: 'a refusal that Stripe remembers under the idempotency key',
      arm: () => stripeFault('PostCustomers', status(400, { remembered: true })),
      step: 'stripe_customer',
      code: 'stripe_request_refused',
      says: /refused/,
    },
    {
      what: 'any other refusal of Stripe',
      arm: () => stripeFault('PostCustomers', status(402)),
      step: 'stripe_customer',
      code: 'stripe_request_refused',
      says: /refused/,
    },
    {
      what: 'a Neon key that is not accepted',
      arm: () => neonFault('listProjects', status(401)),
      step: 'neon_project',
      code: 'neon_key_rejected',
      says: /NEON_API_KEY.*retry/,
    },
    {
      what: 'a full Neon plan',
      arm: () => project.neonEmulator.setLimits({ maxProjects: project.neonEmulator.stats.projects }),
      mend: () => project.neonEmulator.setLimits({ maxProjects: 100_000 }),
      step: 'neon_project',
      code: 'neon_project_limit_reached',
      says: /upgrade the plan.*projects limit of/,
    },
    {
      what: 'a region that Neon does not have',
      arm: () =>
        project.sql`update provisioning.regions set neon_region = 'aws-mars-1' where data_region = 'us-east-1'`,
      mend: () => project.sql`
        with mended as (update provisioning.regions set neon_region = 'aws-us-east-1' where data_region = 'us-east-1')
        update public.organization_databases set region = 'aws-us-east-1' where region = 'aws-mars-1'`,
      step: 'neon_project',
      code: 'neon_region_unknown',
      says: /region.*provisioning\.regions/,
    },
    {
      what: 'a project that Neon refuses',
      arm: () => neonFault('createProject', status(400, { body: { code: '', message: 'quota is odd' } })),
      step: 'neon_project',
      code: 'neon_request_refused',
      says: /refused.*quota is odd/,
    },
  ])(
    '$what, which is told in a sentence, leaves the other service ready and is mended by a retry',
    async (c) => {
      await c.arm()
      const person = await project.signUp()
      const service = c.step === 'stripe_customer' ? 'stripe' : 'neon'
      const failed = await project.waitFor(person.organizationId, 'failed')
      expect(failed.status).toBe('failed')
      expect(failed.services[service]).toBe('failed')
      expect(failed.services[service === 'stripe' ? 'neon' : 'stripe']).toBe('ready')
      expect(failed.error).toMatchObject({ code: c.code, step: c.step, retryable: false })
      expect(failed.error?.message).toMatch(c.says)
      expect(failed.steps[c.step]).toMatchObject({ status: 'failed', attempts: 1, nextAttemptAt: null })
      expect(await attempts(person)).toMatchObject([{ code: c.code, attempt: 1, waits: null }])

      const calls = { ...project.neonEmulator.stats.calls, ...project.stripeEmulator.stats.calls }
      await project.hurry()
      await sleep(100)
      expect({ ...project.neonEmulator.stats.calls, ...project.stripeEmulator.stats.calls }).toEqual(calls)

      for (const { faults } of [project.neonEmulator, project.stripeEmulator]) faults.clear()
      await c.mend?.()
      const reply = await retry(person, { services: [service] })
      expect(reply.body).toMatchObject({ status: 'succeeded', provisioningStatus: { overall: 'ready' } })
      await expectOneOfEach(person)
    },
  )
})

describe('a failure that passes is tried again until the tenant is ready, with one of each', () => {
  interface Case {
    readonly what: string
    readonly arm: () => unknown
    readonly code: string
    /** The least number of seconds until the next attempt. */
    readonly waits?: number
  }
  const reset = { type: 'reset' } as const
  const lostReply = { type: 'act_then_reset' } as const

  it.each<Case>([
    {
      what: 'Stripe 500',
      arm: () => stripeFault('PostCustomers', status(500), 2),
      code: 'stripe_unavailable',
    },
    {
      what: 'Stripe 503',
      arm: () => stripeFault('GetCustomers', status(503), 1),
      code: 'stripe_unavailable',
    },
    {
      what: 'a Stripe 500 that is remembered under the idempotency key',
      arm: () => stripeFault('PostCustomers', status(500, { remembered: true }), 1),
      code: 'stripe_unavailable',
    },
    {
      what: 'Stripe still busy with the same idempotency key',
      arm: () => stripeFault('PostCustomers', status(409), 1),
      code: 'stripe_request_in_progress',
    },
    {
      what: 'Stripe’s rate limit, which names no time',
      arm: () => stripeFault('PostCustomers', status(429), 1),
      code: 'stripe_rate_limited',
    },
    {
      what: 'Stripe’s rate limit with Retry-After',
      arm: () => stripeFault('PostCustomers', status(429, { retryAfterSeconds: 40 }), 1),
      code: 'stripe_rate_limited',
      waits: 40,
    },
    {
      what: 'a connection to Stripe that breaks',
      arm: () => stripeFault('PostCustomers', reset, 1),
      code: 'stripe_unreachable',
    },
    {
      what: 'a customer whose creation was never confirmed',
      arm: () => stripeFault('PostCustomers', lostReply, 1),
      code: 'stripe_unreachable',
    },
    {
      what: 'Neon 500',
      arm: () => neonFault('createProject', status(500), 2),
      code: 'neon_unavailable',
      waits: 5,
    },
    {
      what: 'Neon 503 at the search',
      arm: () => neonFault('listProjects', status(503), 1),
      code: 'neon_unavailable',
    },
    {
      what: 'Neon’s rate limit with Retry-After',
      arm: () => neonFault('createProject', status(429, { retryAfterSeconds: 30 }), 1),
      code: 'neon_rate_limited',
      waits: 30,
    },
    {
      what: 'a Neon project that is locked',
      arm: () => neonFault('createProject', status(423), 1),
      code: 'neon_project_busy',
    },
    {
      what: 'a connection to Neon that breaks',
      arm: () => neonFault('createProject', reset, 1),
      code: 'neon_unreachable',
      waits: 5,
    },
    {
      // Looking again at once could miss a project that Neon is still making.
      what: 'a project whose creation was never confirmed, after a while',
      arm: () => neonFault('createProject', lostReply, 1),
      code: 'neon_unreachable',
      waits: 5,
    },
  ])('$what', async ({ arm, code, waits = 0 }) => {
    arm()
    const person = await project.signUp()
    const { error } = await hurryTo(person, 'ready')
    expect(error).toBeNull()
    const failures = await attempts(person)
    expect(failures.length).toBeGreaterThan(0)
    expect(failures.map((attempt) => attempt.code)).toEqual(failures.map(() => code))
    // The moments of the failure and of its record are some microseconds apart.
    for (const attempt of failures) expect(attempt.waits).toBeGreaterThan(waits - 0.1)
    await expectOneOfEach(person)
  })

  it('and not before the time that Retry-After names, however often the doorbell rings', async () => {
    neonFault('createProject', status(429, { retryAfterSeconds: 60 }), 1)
    const person = await project.signUp()
    const { nextAttemptAt } = await project.waitForStep(person.organizationId, 'neon_project', 'retrying')
    expect(nextAttemptAt?.getTime()).toBeGreaterThan(Date.now() + 55_000)
    for (let times = 0; times < 3; times++) await project.call({ body: await project.signDoorbell() })
    await project.sweep()
    await sleep(300)
    const waiting = await project.provisioning(person.organizationId)
    expect(waiting).toMatchObject({ status: 'queued', steps: { neon_project: { attempts: 1 } } })
    expect(waiting.nextAttemptAt.getTime()).toBe(nextAttemptAt?.getTime())
    await hurryTo(person, 'ready')
  })

  it('but not for ever: it is final when the attempts are used up, and a request starts anew', async () => {
    await project.sql`update provisioning.settings set max_step_attempts = 3`
    stripeFault('PostCustomers', status(503))
    const person = await project.signUp()
    const failed = await hurryTo(person, 'failed')
    expect(failed.error?.code).toBe('stripe_unavailable')
    expect((await attempts(person)).map(({ attempt }) => attempt)).toEqual([1, 2, 3])
    project.stripeEmulator.faults.clear()
    expect((await retry(person)).body).toMatchObject({ status: 'succeeded' })
    await expectOneOfEach(person)
  })
})

describe('a step whose record the database refuses', () => {
  it('has failed alone, is tried again at once and not when the lease ends, and what it made is found', async () => {
    await project.sql`alter table public.organizations add constraint trouble check (stripe_customer_id is null) not valid`
    const person = await project.signUp()
    const waiting = await until('failed attempt', async () => {
      const state = await project.provisioning(person.organizationId)
      return state.steps.stripe_customer?.status === 'retrying' && state.services.neon === 'ready'
        ? state
        : undefined
    })
    expect(waiting.steps.stripe_customer?.error).toMatchObject({ code: 'step_crashed', retryable: true })
    expect((await attempts(person))[0]).toMatchObject({ code: 'step_crashed', attempt: 1 })
    await project.sql`alter table public.organizations drop constraint trouble`
    await hurryTo(person, 'ready')
    await expectOneOfEach(person)
  })
})

describe('a Stripe customer', () => {
  it('whose record the database refuses is the same one later, whatever has changed since', async () => {
    project.stripeEmulator.setTimings({ searchLagMs: 60_000 })
    project.stripeEmulator.faults.add({ match: { operation: 'PostCustomers' }, action: status(401), skip: 1 })
    await project.sql`alter table public.organizations add constraint trouble check (stripe_customer_id is null) not valid`
    const person = await signUpWith({ billing_email: null })
    await hurryTo(person, 'failed').finally(
      () => project.sql`alter table public.organizations drop constraint trouble`,
    )
    project.stripeEmulator.faults.clear()
    await change(person, { name: 'Another name' })
    expect((await retry(person, { wait: false })).status).toBe(202)
    await hurryTo(person, 'ready')
    await expectOneOfEach(person)
  })

  it('whose creation was not confirmed and whom no search shows yet is not made twice', async () => {
    project.stripeEmulator.setTimings({ searchLagMs: 60_000 })
    stripeFault('PostCustomers', { type: 'act_then_reset' }, 1)
    const replays = project.stripeEmulator.stats.replays
    const person = await project.whileHeld(async () => {
      const signedUp = await project.signUp()
      // Without an address the list by address, which is always up to date, cannot find it either.
      await project.sql`update public.organizations set billing_email = null where id = ${signedUp.organizationId}`
      return signedUp
    })
    await hurryTo(person, 'ready')
    await expectOneOfEach(person)
    expect(project.stripeEmulator.stats.replays).toBe(replays + 1)
  })

  it.each([
    { when: 'a day later, under another billing e-mail', changes: { billing_email: 'new@example.com' } },
    { when: 'a day later, when there is no e-mail', columns: { billing_email: null }, changes: {} },
    {
      when: 'at once, under another billing e-mail',
      changes: { billing_email: 'new@example.com' },
      hours: 0,
    },
    {
      when: 'at once, under another name, when there is no e-mail',
      columns: { billing_email: null },
      changes: { name: 'Another name' },
      hours: 0,
    },
  ])('whose creation was not confirmed is the one that a retry finds $when', async (c) => {
    const { columns = {}, changes, hours = 25 } = c
    project.stripeEmulator.setTimings({ searchLagMs: 60_000 })
    stripeFault('PostCustomers', { type: 'act_then_reset' }, 1)
    // The key goes bad after the first look: the second attempt is the last one.
    stripeFault('GetCustomersSearch', status(401))
    project.stripeEmulator.faults.add({ match: { operation: 'GetCustomers' }, action: status(401), skip: 1 })
    const person = await signUpWith({ name: 'A name', ...columns })
    await hurryTo(person, 'failed')
    expect((await attempts(person)).map(({ code }) => code)).toEqual([
      'stripe_unreachable',
      'stripe_key_rejected',
    ])
    project.stripeEmulator.faults.clear()
    stripeAheadMs += hours * 3_600_000
    await change(person, { name: 'A name', ...changes })
    expect((await retry(person)).body).toMatchObject({ status: 'succeeded' })
    await expectOneOfEach(person)
  })

  it('that an earlier job asked for in other words is found when the search has caught up, and not before', async () => {
    project.stripeEmulator.setTimings({ searchLagMs: 60_000 })
    const person = await project.whileHeld(async () => {
      const signedUp = await project.signUp()
      const { organizationId } = signedUp
      await project.stripe.customers.create(
        { name: 'As it was', metadata: { organization_id: organizationId } },
        { idempotencyKey: `customer-${organizationId}-0` },
      )
      return signedUp
    })
    const { nextAttemptAt } = await project.waitForStep(person.organizationId, 'stripe_customer', 'retrying')
    expect(await attempts(person)).toMatchObject([{ code: 'stripe_key_reused' }])
    expect((await attempts(person))[0]?.waits).toBeGreaterThan(59.9)
    await project.waitForStep(person.organizationId, 'verify_connection', 'succeeded')
    await until('job that waits', async () =>
      (await project.provisioning(person.organizationId)).status === 'queued' ? true : undefined,
    )
    expect((await retry(person, { wait: false })).status).toBe(202)
    expect((await project.provisioning(person.organizationId)).nextAttemptAt).toEqual(nextAttemptAt)
    stripeAheadMs += 61_000
    await hurryTo(person, 'ready')
    await expectOneOfEach(person)
  })

  it('without an e-mail, which a 5xx may have made, is looked for when the search has caught up', async () => {
    stripeFault('PostCustomers', status(500), 1)
    const person = await signUpWith({ billing_email: null })
    await project.waitForStep(person.organizationId, 'stripe_customer', 'retrying')
    expect((await attempts(person))[0]?.waits).toBeGreaterThan(59.9)
    await hurryTo(person, 'ready')
    await expectOneOfEach(person)
  })

  it.each([
    { what: 'was refused for certain', faults: [status(401)] },
    { what: 'was lost, and then refused', faults: [{ type: 'reset' } as const, status(400)] },
  ])('that $what is asked for with what has been corrected since', async ({ faults }) => {
    for (const action of faults) stripeFault('PostCustomers', action, 1)
    const person = await project.signUp()
    await hurryTo(person, 'failed')
    await change(person, { billing_email: 'corrected@example.com' })
    expect((await retry(person)).body).toMatchObject({ status: 'succeeded' })
    const { customers } = await project.resources(person.organizationId)
    expect(customers.map(({ email }) => email)).toEqual(['corrected@example.com'])
    const [step] = await project.sql`
      select output from public.provisioning_steps where job_id = ${person.jobId} and step = 'stripe_customer'`
    expect(step?.output).not.toHaveProperty('openRequest')
  })

  it('that somebody deleted by hand is made again when asked, each time', async () => {
    const person = await project.signUp()
    await project.waitFor(person.organizationId)
    const current = async () => (await project.resources(person.organizationId)).customers.map(({ id }) => id)
    const seen = await current()
    for (const _ of ['once', 'twice']) {
      const [id = ''] = await current()
      await project.stripe.customers.del(id)
      const reply = await retry(person, { services: ['stripe'] })
      expect(reply.body?.status).toBe('succeeded')
      seen.push(...(await current()))
    }
    expect(new Set(seen).size).toBe(3)
    const [row] = await project.sql`
      select stripe_customer_id as id from public.organizations where id = ${person.organizationId}`
    expect(await current()).toEqual([row?.id])
  })
})

describe('a Neon project', () => {
  const create = (name: string, role = 'somebody') =>
    project.neon.createProject({ project: { name, branch: { role_name: role, database_name: role } } })
  async function recordedProject({ organizationId }: SignedUp): Promise<string | null> {
    const [row] = await project.sql`
      select neon_project_id as id from public.organization_databases where organization_id = ${organizationId}`
    return row?.id ?? null
  }

  const rename = (id: string, name: string) => project.neon.updateProject(id, { project: { name } })

  it('that exists with exactly the organization’s name is adopted, with its limits corrected', async () => {
    const { person, id } = await project.whileHeld(async () => {
      const signedUp = await project.signUp()
      const { data } = await create(`org-${signedUp.organizationId}`, tenantRole(signedUp))
      return { person: signedUp, id: data.project.id }
    })
    const creations = project.neonEmulator.stats.calls.createProject
    await project.waitFor(person.organizationId)
    expect(project.neonEmulator.stats.calls.createProject).toBe(creations)
    expect(await recordedProject(person)).toBe(id)
    const [endpoint] = (await project.neon.listProjectEndpoints(id)).data.endpoints
    expect(endpoint?.suspend_timeout_seconds).toBe(300)
    expect((await project.neon.getProject(id)).data.project.settings?.quota?.logical_size_bytes).toBe(
      536_870_912,
    )
  })

  it('whose name only contains the organization’s is not', async () => {
    const { person, others } = await project.whileHeld(async () => {
      const signedUp = await project.signUp()
      const name = `org-${signedUp.organizationId}`
      const created = await Promise.all([create(`copy of ${name}`), create(`${name}-old`)])
      return { person: signedUp, others: created.map(({ data }) => data.project.id) }
    })
    await project.waitFor(person.organizationId)
    expect(others).not.toContain(await recordedProject(person))
    await expectOneOfEach(person)
  })

  it('that Neon cannot list at the moment is waited for instead of made again', async () => {
    const { person, id } = await project.whileHeld(async () => {
      const signedUp = await project.signUp()
      const { data } = await create(`org-${signedUp.organizationId}`, tenantRole(signedUp))
      await control(data.project.id, { unavailable: true })
      return { person: signedUp, id: data.project.id }
    })
    await project.waitForStep(person.organizationId, 'neon_project', 'retrying')
    expect((await attempts(person))[0]?.code).toBe('neon_list_incomplete')
    await control(id, { unavailable: false })
    await hurryTo(person, 'ready')
    expect(await recordedProject(person)).toBe(id)
    await expectOneOfEach(person)
  })

  it('that somebody deleted by hand is made again when asked, with the new password in Vault', async () => {
    const person = await project.signUp()
    await project.waitFor(person.organizationId)
    const before = await recordedProject(person)
    await project.neon.deleteProject(before ?? '')
    const reply = await retry(person, { services: ['neon'] })
    expect(reply.body).toMatchObject({ status: 'succeeded', error: null })
    const after = await recordedProject(person)
    expect(after).not.toBe(before)
    const { data } = await project.neon.getConnectionUri({
      projectId: after ?? '',
      database_name: tenantRole(person),
      role_name: tenantRole(person),
    })
    expect(await storedPassword(person)).toBe(new URL(data.uri).password)
  })

  it.each([
    {
      what: 'has another name by now',
      meddle: async (id: string) => void (await rename(id, 'renamed by hand')),
    },
    {
      what: 'has an older one of the same name beside it',
      meddle: async (_id: string, name: string, older: string) => void (await rename(older, name)),
    },
  ])('that is recorded and $what stays the tenant’s when it is resized', async ({ meddle }) => {
    const older = (await create('something else')).data.project.id
    const person = await project.signUp()
    await project.waitFor(person.organizationId)
    const recorded = (await recordedProject(person)) ?? ''
    await meddle(recorded, `org-${person.organizationId}`, older)
    const creations = project.neonEmulator.stats.calls.createProject
    const reply = await retry(person, { databaseSize: 'large' })
    expect(reply.body).toMatchObject({ status: 'succeeded', error: null })
    expect(await recordedProject(person)).toBe(recorded)
    expect(project.neonEmulator.stats.calls.createProject).toBe(creations)
    const endpointOf = async (id: string) =>
      (await project.neon.listProjectEndpoints(id)).data.endpoints[0]?.autoscaling_limit_max_cu
    expect(await endpointOf(recorded)).toBeGreaterThan((await endpointOf(older)) ?? Number.NaN)
  })

  it('whose creation was cut off and comes late is waited for, however often somebody asks again', async () => {
    neonFault('createProject', { type: 'reset' })
    const person = await project.signUp()
    const { organizationId, email } = person
    await project.waitForStep(organizationId, 'stripe_customer', 'succeeded')
    // The settle time, made so long that it cannot pass by itself during the test.
    await until(
      'open answer',
      async () =>
        (
          await project.sql`
            with put_off as (
              update public.provisioning_steps set settles_at = settles_at + interval '1 hour', next_attempt_at = settles_at + interval '1 hour'
              where job_id = ${person.jobId} and status = 'retrying' and settles_at is not null returning next_attempt_at)
            update public.provisioning_jobs set next_attempt_at = put_off.next_attempt_at
            from put_off where id = ${person.jobId} and status = 'queued' returning id`
        )[0],
    )
    const calls = () => project.neonEmulator.stats.calls
    const before = { ...calls() }
    for (const wish of [{ organizationId }, { organizationId, services: ['neon'] }, { email }]) {
      expect((await project.request(wish)).status).toBe(202)
      await project.sweep()
    }
    await sleep(300)
    expect(calls()).toEqual(before)
    project.neonEmulator.faults.clear()
    await create(`org-${organizationId}`, tenantRole(person))
    await hurryTo(person, 'ready')
    await expectOneOfEach(person)
  })

  it('that is new is connected to while its operations go on', async () => {
    project.neonEmulator.setTimings({ operationMs: 1_500 })
    const person = await project.signUp()
    await project.waitForStep(person.organizationId, 'neon_project', 'succeeded')
    const created = Date.now()
    const { steps } = await project.waitFor(person.organizationId)
    expect(Date.now() - created).toBeGreaterThan(1_000)
    expect(Object.values(steps).map((step) => step.attempts)).toEqual([1, 1, 1, 1, 1])
  })

  it('whose operations take long is changed later, without using up attempts', async () => {
    const person = await project.whileHeld(async () => {
      const signedUp = await project.signUp()
      project.neonEmulator.setTimings({ operationMs: 6_500 })
      await create(`org-${signedUp.organizationId}`, tenantRole(signedUp))
      project.neonEmulator.setTimings({ operationMs: 0 })
      return signedUp
    })
    const deferred = await project.waitForStep(person.organizationId, 'neon_project', 'retrying')
    expect(deferred.attempts).toBe(0)
    expect(deferred.error?.code).toBe('neon_project_busy')
    expect(await attempts(person)).toEqual([])
    const { steps } = await hurryTo(person, 'ready')
    expect(steps.neon_project?.attempts).toBe(1)
    await expectOneOfEach(person)
  })

  async function control(id: string, changes: Record<string, boolean>): Promise<void> {
    const { origin } = new URL(project.neonEmulator.url)
    const reply = await fetch(`${origin}/_emulator/projects/${id}`, {
      method: 'PATCH',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(changes),
    })
    expect(reply.status).toBe(200)
  }
})

const tenantRole = ({ organizationId }: SignedUp) => `tenant_${organizationId.replaceAll('-', '')}`

async function storedPassword({ organizationId }: SignedUp): Promise<string | undefined> {
  const [secret] = await project.sql<{ password: string }[]>`
    select decrypted_secret as password from vault.decrypted_secrets
    where name = ${`tenant_database_password/${organizationId}`}`
  return secret?.password
}

describe('a tenant database', () => {
  /** A project that exists already, so that the test can get at its database before the steps do. */
  async function signUpWithDatabase(): Promise<MadeProject & { person: SignedUp }> {
    const person = await project.signUp()
    return { person, ...(await makeNeonProject(project, person)) }
  }

  it('that cannot be reached is tried again', async () => {
    const { person, physicalName } = await project.whileHeld(async () => {
      const created = await signUpWithDatabase()
      await project.superuser.unsafe(`alter database ${created.physicalName} connection limit 0`)
      return created
    })
    await project.waitForStep(person.organizationId, 'tenant_schema', 'retrying')
    expect((await attempts(person))[0]?.code).toBe('tenant_database_unreachable')
    await project.superuser.unsafe(`alter database ${physicalName} connection limit -1`)
    await hurryTo(person, 'ready')
  })

  it('that refuses the password is tried again with the one that Neon names then', async () => {
    const { person, physicalName, projectId } = await project.whileHeld(async () => {
      const created = await signUpWithDatabase()
      await project.superuser.unsafe(`alter role ${created.physicalName} password 'another'`)
      return created
    })
    await project.waitForStep(person.organizationId, 'tenant_schema', 'retrying')
    expect((await attempts(person))[0]?.code).toBe('tenant_database_login_refused')
    const { branches } = (await project.neon.listProjectBranches({ projectId })).data
    const role = tenantRole(person)
    const { data } = await project.neon.resetProjectBranchRolePassword(projectId, branches[0]?.id ?? '', role)
    await hurryTo(person, 'ready')
    expect(physicalName).not.toBe(role)
    expect(await storedPassword(person)).toBe(data.role.password)
  })

  it('whose schema cannot be applied fails with the file and what Postgres said', async () => {
    const { person, physicalName } = await project.whileHeld(async () => {
      const created = await signUpWithDatabase()
      await onTenantDatabase(created.physicalName, 'create table public.settings (other text)')
      return created
    })
    const failed = await project.waitFor(person.organizationId, 'failed')
    expect(failed.error?.code).toBe('tenant_schema_failed')
    expect(failed.error?.message).toMatch(/0001_settings\.sql.*"settings" already exists/)
    await onTenantDatabase(physicalName, 'drop table public.settings')
    expect((await retry(person)).body).toMatchObject({ status: 'succeeded' })
  })

  async function onTenantDatabase(name: string, statement: string): Promise<void> {
    const url = new URL(project.databaseUrl('supabase_admin'))
    url.pathname = name
    const sql = postgres(url.href, { max: 1, onnotice: () => undefined })
    await sql.unsafe(statement).finally(() => sql.end({ timeout: 1 }))
  }
})

describe('a provider that is down', () => {
  const count = (calls: Readonly<Record<string, number>>) =>
    Object.values(calls).reduce((sum, number) => sum + number, 0)
  const stripeCalls = () => count(project.stripeEmulator.stats.calls)
  const neonCalls = () => count(project.neonEmulator.stats.calls)
  const breaker = async () => {
    const [row] = await project.sql<{ state: string; nextTryAt: Date | null }[]>`
      select state, next_try_at as "nextTryAt" from provisioning.provider_status where provider = 'stripe_test'`
    return row
  }

  /** What the status rows tell a member of the organization. */
  async function toldOf({ client, jobId }: SignedUp, step: string): Promise<readonly string[]> {
    const { data: steps } = await client
      .from('provisioning_steps')
      .select('error')
      .match({ job_id: jobId, step })
    const { data: jobs } = await client.from('provisioning_jobs').select('error: last_error').eq('id', jobId)
    return [...(steps ?? []), ...(jobs ?? [])].map(({ error }) => String(Object(error).message))
  }

  /** The time of day then and in the seconds that the news may have taken to the row. */
  function secondsFrom(moment: Date | null): string[] {
    return [0, 1, 2, 3].map((later) =>
      new Date((moment?.getTime() ?? Number.NaN) + later * 1_000).toISOString().slice(11, 19),
    )
  }

  afterEach(async () => {
    await project.sql`update provisioning.settings set breaker_pause_seconds = 15, max_running_jobs = 40`
    await project.sql`update provisioning.provider_status
      set state = 'closed', consecutive_failures = 0, openings = 0, next_try_at = null`
    await project.sql`update public.provisioning_jobs set status = 'cancelled', finished_at = now() where status in ('queued', 'running')`
  })

  it('is called as often as it takes to find out, and not once for each tenant', async () => {
    const [failures, running, tenants] = [3, 5, 30]
    await project.sql`update provisioning.settings
      set breaker_failures = ${failures}, max_running_jobs = ${running}, breaker_pause_seconds = 120`
    project.neonEmulator.faults.add({ action: status(503) })
    const calls = neonCalls()
    await project.whileHeld(() => Promise.all(Array.from({ length: tenants }, () => project.signUp())))
    await until('every tenant put off', async () => {
      await project.sweep()
      const { count: putOff } = await project.sql`
        select from public.provisioning_steps s join public.provisioning_jobs j on j.id = s.job_id
        where j.status = 'queued' and s.step = 'neon_project' and s.error ->> 'message' like '%Next try%'`
      return putOff === tenants || undefined
    })
    // The last of the failures opens the breaker; whatever else was under way by then comes to nothing.
    expect(neonCalls() - calls).toBeLessThanOrEqual(failures + running - 1)
  })

  it('is left alone by all tenants but for one call at a time, and costs nobody an attempt', async () => {
    await project.sql`update provisioning.settings set breaker_failures = 3, breaker_pause_seconds = 120`
    project.stripeEmulator.faults.add({ action: status(503) })
    const people = await project.whileHeld(() =>
      Promise.all(Array.from({ length: 8 }, () => project.signUp())),
    )
    for (const { organizationId } of people) {
      await project.waitForStep(organizationId, 'verify_connection', 'succeeded')
      await project.waitForStep(organizationId, 'stripe_customer', 'retrying')
    }
    const { nextTryAt } = await until('open breaker', async () => {
      const row = await breaker()
      return row?.state === 'open' ? row : undefined
    })
    for (const person of people) {
      const messages = await until('put off step', async () => {
        const told = await toldOf(person, 'stripe_customer')
        return told.every((message) => message.includes('Next try')) ? told : undefined
      })
      expect(messages).toHaveLength(2)
      for (const message of messages) {
        const [, time] = /^Stripe .* Next try at (\d\d:\d\d:\d\d) UTC\.$/.exec(message) ?? []
        expect(secondsFrom(nextTryAt), message).toContain(time)
      }
    }
    const calls = stripeCalls()
    for (const _ of people) await project.call({ body: await project.signDoorbell() })
    await project.sweep()
    await sleep(500)
    expect(stripeCalls()).toBe(calls)
    await project.hurry()
    await until('trial', () => stripeCalls() > calls || undefined)
    await sleep(500)
    expect(stripeCalls()).toBe(calls + 1)
    const waiting = await Promise.all(people.map((person) => project.provisioning(person.organizationId)))
    for (const { error, services, steps } of waiting) {
      expect(services).toMatchObject({ neon: 'ready', stripe: 'retrying' })
      expect(steps.stripe_customer?.attempts).toBeLessThanOrEqual(3)
      expect(error?.message).toMatch(/Stripe/)
    }
    project.stripeEmulator.faults.clear()
    for (const person of people) {
      await hurryTo(person, 'ready')
      await expectOneOfEach(person)
    }
    expect((await breaker())?.state).toBe('closed')
  })
})

describe('a function', () => {
  it('whose provider keys are missing says which to set', async () => {
    const gateway = await project.startSecondGateway({
      STRIPE_SECRET_KEY: undefined,
      NEON_API_KEY: undefined,
    })
    // The process with the keys must not take the job.
    project.services.gateway.functions.kill(FUNCTION, 'SIGKILL')
    const { organizationId } = await project.whileHeld(async () => {
      const person = await project.signUp()
      await project.superuser`delete from net.http_request_queue`
      return person
    })
    const reply = await project.call({
      gateway,
      headers: { apikey: project.keys.secretKey },
      body: { organizationId, wait: true },
    })
    expect(reply.body).toMatchObject({ status: 'failed', error: { code: 'stripe_key_missing' } })
    const { steps } = await project.provisioning(organizationId)
    expect(steps.stripe_customer?.error?.message).toContain('STRIPE_SECRET_KEY')
    expect(steps.neon_project?.error).toMatchObject({ code: 'neon_key_missing', retryable: false })
    expect(steps.neon_project?.error?.message).toContain('NEON_API_KEY')
    gateway.functions.kill(FUNCTION, 'SIGKILL')
    expect((await project.request({ organizationId, wait: true })).body).toMatchObject({
      status: 'succeeded',
    })
  })

  it('whose database connections all break stays alive, and its jobs go on when their leases have run out', async () => {
    const processes = () => project.services.gateway.functions.processes().map(({ pid }) => pid)
    const countCreations = () => project.neonEmulator.stats.calls.createProject ?? 0
    const creations = countCreations()
    project.neonEmulator.faults.add({
      match: { operation: 'createProject' },
      action: { type: 'latency', ms: 300 },
      times: 1,
    })
    const person = await project.signUp()
    await until('creation', () => countCreations() > creations || undefined)
    const before = processes()
    await project.superuser`
      select pg_terminate_backend(pid) from pg_stat_activity
      where application_name = 'tenant-provisioning' and datname = current_database()`
    await sleep(600)
    expect(processes()).toEqual(before)
    // A worker may meet its second broken connection only after it has taken the job over: that lease runs out too, but not
    // before a busy machine has done the job.
    const expiring = setInterval(() => void project.expireLeases().catch(() => undefined), 7_000)
    await project.expireLeases()
    await hurryTo(person, 'ready').finally(() => clearInterval(expiring))
    expect(processes()).toEqual(before)
    await expectOneOfEach(person)
  })
})
