import postgres from 'postgres'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest'
import { connectSupabase } from '../../shared/services/supabase/client.ts'
import { supabaseEnvironment } from '../../shared/services/supabase/environment.ts'
import { supabaseHost } from '../../shared/services/supabase/host.ts'
import { supabaseInventory } from '../../shared/services/supabase/inventory.ts'
import { newDatabasePassword } from '../../shared/services/supabase/password.ts'
import { addressOf } from '../../shared/services/supabase/project-ready.ts'
import { placesApart } from './mortal-worker.ts'
import { ProjectTier, TOKEN } from './project-tier.ts'

let tier: ProjectTier

beforeAll(async () => {
  tier = await ProjectTier.open()
})

afterAll(() => tier?.[Symbol.asyncDispose]())

const SETTINGS = {
  default_supabase_region: null,
  supabase_instance_size: null,
  project_on_removal: 'delete',
  project_look_seconds: 5,
  project_slow_minutes: 10,
}
const USUAL_LIMITS = {
  requestsPerMinute: Number.POSITIVE_INFINITY,
  ...{ isFree: 0, maxFreeProjects: 2, isOverdue: 0, mayWrite: 1, mayReveal: 1, hasLegacyKeysOnly: 0 },
}

beforeEach(() => set({}))

afterEach(() => {
  tier.emulator.faults.clear()
  tier.emulator.setLimits(USUAL_LIMITS)
  tier.emulator.setTimings({ comingUpMs: 0, servicesMs: 0, pauseMs: 0, restoreMs: 0 })
})

async function set(changes: Partial<Record<keyof typeof SETTINGS, string | number | null>>): Promise<void> {
  await tier.sql`update provisioning.settings set ${tier.sql({ ...SETTINGS, ...changes })}`
}

const provider = () => connectSupabase(supabaseEnvironment.parse(tier.variables), tier.database)()

async function callsDuring(work: () => Promise<unknown>): Promise<Record<string, number>> {
  const before = tier.emulator.stats.calls
  await work()
  const made = Object.entries(tier.emulator.stats.calls).map(([name, count]) => [
    name,
    count - (before[name] ?? 0),
  ])
  return Object.fromEntries(made.filter(([, count]) => count !== 0))
}

/** Backdates the first look at a project that comes up. */
const comingUpSince = (organizationId: string, minutes: number) => tier.sql`
  update public.provisioning_steps set output = output || jsonb_build_object('comingUpSince',
    to_char((now() - make_interval(mins => ${minutes})) at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'))
  where organization_id = ${organizationId} and step = 'project_ready'`

describe('an organization of the tier', () => {
  test('gets a project whose database has the tenant schema, and keys that only Vault has', async () => {
    const id = await tier.tenant()
    const calls = await callsDuring(async () => expect(await tier.workToEnd(id)).toBe('succeeded'))
    expect(calls).toEqual({
      v1GetAllProjectsForOrganization: 1,
      v1CreateAProject: 1,
      v1ListAllProjects: 1,
      v1GetServicesHealth: 1,
      v1GetPoolerConfig: 1,
      v1GetProjectApiKeys: 1,
    })
    const [ref = ''] = await tier.projects(id)
    expect(await tier.resource(id)).toMatchObject({
      name: `client-${id}-prod`,
      ref,
      url: expect.stringContaining(ref),
      state: 'active',
      details: {
        region: 'eu-central-1',
        dashboardUrl: expect.stringContaining(ref),
        host: expect.any(String),
        publishableKey: expect.stringMatching(/^sb_publishable_/),
      },
    })
    const secrets = await tier.secrets(id)
    expect(secrets.databasePassword).toMatch(/^[A-Za-z2-9]{32}$/)
    expect(secrets.secretKey).toMatch(/^sb_secret_/)
    const shown = await tier.everythingShown()
    for (const secret of Object.values(secrets)) expect(shown).not.toContain(secret)
    for (const url of [secrets.databaseUrl, secrets.pooledDatabaseUrl]) {
      const sql = postgres(url ?? '', { max: 1, prepare: false })
      const [row] = await sql`select count(*)::int as tables from pg_tables where schemaname = 'public'`
      await sql.end()
      expect(row?.tables).toBeGreaterThan(0)
    }
  })

  test('keeps its project over a re-run, which makes nothing anew', async () => {
    const id = await tier.tenant()
    await tier.workToEnd(id)
    const secrets = await tier.secrets(id)
    await again(id)
    const calls = await callsDuring(async () => expect(await tier.workToEnd(id)).toBe('succeeded'))
    expect(calls.v1CreateAProject).toBeUndefined()
    expect(await tier.projects(id)).toHaveLength(1)
    expect(await tier.secrets(id)).toEqual(secrets)
  })

  test('gets the keys of the old kind where its project has no others', async () => {
    tier.emulator.setLimits({ hasLegacyKeysOnly: 1 })
    const id = await tier.tenant()
    expect(await tier.workToEnd(id)).toBe('succeeded')
    const { secretKey, serviceRoleKey } = await tier.secrets(id)
    expect(secretKey).toMatch(/^eyJ/)
    expect(serviceRoleKey).toBe(secretKey)
    expect((await tier.resource(id))?.details.publishableKey).toMatch(/^eyJ/)
    expect(await tier.everythingShown()).not.toContain(secretKey)
  })
})

