import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, describe, expect, it } from 'vitest'
import { FUNCTION, type SignedUp, until } from '../support/project.ts'
import {
  attempts,
  expectOneOfEach,
  hurryTo,
  neonFault,
  project,
  retry,
  status,
  stripeFault,
  useFailingProject,
} from './failing-project.ts'

useFailingProject()

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
      await project.passTime()
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

describe('a job that cannot be prepared', () => {
  /** For the first `times` preparations; a sequence counts on though they are taken back. */
  const trouble = async (sqlState: string, times: number) => {
    await project.superuser.unsafe(`
      create sequence public.preparations;
      grant usage on sequence public.preparations to public;
      create function public.trouble() returns trigger language plpgsql as $$ begin
        if new.position = 1 and nextval('public.preparations') <= ${times} then
          raise exception 'trouble' using errcode = '${sqlState}';
        end if;
        return new;
      end $$;
      create trigger trouble before insert on public.provisioning_steps for each row execute function public.trouble();`)
  }
  afterEach(() =>
    project.superuser.unsafe(`drop function public.trouble cascade; drop sequence public.preparations`),
  )
  const claims = async ({ jobId }: SignedUp) =>
    (await project.sql`select attempts from public.provisioning_jobs where id = ${jobId}`)[0]?.attempts

  it('because of a deadlock is prepared once more under the same lease', async () => {
    await trouble('40P01', 1)
    const person = await project.signUp()
    await project.waitFor(person.organizationId)
    expect(await claims(person)).toBe(1)
  })

  it('is given back and claimed again a second later, long before its lease would have run out', async () => {
    await trouble('57P03', 1)
    const person = await project.signUp()
    await project.waitFor(person.organizationId)
    expect(await claims(person)).toBe(2)
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
