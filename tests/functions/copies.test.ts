import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createAlertsFunction } from '../../shared/alerts/alerts-function.ts'
import { createJobFunction } from '../../shared/engine/job-function.ts'
import { createGraphqlFunction } from '../../shared/graphql/graphql-function.ts'
import { createHealthFunction } from '../../shared/health/health-function.ts'
import { readEnvironment } from '../../shared/kernel/environment.ts'
import { createReconcileFunction } from '../../shared/reconciliation/reconcile-function.ts'
import { neon } from '../../shared/services/neon/index.ts'
import { services, stepSources } from '../../shared/services/registry.ts'
import { stripe } from '../../shared/services/stripe/index.ts'
import { createTenantGraphqlFunction } from '../../shared/tenant-graphql/tenant-graphql-function.ts'
import { deprovisionFunction } from '../../shared/tenants/deprovision-function.ts'
import { provisionFunction } from '../../shared/tenants/provision-function.ts'
import { emulatorVariables } from '../../tools/emulators.ts'
import { type SignedUp, startTestProject, type TestProject } from '../support/project.ts'

const COPY_URL = 'https://copycopycopycopycopy.supabase.co'

let project: TestProject
let owner: SignedUp

beforeAll(async () => {
  project = await startTestProject()
  owner = await project.signUp()
  await project.waitFor(owner.organizationId)
})

afterAll(() => project?.stop())

/** The functions as they run beside a copy of the database, whose rows and Vault are those of the original. */
function functionsAt(url: string) {
  const environment = readEnvironment({
    SUPABASE_URL: url,
    SUPABASE_DB_URL: project.databaseUrl(),
    SUPABASE_SECRET_KEYS: JSON.stringify({ default: project.keys.secretKey }),
    ...emulatorVariables(stripe, project.stripeEmulator.url),
    ...emulatorVariables(neon, project.neonEmulator.url),
  })
  return {
    provision: createJobFunction(environment, provisionFunction, stepSources),
    deprovision: createJobFunction(environment, deprovisionFunction, stepSources),
    health: createHealthFunction(environment),
    reconcile: createReconcileFunction(environment, services),
    alerts: createAlertsFunction(environment),
    graphql: createGraphqlFunction(environment),
    tenantGraphql: createTenantGraphqlFunction(environment, { exported: {} as never }),
  }
}

type Function = keyof ReturnType<typeof functionsAt>

async function ask(
  handler: (request: Request) => Promise<Response>,
  body: unknown,
  key: string | null = project.keys.secretKey,
) {
  const reply = await handler(
    new Request('http://localhost/', {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...(key === null ? {} : { apikey: key }) },
      body: JSON.stringify(body),
    }),
  )
  return { status: reply.status, body: await reply.json() }
}

const identity = async () => (await project.sql`select * from provisioning.project_identity`)[0]

const atProviders = async () => {
  const { projects, customers } = await project.resources(owner.organizationId)
  return { projects: projects.map(({ id }) => id), customers: customers.map(({ id }) => id) }
}

const apiKey = async () => {
  const [made] = await project.superuser<{ key: string }[]>`
    select provisioning.insert_api_key(${owner.organizationId}, 'test', 'read', null, null) ->> 'key' as key`
  return made?.key ?? ''
}