/** As a retry of what has succeeded: every step once more. */
async function again(id: string): Promise<void> {
  await tier.sql`update public.provisioning_steps set status = 'pending', attempts = 0, finished_at = null
    where organization_id = ${id}`
  await tier.sql`update public.provisioning_jobs set status = 'queued', finished_at = null where organization_id = ${id}`
}

describe('a project that is there already', () => {
  const makeByHand = (id: string, name = `client-${id}-prod`) =>
    provider().createProject(
      { name, databasePassword: 'of-nobody', region: 'eu-west-1', instanceSize: undefined },
      async () => undefined,
    )

  test('is adopted when it has exactly the name, and gets a password that Vault knows', async () => {
    const id = await tier.tenant()
    await makeByHand(id, `client-${id}-prod-2`)
    const made = await makeByHand(id)
    const calls = await callsDuring(async () => expect(await tier.workToEnd(id)).toBe('succeeded'))
    expect(calls).not.toHaveProperty('v1CreateAProject')
    expect(calls.v1UpdateDatabasePassword).toBe(1)
    expect((await tier.resource(id))?.ref).toBe(made.ok ? made.value : 'none')
    expect((await tier.resource(id))?.details.region).toBe('eu-west-1')
  })

  test('is kept by its ref when somebody has renamed it', async () => {
    const id = await tier.tenant()
    await tier.workToEnd(id)
    const before = (await tier.resource(id))?.ref ?? ''
    tier.emulator.changeProject(before, { name: 'renamed by somebody' })
    await again(id)
    const calls = await callsDuring(async () => expect(await tier.workToEnd(id)).toBe('succeeded'))
    expect(calls).not.toHaveProperty('v1CreateAProject')
    expect((await tier.resource(id))?.ref).toBe(before)
  })

  test('is made anew when it is gone', async () => {
    const id = await tier.tenant()
    await tier.workToEnd(id)
    const before = (await tier.resource(id))?.ref ?? ''
    await provider().deleteProject(before, `client-${id}-prod`, async () => undefined)
    await again(id)
    expect(await tier.workToEnd(id)).toBe('succeeded')
    const after = (await tier.resource(id))?.ref
    expect([await tier.projects(id), after === before]).toEqual([[after], false])
  })

  test('that is paused is restored', async () => {
    const id = await tier.tenant()
    const made = await makeByHand(id)
    tier.emulator.changeProject(made.ok ? made.value : '', { status: 'INACTIVE' })
    await tier.work([id])
    expect((await tier.step(id, 'project_ready')).error?.message).toContain('INACTIVE')
    expect(tier.emulator.stats.calls.v1RestoreAProject).toBe(1)
    tier.emulator.changeProject(made.ok ? made.value : '', { status: null })
    expect(await tier.workToEnd(id)).toBe('succeeded')
  })
})

