import { once } from 'node:events'
import { appendFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { type Api, createApiClient, type ProjectCreateRequest } from '@neondatabase/api-client'
import postgres from 'postgres'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  type NeonEmulator,
  type NeonEmulatorOptions,
  startNeonEmulator,
} from '../../local/emulators/neon/emulator.ts'
import { NEON_PLANS } from '../../local/emulators/neon/options.ts'
import { type PostgresServer, startPostgres } from '../../local/postgres/server.ts'
import { THROWAWAY_SETTINGS } from '../../local/postgres/throwaway.ts'
import { freePort } from '../../tools/ports.ts'
import { makeQuickDirectory } from '../support/quick-directory.ts'

const API_KEY = 'napi_local'
const unlimited = {
  requestsPerMinute: Number.POSITIVE_INFINITY,
  requestsPerSecondPerRoute: Number.POSITIVE_INFINITY,
}

let directory: string
let server: PostgresServer
let adminUrl: string
let emulator: NeonEmulator
let neon: Api<unknown>
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
  const left = await sql`select datname from pg_database where datname like 'neon\\_%'`
  // That one is the server's, and stays for the next emulator.
  const roles =
    await sql`select rolname from pg_roles where rolname like 'neon\\_%' and rolname <> 'neon_superuser'`
  await sql.end()
  await server.stop('immediate')
  await rm(directory, { recursive: true, force: true })
  expect([...left, ...roles]).toEqual([])
})

async function start(options: Partial<NeonEmulatorOptions>): Promise<void> {
  await emulator?.stop({ drop: true })
  emulator = await launch(options)
  neon = createApiClient({ apiKey: API_KEY, baseURL: emulator.url, validateStatus: () => true })
}

function launch(options: Partial<NeonEmulatorOptions>): Promise<NeonEmulator> {
  return startNeonEmulator({ adminUrl, apiKey: API_KEY, clock: () => now, limits: unlimited, ...options })
}

let serial = 0
/** A project whose role and database are its own alone, as our bundle asks for. */
async function createProject(project: ProjectCreateRequest['project'] = {}) {
  const unique = `tenant_${++serial}`
  const reply = await neon.createProject({
    project: { name: unique, branch: { role_name: unique, database_name: unique }, ...project },
  })
  expect(reply.status, JSON.stringify(reply.data)).toBe(201)
  return reply.data
}

type Created = Awaited<ReturnType<typeof createProject>>

const uri = (created: Created) => created.connection_uris[0]?.connection_uri ?? ''

function session(url: string, options: postgres.Options<Record<string, never>> = {}): postgres.Sql {
  const sql = postgres(url, { max: 1, connect_timeout: 5, onnotice: () => undefined, ...options })
  open.push(sql)
  return sql
}

const whoAmI = async (sql: postgres.Sql) =>
  (await sql`select current_user as role, current_database() as name`)[0]

async function state(created: Created): Promise<string> {
  const { data } = await neon.getProjectEndpoint(created.project.id, created.endpoints[0]?.id ?? '')
  return data.endpoint.current_state
}

async function control(method: string, address: string, body: unknown) {
  const reply = await fetch(new URL(`/_emulator${address}`, emulator.url), {
    method,
    body: JSON.stringify(body),
  })
  return { status: reply.status, body: await reply.json() }
}

