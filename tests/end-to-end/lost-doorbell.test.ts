import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { FUNCTION, type SignedUp, startTestProject, type TestProject, until } from '../support/project.ts'

let project: TestProject

beforeAll(async () => {
  // The kills below interrupt one step many times, which must not use up its attempts.
  // A worker that goes on looking for a moment would find what the tests keep from it.
  project = await startTestProject({ settings: { max_step_attempts: 50, worker_linger_milliseconds: 0 } })
})

afterAll(() => project?.stop())

// Each test's first sign-up rings, however short ago the last one was.
beforeEach(() => project.sql`select setval('provisioning.rung_until_of_provisioning', 1, false)`)

afterEach(() => {
  project.neonEmulator.faults.clear()
  project.stripeEmulator.faults.clear()
})

const providerCalls = () =>
  [project.neonEmulator.stats.calls, project.stripeEmulator.stats.calls]
    .flatMap((calls) => Object.values(calls))
    .reduce((sum, count) => sum + count, 0)

async function expectOneOfEach({ organizationId }: SignedUp): Promise<void> {
  const { projects, customers } = await project.resources(organizationId)
  expect({ projects: projects.length, customers: customers.length }).toEqual({ projects: 1, customers: 1 })
}

/** Signs people up and throws their doorbells away, as a crash of the database does with the unlogged queue. */
async function signUpWithoutDoorbell(count: number): Promise<SignedUp[]> {
  return project.whileHeld(async () => {
    const people = await Promise.all(Array.from({ length: count }, () => project.signUp()))
    const lost = await project.superuser`delete from net.http_request_queue returning id`
    expect(lost.length).toBeGreaterThan(0)
    return people
  })
}

describe('a sign-up whose doorbell is lost', () => {
  it('stays pending, and is finished by the sweep of pg_cron', async () => {
    const [job] = await project.sql<{ id: string; schedule: string }[]>`
      select jobid as id, schedule from cron.job where jobname = 'tenant-provisioning-sweep'`
    expect(job?.schedule).toBe('10 seconds')
    // Only so as not to wait that long.
    await project.sql`select cron.alter_job(${job?.id ?? ''}, schedule := '1 second')`
    const people = await signUpWithoutDoorbell(3)
    await sleep(500)
    for (const { organizationId } of people)
      expect((await project.provisioning(organizationId)).overall).toBe('pending')
    project.services.worker.resumeCron()
    for (const person of people) {
      await project.waitFor(person.organizationId)
      await expectOneOfEach(person)
    }
    await project.services.worker.pauseCron()
  })

  it('is finished together with all others by the few doorbells of one sweep', async () => {
    const people = await signUpWithoutDoorbell(12)
    const [swept] = await project.sql<{ rung: number }[]>`select provisioning.sweep() as rung`
    expect(swept?.rung).toBe(4)
    await Promise.all(people.map(({ organizationId }) => project.waitFor(organizationId)))
  })

  it('is finished by one worker after the other, each of which calls the next without pg_net', async () => {
    await project.sql`update provisioning.settings set worker_max_jobs = 2`
    const people = await signUpWithoutDoorbell(7)
    await project.services.worker.pauseHttp()
    try {
      const { status } = await project.call({ body: await project.signDoorbell() })
      expect(status).toBe(202)
      await Promise.all(people.map(({ organizationId }) => project.waitFor(organizationId)))
      expect(await project.superuser`select from net.http_request_queue`).toHaveLength(0)
    } finally {
      project.services.worker.resumeHttp()
      await project.sql`update provisioning.settings set worker_max_jobs = default`
    }
  })

  it('does not keep the sweep busy once it is finished', async () => {
    const [swept] = await project.sql<{ rung: number }[]>`select provisioning.sweep() as rung`
    expect(swept?.rung).toBe(0)
  })

  it('stays pending also when a function process is there that has finished earlier work, and leaves the database alone', async () => {
    expect(project.services.gateway.functions.processes()).toHaveLength(1)
    const lastStatement = async () => {
      const [row] = await project.superuser<{ at: Date }[]>`
        select max(state_change) as at from pg_stat_activity
        where application_name = 'tenant-provisioning' and datname = current_database()`
      return row?.at
    }
    await sleep(300)
    const before = await lastStatement()
    const [person] = await signUpWithoutDoorbell(1)
    await sleep(1_200)
    expect(await lastStatement()).toEqual(before)
    await project.sweep()
    await project.waitFor(person?.organizationId ?? '')
  })
})