describe('a reply that is lost', () => {
  test('loses neither the project nor its password', async () => {
    const id = await tier.tenant()
    tier.emulator.faults.add({
      match: { operation: 'v1CreateAProject' },
      action: { type: 'act_then_reset' },
      times: 1,
    })
    await tier.work([id])
    const { databasePassword } = await tier.secrets(id)
    expect(await tier.step(id, 'supabase_project')).toMatchObject({
      status: 'retrying',
      error: { code: 'supabase_unreachable' },
    })
    // What was asked for may come into being for some seconds more.
    expect((await tier.step(id, 'supabase_project')).nextInSeconds).toBeGreaterThan(5)
    expect(await tier.resource(id)).toMatchObject({ state: 'planned', ref: null })
    expect(await tier.workToEnd(id)).toBe('succeeded')
    expect(await tier.projects(id)).toHaveLength(1)
    expect((await tier.secrets(id)).databasePassword).toBe(databasePassword)
  })

  test.each([
    ['v1GetAllProjectsForOrganization', 'supabase_project'],
    ['v1ListAllProjects', 'project_ready'],
    ['v1GetServicesHealth', 'project_ready'],
    ['v1GetPoolerConfig', 'project_ready'],
    ['v1GetProjectApiKeys', 'project_keys'],
  ])('of %s is asked for again', async (operation, step) => {
    const id = await tier.tenant()
    tier.emulator.faults.add({ match: { operation }, action: { type: 'reset' }, times: 1 })
    await tier.work([id])
    expect((await tier.step(id, step)).error?.code).toBe('supabase_unreachable')
    expect(await tier.workToEnd(id)).toBe('succeeded')
    expect(await tier.projects(id)).toHaveLength(1)
  })
})

test('a worker may die at any place: another one goes on, and there is one project with the password in Vault', async () => {
  const apart = placesApart(9)
  let deaths = 0
  for (let place = 1; ; place += apart) {
    const id = await tier.tenant()
    if (!(await tier.workUntilDeath(id, place))) break
    deaths++
    expect(await tier.workToEnd(id), `after the death at place ${place}`).toBe('succeeded')
    expect(await tier.projects(id), `after the death at place ${place}`).toHaveLength(1)
    const { databaseUrl } = await tier.secrets(id)
    const sql = postgres(databaseUrl ?? '', { max: 1 })
    await sql`select 1`
    await sql.end()
  }
  // Two for each of six steps, and two for each write.
  expect(deaths * apart).toBeGreaterThan(16)
}, 300_000)