describe('a created project', () => {
  test('is a real database that its own role owns, and the reply says how to reach it', async () => {
    const created = await createProject({ name: 'org-1', region_id: 'aws-eu-central-1' })
    expect(created).toMatchObject({
      project: { name: 'org-1', region_id: 'aws-eu-central-1', platform_id: 'aws', pg_version: 17 },
      connection_uris: [
        {
          connection_parameters: {
            host: '127.0.0.1',
            pooler_host: '127.0.0.1',
            database: `tenant_${serial}`,
          },
        },
      ],
      roles: [{ name: `tenant_${serial}`, password: expect.stringMatching(/^npg_\w+$/) }],
      databases: [{ name: `tenant_${serial}`, owner_name: `tenant_${serial}` }],
      branch: { name: 'main', default: true, current_state: 'ready' },
      endpoints: [{ type: 'read_write', current_state: 'active', host: '127.0.0.1' }],
      operations: [{ action: 'create_timeline' }, { action: 'start_compute' }],
    })
    expect(new URL(uri(created)).port).toBe(String(emulator.postgresPort))
    const sql = session(uri(created))
    await sql`create schema app`
    await sql`create table app.things (id bigint generated always as identity, name text)`
    await sql`insert into app.things (name) values ('ü')`
    expect(await sql`select name from app.things`).toEqual([{ name: 'ü' }])
  })

  test('cannot be entered with another project’s role, which is a member of neon_superuser as at Neon', async () => {
    const [one, two] = [await createProject(), await createProject()]
    const sql = session(uri(one))
    const rights = (name: string) => sql`
      select rolsuper, rolcreaterole, rolcreatedb, rolbypassrls, rolreplication from pg_roles where rolname = ${name}`
    const asNeon = {
      ...{ rolsuper: false, rolcreaterole: true },
      ...{ rolcreatedb: true, rolbypassrls: true, rolreplication: true },
    }
    expect(await rights(String((await whoAmI(sql))?.role))).toEqual([asNeon])
    expect(await rights('neon_superuser')).toEqual([asNeon])
    const memberships = await sql`
      select roleid::regrole::text as role, admin_option as admin from pg_auth_members
      where member in ('neon_superuser'::regrole, current_user::regrole) order by 1`
    expect(memberships.map(({ role, admin }) => `${role}${admin ? ', admin' : ''}`)).toEqual([
      'neon_superuser',
      'pg_create_subscription',
      'pg_monitor, admin',
      'pg_read_all_data',
      'pg_signal_backend, admin',
      'pg_write_all_data',
    ])
    const theirs = await session(uri(two))`select current_database() as name`
    // Behind the proxy's back, on the server itself.
    const direct = new URL(server.url(String(theirs[0]?.name), String((await whoAmI(sql))?.role)))
    direct.password = one.roles[0]?.password ?? ''
    await expect(session(direct.href)`select 1`).rejects.toMatchObject({ code: '42501' })
    const swapped = new URL(uri(one))
    swapped.password = two.roles[0]?.password ?? ''
    await expect(session(swapped.href)`select 1`).rejects.toMatchObject({ code: '28P01' })
  })

  test('gets Neon’s default names when none are asked for', async () => {
    const { data } = await neon.createProject({ project: {} })
    expect(data.databases[0]).toMatchObject({ name: 'neondb', owner_name: 'neondb_owner' })
    expect(data.project.name).toBe(data.project.id)
  })

  test('is a second one when the same request comes twice', async () => {
    const [one, two] = [await createProject({ name: 'same' }), await createProject({ name: 'same' })]
    expect(one.project.id).not.toBe(two.project.id)
    expect((await neon.listProjects({ search: 'same' })).data.projects).toHaveLength(2)
  })

  test('keeps its settings and shows them', async () => {
    const quota = { active_time_seconds: 3600, logical_size_bytes: 1_000_000 }
    const created = await createProject({
      settings: { quota },
      default_endpoint_settings: {
        autoscaling_limit_min_cu: 0.5,
        autoscaling_limit_max_cu: 2,
        suspend_timeout_seconds: 60,
      },
      history_retention_seconds: 0,
      store_passwords: false,
    })
    expect(created.project).toMatchObject({ settings: { quota }, history_retention_seconds: 0 })
    expect(created.endpoints[0]).toMatchObject({
      autoscaling_limit_min_cu: 0.5,
      autoscaling_limit_max_cu: 2,
      suspend_timeout_seconds: 60,
    })
    const { id } = created.project
    const changed = await neon.updateProject(id, {
      project: { name: 'renamed', settings: { quota: { active_time_seconds: 1 } } },
    })
    expect(changed.data.project).toMatchObject({
      name: 'renamed',
      settings: { quota: { active_time_seconds: 1 } },
    })
    expect((await neon.getProject(id)).data.project.name).toBe('renamed')
    const password = await neon.getProjectBranchRolePassword(
      id,
      created.branch.id,
      created.roles[0]?.name ?? '',
    )
    expect(password.status).toBe(412)
  })

  test('says how large its database is, without being woken', async () => {
    const created = await createProject()
    now += 301_000
    const { data } = await neon.getProject(created.project.id)
    expect(data.project.synthetic_storage_size).toBeGreaterThan(1_000_000)
    expect(await state(created)).toBe('idle')
    expect(emulator.stats.wakeUps).toBe(0)
  })
})

