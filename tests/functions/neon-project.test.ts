import { setTimeout as sleep } from 'node:timers/promises'
import postgres from 'postgres'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { NEON_PLANS } from '../../local/emulators/neon/options.ts'
import { type MadeProject, makeNeonProject } from '../support/neon-project.ts'
import { type SignedUp, until } from '../support/project.ts'
import { loginConnection } from '../support/tenant-logins.ts'
import {
  attempts,
  expectOneOfEach,
  hurryTo,
  neonFault,
  project,
  retry,
  useFailingProject,
} from './failing-project.ts'

useFailingProject()

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
    expect(endpoint?.suspend_timeout_seconds).toBe(0)
    expect((await project.neon.getProject(id)).data.project.settings?.quota?.logical_size_bytes).toBe(
      536_870_912,
    )
  })

  describe.each(['free', 'launch'] as const)('of a Neon account with the plan %s', (plan) => {
    beforeEach(() => project.neonEmulator.setLimits(NEON_PLANS[plan]))
    afterEach(async () => {
      project.neonEmulator.setLimits(NEON_PLANS.scale)
      await project.sql`update provisioning.plans set history_retention_seconds = 21600, history_refused_at = null where plan = 'free'`
      await project.sql`update provisioning.database_sizes set suspend_timeout_seconds = 0, suspend_refused_at = null where size = 'small'`
    })

    it('is made with the limits that we ship, by one request', async () => {
      const creations = project.neonEmulator.stats.calls.createProject ?? 0
      const person = await project.signUp()
      await project.waitFor(person.organizationId)
      expect(project.neonEmulator.stats.calls.createProject).toBe(creations + 1)
      expect((await project.sql`select provisioning.refused_limits() as refused`)[0]?.refused).toEqual([])
    })

    it('is made, and adopted, without the limits that the plan refuses, and the history, the rows and health say so', async () => {
      await project.sql`update provisioning.database_sizes set suspend_timeout_seconds = 600 where size = 'small'`
      await project.sql`update provisioning.plans set history_retention_seconds = 2592000 where plan = 'free'`
      const person = await project.signUp()
      await project.waitFor(person.organizationId)
      const id = (await recordedProject(person)) ?? ''
      expect((await project.neon.listProjectEndpoints(id)).data.endpoints[0]?.suspend_timeout_seconds).toBe(0)
      expect((await project.neon.getProject(id)).data.project.history_retention_seconds).toBe(
        NEON_PLANS[plan].maxHistorySeconds,
      )
      const said = await project.sql`
        select metadata ->> 'suspendTimeout' as suspend, metadata ->> 'historyRetention' as history
        from public.provisioning_events
        where organization_id = ${person.organizationId} and event_type = 'step.succeeded' and resource_id = ${id}`
      expect(said[0]).toEqual({
        suspend: 'refused by the plan of the Neon account',
        history: 'refused by the plan of the Neon account',
      })
      const [row] = await project.sql`select provisioning.refused_limits() as refused`
      expect(row?.refused).toMatchObject([
        { limit: 'history_retention_seconds of the plan free', wanted: 2_592_000 },
        { limit: 'suspend_timeout_seconds of the size small', wanted: 600 },
      ])
      const [checked] = await project.sql`
        select suspend_timeout_seconds as seconds from provisioning.claim_health_checks(1, false, ${person.organizationId})`
      expect(checked?.seconds).toBe(300)
      expect((await retry(person, { services: ['neon'] })).body).toMatchObject({ status: 'succeeded' })
      project.neonEmulator.setLimits(NEON_PLANS.scale)
      expect((await retry(person, { services: ['neon'] })).body).toMatchObject({ status: 'succeeded' })
      expect((await project.neon.listProjectEndpoints(id)).data.endpoints[0]?.suspend_timeout_seconds).toBe(
        600,
      )
      const [taken] = await project.sql`
        select suspend_refused_at as at from provisioning.database_sizes where size = 'small'`
      expect(taken?.at).toBeNull()
    })
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
    await expectOpen(person)
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
    expect(Object.values(steps).map((step) => step.attempts)).toEqual([1, 1, 1, 1, 1, 1])
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

/** With the password that is in Vault. */
async function expectOpen({ organizationId }: SignedUp): Promise<void> {
  const sql = await loginConnection(project, organizationId)
  expect(await sql`select from public.contacts`.finally(() => sql.end({ timeout: 1 }))).toEqual([])
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
    await project.waitForStep(person.organizationId, 'credentials', 'retrying')
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
    await project.waitForStep(person.organizationId, 'credentials', 'retrying')
    expect((await attempts(person))[0]?.code).toBe('tenant_database_login_refused')
    const { branches } = (await project.neon.listProjectBranches({ projectId })).data
    const role = tenantRole(person)
    await project.neon.resetProjectBranchRolePassword(projectId, branches[0]?.id ?? '', role)
    await hurryTo(person, 'ready')
    expect(physicalName).not.toBe(role)
    await expectOpen(person)
  })

  it('whose schema cannot be applied fails with the file and what Postgres said', async () => {
    const { person, physicalName } = await project.whileHeld(async () => {
      const created = await signUpWithDatabase()
      await onTenantDatabase(created.physicalName, 'create table public.contacts (other text)')
      return created
    })
    const failed = await project.waitFor(person.organizationId, 'failed')
    expect(failed.error?.code).toBe('tenant_schema_failed')
    expect(failed.error?.message).toMatch(/0001_crm_and_marketing\.sql.*"contacts" already exists/)
    await onTenantDatabase(physicalName, 'drop table public.contacts')
    expect((await retry(person)).body).toMatchObject({ status: 'succeeded' })
  })

  async function onTenantDatabase(name: string, statement: string): Promise<void> {
    const url = new URL(project.databaseUrl('supabase_admin'))
    url.pathname = name
    const sql = postgres(url.href, { max: 1, onnotice: () => undefined })
    await sql.unsafe(statement).finally(() => sql.end({ timeout: 1 }))
  }
})