describe('a project that comes up', () => {
  test('is looked at every five seconds, without an attempt and without a function that waits', async () => {
    tier.emulator.setTimings({ comingUpMs: 60_000 })
    const id = await tier.tenant()
    await tier.work([id])
    const looked = await tier.step(id, 'project_ready')
    expect(looked).toMatchObject({
      status: 'retrying',
      attempts: 0,
      error: { code: 'supabase_project_coming_up', message: expect.stringContaining('COMING_UP') },
    })
    expect(looked.nextInSeconds).toBeGreaterThan(3)
    expect(looked.nextInSeconds).toBeLessThan(5.1)
    tier.emulator.changeProject((await tier.resource(id))?.ref ?? '', { hangs: false })
    expect(await tier.workToEnd(id)).toBe('succeeded')
    expect(await tier.alerts(id)).toEqual([])
  })

  test('is not ready before each of its services is', async () => {
    const id = await tier.tenant()
    tier.emulator.setTimings({ comingUpMs: Number.POSITIVE_INFINITY })
    await tier.work([id])
    const ref = (await tier.resource(id))?.ref ?? ''
    tier.emulator.changeProject(ref, { hangs: false, unhealthy: ['storage', 'auth'] })
    await tier.work([id])
    const { error } = await tier.step(id, 'project_ready')
    expect(error?.message).toContain('auth is UNHEALTHY, storage is UNHEALTHY')
    expect((await tier.step(id, 'credentials')).status).toBe('pending')
    tier.emulator.changeProject(ref, { unhealthy: [] })
    expect(await tier.workToEnd(id)).toBe('succeeded')
  })

  test('shares one list with all others that do', async () => {
    tier.emulator.setTimings({ comingUpMs: 60_000 })
    const ids = await Promise.all(Array.from({ length: 10 }, () => tier.tenant()))
    await tier.work(ids)
    expect(
      (await Promise.all(ids.map((id) => tier.step(id, 'project_ready')))).map(({ status }) => status),
    ).toEqual(ids.map(() => 'retrying'))
    const calls = await callsDuring(() => tier.work(ids))
    expect(calls).toEqual({ v1ListAllProjects: 1 })
  })

  test.each(['COMING_UP', 'PAUSING', 'RESTORING'] as const)(
    'and hangs in %s opens an alert, is looked at ever less often, and is finished when it is up',
    async (status) => {
      const id = await tier.tenant()
      tier.emulator.setTimings({ comingUpMs: Number.POSITIVE_INFINITY })
      await tier.work([id])
      const ref = (await tier.resource(id))?.ref ?? ''
      tier.emulator.changeProject(ref, { status })
      await comingUpSince(id, 9)
      await tier.work([id])
      expect(await tier.alerts(id)).toEqual([])
      const pauses: number[] = []
      for (const minutes of [11, 60, 7 * 24 * 60]) {
        await comingUpSince(id, minutes)
        await tier.work([id])
        const { error, attempts, nextInSeconds } = await tier.step(id, 'project_ready')
        expect(error).toMatchObject({
          code: 'supabase_project_slow',
          message: expect.stringContaining(status),
        })
        expect(attempts).toBe(0)
        pauses.push(Math.round(nextInSeconds ?? 0))
      }
      expect(pauses).toEqual([33, 180, 900])
      expect(await tier.alerts(id)).toMatchObject([
        { kind: 'project_slow', open: true, message: expect.stringContaining(ref) },
      ])
      tier.emulator.changeProject(ref, { status: null, hangs: false })
      expect(await tier.workToEnd(id)).toBe('succeeded')
      expect(await tier.alerts(id)).toMatchObject([{ kind: 'project_slow', open: false }])
    },
    30_000,
  )

  test('is looked at as often, and counts as slow, as the settings say', async () => {
    await set({ project_look_seconds: 40, project_slow_minutes: 1 })
    tier.emulator.setTimings({ comingUpMs: 60_000 })
    const id = await tier.tenant()
    await tier.work([id])
    expect(Math.round((await tier.step(id, 'project_ready')).nextInSeconds ?? 0)).toBe(40)
    await comingUpSince(id, 2)
    await tier.work([id])
    expect((await tier.step(id, 'project_ready')).error?.code).toBe('supabase_project_slow')
  })

  test('and fails for good says so', async () => {
    const id = await tier.tenant()
    tier.emulator.setTimings({ comingUpMs: Number.POSITIVE_INFINITY })
    await tier.work([id])
    tier.emulator.changeProject((await tier.resource(id))?.ref ?? '', { status: 'INIT_FAILED' })
    expect(await tier.workToEnd(id)).toBe('failed')
    expect((await tier.step(id, 'project_ready')).error).toMatchObject({
      code: 'supabase_project_failed',
      message: expect.stringContaining('INIT_FAILED'),
    })
  })
})