describe('lists of projects', () => {
  test('match a part of name or id, and page through everything exactly once', async () => {
    for (const name of ['org-a', 'org-b', 'other', 'org-c', 'org-d']) await createProject({ name })
    const seen: string[] = []
    let cursor: string | undefined
    do {
      const { data } = await neon.listProjects({ search: 'RG-', limit: 2, ...(cursor ? { cursor } : {}) })
      seen.push(...data.projects.map(({ name }) => name))
      cursor = data.pagination?.cursor
    } while (cursor !== undefined)
    expect(seen).toEqual(['org-a', 'org-b', 'org-c', 'org-d'])
    const [first] = (await neon.listProjects({ limit: 1 })).data.projects
    const byId = await neon.listProjects({ search: first?.id.slice(3) ?? '' })
    expect(byId.data.projects.map(({ id }) => id)).toEqual([first?.id])
    expect((await neon.listProjects({ limit: 401 })).status).toBe(400)
    expect((await neon.listProjects({ cursor: 'nonsense' })).status).toBe(400)
  })

  test('can leave out a project that could not be fetched, and say so', async () => {
    const { id } = (await createProject({ name: 'slow' })).project
    await control('PATCH', `/projects/${id}`, { unavailable: true })
    const { data } = await neon.listProjects({ search: 'slow' })
    expect(data).toMatchObject({ projects: [], unavailable_project_ids: [id] })
    expect((await neon.getProject(id)).status).toBe(200)
    await control('PATCH', `/projects/${id}`, { unavailable: false })
    const again = await neon.listProjects({ search: 'slow' })
    expect(again.data.projects).toHaveLength(1)
    expect(again.data).not.toHaveProperty('unavailable_project_ids')
  })

  test('can be limited to an organization', async () => {
    await createProject({ name: 'theirs', org_id: 'org-one-1' })
    await createProject({ name: 'ours' })
    const { data } = await neon.listProjects({ org_id: 'org-one-1' })
    expect(data.projects.map(({ name }) => name)).toEqual(['theirs'])
  })
})

describe('a deleted project', () => {
  test('is unreachable at once, and can be recovered with its data for seven days', async () => {
    const created = await createProject()
    const { id } = created.project
    const sql = session(uri(created))
    await sql`create table kept (n int)`
    expect((await neon.deleteProject(id)).data.project.id).toBe(id)
    await expect(sql`select 1`).rejects.toThrow()
    await expect(session(uri(created))`select 1`).rejects.toMatchObject({ code: '28P01' })
    expect((await neon.getProject(id)).status).toBe(404)
    expect((await neon.listProjects({})).data.projects).toEqual([])
    expect((await neon.deleteProject(id)).status).toBe(404)
    const { data } = await neon.listProjects({ recoverable: true })
    expect(data.projects).toMatchObject([{ id, deleted_at: '2026-09-01T00:00:00Z' }])
    expect((await neon.recoverProject(id)).status).toBe(200)
    expect(await session(uri(created))`select count(*)::int as n from kept`).toEqual([{ n: 0 }])
  })

  test('is dropped for good after seven days, role and all', async () => {
    const created = await createProject()
    const physical = String((await whoAmI(session(uri(created))))?.name)
    await neon.deleteProject(created.project.id)
    const exists = async () => {
      const sql = session(adminUrl)
      const found = await sql`select from pg_database where datname = ${physical}
        union all select from pg_roles where rolname = ${physical}`
      return found.length
    }
    now += 7 * 24 * 3600 * 1000 - 1
    await neon.listProjects({})
    expect(await exists()).toBe(2)
    now += 1
    await neon.listProjects({})
    expect(await exists()).toBe(0)
    expect((await neon.recoverProject(created.project.id)).status).toBe(404)
  })
})

describe('operations', () => {
  test('run for their time; meanwhile changes get 423 and connections are held', async () => {
    emulator.setTimings({ operationMs: 1000 })
    const created = await createProject()
    const { id } = created.project
    const [first, second] = created.operations
    expect([first?.status, second?.status]).toEqual(['running', 'scheduling'])
    expect(await state(created)).toBe('init')
    expect((await neon.deleteProject(id)).status).toBe(423)
    expect((await neon.updateProject(id, { project: { name: 'x' } })).status).toBe(423)
    let connected = false
    const connecting = whoAmI(session(uri(created))).then(() => {
      connected = true
    })
    now += 999
    await new Promise((resolve) => setTimeout(resolve, 60))
    expect(connected).toBe(false)
    now += 1
    await connecting
    const operation = await neon.getProjectOperation(id, second?.id ?? '')
    expect(operation.data.operation).toMatchObject({ status: 'finished', total_duration_ms: 1000 })
    const { data } = await neon.listProjectOperations({ projectId: id, limit: 1 })
    expect(data.operations).toMatchObject([{ action: 'start_compute', status: 'finished' }])
    expect((await neon.updateProject(id, { project: { name: 'x' } })).status).toBe(200)
    expect((await neon.getProjectOperation(id, crypto.randomUUID())).status).toBe(404)
  })

  test('creation, reading and waking take the time that they are given', async () => {
    await start({ clock: Date.now, timings: { createMs: 150, wakeMs: 120, readMs: 80 } })
    const timed = async (work: () => Promise<unknown>) => {
      const began = performance.now()
      await work()
      return performance.now() - began
    }
    let created: Created | undefined
    expect(await timed(async () => (created = await createProject()))).toBeGreaterThanOrEqual(149)
    if (created === undefined) throw new Error('nothing was created')
    const project = created
    expect(await timed(() => neon.getProject(project.project.id))).toBeGreaterThanOrEqual(79)
    await control('PATCH', `/projects/${project.project.id}`, { suspended: true })
    expect(await timed(() => whoAmI(session(uri(project))))).toBeGreaterThanOrEqual(119)
  })
})