describe('a doorbell that rings often', () => {
  it('changes nothing about what is made', async () => {
    const [person] = await signUpWithoutDoorbell(1)
    if (!person) throw new Error('nobody signed up')
    const ring = async () => (await project.call({ body: await project.signDoorbell() })).status
    const during = await Promise.all(Array.from({ length: 20 }, ring))
    await project.waitFor(person.organizationId)
    const after = await Promise.all(Array.from({ length: 5 }, ring))
    expect(new Set([...during, ...after])).toEqual(new Set([202]))
    expect((await project.provisioning(person.organizationId)).attempts).toBe(1)
    await expectOneOfEach(person)
  })

  it('is answered each time, also when the database rings twice in one second', async () => {
    const [person] = await signUpWithoutDoorbell(1)
    const answers = () => project.superuser<{ status: number | null }[]>`
      select status_code as status from net._http_response order by id desc limit 3`
    const before = await project.superuser<
      { id: number }[]
    >`select max(id)::int as id from net._http_response`
    for (const _ of ['once', 'twice', 'three times'])
      await project.sql`select provisioning.send_doorbell('provisioning')`
    await until('third answer', async () => {
      const [last] = await project.superuser<
        { id: number }[]
      >`select max(id)::int as id from net._http_response`
      return (last?.id ?? 0) >= (before[0]?.id ?? 0) + 3 || undefined
    })
    expect((await answers()).map(({ status }) => status)).toEqual([202, 202, 202])
    await project.waitFor(person?.organizationId ?? '')
  })
})

describe('when the functions’ address is not in Vault', () => {
  it('jobs wait and say why, and go on when it is there', async () => {
    const [secret] = await project.sql<{ id: string; url: string }[]>`
      select id, decrypted_secret as url from vault.decrypted_secrets where name = 'functions_base_url'`
    await project.sql`delete from vault.secrets where name = 'functions_base_url'`
    const person = await project.signUp()
    await project.sweep()
    const waiting = await project.provisioning(person.organizationId)
    expect(waiting).toMatchObject({ overall: 'pending', status: 'queued' })
    expect(waiting.error?.code).toBe('dispatch_unavailable')
    expect(waiting.error?.message).toContain('functions_base_url')
    await project.sql`select vault.create_secret(${secret?.url ?? ''}, 'functions_base_url')`
    await project.sweep()
    const { error } = await project.waitFor(person.organizationId)
    expect(error).toBeNull()
  })
})

describe('a function process that is killed', () => {
  const kill = () => expect(project.services.gateway.functions.kill(FUNCTION, 'SIGKILL')).toBe(true)

  it('while Neon creates the project leaves a job that another run finishes with that project', async () => {
    const creations = project.neonEmulator.stats.calls.createProject ?? 0
    const projects = project.neonEmulator.stats.projects
    project.neonEmulator.faults.add({
      match: { operation: 'createProject' },
      action: { type: 'latency', ms: 600 },
    })
    const person = await project.signUp()
    await until('creation', () => project.neonEmulator.stats.calls.createProject !== creations || undefined)
    kill()
    await until('project', () => project.neonEmulator.stats.projects > projects || undefined)
    expect((await project.provisioning(person.organizationId)).steps.neon_project?.status).toBe('running')

    await project.sweep()
    await sleep(300)
    expect((await project.provisioning(person.organizationId)).attempts).toBe(1)

    await project.expireLeases()
    await project.sweep()
    const { steps, attempts } = await project.waitFor(person.organizationId)
    expect(attempts).toBe(2)
    expect(steps.neon_project?.attempts).toBe(2)
    expect(project.neonEmulator.stats.calls.createProject).toBe(creations + 1)
    await expectOneOfEach(person)
    const interruptions = await project.sql`
      select resource_type from public.provisioning_events
      where organization_id = ${person.organizationId} and event_type = 'step.interrupted'`
    expect(interruptions.map(({ resource_type }) => resource_type)).toContain('neon_project')
  })

  it('while Stripe creates the customer leaves a job that another run finishes with that customer', async () => {
    const creations = project.stripeEmulator.stats.calls.PostCustomers ?? 0
    project.stripeEmulator.faults.add({
      match: { operation: 'PostCustomers' },
      action: { type: 'latency', ms: 400 },
      times: 1,
    })
    const person = await project.signUp()
    await until('creation', () => project.stripeEmulator.stats.calls.PostCustomers !== creations || undefined)
    kill()
    await until('customer', async () => {
      const { customers } = await project.resources(person.organizationId)
      return customers.length > 0 || undefined
    })
    await project.expireLeases()
    await project.sweep()
    await project.waitFor(person.organizationId)
    await expectOneOfEach(person)
  })

  it('again and again, after any number of calls, leaves one customer and one project for each', async () => {
    for (const { faults } of [project.neonEmulator, project.stripeEmulator])
      faults.add({ action: { type: 'latency', ms: 25 } })
    const people = await signUpWithoutDoorbell(6)
    for (const calls of [1, 4, 9, 16, 25]) {
      const before = providerCalls()
      await project.sweep()
      await until('provider calls', () => providerCalls() >= before + calls || undefined)
      kill()
      // Longer than a call that was under way takes the provider to finish; a lease would have seen to that.
      await sleep(150)
      await Promise.all([project.neonEmulator.idle(), project.stripeEmulator.idle()])
      await project.expireLeases()
    }
    await project.sweep()
    for (const person of people) {
      await project.waitFor(person.organizationId)
      await expectOneOfEach(person)
    }
    const ids = await project.sql<{ project: string; customer: string }[]>`
      select d.neon_project_id as project, o.stripe_customer_id as customer from public.organizations o
      join public.organization_databases d on d.organization_id = o.id`
    expect(new Set(ids.map((row) => row.project)).size).toBe(ids.length)
    expect(new Set(ids.map((row) => row.customer)).size).toBe(ids.length)
  })
})