describe('Supabase refuses', () => {
  interface Refusal {
    readonly limits?: Parameters<ProjectTier['emulator']['setLimits']>[0]
    readonly settings?: Parameters<typeof set>[0]
    readonly variables?: Readonly<Record<string, string | undefined>>
    readonly region?: string
    readonly message?: RegExp
  }
  const refusals: readonly (readonly [string, Refusal])[] = [
    ['supabase_key_missing', { variables: { MANAGEMENT_TOKEN: undefined } }],
    ['supabase_organization_unset', { variables: { MANAGEMENT_ORG_ID: undefined } }],
    ['supabase_organization_unknown', { variables: { MANAGEMENT_ORG_ID: 'another' } }],
    ['supabase_key_rejected', { variables: { MANAGEMENT_TOKEN: 'sbp_wrong' } }],
    ['supabase_permission_missing', { limits: { mayWrite: 0 }, message: /necessary privileges/ }],
    ['supabase_project_limit_reached', { limits: { isFree: 1 }, message: /\(2 project limit\)/ }],
    ['supabase_payment_required', { limits: { isOverdue: 1 }, message: /overdue/ }],
    ['supabase_size_refused', { limits: { isFree: 1 }, settings: { supabase_instance_size: 'small' } }],
    [
      'supabase_region_not_offered',
      { region: 'af-south-1', message: /af-south-1; the nearest are sa-east-1, eu-central-1/ },
    ],
    [
      'supabase_region_not_offered',
      { settings: { default_supabase_region: 'af-south-1' }, region: 'af-south-1' },
    ],
  ]

  test.each(refusals)('with %s, for good and explained', async (code, refusal) => {
    const { limits = {}, settings = {}, variables = {}, region, message = /./ } = refusal
    await tier.sql`
      insert into provisioning.regions (data_region, label, neon_region, hosting_region, city, country, latitude, longitude)
      values ('af-south-1', 'Africa (Cape Town)', 'aws-eu-central-1', 'eu-central-1', 'Cape Town', 'ZA', -33.92, 18.42)
      on conflict do nothing`
    // As many as a free plan has.
    while (tier.emulator.stats.projects < 2) await tier.workToEnd(await tier.tenant())
    const id = await tier.tenant(region)
    await set(settings)
    tier.emulator.setLimits(limits)
    expect(await tier.workToEnd(id, { variables })).toBe('failed')
    const step = await tier.step(id, 'supabase_project')
    expect(step.error).toMatchObject({ code, message: expect.stringMatching(message) })
    expect(step.attempts).toBe(1)
    // Nothing was made, so nothing stays planned, and the region can be changed.
    expect(await tier.resource(id)).toBeUndefined()
    expect(await tier.projects(id)).toEqual([])
    // Once it is mended, a retry goes through.
    await set({})
    tier.emulator.setLimits(USUAL_LIMITS)
    await tier.sql`update public.organizations set data_region = 'eu-central-1' where id = ${id}`
    await tier.sql`select provisioning.retry_job(j.id, null) from public.provisioning_jobs j where j.organization_id = ${id}`
    expect(await tier.workToEnd(id)).toBe('succeeded')
  })

  test('a size on a free plan, which is known from the plan before anything is asked for', async () => {
    const id = await tier.tenant()
    await set({ supabase_instance_size: 'small' })
    tier.emulator.setLimits({ isFree: 1, maxFreeProjects: 1_000 })
    const calls = await callsDuring(() => tier.workToEnd(id))
    expect(calls).toEqual({ v1GetAllProjectsForOrganization: 1, v1GetAnOrganization: 1 })
    tier.emulator.setLimits(USUAL_LIMITS)
    await tier.sql`select provisioning.retry_job(j.id, null) from public.provisioning_jobs j where j.organization_id = ${id}`
    expect(await tier.workToEnd(id)).toBe('succeeded')
    expect((await tier.resource(id))?.details.instanceSize).toBe('small')
  })

  test('a region that it does not offer, and a default says where such clients go', async () => {
    await set({ default_supabase_region: 'eu-west-1' })
    const id = await tier.tenant('af-south-1')
    expect(await tier.workToEnd(id)).toBe('succeeded')
    expect((await tier.resource(id))?.details.region).toBe('eu-west-1')
  })

  test('the keys of a token that may not reveal them', async () => {
    tier.emulator.setLimits({ mayReveal: 0 })
    const id = await tier.tenant()
    expect(await tier.workToEnd(id)).toBe('failed')
    expect((await tier.step(id, 'project_keys')).error?.code).toBe('supabase_permission_missing')
  })

  test('more requests, and is left alone until its minute is over', async () => {
    tier.emulator.faults.add({
      match: { operation: 'v1CreateAProject' },
      action: { type: 'status', status: 429, retryAfterSeconds: 42 },
      times: 1,
    })
    const id = await tier.tenant()
    await tier.work([id])
    const step = await tier.step(id, 'supabase_project')
    expect(step).toMatchObject({ status: 'retrying', error: { code: 'supabase_rate_limited' } })
    expect(step.nextInSeconds).toBeGreaterThan(40)
    expect(step.nextInSeconds).toBeLessThan(60)
    await tier.sql`delete from provisioning.token_buckets`
    expect(await tier.workToEnd(id)).toBe('succeeded')
    expect(await tier.projects(id)).toHaveLength(1)
  })

  test('to work, and is tried again', async () => {
    tier.emulator.faults.add({ action: { type: 'status', status: 503 }, times: 2 })
    const id = await tier.tenant()
    await tier.work([id])
    expect((await tier.step(id, 'supabase_project')).error?.code).toBe('supabase_unavailable')
    expect(await tier.workToEnd(id)).toBe('succeeded')
  })

  test('an answer that can be read', async () => {
    tier.emulator.faults.add({
      match: { operation: 'v1GetProjectApiKeys' },
      action: { type: 'status', status: 599, body: 'nonsense' },
      times: 1,
    })
    const id = await tier.tenant()
    await tier.work([id])
    expect((await tier.step(id, 'project_keys')).error?.code).toBe('supabase_unavailable')
    expect(await tier.workToEnd(id)).toBe('succeeded')
  })
})