describe('a compute', () => {
  test('sleeps when nobody was connected for its timeout, and a connection wakes it', async () => {
    const created = await createProject({ default_endpoint_settings: { suspend_timeout_seconds: 60 } })
    expect(await state(created)).toBe('active')
    const sql = session(uri(created))
    await whoAmI(sql)
    now += 3_600_000
    expect(await state(created)).toBe('active')
    await sql.end()
    await expect.poll(() => emulator.stats.openConnections).toBe(0)
    now += 59_999
    expect(await state(created)).toBe('active')
    now += 1
    expect(await state(created)).toBe('idle')
    expect(emulator.stats).toMatchObject({ wakeUps: 0, connections: 1 })
    await whoAmI(session(uri(created)))
    expect(await state(created)).toBe('active')
    expect(emulator.stats).toMatchObject({ wakeUps: 1, connections: 2, openConnections: 1 })
    const { data } = await neon.listProjects({})
    expect(data.projects[0]?.compute_last_active_at).toBe(new Date(now).toISOString().replace('.000', ''))
  })

  test('never sleeps with a timeout of -1, and after five minutes with 0', async () => {
    const never = await createProject({ default_endpoint_settings: { suspend_timeout_seconds: -1 } })
    const usual = await createProject({ default_endpoint_settings: { suspend_timeout_seconds: 0 } })
    now += 299_999
    expect([await state(never), await state(usual)]).toEqual(['active', 'active'])
    now += 1
    expect([await state(never), await state(usual)]).toEqual(['active', 'idle'])
  })

  test('is woken once by a burst of connections, which all wait for it', async () => {
    emulator.setTimings({ wakeMs: 500 })
    const created = await createProject()
    now += 301_000
    const sessions = Array.from({ length: 10 }, () => whoAmI(session(uri(created))))
    await expect.poll(() => emulator.stats.wakeUps).toBe(1)
    now += 500
    await Promise.all(sessions)
    expect(emulator.stats).toMatchObject({ wakeUps: 1, connections: 10 })
  })

  test('can be suspended, which cuts connections, and started over the API', async () => {
    const created = await createProject()
    const endpoint = created.endpoints[0]?.id ?? ''
    const sql = session(uri(created))
    await whoAmI(sql)
    const suspended = await neon.suspendProjectEndpoint(created.project.id, endpoint)
    expect(suspended.data.operations).toMatchObject([{ action: 'suspend_compute' }])
    expect(await state(created)).toBe('idle')
    await expect.poll(() => emulator.stats.openConnections).toBe(0)
    const started = await neon.startProjectEndpoint(created.project.id, endpoint)
    expect(started.data).toMatchObject({
      endpoint: { current_state: 'active' },
      operations: [{ action: 'start_compute' }],
    })
  })

  test('that is disabled or over quota refuses connections in Neon’s words', async () => {
    const created = await createProject()
    const endpoint = created.endpoints[0]?.id ?? ''
    const disable = (disabled: boolean) =>
      neon.updateProjectEndpoint(created.project.id, endpoint, { endpoint: { disabled } })
    await disable(true)
    await expect(session(uri(created))`select 1`).rejects.toThrow(/disabled/)
    await disable(false)
    await whoAmI(session(uri(created)))
    const quota = await control('PATCH', `/projects/${created.project.id}`, { quotaExceeded: true })
    expect(quota.body).toMatchObject({ state: 'idle' })
    await expect(session(uri(created))`select 1`).rejects.toMatchObject({
      severity: 'FATAL',
      message: expect.stringContaining('exceeded the compute time quota'),
    })
    expect((await neon.startProjectEndpoint(created.project.id, endpoint)).status).toBe(412)
    await control('PATCH', `/projects/${created.project.id}`, { quotaExceeded: false })
    await whoAmI(session(uri(created)))
    await control('PATCH', `/projects/${created.project.id}`, { quotaExceeded: 'data_transfer_bytes' })
    await expect(session(uri(created))`select 1`).rejects.toMatchObject({
      message: expect.stringContaining('exceeded the data transfer quota'),
    })
    await control('PATCH', `/projects/${created.project.id}`, { quotaExceeded: false })
    expect((await control('PATCH', `/projects/${created.project.id}`, { quota: 1 })).status).toBe(400)
    expect((await control('PATCH', '/projects/none', {})).status).toBe(404)
  })

  test('takes no more connections than its size allows', async () => {
    const created = await createProject()
    const sessions = Array.from({ length: 105 }, () => session(uri(created)))
    await Promise.all(sessions.map(whoAmI))
    await expect(session(uri(created))`select 1`).rejects.toMatchObject({ code: '53300' })
    await sessions[0]?.end()
    await expect.poll(() => emulator.stats.openConnections).toBe(104)
    await whoAmI(session(uri(created)))
  }, 60_000)
})

