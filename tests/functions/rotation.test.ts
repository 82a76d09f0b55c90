import postgres from 'postgres'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Login, OUR_LOGINS } from '../../shared/tenant-database/roles.ts'
import { operatorOf, tenantsJson } from '../cli/cli.ts'
import { endEndpointConnections, serverNames } from '../support/endpoint-connections.ts'
import { type SignedUp, startTestProject, type TestProject, until } from '../support/project.ts'
import { apiConnection, loginConnection } from '../support/tenant-logins.ts'
import { ask, bearer } from './graphql-client.ts'

let project: TestProject
let person: SignedUp

beforeAll(async () => {
  project = await startTestProject()
  person = await project.signUp()
  await project.waitFor(person.organizationId)
})

afterAll(() => project?.stop())

const ROTATE =
  'mutation ($id: ID!, $hours: Int) { rotateCredentials(organizationId: $id, graceHours: $hours) { jobId } }'

async function rotate(hours?: number) {
  const { accessToken, organizationId: id } = person
  await project.sql`delete from provisioning.counted_calls`
  return ask(project, bearer(accessToken), ROTATE, { id, ...(hours === undefined ? {} : { hours }) })
}

interface EndedJob {
  readonly id: string
  readonly status: string
  readonly outputs: Readonly<Record<string, Readonly<Record<string, unknown>>>>
}

/** The newest job of a kind, when it has ended. */
async function ended(kind: string, not = ''): Promise<EndedJob> {
  const newest = async () => {
    const [job] = await project.sql<EndedJob[]>`
      select j.id, j.status, (select jsonb_object_agg(s.step, s.output) from public.provisioning_steps s where s.job_id = j.id)
        as outputs
      from public.provisioning_jobs j where j.organization_id = ${person.organizationId} and j.kind = ${kind}
      order by j.created_at desc limit 1`
    return job && job.id !== not && ['succeeded', 'failed'].includes(job.status) ? job : undefined
  }
  return project.whileTimePasses(`ended job ${kind}`, newest, person.organizationId)
}

async function rotated(hours?: number): Promise<EndedJob> {
  const reply = await rotate(hours)
  expect(reply.errors).toEqual([])
  const job = await ended('rotate_credentials')
  expect(job).toMatchObject({ id: reply.data.rotateCredentials.jobId, status: 'succeeded' })
  return job
}

interface Shown {
  readonly role: string
  readonly password: string
}

async function shown(): Promise<Shown> {
  const asked = { organization_id: person.organizationId, reveal_password: true }
  const { role, password } = (await person.client.rpc('database_connection', asked)).data as unknown as Shown
  return { role, password }
}

const loginOf = ({ role }: Shown) => (/_app_1$/.test(role) ? 'app_1' : 'app_2')
const otherThan = (shown: Shown) => (loginOf(shown) === 'app_1' ? 'app_2' : 'app_1')

/** Whether the server lets them in. */
async function opens({ role, password }: Shown): Promise<boolean> {
  const [row] = await project.sql<{ database: string }[]>`
    select database_name as database from public.organization_databases where organization_id = ${person.organizationId}`
  const address = {
    host: '127.0.0.1',
    port: project.neonEmulator.postgresPort,
    database: row?.database ?? '',
  }
  const sql = postgres({ ...address, username: role, password, max: 1, onnotice: () => undefined })
  return sql`select 1`
    .then(() => true)
    .catch((error: { code?: string }) => {
      if (error.code === '28P01' || error.code === '28000') return false
      throw error
    })
    .finally(() => sql.end({ timeout: 1 }))
}

/** As if the hours of grace had passed, but for what the tenant's server knows of them. */
async function letItEnd(): Promise<void> {
  await project.sql`update provisioning.tenant_logins set ends_at = now() - interval '1 second', look_at = now()
    where organization_id = ${person.organizationId} and ended_at is null`
}