describe('a direct host that cannot be reached, as one with IPv6 alone', () => {
  /** Nobody listens there. */
  const UNREACHABLE = '127.0.0.3'

  // The real pooler of a test run is one in transaction mode.
  test.skipIf(inject('poolerPort') !== undefined)(
    'has the pooler in its place, for the schema and for all that comes after it',
    async () => {
      await using other = await ProjectTier.open({ directHost: UNREACHABLE })
      const id = await other.tenant()
      expect(await other.workToEnd(id)).toBe('succeeded')
      const [row] = await other.sql<{ host: string; pooled: string; version: number }[]>`
      select host, pooled_host as pooled, schema_version as version from public.organization_databases
      where organization_id = ${id}`
      expect(row?.version).toBeGreaterThan(0)
      expect(row?.host).toBe(row?.pooled)
      const { databaseUrl = '' } = await other.secrets(id)
      expect(databaseUrl).not.toContain(UNREACHABLE)
      const sql = postgres(databaseUrl, { max: 1, prepare: false })
      await sql`select 1`
      await sql.end()
    },
  )

  test('has the pooler’s port for sessions, where Supabase names the one for transactions', async () => {
    const pooler = { database_type: 'PRIMARY', db_name: 'postgres', db_user: 'postgres.abcdefghijklmnopqrst' }
    const host = 'aws-0-eu-central-1.pooler.supabase.com'
    expect(
      await addressOf('db.abcdefghijklmnopqrst.invalid', { ...pooler, db_host: host, db_port: 6543 }),
    ).toEqual({
      ...{ host, port: 5432, pooledHost: host, pooledPort: 6543 },
      ...{ poolerTenant: 'abcdefghijklmnopqrst', databaseName: 'postgres', sslMode: 'verify-full' },
    })
  })
})

describe('keys', () => {
  test('are asked for after the proof of row level security and never before', async () => {
    const id = await tier.tenant()
    await tier.work([id])
    await tier.sql`select 1`
    const [row] = await tier.sql<{ depends: string[] }[]>`
      select depends_on as depends from provisioning.step_definitions where tier = 'project' and step = 'project_keys'`
    expect(row?.depends).toEqual(['tenant_schema'])
    // A table without it, made before the schema is applied: the proof fails, and nobody has asked for a key.
    const other = await tier.tenant()
    tier.emulator.setTimings({ comingUpMs: Number.POSITIVE_INFINITY })
    await tier.work([other])
    const ref = (await tier.resource(other))?.ref ?? ''
    tier.emulator.changeProject(ref, { hangs: false })
    const { databasePassword = '' } = await tier.secrets(other)
    const pooler = await provider().pooler(ref)
    if (!pooler.ok) throw new Error(pooler.failure.message)
    const { db_host: host, db_port: port, db_name: database } = pooler.value
    const sql = postgres({ host, port, database, username: database, password: databasePassword, max: 1 })
    await sql`create table public.open_to_all (n int)`
    const calls = await callsDuring(async () => expect(await tier.workToEnd(other)).toBe('failed'))
    expect((await tier.step(other, 'tenant_schema')).error?.code).toBe('tenant_schema_unprotected')
    expect((await tier.step(other, 'project_keys')).status).toBe('pending')
    expect(calls).not.toHaveProperty('v1GetProjectApiKeys')
    expect(await tier.secrets(other)).not.toHaveProperty('secretKey')
    await sql`drop table public.open_to_all`
    await sql.end()
    await tier.sql`select provisioning.retry_job(j.id, null) from public.provisioning_jobs j where j.organization_id = ${other}`
    expect(await tier.workToEnd(other)).toBe('succeeded')
    expect((await tier.secrets(other)).secretKey).toMatch(/^sb_secret_/)
  }, 30_000)
})