describe('the proxy', () => {
  test('tells projects with the same names apart by the endpoint option, and refuses without', async () => {
    const branch = { role_name: 'same', database_name: 'same' }
    const [one, two] = [await createProject({ branch }), await createProject({ branch })]
    await expect(session(uri(one))`select 1`).rejects.toMatchObject({
      severity: 'FATAL',
      message: expect.stringContaining('Endpoint ID is not specified'),
    })
    const withOption = (created: Created) =>
      session(uri(created), {
        connection: { options: `endpoint=${created.endpoints[0]?.id} -c search_path=elsewhere` },
      })
    const [first, second] = [withOption(one), withOption(two)]
    expect((await whoAmI(first))?.name).not.toBe((await whoAmI(second))?.name)
    expect(await first`show search_path`).toEqual([{ search_path: 'elsewhere' }])
  })

  test('refuses an unknown role, an unknown database and a wrong password', async () => {
    const created = await createProject()
    const change = (part: 'username' | 'pathname' | 'password', value: string) => {
      const url = new URL(uri(created))
      url[part] = value
      return session(url.href)`select 1`
    }
    await expect(change('username', 'stranger')).rejects.toMatchObject({ code: '28P01' })
    await expect(change('pathname', '/nowhere')).rejects.toMatchObject({ code: '3D000' })
    await expect(change('password', 'wrong')).rejects.toMatchObject({ code: '28P01' })
  })

  test('lets in roles that are made by SQL and named after the database, which go with it', async () => {
    const [one, two] = [await createProject(), await createProject()]
    const name = one.databases[0]?.name ?? ''
    await session(uri(one)).unsafe(`do $$ declare v_role text := current_database() || '_app'; begin
      execute format('create role %I login password %L', v_role, 'letmein');
      execute format('grant connect on database %I to %I', current_database(), v_role);
    end $$`)
    const as = (created: Created, role: string) => {
      const url = new URL(uri(created))
      url.username = role
      url.password = 'letmein'
      return session(url.href)
    }
    expect(await as(one, `${name}_app`)`select current_user like '%\_app' as it`).toEqual([{ it: true }])
    await expect(as(one, `${name}_nobody`)`select 1`).rejects.toMatchObject({ code: '28P01' })
    await expect(as(two, `${name}_app`)`select 1`).rejects.toMatchObject({ code: '28P01' })
  })

  test('says no to TLS, and still serves a client that asks first', async () => {
    const created = await createProject()
    expect(await whoAmI(session(uri(created), { ssl: 'prefer' }))).toBeDefined()
    await expect(session(uri(created), { ssl: 'require' })`select 1`).rejects.toThrow()
  })

  test('carries large results and large parameters both ways', async () => {
    const sql = session(uri(await createProject()))
    const text = 'x'.repeat(5_000_000)
    const [row] = await sql`select length(${text}) as sent, repeat('y', 20000000) as received`
    expect([row?.sent, row?.received.length]).toEqual([5_000_000, 20_000_000])
  })

  test('forwards the cancellation of a query', async () => {
    const sql = session(uri(await createProject()))
    const query = sql`select pg_sleep(20)`.execute()
    setTimeout(() => query.cancel(), 100)
    await expect(query).rejects.toMatchObject({ code: '57014' })
  })

  test('survives nonsense, half packets and clients that leave', async () => {
    const created = await createProject()
    for (const bytes of [Buffer.from('GET / HTTP/1.1\r\n\r\n'), Buffer.from([0, 0, 0, 9, 0, 3])]) {
      const socket = connect(emulator.postgresPort, '127.0.0.1')
      socket.on('error', () => undefined)
      await once(socket, 'connect')
      socket.end(bytes)
      socket.resume()
      await once(socket, 'close')
    }
    expect(await whoAmI(session(uri(created)))).toBeDefined()
    expect(emulator.stats.openConnections).toBe(1)
  })
})