async function suspend(suspended: boolean): Promise<void> {
  const [row] = await project.sql<{ id: string }[]>`
    select neon_project_id as id from public.organization_databases where organization_id = ${person.organizationId}`
  const address = new URL(`/_emulator/projects/${row?.id}`, project.neonEmulator.url)
  expect((await fetch(address, { method: 'PATCH', body: JSON.stringify({ suspended }) })).ok).toBe(true)
}

const secretOf = async (login: Login) =>
  (
    await project.sql<{ password: string }[]>`select decrypted_secret as password from vault.decrypted_secrets
      where name = provisioning.login_secret(${person.organizationId}, ${login})`
  )[0]?.password

describe('a rotation', () => {
  it('shows another login while the former one and its sessions live on, and ends those when the hours are over', async () => {
    const before = await shown()
    const session = await loginConnection(project, person.organizationId)
    await session`select 1`
    const job = await rotated()
    expect(job.outputs.new_login).toEqual({ login: 'app_2', former: 'app_1' })
    const after = await shown()
    expect(after.role).toBe(before.role.replace(/app_1$/, 'app_2'))
    expect(after.password).not.toBe(before.password)
    expect(await opens(before)).toBe(true)
    expect(await opens(after)).toBe(true)
    expect(await session`select 1 as alive`).toEqual([{ alive: 1 }])
    const api = await apiConnection(project, person.organizationId)
    const [limit] = await api<{ hours: number }[]>`
      select (extract(epoch from rolvaliduntil - now()) / 3600)::float8 as hours from pg_roles where rolname = current_database() || '_app_1'`
    await api.end({ timeout: 1 })
    expect(limit?.hours).toBeCloseTo(24, 1)
    await project.sweep()
    expect(await opens(before), 'nothing ends before its time').toBe(true)

    await letItEnd()
    await project.sweep()
    expect((await ended('end_logins')).outputs).toEqual({ end_logins: { ended: ['app_1'] } })
    await expect(session`select 1`).rejects.toThrow()
    await session.end({ timeout: 1 })
    expect(await opens(before)).toBe(false)
    expect(await secretOf('app_1')).toBeUndefined()
    expect(await opens(after)).toBe(true)
    // What else works on the logins goes on with the one that is shown.
    const retried = await project.request({
      organizationId: person.organizationId,
      services: ['neon'],
      wait: true,
    })
    expect(retried.body).toMatchObject({ status: 'succeeded', error: null })
    expect(await shown()).toEqual(after)

    await rotated()
    expect((await shown()).role).toBe(before.role)
    expect(await opens(await shown())).toBe(true)
  })

  it('is refused while two passwords are valid, unless both are to end at once', async () => {
    await rotated(0)
    const first = await shown()
    await rotated()
    const second = await shown()
    expect((await rotate()).errors).toMatchObject([{ extensions: { code: 'former_password_valid' } }])
    expect((await rotate(721)).errors).toMatchObject([{ extensions: { code: 'invalid_argument' } }])
    await rotated(0)
    const third = await shown()
    expect(third.role).toBe(first.role)
    expect(await Promise.all([first, second, third].map(opens))).toEqual([false, false, true])
  })

  it.each([
    ['before Vault has the new password', 'vault.secrets', `name !~ '/NEXT$'`],
    ['before the new login is shown', 'public.organization_databases', `role_name !~ '_NEXT$'`],
    ['before the former one is limited', 'provisioning.tenant_logins', 'ended_at is null'],
  ])('that is cut off %s leaves a login that works, and goes on from there', async (_when, table, check) => {
    const before = await shown()
    const next = otherThan(before)
    await project.superuser.unsafe(
      `alter table ${table} add constraint trouble check (${check.replace('NEXT', next)}) not valid`,
    )
    await rotate(0)
    await until('failed attempt', async () => {
      const rows = await project.sql`select from public.provisioning_jobs j
        join public.provisioning_steps s on s.job_id = j.id where j.organization_id = ${person.organizationId}
          and j.kind = 'rotate_credentials' and j.status <> 'succeeded' and s.error ->> 'code' = 'step_crashed'`
      return rows.length > 0 || undefined
    })
    expect(await opens(await shown())).toBe(true)
    await project.superuser.unsafe(`alter table ${table} drop constraint trouble`)
    expect((await ended('rotate_credentials')).status).toBe('succeeded')
    expect(loginOf(await shown())).toBe(next)
    expect(await opens(await shown())).toBe(true)
    expect(await secretOf(loginOf(before))).toBeUndefined()
  })

  it('comes by itself when a password is old enough, and wakes nobody', async () => {
    await rotated(0)
    const [before, earlier] = [await shown(), await ended('rotate_credentials')]
    await project.sql`update provisioning.settings set rotation_interval_days = 30`
    await project.sweep()
    const made =
      await project.sql`select from public.provisioning_jobs where request ->> 'scheduled' = 'true'`
    expect(made, 'none for a password that is new').toEqual([])
    await project.sql`update public.organization_databases set password_changed_at = now() - interval '31 days'
      where organization_id = ${person.organizationId}`
    const lookAgain = () => project.sql`update public.organization_databases set rotation_look_at = now()
      where organization_id = ${person.organizationId}`
    await suspend(true)
    const { wakeUps } = project.neonEmulator.stats
    await lookAgain()
    await project.sweep()
    const left = await ended('rotate_credentials', earlier.id)
    expect(left.outputs.new_login).toEqual({ left: 'asleep' })
    expect(project.neonEmulator.stats.wakeUps).toBe(wakeUps)
    expect(await shown()).toEqual(before)
    await suspend(false)
    await lookAgain()
    await project.sweep()
    await ended('rotate_credentials', left.id)
    await project.sql`update provisioning.settings set rotation_interval_days = 0`
    expect(loginOf(await shown())).toBe(otherThan(before))
  })

  it('ends the former login of a database that sleeps when it is awake again', async () => {
    await rotated(0)
    const [before, earlier] = [await shown(), await ended('end_logins')]
    await rotated()
    await letItEnd()
    await suspend(true)
    const { wakeUps } = project.neonEmulator.stats
    await project.sweep()
    const left = await ended('end_logins', earlier.id)
    expect(left.outputs).toEqual({ end_logins: { left: 'asleep' } })
    await project.sql`update public.tenant_health set status = 'sleeping' where organization_id = ${person.organizationId}`
    await project.sql`update provisioning.tenant_logins set look_at = now()`
    await project.sweep()
    expect((await ended('end_logins')).id, 'nobody is even asked').toBe(left.id)
    expect(project.neonEmulator.stats.wakeUps).toBe(wakeUps)
    await suspend(false)
    await project.sql`update public.tenant_health set status = 'healthy' where organization_id = ${person.organizationId}`
    await project.sql`update provisioning.tenant_logins set look_at = now()`
    await project.sweep()
    await ended('end_logins', left.id)
    expect(await opens(before)).toBe(false)
  })
})