describe('removal', () => {
  const ready = async () => {
    const id = await tier.tenant()
    expect(await tier.workToEnd(id)).toBe('succeeded')
    return id
  }

  test('deletes the project and all that is secret of it', async () => {
    const id = await ready()
    expect(await tier.undo(id)).toBe('succeeded')
    expect(await tier.projects(id)).toEqual([])
    expect(await tier.secrets(id)).toEqual({})
    expect((await tier.resource(id))?.state).toBe('removed')
  })

  test('of an organization without a project calls nobody', async () => {
    const id = await tier.tenant()
    await tier.sql`update public.provisioning_jobs set status = 'cancelled', finished_at = now() where organization_id = ${id}`
    const calls = await callsDuring(async () => expect(await tier.undo(id)).toBe('succeeded'))
    expect(calls).toEqual({})
  })

  test('finds a project whose creation nobody has heard of, and one that is gone is fine', async () => {
    const id = await tier.tenant()
    tier.emulator.faults.add({ match: { operation: 'v1CreateAProject' }, action: { type: 'act_then_reset' } })
    await tier.work([id])
    expect(await tier.projects(id)).toHaveLength(1)
    await tier.sql`update public.provisioning_jobs set status = 'cancelled', finished_at = now() where organization_id = ${id}`
    expect(await tier.undo(id)).toBe('succeeded')
    expect(await tier.projects(id)).toEqual([])
  })

  test('touches only a project with exactly its name', async () => {
    const id = await ready()
    const ref = (await tier.resource(id))?.ref ?? ''
    // As if somebody had given the project to another client, under another name.
    const other = await tier.tenant()
    await tier.workToEnd(other)
    const othersRef = (await tier.resource(other))?.ref ?? ''
    await tier.sql`delete from public.tenant_resources where organization_id = ${other} and kind = 'supabase_project'`
    await tier.sql`update public.tenant_resources set external_id = ${othersRef}
      where organization_id = ${id} and kind = 'supabase_project'`
    const calls = await callsDuring(async () => expect(await tier.undo(id)).toBe('failed'))
    expect((await tier.step(id, 'delete_supabase_project')).error).toMatchObject({
      code: 'supabase_name_differs',
      message: expect.stringContaining(othersRef),
    })
    expect(calls).not.toHaveProperty('v1DeleteAProject')
    expect([await tier.projects(id), await tier.projects(other)]).toEqual([[ref], [othersRef]])
  })

  test('waits for the grace period', async () => {
    const id = await ready()
    await tier.sql`update provisioning.resource_kinds set grace_hours = 72 where kind = 'supabase_project'`
    await tier.sql`select provisioning.release_resources(${id}, true)`
    await tier.sql`select provisioning.enqueue(${id}, 'undo', '{}', null, 'request', 'project')`
    await tier.work([id])
    await tier.sql`update provisioning.resource_kinds set grace_hours = 0 where kind = 'supabase_project'`
    const step = await tier.step(id, 'delete_supabase_project')
    expect(step).toMatchObject({ status: 'retrying', error: { code: 'grace_period' } })
    expect((step.nextInSeconds ?? 0) / 3600).toBeCloseTo(72, 1)
    expect(await tier.projects(id)).toHaveLength(1)
  })

  test('pauses the project instead, by setting, and says why where that cannot be', async () => {
    await set({ project_on_removal: 'pause' })
    const refused = await ready()
    expect(await tier.undo(refused)).toBe('failed')
    expect((await tier.step(refused, 'delete_supabase_project')).error?.code).toBe('supabase_pause_refused')
    const id = await ready()
    const ref = (await tier.resource(id))?.ref ?? ''
    tier.emulator.setLimits({ isFree: 1, maxFreeProjects: 100 })
    tier.emulator.setTimings({ pauseMs: 60_000 })
    await tier.sql`select provisioning.release_resources(${id}, false)`
    await tier.sql`select provisioning.enqueue(${id}, 'undo', '{}', null, 'request', 'project')`
    await tier.work([id])
    expect((await tier.step(id, 'delete_supabase_project')).error?.code).toBe('supabase_project_pausing')
    tier.emulator.changeProject(ref, { hangs: false })
    expect(await tier.workToEnd(id)).toBe('succeeded')
    expect(await tier.resource(id)).toMatchObject({ state: 'kept', ref })
    expect([await tier.projects(id), await tier.secrets(id)]).toEqual([[ref], {}])
  })
})