describe('a password', () => {
  const reset = (created: Created) =>
    neon.resetProjectBranchRolePassword(created.project.id, created.branch.id, created.roles[0]?.name ?? '')
  const withPassword = (created: Created, password: string) => {
    const url = new URL(uri(created))
    url.password = password
    return whoAmI(session(url.href))
  }

  test('that is reset drops connections; the old one works until the operation has ended', async () => {
    const created = await createProject()
    const sql = session(uri(created))
    await whoAmI(sql)
    emulator.setTimings({ operationMs: 1000 })
    const { data } = await reset(created)
    expect(data.operations).toMatchObject([{ action: 'apply_config', status: 'running' }])
    const password = data.role.password ?? ''
    const old = created.roles[0]?.password ?? ''
    expect(password).not.toBe(old)
    await expect.poll(() => emulator.stats.openConnections).toBe(0)
    await withPassword(created, old)
    await expect(withPassword(created, password)).rejects.toMatchObject({ code: '28P01' })
    now += 1000
    await withPassword(created, password)
    await expect(withPassword(created, old)).rejects.toMatchObject({ code: '28P01' })
  })

  test('that is reset wakes an idle compute, and can be revealed and used in a URI', async () => {
    const created = await createProject()
    now += 301_000
    const password = (await reset(created)).data.role.password ?? ''
    expect(emulator.stats.wakeUps).toBe(1)
    const role = {
      projectId: created.project.id,
      branchId: created.branch.id,
      roleName: created.roles[0]?.name ?? '',
    }
    expect(
      (await neon.getProjectBranchRolePassword(role.projectId, role.branchId, role.roleName)).data.password,
    ).toBe(password)
    const query = { projectId: created.project.id, role_name: role.roleName, database_name: role.roleName }
    const { data } = await neon.getConnectionUri(query)
    expect(data.uri).toContain(password)
    await whoAmI(session(data.uri))
    expect((await neon.getConnectionUri({ ...query, database_name: 'other' })).status).toBe(404)
    const listed = await neon.listProjectBranchRoles(role.projectId, role.branchId)
    expect(listed.data.roles[0]).not.toHaveProperty('password')
  })
})