describe('the functions of a copy', () => {
  it('find the project recorded by the first contact of the original, whatever its local port', async () => {
    expect(await identity()).toMatchObject({ project: 'local', foreign_project: null })
    const restarted = functionsAt('http://127.0.0.1:9')
    expect(await ask(restarted.graphql, { query: '{ __typename }' })).toMatchObject({ status: 200 })
  })

  it.each<[Function, () => unknown]>([
    ['provision', () => ({ organizationId: owner.organizationId, services: ['neon', 'stripe'] })],
    ['deprovision', () => ({ organizationId: owner.organizationId, confirm: owner.organizationId })],
    ['health', () => ({ organizationId: owner.organizationId, deep: true })],
    ['reconcile', () => ({ dryRun: false })],
    ['alerts', () => ({})],
    ['graphql', () => ({ query: '{ __typename }' })],
    ['tenantGraphql', () => ({ query: '{ __typename }' })],
  ])('refuse: %s', async (name, body) => {
    const before = await atProviders()
    const key = name === 'tenantGraphql' ? await apiKey() : undefined
    expect(await ask(functionsAt(COPY_URL)[name], body(), key)).toMatchObject({
      status: 503,
      body: { code: 'project_copied', detail: expect.stringContaining('belong to the project local') },
    })
    expect(await atProviders()).toEqual(before)
  })

  it.each<Function>(['provision', 'deprovision', 'health', 'reconcile', 'alerts'])(
    'refuse a ring whose signature is genuine, since the key is the same: %s',
    async (name) => {
      const ring = await project.signDoorbell()
      expect(await ask(functionsAt(COPY_URL)[name], ring, null)).toMatchObject({
        status: 503,
        body: { code: 'project_copied' },
      })
    },
  )

  it('leave what the copy signs up and deletes in its rows, and everything at the providers', async () => {
    const [vault] = await project.sql`
      select decrypted_secret as url from vault.decrypted_secrets where name = 'functions_base_url'`
    // The original does not hear of these rows, as it does not of a copy's.
    await project.sql`delete from vault.secrets where name = 'functions_base_url'`
    const before = await atProviders()
    const joined = await project.signUp()
    await project.sql`delete from public.organizations where id = ${owner.organizationId}`
    await project.sql`update public.provisioning_jobs set next_attempt_at = now() where status = 'queued'`
    const copy = functionsAt(COPY_URL)
    for (const name of ['provision', 'deprovision'] as const)
      expect(await ask(copy[name], await ringAnyway(String(vault?.url)), null)).toMatchObject({
        status: 503,
        body: { code: 'project_copied' },
      })
    const jobs = await project.sql`
      select kind, status, attempts from public.provisioning_jobs where status <> 'succeeded' order by kind`
    expect([...jobs]).toEqual([
      { kind: 'deprovision', status: 'queued', attempts: 0 },
      { kind: 'provision', status: 'queued', attempts: 0 },
    ])
    expect(await atProviders()).toEqual(before)
    expect(await project.resources(joined.organizationId)).toEqual({ projects: [], customers: [] })
  })

  it('are noted, for doctor', async () => {
    expect(await identity()).toMatchObject({
      project: 'local',
      foreign_project: 'copycopycopycopycopy',
      foreign_seen_at: expect.any(Date),
    })
  })

  it('work once their project is said to stand in for one that is gone', async () => {
    const record = (insteadOf: string | null) =>
      project.sql`select provisioning.record_project(${COPY_URL}, ${insteadOf}) as project`
    await expect(record(null)).rejects.toMatchObject({ code: 'TP409' })
    await expect(record('another')).rejects.toMatchObject({ code: 'TP409' })
    expect(await ask(functionsAt(COPY_URL).graphql, { query: '{ __typename }' })).toMatchObject({
      status: 503,
    })
    expect([...(await record('local'))]).toEqual([{ project: 'copycopycopycopycopy' }])
    expect(await ask(functionsAt(COPY_URL).graphql, { query: '{ __typename }' })).toMatchObject({
      status: 200,
    })
    expect(await identity()).toMatchObject({ project: 'copycopycopycopycopy', foreign_project: null })
    const [audit] = await project.sql`
      select resource_id, metadata ->> 'instead_of' as instead_of from public.audit_logs
      where action = 'project.recorded' order by created_at desc limit 1`
    expect(audit).toEqual({ resource_id: 'copycopycopycopycopy', instead_of: 'local' })
  })
})

/** A doorbell that the database signs while it does not know where to send it. */
async function ringAnyway(url: string) {
  await project.sql`select vault.create_secret(${url}, 'functions_base_url')`
  try {
    return await project.signDoorbell()
  } finally {
    await project.sql`delete from vault.secrets where name = 'functions_base_url'`
  }
}

it.each([
  ['https://abcdefghijklmnopqrst.supabase.co', 'abcdefghijklmnopqrst'],
  ['https://abcdefghijklmnopqrst.supabase.co/', 'abcdefghijklmnopqrst'],
  ['HTTPS://ABCDEFGHIJKLMNOPQRST.supabase.co:443', 'abcdefghijklmnopqrst'],
  ['http://127.0.0.1:54321', 'local'],
  ['http://localhost:1', 'local'],
  ['http://[::1]:54321', 'local'],
  ['http://kong:8000', 'kong'],
  ['https://api.example.com/supabase', 'api.example.com'],
  ['https://abcdefghijklmnopqrst.supabase.co.example.com', 'abcdefghijklmnopqrst.supabase.co.example.com'],
  ['https://127.example.com', '127.example.com'],
])('the project of %s is %s', async (url, name) => {
  expect([...(await project.sql`select provisioning.project_of(${url}) as project`)]).toEqual([
    { project: name },
  ])
})

it.each(['', 'abcdefghijklmnopqrst', 'ftp://example.com', 'https://'])('%o is no address', async (url) => {
  await expect(project.sql`select provisioning.project_of(${url})`).rejects.toMatchObject({ code: 'TP422' })
})