describe('reconciliation', () => {
  test('lists all projects of the organization in one call, and knows whose each is', async () => {
    const id = await tier.tenant()
    await tier.workToEnd(id)
    const inventory = supabaseInventory(provider())
    const calls = await callsDuring(async () => {
      const page = await inventory.page(null)
      if (!page.ok) throw new Error(page.failure.message)
      expect(page.value).toMatchObject({ nextCursor: null, gap: null })
      const [ref] = await tier.projects(id)
      expect(page.value.resources.find(({ resourceId }) => resourceId === ref)).toMatchObject({
        organizationId: id,
      })
    })
    expect(calls).toEqual({ v1ListAllProjects: 2 })
  })

  test('deletes what is ours, and nobody else’s', async () => {
    const id = await tier.tenant()
    await tier.workToEnd(id)
    const spec = { databasePassword: 'some-password', region: 'eu-west-1', instanceSize: undefined }
    const before = async () => undefined
    const others = await provider().createProject({ ...spec, name: 'a shop' }, before)
    const inventory = supabaseInventory(provider())
    const [ref = ''] = await tier.projects(id)
    expect(await inventory.remove(ref, before)).toMatchObject({ ok: true })
    expect(await inventory.remove(ref, before), 'again').toMatchObject({ ok: true })
    expect(await inventory.remove(others.ok ? others.value : '', before)).toMatchObject({
      failure: { code: 'supabase_name_differs' },
    })
    expect(await tier.projects(id)).toEqual([])
  })
})

describe('how a project is', () => {
  test('is asked without a connection, by one list for all', async () => {
    const ids = await Promise.all(Array.from({ length: 3 }, () => tier.tenant()))
    for (const id of ids) await tier.workToEnd(id)
    const paused = (await tier.resource(ids[0] ?? ''))?.ref ?? ''
    tier.emulator.changeProject(paused, { status: 'INACTIVE' })
    const host = supabaseHost(connectSupabase(supabaseEnvironment.parse(tier.variables), tier.database))
    const { connections } = tier.emulator.stats
    const facts = await Promise.all(
      ids.map(async (id) => {
        const [row] = await tier.sql<
          { facts: Record<string, unknown> }[]
        >`select provisioning.tenant(${id}) as facts`
        return row?.facts ?? {}
      }),
    )
    const calls = await callsDuring(async () => {
      const awake = await Promise.all(facts.map((each) => host.hosted(each).isListedAwake()))
      expect(awake.map((each) => each.ok && each.value)).toEqual([false, true, true])
    })
    expect(calls).toEqual({ v1ListAllProjects: 1 })
    expect(tier.emulator.stats.connections).toBe(connections)
  })
})

test('a password has 32 letters and digits, each as likely as another', () => {
  const passwords = Array.from({ length: 2_000 }, newDatabasePassword)
  expect(new Set(passwords).size).toBe(passwords.length)
  const counts = new Map<string, number>()
  for (const letter of passwords.join('')) counts.set(letter, (counts.get(letter) ?? 0) + 1)
  expect(passwords.every((password) => /^[A-HJ-NP-Za-km-z2-9]{32}$/.test(password))).toBe(true)
  const expected = (2_000 * 32) / counts.size
  for (const count of counts.values())
    expect(Math.abs(count - expected)).toBeLessThan(6 * Math.sqrt(expected))
  expect(TOKEN).toMatch(/^sbp_/)
})