describe('refusals', () => {
  test('come in Neon’s shape with the request id', async () => {
    const reply = await fetch(`${emulator.url}/projects/none`, {
      headers: { authorization: `Bearer ${API_KEY}`, 'x-request-id': 'my-request' },
    })
    expect(reply.status).toBe(404)
    expect(await reply.json()).toEqual({ request_id: 'my-request', code: '', message: 'project not found' })
    const stranger = createApiClient({ apiKey: 'wrong', baseURL: emulator.url, validateStatus: () => true })
    expect((await stranger.listProjects({})).status).toBe(401)
  })

  test.each([
    [{ name: 'x'.repeat(257) }, '/project/name'],
    [{ name: '' }, '/project/name'],
    [{ region_id: 'aws-mars-1' }, 'region'],
    [{ pg_version: 13 }, '/project/pg_version'],
    [{ default_endpoint_settings: { suspend_timeout_seconds: 30 } }, 'suspend_timeout_seconds'],
    [{ default_endpoint_settings: { autoscaling_limit_min_cu: 0.1 } }, 'autoscaling_limit_min_cu'],
    [
      { default_endpoint_settings: { autoscaling_limit_min_cu: 2, autoscaling_limit_max_cu: 1 } },
      'autoscaling_limit_min_cu',
    ],
    [{ branch: { role_name: 'r'.repeat(64) } }, 'role_name'],
    [{ settings: { quota: { active_time_seconds: -1 } } }, 'active_time_seconds'],
  ])('a creation is refused with 400 that names what is wrong: case %#', async (project, name) => {
    const { status, data } = await neon.createProject({ project })
    expect(status).toBe(400)
    expect(JSON.stringify(data)).toContain(name)
    expect(emulator.stats.projects).toBe(0)
  })

  test('what the account’s plan does not have is refused, in a creation and in changes', async () => {
    const created = await createProject()
    const { id } = created.project
    const endpoint = created.endpoints[0]?.id ?? ''
    emulator.setLimits(NEON_PLANS.free)
    const suspend = { suspend_timeout_seconds: 300 }
    const history = { history_retention_seconds: 86_400 }
    const refusedSuspend = await Promise.all([
      neon.createProject({ project: { default_endpoint_settings: suspend } }),
      neon.updateProject(id, { project: { default_endpoint_settings: suspend } }),
      neon.updateProjectEndpoint(id, endpoint, { endpoint: suspend }),
    ])
    for (const { status, data } of refusedSuspend) {
      expect(status).toBe(412)
      expect(data).toMatchObject({
        message: 'modifying the suspend interval is not permitted on this account',
      })
    }
    const refusedHistory = await Promise.all([
      neon.createProject({ project: history }),
      neon.updateProject(id, { project: history }),
    ])
    for (const { status, data } of refusedHistory) {
      expect(status).toBe(400)
      expect(JSON.stringify(data)).toContain('exceeds allowed maximum')
    }
    const large = await neon.createProject({
      project: { default_endpoint_settings: { autoscaling_limit_max_cu: 4 } },
    })
    expect(large.status).toBe(400)
    expect(emulator.stats.projects).toBe(1)
    const plain = await neon.createProject({ project: {} })
    expect(plain.data.project.history_retention_seconds).toBe(21_600)
  })

  test('what Neon has and the emulator has not is 501, what Neon has not is 404', async () => {
    const { status, data } = await neon.listSnapshots('some-project')
    expect(status).toBe(501)
    expect(JSON.stringify(data)).toContain('It performs createProject')
    const reply = await fetch(`${emulator.url}/nothing`, { headers: { authorization: `Bearer ${API_KEY}` } })
    expect(reply.status).toBe(404)
  })

  test('no more projects are made than the plan allows, however many come at once', async () => {
    emulator.setLimits({ maxProjects: 3 })
    const replies = await Promise.all(
      Array.from({ length: 6 }, (_, index) => neon.createProject({ project: { name: `p${index}` } })),
    )
    expect(replies.map(({ status }) => status).sort()).toEqual([201, 201, 201, 422, 422, 422])
    const refused = replies.find(({ status }) => status === 422)
    expect(refused?.data).toMatchObject({ code: 'PROJECTS_LIMIT_EXCEEDED' })
    await neon.deleteProject(replies.find(({ status }) => status === 201)?.data.project.id ?? '')
    expect((await neon.createProject({ project: {} })).status).toBe(201)
  })

  test('more than 40 requests a second on a route get 429, another route does not', async () => {
    await start({ limits: {} })
    const replies = await Promise.all(Array.from({ length: 41 }, () => neon.listProjects({})))
    const refused = replies.filter(({ status }) => status === 429)
    expect(refused).toHaveLength(1)
    expect(refused[0]?.headers['retry-after']).toBe('1')
    expect((await neon.getActiveRegions({})).status).toBe(200)
    now += 25
    expect((await neon.listProjects({})).status).toBe(200)
    expect((await neon.listProjects({})).status).toBe(429)
  })

  test('more than the account may ask in a minute get 429 on every route', async () => {
    await start({ limits: { requestsPerMinute: 6 } })
    for (let index = 0; index < 6; index++) expect((await neon.listProjects({})).status).toBe(200)
    const refused = await neon.getActiveRegions({})
    expect([refused.status, refused.headers['retry-after']]).toEqual([429, '10'])
    now += 10_000
    expect((await neon.getActiveRegions({})).status).toBe(200)
  })
})