describe('access for a time', () => {
  const REQUEST = `mutation ($id: ID!, $role: AccessRole!) {
    requestAccess(organizationId: $id, role: $role, minutes: 90) { jobId login { id login role endsAt madeAt } } }`
  const REVEAL = 'mutation ($id: ID!) { revealAccess(id: $id) { user password host port database sslMode } }'

  async function granted(role: string) {
    await project.sql`delete from provisioning.counted_calls`
    const asked = await ask(project, bearer(person.accessToken), REQUEST, { id: person.organizationId, role })
    expect(asked.errors).toEqual([])
    const { jobId, login } = asked.data.requestAccess
    await until('granted access', async () => {
      const [job] =
        await project.sql`select from public.provisioning_jobs where id = ${jobId} and status = 'succeeded'`
      return job
    })
    const { data, errors } = await ask(project, bearer(person.accessToken), REVEAL, { id: login.id })
    expect(errors).toEqual([])
    const { host, port, database, user: username, password } = data.revealAccess
    const open = () =>
      postgres({ host, port, database, username, password, max: 1, onnotice: () => undefined })
    return { id: login.id as string, login: login.login as string, username: username as string, open }
  }

  const gone = (username: string) =>
    until('end of the login', async () => {
      const api = await apiConnection(project, person.organizationId)
      const rows =
        await api`select from pg_roles where rolname = current_database() || ${username.slice(username.indexOf('_access_'))}`
      await api.end({ timeout: 1 })
      return rows.length === 0 || undefined
    })

  it('may do what its role may, ends by itself with its sessions, and what it made stays with the owner', async () => {
    const [read, owner] = [await granted('READ'), await granted('OWNER')]
    const [reader, maker] = [read.open(), owner.open()]
    await maker`create table public.made_here (n integer)`
    await reader`select n from public.made_here`
    await expect(reader`insert into public.made_here values (1)`).rejects.toMatchObject({ code: '42501' })
    await expect(reader`create table public.other (n integer)`).rejects.toMatchObject({ code: '42501' })
    const api = await apiConnection(project, person.organizationId)
    const limits = await api<{ minutes: number }[]>`
      select round(extract(epoch from rolvaliduntil - now()) / 60)::int as minutes from pg_roles
      where starts_with(rolname, current_database() || '_access_')`
    expect(limits).toEqual([{ minutes: 90 }, { minutes: 90 }])

    await letItEnd()
    await project.sweep()
    await gone(read.username)
    await gone(owner.username)
    for (const sql of [reader, maker]) {
      await expect(sql`select 1`).rejects.toThrow()
      await sql.end({ timeout: 1 })
    }
    const [table] = await api<{ owner: string }[]>`
      select tableowner as owner from pg_tables where tablename = 'made_here'`
    await api.end({ timeout: 1 })
    expect(table?.owner).toMatch(/_owner$/)
    // The job that has ended them writes that down afterwards.
    await until('end of their passwords', async () => {
      const kept = await project.sql`select from vault.secrets where name like '%/access_%'`
      return kept.length === 0 || undefined
    })
  })

  it('is listed and audited, ends before its time when asked, and its password is for nobody else', async () => {
    const { document } = await tenantsJson(
      operatorOf(project),
      ...['access', person.organizationId, '--role', 'app', '--for', '2h'],
    )
    expect(document).toMatchObject({
      role: 'app',
      password: expect.stringMatching(/^npg_/),
      requested_by: null,
    })
    const revealed = await person.client.rpc('reveal_access', { login_id: String(document.id) })
    expect(revealed.error).toMatchObject({ code: 'TP403' })
    const access = (organizationId: string, ...options: string[]) =>
      tenantsJson(operatorOf(project), 'access', organizationId, ...options)
    const again = await access(person.organizationId, '--reveal', String(document.id))
    expect(again.document).toEqual(document)
    const other = await project.signUp()
    for (const option of ['--reveal', '--end'])
      expect(await access(other.organizationId, option, String(document.id))).toMatchObject({
        code: 1,
        document: { error: { code: 'not_found' } },
      })
    const listed = await person.client.rpc('access_logins', { organization_id: person.organizationId })
    expect(listed.data).toMatchObject([{ id: document.id, ended_at: null }, {}, {}])
    expect(JSON.stringify(listed.data)).not.toContain('npg_')
    expect((await person.client.rpc('end_access', { login_id: String(document.id) })).error).toBeNull()
    await gone(String(document.user))
    const actions = await project.sql<{ action: string }[]>`select action from public.audit_logs
      where organization_id = ${person.organizationId} and resource_id = ${String(document.id)} order by created_at`
    expect(actions.map(({ action }) => action)).toEqual([
      'access.requested',
      'access.revealed',
      'access.revealed',
      'access.ended',
    ])
  })
})

