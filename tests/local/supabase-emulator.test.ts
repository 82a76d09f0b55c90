import { appendFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import postgres from 'postgres'
import {
  SupabaseManagementAPI,
  SupabaseManagementAPIError,
  type V1CreateProjectBody,
} from 'supabase-management-js'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { OPERATIONS, SupabaseContract } from '../../local/emulators/supabase/contract.ts'
import {
  type SupabaseEmulator,
  type SupabaseEmulatorOptions,
  startSupabaseEmulator,
} from '../../local/emulators/supabase/emulator.ts'
import { timingsAt } from '../../local/emulators/supabase/options.ts'
import { TypeSchemas } from '../../local/emulators/supabase/type-schemas.ts'
import { type PostgresServer, startPostgres } from '../../local/postgres/server.ts'
import { THROWAWAY_SETTINGS } from '../../local/postgres/throwaway.ts'
import { freePort } from '../../tools/ports.ts'
import { makeQuickDirectory } from '../support/quick-directory.ts'

const TOKEN = 'sbp_localemulator'
const PASSWORD = 'a-password-of-thirty-two-letters'
const unlimited = { requestsPerMinute: Number.POSITIVE_INFINITY }

let directory: string
let server: PostgresServer
let adminUrl: string
let emulator: SupabaseEmulator
/** The vendor's own client, which knows the vendor's addresses. */
let api: SupabaseManagementAPI
let now: number
const open: postgres.Sql[] = []

// A server of its own: what is left on it in the end is counted.
beforeAll(async () => {
  directory = await makeQuickDirectory('tenant-provisioning-')
  server = await startPostgres({ directory, port: await freePort(), settings: THROWAWAY_SETTINGS })
  adminUrl = server.url('template1')
})

beforeEach(async () => {
  now = Date.UTC(2026, 8, 1)
  await start({})
})

afterEach(async () => {
  await Promise.all(open.splice(0).map((sql) => sql.end({ timeout: 1 })))
  await emulator.stop({ drop: true })
})

afterAll(async () => {
  const sql = postgres(adminUrl, { max: 1 })
  const left = await sql`select datname from pg_database where datname like 'supabase\\_%'`
  const roles = await sql`select rolname from pg_roles where rolname ~ '^supabase_[0-9a-f]{16}'`
  await sql.end()
  await server.stop('immediate')
  await rm(directory, { recursive: true, force: true })
  expect([...left, ...roles]).toEqual([])
})

async function start(options: Partial<SupabaseEmulatorOptions>): Promise<void> {
  await emulator?.stop({ drop: true })
  emulator = await launch(options)
  api = new SupabaseManagementAPI({ accessToken: TOKEN, baseUrl: emulator.url })
}

function launch(options: Partial<SupabaseEmulatorOptions>): Promise<SupabaseEmulator> {
  return startSupabaseEmulator({
    ...{ adminUrl, accessToken: TOKEN, clock: () => now, limits: unlimited },
    ...options,
  })
}

/** @throws the reply when it is another than was expected */
async function create(name: string, more: Partial<V1CreateProjectBody> = {}) {
  const organization_slug = emulator.organizationSlug
  const reply = await api.createAProject({ name, organization_slug, db_pass: PASSWORD, ...more })
  expect(reply, JSON.stringify(reply.data)).toMatchObject({ status: 201 })
  return reply.data
}

/** What the vendor's client throws for a reply that is no success. */
async function refusal(request: Promise<unknown>): Promise<SupabaseManagementAPIError> {
  const error = await request.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  if (error instanceof SupabaseManagementAPIError) return error
  throw new Error(`There was no refusal: ${error}`)
}

async function refused(request: Promise<unknown>) {
  const { status, data } = await refusal(request)
  return { status, message: (data as { message: string }).message }
}

const status = async (ref: string) => {
  const { data } = await api.listAllProjects()
  return data.find((project) => project.ref === ref)?.status
}

const services = ['auth', 'db', 'pooler', 'realtime', 'rest', 'storage'] as const
async function health(ref: string) {
  const reply = await api.getServicesHealth(ref, { services: [...services] })
  if (reply.status !== 200) throw new Error(`status ${reply.status}`)
  return [...new Set(reply.data.map((service) => service.status))]
}

async function pooler(ref: string) {
  const reply = await api.getPoolerConfig(ref)
  const [config] = reply.status === 200 ? reply.data : []
  if (!config) throw new Error(`status ${reply.status}`)
  return config
}

async function keys(ref: string, reveal: boolean) {
  const reply = await api.getProjectApiKeys(ref, { reveal })
  if (reply.status !== 200) throw new Error(`status ${reply.status}`)
  return Object.fromEntries(reply.data.map(({ name, type, api_key }) => [`${type} ${name}`, api_key ?? '']))
}

function session(options: postgres.Options<Record<string, never>>): postgres.Sql {
  const sql = postgres({ max: 1, connect_timeout: 5, onnotice: () => undefined, ...options })
  open.push(sql)
  return sql
}

/** As the owner of the project's database. */
async function owner(ref: string, more: { password?: string; username?: string } = {}) {
  const { db_host: host, db_port: port, db_name: database } = await pooler(ref)
  return session({ host, port, database, username: database, password: PASSWORD, ...more })
}

describe('a project', () => {
  test('comes up, then its services do, in the time that is set', async () => {
    await start({ timings: { comingUpMs: 90_000, servicesMs: 20_000 } })
    const { ref } = await create('one', { region_selection: { type: 'specific', code: 'eu-central-1' } })
    expect([await status(ref), await health(ref)]).toEqual(['COMING_UP', ['COMING_UP']])
    now += 89_999
    expect(await status(ref)).toBe('COMING_UP')
    now += 1
    expect([await status(ref), await health(ref)]).toEqual(['ACTIVE_HEALTHY', ['COMING_UP']])
    now += 20_000
    expect(await health(ref)).toEqual(['ACTIVE_HEALTHY'])
    expect((await api.getProject(ref)).data).toMatchObject({ ref, name: 'one', region: 'eu-central-1' })
  })

  test('takes the vendor’s times with a clock that runs faster', () => {
    expect(timingsAt(60).comingUpMs).toBe(timingsAt(1).comingUpMs / 60)
  })

  test.each([
    ['from the start', async () => emulator.setTimings({ comingUpMs: Number.POSITIVE_INFINITY })],
    ['in COMING_UP', async (ref: string) => emulator.changeProject(ref, { status: 'COMING_UP' })],
    ['in PAUSING', async (ref: string) => emulator.changeProject(ref, { status: 'PAUSING' })],
    ['in RESTORING', async (ref: string) => emulator.changeProject(ref, { status: 'RESTORING' })],
  ] as const)('can hang %s until it is told to go on', async (where, hang) => {
    await hang((await create('other')).ref)
    const { ref } = await create('hangs')
    if (where !== 'from the start') await hang(ref)
    now += 7 * 86_400_000
    expect(await status(ref)).not.toBe('ACTIVE_HEALTHY')
    emulator.changeProject(ref, { status: null, hangs: false })
    expect(await status(ref)).toBe('ACTIVE_HEALTHY')
  })

  test('whose service is ill says which', async () => {
    const { ref } = await create('ill')
    emulator.changeProject(ref, { unhealthy: ['storage'] })
    const reply = await api.getServicesHealth(ref, { services: ['auth', 'storage'] })
    expect(reply.data).toMatchObject([
      { name: 'auth', healthy: true, status: 'ACTIVE_HEALTHY' },
      { name: 'storage', healthy: false, status: 'UNHEALTHY', error: expect.any(String) },
    ])
  })

  test('that is deleted is gone at once, with its database and the roles that it made', async () => {
    const { ref } = await create('gone')
    const { db_name: name } = await pooler(ref)
    const sql = await owner(ref)
    await sql.unsafe(`create role ${name}_app login`)
    expect((await api.deleteAProject(ref)).data).toMatchObject({ ref, name: 'gone' })
    expect(await refused(api.getProject(ref))).toEqual({ status: 404, message: 'Project not found' })
    expect(await refused(api.deleteAProject(ref))).toMatchObject({ status: 404 })
    const admin = session({ ...urlOptions(adminUrl) })
    const left = await admin`select from pg_database where datname = ${name}`
    const roles = await admin`select from pg_roles where rolname like ${`${name}%`}`
    expect([left.count, roles.count]).toEqual([0, 0])
  })

  test('of the free plan is paused and restored, and one of a paid plan is not', async () => {
    const paid = await create('paid')
    expect(await refused(api.pauseAProject(paid.ref))).toMatchObject({ status: 400 })
    emulator.setLimits({ isFree: 1 })
    emulator.setTimings({ pauseMs: 1000, restoreMs: 2000 })
    expect((await api.pauseAProject(paid.ref)).status).toBe(200)
    expect(await status(paid.ref)).toBe('PAUSING')
    expect(await refused(api.restoreAProject(paid.ref))).toEqual({
      status: 400,
      message: 'This project is no longer in a paused state, it is PAUSING',
    })
    now += 1000
    expect(await status(paid.ref)).toBe('INACTIVE')
    await expect((await owner(paid.ref))`select 1`).rejects.toThrow('INACTIVE')
    expect((await api.restoreAProject(paid.ref)).status).toBe(200)
    expect(await status(paid.ref)).toBe('RESTORING')
    now += 2000
    expect([...(await (await owner(paid.ref))`select 1 as one`)]).toEqual([{ one: 1 }])
  })
})

function urlOptions(url: string) {
  const { hostname: host, port, pathname, username, password } = new URL(url)
  return { host, port: Number(port), database: pathname.slice(1), username, password }
}

describe('a project’s database', () => {
  test('belongs to a role that makes roles and is no superuser, with the services’ roles beside it', async () => {
    const { ref } = await create('roles')
    const sql = await owner(ref)
    const [row] = await sql`
      select r.rolsuper, r.rolcreaterole, r.rolbypassrls, pg_get_userbyid(d.datdba) = r.rolname as is_owner,
        (select array_agg(g.rolname::text order by g.rolname) from pg_auth_members m join pg_roles g on g.oid = m.roleid
          where m.member = r.oid) as member_of
      from pg_roles r, pg_database d where r.rolname = current_user and d.datname = current_database()`
    expect(row).toMatchObject({
      rolsuper: false,
      rolcreaterole: true,
      rolbypassrls: true,
      is_owner: true,
      member_of: [
        'anon',
        'authenticated',
        'pg_monitor',
        'pg_read_all_data',
        'pg_signal_backend',
        'service_role',
        'supabase_privileged_role',
      ],
    })
    await sql`create table open_to_all (n int)`
    const [grants] = await sql`select has_table_privilege('anon', 'open_to_all', 'select, insert') as anon`
    expect(grants).toEqual({ anon: true })
  })

  test('is reached as through the pooler too, where the ref stands behind the name', async () => {
    const { ref } = await create('pooled')
    const { db_user: username, db_name: name } = await pooler(ref)
    expect(username).toBe(`${name}.${ref}`)
    const sql = await owner(ref, { username })
    expect([...(await sql`select current_database() as name`)]).toEqual([{ name }])
  })

  test('lets in nobody with another password, and takes a new one', async () => {
    const { ref } = await create('password')
    await expect((await owner(ref, { password: 'wrong' }))`select 1`).rejects.toThrow('authentication failed')
    const password = 'another-password'
    expect((await api.updateDatabasePassword(ref, { password })).status).toBe(200)
    await expect((await owner(ref))`select 1`).rejects.toThrow('authentication failed')
    expect([...(await (await owner(ref, { password }))`select 1 as one`)]).toEqual([{ one: 1 }])
  })

  test('takes no connection while the project comes up', async () => {
    await start({ timings: { comingUpMs: 1000 } })
    const { ref } = await create('early')
    await expect((await owner(ref))`select 1`).rejects.toThrow('COMING_UP')
    now += 1000
    await expect((await owner(ref))`select 1`).resolves.toHaveLength(1)
  })

  test('is unknown to another project’s role', async () => {
    const [one, two] = [await create('one'), await create('two')]
    const { db_name: other } = await pooler(two.ref)
    await expect((await owner(one.ref, { username: other }))`select 1`).rejects.toThrow('permission denied')
  })
})

describe('keys', () => {
  test('are of the new kind and the old, and the secret ones show only when they are revealed', async () => {
    const { ref } = await create('keys')
    const [shown, revealed] = [await keys(ref, false), await keys(ref, true)]
    expect(Object.keys(revealed)).toEqual([
      ...['legacy anon', 'legacy service_role'],
      ...['publishable default', 'secret default'],
    ])
    expect(revealed['publishable default']).toMatch(/^sb_publishable_\w{22}_\w{8}$/)
    expect(revealed['secret default']).toMatch(/^sb_secret_\w{22}_\w{8}$/)
    expect(shown['publishable default']).toBe(revealed['publishable default'])
    for (const name of ['secret default', 'legacy service_role'])
      expect([shown[name]?.endsWith('···'), shown[name] === revealed[name]]).toEqual([true, false])
    const [, claims = ''] = revealed['legacy service_role']?.split('.') ?? []
    expect(JSON.parse(Buffer.from(claims, 'base64url').toString())).toMatchObject({
      role: 'service_role',
      ref,
    })
  })

  test('are only of the old kind, where the project has no others', async () => {
    emulator.setLimits({ hasLegacyKeysOnly: 1 })
    const { ref } = await create('old')
    expect(Object.keys(await keys(ref, true))).toEqual(['legacy anon', 'legacy service_role'])
  })

  test('are made and deleted', async () => {
    const { ref } = await create('rotated')
    const made = await api.createProjectApiKey(ref, { type: 'secret', name: 'second' })
    if (made.status !== 201) throw new Error(`status ${made.status}`)
    expect(await keys(ref, true)).toMatchObject({ 'secret second': made.data.api_key })
    expect((await api.deleteProjectApiKey(ref, made.data.id ?? '')).status).toBe(200)
    expect(Object.keys(await keys(ref, true))).not.toContain('secret second')
  })
})

test('secrets are added, replaced, listed and deleted', async () => {
  const { ref } = await create('secrets')
  const add = (name: string, value: string) => api.bulkCreateSecrets(ref, [{ name, value }])
  expect((await add('ONE', '1')).status).toBe(201)
  await add('ONE', '2')
  await add('TWO', '3')
  await api.bulkDeleteSecrets(ref, ['TWO'])
  expect((await api.listAllSecrets(ref)).data).toMatchObject([{ name: 'ONE', value: '2' }])
  expect(await refused(add('SUPABASE_URL', 'x'))).toMatchObject({ status: 400 })
})

describe('lists', () => {
  test('of an organization are searched, sorted and paged', async () => {
    for (const name of ['client-b', 'client-a', 'other']) await create(name)
    const page = async (query: Parameters<SupabaseManagementAPI['getAllProjectsForOrganization']>[1]) => {
      const reply = await api.getAllProjectsForOrganization(emulator.organizationSlug, query)
      if (reply.status !== 200) throw new Error(`status ${reply.status}`)
      return { names: reply.data.projects.map(({ name }) => name), ...reply.data.pagination }
    }
    expect(await page({ search: 'CLIENT' })).toEqual({
      names: ['client-a', 'client-b'],
      ...{ count: 2, limit: 100, offset: 0 },
    })
    expect((await page({ sort: 'created_desc', limit: 2 })).names).toEqual(['other', 'client-a'])
    expect((await page({ sort: 'created_asc', limit: 2, offset: 2 })).names).toEqual(['other'])
    expect((await page({ statuses: 'INACTIVE' })).names).toEqual([])
    expect(await refused(api.getAllProjectsForOrganization('another'))).toMatchObject({ status: 404 })
  })

  test('have the organization with its plan', async () => {
    const slug = emulator.organizationSlug
    expect((await api.listAllOrganizations()).data).toMatchObject([{ slug }])
    expect((await api.getAnOrganization(slug)).data).toMatchObject({ plan: 'pro' })
    emulator.setLimits({ isFree: 1 })
    expect((await api.getAnOrganization(slug)).data).toMatchObject({ plan: 'free' })
    expect(await refused(api.getAnOrganization('another'))).toMatchObject({ status: 404 })
  })

  test('of regions are those that a project can be made in, and have none in Africa', async () => {
    const { data } = await api.getAvailableRegions({ organization_slug: emulator.organizationSlug })
    const codes = data.all.specific.map(({ code }) => String(code))
    for (const code of codes)
      await create(code, { region_selection: { type: 'specific', code: code as 'us-east-1' } })
    expect(codes.some((code) => code.startsWith('af-'))).toBe(false)
    const asked = { region: 'af-south-1' } as unknown as { region: 'us-east-1' }
    const body = { name: 'a', organization_slug: emulator.organizationSlug, db_pass: PASSWORD }
    expect(await refused(api.createAProject({ ...body, ...asked }))).toMatchObject({ status: 400 })
  })
})

describe('refusals', () => {
  const body = () => ({ name: 'refused', organization_slug: emulator.organizationSlug, db_pass: PASSWORD })

  test('401 for another token', async () => {
    const stranger = new SupabaseManagementAPI({ accessToken: 'sbp_other', baseUrl: emulator.url })
    expect(await refused(stranger.listAllProjects())).toEqual({ status: 401, message: 'Unauthorized' })
  })

  test.each([
    ['a field that is missing', { name: undefined }],
    ['a field that there is not', { db_password: 'x' }],
    ['a size that there is not', { desired_instance_size: 'huge' }],
    ['a name that is too long', { name: 'n'.repeat(257) }],
    ['an organization that cannot be one', { organization_slug: 'a b' }],
  ])('400 for %s', async (_what, change) => {
    const wanted = { ...body(), ...change } as unknown as V1CreateProjectBody
    expect(await refused(api.createAProject(wanted))).toMatchObject({
      status: 400,
      message: expect.stringMatching(/\w/),
    })
    expect(emulator.stats.projects).toBe(0)
  })

  test('400 for a ref that cannot be one, and for a service that there is not', async () => {
    expect(await refused(api.getProject('NOT-A-REF'))).toMatchObject({ status: 400 })
    const { ref } = await create('one')
    const named = 'mail' as unknown as 'auth'
    expect(await refused(api.getServicesHealth(ref, { services: [named] }))).toMatchObject({ status: 400 })
  })

  test('402 for a size on the free plan, and for open invoices', async () => {
    emulator.setLimits({ isFree: 1 })
    expect(await refused(api.createAProject({ ...body(), desired_instance_size: 'small' }))).toEqual({
      status: 402,
      message: 'Instance size cannot be specified for free plan organizations.',
    })
    emulator.setLimits({ isFree: 0, isOverdue: 1 })
    expect(await refused(api.createAProject(body()))).toMatchObject({ status: 402 })
  })

  test('400 for a third project on the free plan, however many come at once', async () => {
    emulator.setLimits({ isFree: 1 })
    const made = await Promise.allSettled(Array.from({ length: 4 }, () => api.createAProject(body())))
    expect(made.map((reply) => reply.status).sort()).toEqual([
      'fulfilled',
      'fulfilled',
      'rejected',
      'rejected',
    ])
    expect(await refused(api.createAProject(body()))).toEqual({
      status: 400,
      message: expect.stringMatching(
        /reached their maximum limits for the number of active free projects.*\(2 project limit\)/,
      ),
    })
  })

  test('403 for a token that may not write, and for one that may not reveal keys', async () => {
    const { ref } = await create('one')
    emulator.setLimits({ mayWrite: 0, mayReveal: 0 })
    for (const request of [
      () => api.createAProject(body()),
      () => api.deleteAProject(ref),
      () => api.getProjectApiKeys(ref, { reveal: true }),
    ])
      expect(await refused(request())).toMatchObject({
        status: 403,
        message: expect.stringContaining('does not have the necessary privileges'),
      })
    expect((await api.getProjectApiKeys(ref)).status).toBe(200)
  })

  test('429 after 120 requests in a minute, with the headers that say when it is over', async () => {
    await start({ limits: {} })
    const { ref } = await create('limited')
    for (let used = 1; used < 120; used++) await api.listAllProjects()
    const { status, data, headers } = await refusal(api.listAllProjects())
    expect({ status, data }).toEqual({
      status: 429,
      data: { message: 'ThrottlerException: Too Many Requests' },
    })
    expect([headers.get('x-ratelimit-limit'), headers.get('x-ratelimit-remaining')]).toEqual(['120', '0'])
    expect(headers.get('x-ratelimit-reset')).toBe('60')
    // Each project is counted by itself.
    expect((await api.getProject(ref)).status).toBe(200)
    now += 60_000
    expect((await api.listAllProjects()).status).toBe(200)
  })
})

describe('the contract', () => {
  test('has every operation that the emulator has, and the vendor’s client asks at the same address', async () => {
    const contract = new SupabaseContract()
    const asked: Record<string, string> = {}
    const package_ = await import('supabase-management-js')
    const realFetch = globalThis.fetch
    globalThis.fetch = async (address, init) => {
      asked[String(asking)] = `${init?.method} ${new URL(String(address)).pathname}`
      return new Response('{}', { headers: { 'content-type': 'application/json' } })
    }
    let asking = ''
    try {
      for (const name of Object.keys(OPERATIONS)) {
        asking = name
        const ask = package_[name as 'v1ListAllProjects'] as unknown as (
          ...values: unknown[]
        ) => Promise<unknown>
        await ask('REF', 'ID')
      }
    } finally {
      globalThis.fetch = realFetch
    }
    for (const [name, route] of Object.entries(asked))
      expect(contract.match(...(route.split(' ') as [string, string]))?.name).toBe(name)
    expect(Object.keys(asked)).toEqual(Object.keys(OPERATIONS))
  })

  test('refuses a reply of ours that breaks it', () => {
    const contract = new SupabaseContract()
    expect(contract.replyProblem('v1UpdateDatabasePassword', 200, { message: 'yes' })).toBeUndefined()
    expect(contract.replyProblem('v1UpdateDatabasePassword', 200, {})).toContain('message')
    expect(contract.replyProblem('v1UpdateDatabasePassword', 204, undefined)).toContain('no reply')
    const project = { id: 'a', ref: 'short', organization_id: 'o', organization_slug: 'o' }
    expect(contract.replyProblem('v1CreateAProject', 201, { ...project, status: 'READY' })).toBeDefined()
  })

  test('reads the forms of types that the vendor’s generator writes', () => {
    const types = new TypeSchemas(`
declare const Colour: {
    readonly red: "red";
    readonly 'dark-blue': "dark-blue";
};
type Colour = typeof Colour[keyof typeof Colour] | null;
interface Thing {
    /**
     * Its name; really.
     * @minLength 2
     * @pattern ^[a-z]+$
     */
    name: string;
    'a-b'?: (1 | 'two')[];
    colour: Colour;
    rest: {
        [key: string]: unknown;
    };
}
type Both = Thing & {
    other: boolean;
};`)
    expect(types.schema('Both')).toEqual({
      allOf: [
        {
          type: 'object',
          properties: {
            name: { type: 'string', minLength: 2, pattern: '^[a-z]+$' },
            'a-b': { type: 'array', items: { anyOf: [{ const: 1 }, { const: 'two' }] } },
            colour: { anyOf: [{ enum: ['red', 'dark-blue'] }, { type: 'null' }] },
            rest: { type: 'object', properties: {}, required: [] },
          },
          required: ['name', 'colour', 'rest'],
        },
        { type: 'object', properties: { other: { type: 'boolean' } }, required: ['other'] },
      ],
    })
  })
})

test('faults strike by the vendor’s names of operations', async () => {
  emulator.faults.add({
    match: { operation: 'v1CreateAProject' },
    action: { type: 'act_then_reset' },
    times: 1,
  })
  await expect(create('lost reply')).rejects.toThrow('fetch failed')
  expect((await api.listAllProjects()).data).toMatchObject([{ name: 'lost reply' }])
  expect(emulator.stats.calls).toEqual({ v1CreateAProject: 1, v1ListAllProjects: 1 })
  emulator.faults.add({ action: { type: 'status', status: 429, retryAfterSeconds: 7 } })
  const { status, headers } = await refusal(api.listAllProjects())
  expect([status, headers.get('x-ratelimit-reset')]).toEqual([429, '7'])
})

test('a project is made to hang over the control address', async () => {
  const { ref } = await create('controlled')
  const patch = (address: string, body: unknown) =>
    fetch(`${emulator.url}/_emulator/projects/${address}`, { method: 'PATCH', body: JSON.stringify(body) })
  expect(await (await patch(ref, { status: 'RESTORING' })).json()).toEqual({ ref, status: 'RESTORING' })
  expect((await patch('unknown', {})).status).toBe(404)
  expect((await patch(ref, { status: 'DREAMING' })).status).toBe(400)
})

test('the state file keeps projects over a restart, and what a kill left half made is dropped', async () => {
  const place = await mkdtemp(path.join(tmpdir(), 'supabase-emulator-'))
  try {
    const stateFile = path.join(place, 'supabase.jsonl')
    await start({ stateFile, timings: { comingUpMs: Number.POSITIVE_INFINITY } })
    const { ref } = await create('kept')
    const revealed = await keys(ref, true)
    await emulator.stop()
    const admin = session(urlOptions(adminUrl))
    await admin.unsafe('create role supabase_0123456789abcdef')
    await admin.unsafe('create database supabase_0123456789abcdef template template0')
    appendFileSync(stateFile, '[{"type":"database","id":"supabase_0123456789abcdef","value":{}}]\n')
    appendFileSync(stateFile, '[{"type":"project","id":"torn"')
    emulator = await launch({ stateFile })
    api = new SupabaseManagementAPI({ accessToken: TOKEN, baseUrl: emulator.url })
    expect([await status(ref), await keys(ref, true)]).toEqual(['COMING_UP', revealed])
    emulator.changeProject(ref, { hangs: false })
    expect([...(await (await owner(ref))`select 1 as one`)]).toEqual([{ one: 1 }])
    expect(await admin`select from pg_database where datname = 'supabase_0123456789abcdef'`).toHaveLength(0)
  } finally {
    await rm(place, { recursive: true, force: true })
  }
})