test('every operation replies as Neon’s OpenAPI file says', async () => {
  const created = await createProject()
  const { id } = created.project
  const [branch, endpoint] = [created.branch.id, created.endpoints[0]?.id ?? '']
  const name = created.roles[0]?.name ?? ''
  const replies = [
    await neon.getActiveRegions({}),
    await neon.listProjects({ limit: 400 }),
    await neon.getProject(id),
    await neon.updateProject(id, {
      project: { default_endpoint_settings: { suspend_timeout_seconds: 600 } },
    }),
    await neon.listProjectOperations({ projectId: id }),
    await neon.listProjectBranches({ projectId: id }),
    await neon.getProjectBranch(id, branch),
    await neon.listProjectEndpoints(id),
    await neon.listProjectBranchEndpoints(id, branch),
    await neon.getProjectEndpoint(id, endpoint),
    await neon.updateProjectEndpoint(id, endpoint, { endpoint: { autoscaling_limit_max_cu: 4 } }),
    await neon.suspendProjectEndpoint(id, endpoint),
    await neon.getProjectEndpoint(id, endpoint),
    await neon.startProjectEndpoint(id, endpoint),
    await neon.listProjectBranchDatabases(id, branch),
    await neon.getProjectBranchDatabase(id, branch, name),
    await neon.listProjectBranchRoles(id, branch),
    await neon.getProjectBranchRole(id, branch, name),
    await neon.resetProjectBranchRolePassword(id, branch, name),
    await neon.deleteProject(id),
    await neon.listProjects({ recoverable: true }),
    await neon.recoverProject(id),
  ]
  expect(replies.map(({ status, data }) => (status === 200 ? 200 : data))).toEqual(replies.map(() => 200))
  expect(replies[3]?.data).toMatchObject({
    project: { default_endpoint_settings: { suspend_timeout_seconds: 600 } },
  })
})

test('faults strike by Neon’s operation ids', async () => {
  emulator.faults.add({
    match: { operation: 'createProject', bodyIncludes: 'org-7' },
    action: { type: 'act_then_reset' },
    times: 1,
  })
  await createProject({ name: 'org-6' })
  await expect(createProject({ name: 'org-7' })).rejects.toThrow()
  const { data } = await neon.listProjects({ search: 'org-7' })
  expect(data.projects).toHaveLength(1)
  expect(emulator.stats.calls).toEqual({ createProject: 2, listProjects: 1 })
  emulator.faults.add({ action: { type: 'status', status: 503, retryAfterSeconds: 2 } })
  const reply = await neon.listProjects({})
  expect([reply.status, reply.headers['retry-after']]).toEqual([503, '2'])
  expect(reply.data).toMatchObject({ code: '', message: expect.any(String), request_id: expect.any(String) })
})

describe('the state file', () => {
  test('keeps projects over a restart, and what a kill left half made is dropped', async () => {
    const directory = await mkdtemp(path.join(tmpdir(), 'neon-emulator-'))
    try {
      const stateFile = path.join(directory, 'neon.jsonl')
      await start({ stateFile })
      const created = await createProject({ name: 'kept' })
      const sql = session(uri(created))
      await sql`create table kept (n int)`
      await sql.end()
      const { postgresPort } = emulator
      await emulator.stop()
      const admin = session(adminUrl)
      await admin.unsafe('create role neon_0123456789abcdef')
      await admin.unsafe('create database neon_0123456789abcdef template template0')
      appendFileSync(stateFile, '[{"type":"database","id":"neon_0123456789abcdef","value":{}}]\n')
      appendFileSync(stateFile, '[{"type":"project","id":"torn"')
      emulator = await launch({ stateFile, postgresPort })
      neon = createApiClient({ apiKey: API_KEY, baseURL: emulator.url, validateStatus: () => true })
      expect((await neon.listProjects({ search: 'kept' })).data.projects).toHaveLength(1)
      expect(await session(uri(created))`select * from kept`).toEqual([])
      const left = await admin`select from pg_database where datname = 'neon_0123456789abcdef'`
      expect(left).toHaveLength(0)
    } finally {
      await rm(directory, { recursive: true, force: true })
    }
  })
})

test('spare databases make a burst of creations quick, each with a database of its own', async () => {
  const admin = session(adminUrl)
  await emulator.fillSpares(20)
  const there = await admin<{ name: string }[]>`select datname as name from pg_database`
  const created = await Promise.all(Array.from({ length: 20 }, () => createProject()))
  const names = await Promise.all(created.map(async (one) => (await whoAmI(session(uri(one))))?.name))
  expect(new Set(names).size).toBe(20)
  expect(there.map(({ name }) => name)).toEqual(expect.arrayContaining(names))
})

test('a project whose database was removed to make room is listed as before, and opens no more', async () => {
  const created = await createProject({ name: 'emptied' })
  await emulator.dropDatabase(created.project.id)
  expect((await neon.listProjects({ search: 'emptied' })).data.projects).toHaveLength(1)
  await expect(session(uri(created))`select 1`).rejects.toThrow(/does not exist|authentication failed/)
})

test('a burst of creations without spares all succeed', async () => {
  const created = await Promise.all(Array.from({ length: 30 }, () => createProject()))
  expect(new Set(created.map(({ project }) => project.id)).size).toBe(30)
  expect(emulator.stats.projects).toBe(30)
})