/** A key of the tenant's, and what the endpoint says with it whose database that is. */
async function openEndpoint(): Promise<() => Promise<string | undefined>> {
  const call = { organization_id: person.organizationId, name: 'A key', scope: 'read' as const }
  const { data } = await person.client.rpc('create_api_key', call)
  return async () => {
    const reply = await fetch(`${project.services.url}/functions/v1/tenant-graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...bearer(Object(data).key) },
      body: JSON.stringify({ query: '{ organizations(first: 2) { nodes { id } } }' }),
    })
    return Object(await reply.json()).data?.organizations?.nodes?.[0]?.id
  }
}

describe('npm run tenants', () => {
  it('rotates the login of a tenant, and the keys of the project with the passwords of our own logins', async () => {
    const environment = operatorOf(project)
    const own = async () => [await secretOf('schema'), await secretOf('health')]
    const before = await own()
    const shownBefore = await shown()
    const rotate = ['rotate', person.organizationId, '--grace-hours', '0']
    expect(await tenantsJson(environment, ...rotate)).toMatchObject({
      code: 1,
      document: { error: { code: 'declined' } },
    })
    expect(await shown()).toEqual(shownBefore)
    const { code, document } = await tenantsJson(environment, ...rotate, '--yes')
    expect({ code, document }).toMatchObject({ code: 0, document: { status: 'succeeded' } })
    expect(loginOf(await shown())).toBe(otherThan(shownBefore))
    const keys = () => project.sql`select name, decrypted_secret from vault.decrypted_secrets
      where name in ('provisioning_doorbell_key', 'provisioning_sealing_key') order by name`
    const old = await keys()
    expect(await tenantsJson(environment, 'rotate-keys', '--only', 'sealing,logins', '--yes')).toMatchObject({
      code: 0,
      document: { rotated: ['sealing', 'logins'] },
    })
    const now = await keys()
    expect([
      now[0]?.decrypted_secret === old[0]?.decrypted_secret,
      now[1]?.decrypted_secret === old[1]?.decrypted_secret,
    ]).toEqual([true, false])
    const [audited] = await project.sql`select count(*)::int as acts from public.audit_logs
      where action = 'key.rotated' and resource_id in ('sealing', 'logins')`
    expect(audited).toEqual({ acts: 2 })
    const endpoint = await openEndpoint()
    expect(await endpoint()).toBe(person.organizationId)
    // Within the hour.
    await project.sql`update public.organization_databases set rotation_look_at = now()`
    await project.sweep()
    expect((await ended('renew_own_logins')).outputs).toEqual({
      renew_own_logins: { renewed: OUR_LOGINS.length },
    })
    const after = await own()
    for (const [index, password] of after.entries()) expect(password).not.toBe(before[index])
    for (const login of ['schema', 'health'] as const) {
      const sql = await loginConnection(project, person.organizationId, login)
      expect(await sql`select 1 as open`.finally(() => sql.end({ timeout: 1 }))).toEqual([{ open: 1 }])
    }
    // The endpoint's process has the former password: refused, it is read again.
    expect(await endEndpointConnections(project, await serverNames(project, [person]))).toBeGreaterThan(0)
    expect(await endpoint()).toBe(person.organizationId)
  })

  it('makes the key anew by which doorbells are known', async () => {
    const key = async () =>
      (
        await project.sql<{ key: string }[]>`
          select decrypted_secret as key from vault.decrypted_secrets where name = 'provisioning_doorbell_key'`
      )[0]?.key
    const before = await key()
    const { code, document } = await tenantsJson(
      operatorOf(project),
      ...['rotate-keys', '--only', 'doorbell', '--yes'],
    )
    expect({ code, document }).toEqual({ code: 0, document: { rotated: ['doorbell'] } })
    expect(await key()).toMatch(/^[0-9a-f]{64}$/)
    expect(await key()).not.toBe(before)
    const audited =
      await project.sql`select from public.audit_logs where action = 'key.rotated' and resource_id = 'doorbell'`
    expect(audited).toHaveLength(1)
  })
})
