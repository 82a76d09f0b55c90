import { connect, createServer, type Server, type Socket } from 'node:net'
import postgres from 'postgres'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { troubleOf } from '../../shared/health/reasons.ts'
import { freePort } from '../../tools/ports.ts'
import { startTestProject, type TestProject, until } from '../support/project.ts'
import {
  addTenant,
  addTenants,
  callHealth,
  changeProject,
  type HealthTenant,
  healthRole,
  makeDue,
  physicalName,
  readHealth,
  setHealthPassword,
  sweep,
  useDatabase,
} from './health-project.ts'

let project: TestProject
/** Accepts connections and never says a word. */
let deadServer: Server
const deadSockets = new Set<Socket>()

beforeAll(async () => {
  project = await startTestProject({
    settings: { health_timeout_seconds: 2, health_requests_per_minute: 1000 },
  })
  deadServer = createServer((socket) => {
    deadSockets.add(socket)
    socket.on('error', () => undefined)
  })
  await new Promise<void>((resolve) => deadServer.listen(0, '127.0.0.1', resolve))
})

afterEach(() => {
  project.neonEmulator.faults.clear()
})

afterAll(async () => {
  for (const socket of deadSockets) socket.destroy()
  deadServer?.close()
  await project?.stop()
})

const check = ({ organizationId }: HealthTenant, deep = false) =>
  callHealth(project, { organizationId, deep })
const healthOf = ({ organizationId }: HealthTenant) => readHealth(project, organizationId)
const move = ({ organizationId }: HealthTenant, to: Readonly<Record<string, string | number>>) =>
  project.sql`update public.organization_databases set ${project.sql({ ...to })} where organization_id = ${organizationId}`
/** Both hosts at once: what listens there stands for either. */
const moveToPort = (tenant: HealthTenant, port: number) => move(tenant, { port, pooled_host: '127.0.0.1' })

function deadPort(): number {
  const address = deadServer.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}

/** Every trouble that a tenant's database can be in, by the name it must be given. */
const TROUBLES: Readonly<Record<string, (tenant: HealthTenant) => Promise<unknown>>> = {
  login_locked_out: async (tenant) => {
    const role = await healthRole(project, tenant)
    await project.superuser`alter role ${project.superuser(role)} nologin`
  },
  login_refused: (tenant) => setHealthPassword(project, tenant, 'not the password any more'),
  credentials_missing: (tenant) =>
    project.sql`delete from vault.secrets where name = provisioning.login_secret(${tenant.organizationId}, 'health')`,
  database_missing: async (tenant) => {
    const database = await physicalName(project, tenant)
    await project.superuser`drop database ${project.superuser(database)} with (force)`
  },
  too_many_connections: async (tenant) => {
    const role = await healthRole(project, tenant)
    await project.superuser`alter role ${project.superuser(role)} connection limit 0`
  },
  project_deleted: (tenant) => project.neon.deleteProject(tenant.projectId),
  compute_disabled: (tenant) =>
    project.neon.updateProjectEndpoint(tenant.projectId, tenant.endpointId, { endpoint: { disabled: true } }),
  quota_suspended: (tenant) => changeProject(project, tenant, { quotaExceeded: true }),
  unreachable: async (tenant) => moveToPort(tenant, await freePort()),
  timeout: (tenant) => moveToPort(tenant, deadPort()),
}

/** Passes everything on until the server is ready for a query, and nothing after that; or only nothing from a certain query on. */
async function startStallingProxy(port: number, fromQuery?: string): Promise<{ port: number; stop(): void }> {
  const readyForQuery = Buffer.from([0x5a, 0, 0, 0, 5])
  const sockets = new Set<Socket>()
  const server = createServer((client) => {
    const behind = connect(port, '127.0.0.1')
    for (const socket of [client, behind]) sockets.add(socket.on('error', () => undefined))
    const ask = (chunk: Buffer) => {
      if (fromQuery && chunk.includes(fromQuery)) client.off('data', ask)
      else behind.write(chunk)
    }
    client.on('data', ask)
    const passOn = (chunk: Buffer) => {
      client.write(chunk)
      if (!fromQuery && chunk.includes(readyForQuery)) behind.off('data', passOn)
    }
    behind.on('data', passOn)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    stop: () => {
      for (const socket of sockets) socket.destroy()
      server.close()
    },
  }
}

describe('a check', () => {
  it('of a usable database measures it and says that it is healthy', async () => {
    const tenant = await addTenant(project)
    const { status, body } = await check(tenant)
    expect(status).toBe(200)
    expect(body).toMatchObject({ organizationId: tenant.organizationId, status: 'healthy', reasons: [] })
    expect(body.metrics).toEqual({
      latency_ms: expect.any(Number),
      connect_ms: expect.any(Number),
      pooled_connect_ms: expect.any(Number),
      longest_query_seconds: 0,
      connections: expect.any(Number),
      max_connections: expect.any(Number),
      size_bytes: expect.any(Number),
      quota_bytes: 536870912,
    })
    expect(await healthOf(tenant)).toMatchObject({ status: 'healthy', calm_checks: 1 })
  })

  it('counts transactions since the one before', async () => {
    const tenant = await addTenant(project)
    await check(tenant)
    const user = await useDatabase(project, tenant)
    for (let query = 0; query < 200; query++) await user`select 1`
    await user.end()
    // However often it is asked for: over less than a second a rate would be noise.
    const { body } = await until('rate', async () => {
      const reply = await check(tenant)
      return Object(reply.body.metrics).transactions_per_second > 20 ? reply : undefined
    })
    expect(body.status).toBe('healthy')
  })

  it('sees a query that runs for too long, and nearly all connections in use', async () => {
    const tenant = await addTenant(project)
    await project.sql`update provisioning.health_thresholds set longest_query_degraded_seconds = 0,
      connections_degraded_percent = 0, connections_unhealthy_percent = 1`
    // One percent of the local server's connections, and some.
    const users = await Promise.all(Array.from({ length: 5 }, () => useDatabase(project, tenant)))
    const sleeping = users.map((user) => user`select pg_sleep(2)`.execute())
    const { body } = await until('long query', async () => {
      const reply = await check(tenant)
      return Object(reply.body.metrics).longest_query_seconds > 0 ? reply : undefined
    })
    await Promise.all(sleeping)
    await Promise.all(users.map((user) => user.end()))
    await project.sql`update provisioning.health_thresholds set longest_query_degraded_seconds = default,
      connections_degraded_percent = default, connections_unhealthy_percent = default`
    expect(body).toMatchObject({
      status: 'unhealthy',
      reasons: expect.arrayContaining([
        expect.objectContaining({ code: 'long_query', severity: 'degraded' }),
        expect.objectContaining({ code: 'connections_high', severity: 'unhealthy' }),
      ]),
    })
  })

  it('goes by the thresholds and the quota of the tenant’s own plan', async () => {
    const [tight, wide] = await addTenants(project, 2)
    if (!tight || !wide) throw new Error('two tenants were made')
    await project.sql`update public.organizations set plan = 'pro' where id = ${wide.organizationId}`
    await project.sql`update provisioning.health_thresholds set latency_degraded_ms = 0 where plan = 'free'`
    await project.sql`update provisioning.plans set quota_logical_size_bytes = 1000000 where plan = 'free'`
    const degraded = await check(tight)
    const healthy = await check(wide)
    await project.sql`update provisioning.health_thresholds set latency_degraded_ms = default`
    await project.sql`update provisioning.plans set quota_logical_size_bytes = 536870912 where plan = 'free'`
    expect(degraded.body).toMatchObject({
      status: 'unhealthy',
      reasons: [
        { code: 'slow_queries', severity: 'degraded' },
        { code: 'storage_high', severity: 'unhealthy' },
      ],
    })
    expect(healthy.body).toMatchObject({ status: 'healthy', reasons: [] })
  })

  it.each(Object.entries(TROUBLES))('recognises %s and names it', async (code, cause) => {
    const tenant = await addTenant(project)
    await cause(tenant)
    const { status, body } = await check(tenant)
    expect(status).toBe(200)
    expect(body).toMatchObject({
      status: 'unhealthy',
      reasons: [{ code, severity: 'unhealthy', message: expect.stringMatching(/^The .+\.( \(.+\))?$/) }],
    })
    expect(JSON.stringify(body)).not.toContain(tenant.password)
  })

  it('says which of the two hosts is in trouble', async () => {
    const tenant = await addTenant(project)
    await move(tenant, { pooled_host: 'nowhere.invalid' })
    const { body } = await check(tenant)
    expect(body).toMatchObject({
      reasons: [{ code: 'unreachable', message: expect.stringMatching(/only the pooled host\)$/) }],
    })
    await move(tenant, { pooled_host: '127.0.0.1', host: 'nowhere.invalid' })
    expect((await check(tenant)).body).toMatchObject({
      reasons: [{ code: 'unreachable', message: expect.stringMatching(/only the direct host\)$/) }],
    })
  })

  it('goes by what the direct host says when both are in trouble', async () => {
    const tenant = await addTenant(project)
    await move(tenant, { pooled_host: 'nowhere.invalid' })
    await TROUBLES.login_refused?.(tenant)
    expect((await check(tenant)).body).toMatchObject({
      status: 'unhealthy',
      reasons: [{ code: 'login_refused', message: expect.not.stringContaining('host') }],
    })
  })

  it.each([
    ['SASL authentication failed', 'login_refused'],
    ['no such user', 'login_refused'],
    ['server login failed: FATAL password authentication failed for user "x"', 'login_refused'],
    ['server login failed: FATAL role "x" is not permitted to log in', 'login_locked_out'],
    ['server login failed: FATAL database "x" does not exist', 'database_missing'],
    ['server login failed: FATAL too many connections for role "x"', 'too_many_connections'],
    ['no more connections allowed (max_client_conn)', 'too_many_connections'],
    ['server login has been failing, try again later (server_login_retry)', 'connection_lost'],
  ])('understands a pooler that says "%s"', (message, code) => {
    expect(troubleOf(Object.assign(new Error(message), { code: '08P01' }))).toMatchObject({ code })
  })

  it('keeps what the direct host says while the pooled one hangs, and says which of them does', async () => {
    const tenant = await addTenant(project)
    // The first query through the pooler.
    const stalling = await startStallingProxy(project.neonEmulator.postgresPort, 'select 1')
    await moveToPort(tenant, stalling.port)
    const { body } = await check(tenant)
    stalling.stop()
    expect(body).toMatchObject({
      status: 'unhealthy',
      reasons: [{ code: 'timeout', message: expect.stringMatching(/only the pooled host\)$/) }],
      metrics: { connect_ms: expect.any(Number), size_bytes: expect.any(Number) },
    })
    expect(body.metrics).not.toHaveProperty('latency_ms')
  })

  it('takes no replication for a query that runs for too long', async () => {
    const tenant = await addTenant(project)
    const url = new URL(project.databaseUrl('supabase_admin'))
    url.pathname = await physicalName(project, tenant)
    const subscriber = postgres(url.href, {
      max: 1,
      fetch_types: false,
      connection: { application_name: 'subscriber', replication: 'database' },
    })
    const [wal] = await project.superuser<{ end: string }[]>`select pg_current_wal_flush_lsn() as end`
    // Its lexer knows the words in capitals only.
    const stream = await subscriber.unsafe(`START_REPLICATION PHYSICAL ${wal?.end}`).writable()
    // As it ends with its connection.
    stream.on('error', () => undefined)
    await until('replication', async () => {
      const rows = await project.superuser`select from pg_stat_activity where application_name = 'subscriber'
        and backend_type = 'walsender' and state = 'active' and query_start < clock_timestamp() - interval '100 ms'`
      return rows.length > 0 || undefined
    })
    const { body } = await check(tenant)
    // By the server: whoever only leaves lets it send on into a socket that nobody reads, and while it waits for that, no database
    // of the server can be made or dropped.
    await until('the end of the replication', async () => {
      const rows = await project.superuser`
        select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'subscriber'`
      return rows.length === 0 || undefined
    })
    await subscriber.end({ timeout: 0 })
    expect(body.metrics).toMatchObject({ longest_query_seconds: 0 })
  })

  it('gives up on a database that lets it in and then says nothing any more', async () => {
    const tenant = await addTenant(project)
    const stalling = await startStallingProxy(project.neonEmulator.postgresPort)
    await moveToPort(tenant, stalling.port)
    const startedAt = Date.now()
    const { body } = await check(tenant)
    stalling.stop()
    expect(body).toMatchObject({ reasons: [{ code: 'timeout' }] })
    expect(Date.now() - startedAt).toBeLessThan(8_000)
  })

  it('names a quota that refuses the connection itself', async () => {
    const tenant = await addTenant(project)
    await changeProject(project, tenant, { quotaExceeded: true })
    expect((await check(tenant, true)).body).toMatchObject({ reasons: [{ code: 'quota_suspended' }] })
  })

  it('finds a tenant healthy again when its trouble is over', async () => {
    const tenant = await addTenant(project)
    const role = await healthRole(project, tenant)
    await project.superuser`alter role ${project.superuser(role)} nologin`
    expect((await check(tenant)).body).toMatchObject({ status: 'unhealthy' })
    await project.superuser`alter role ${project.superuser(role)} login`
    expect((await check(tenant)).body).toMatchObject({ status: 'healthy', reasons: [] })
  })

  it('keeps a trouble that does not pass in sleep, when the compute falls asleep', async () => {
    const tenant = await addTenant(project)
    await TROUBLES.login_refused?.(tenant)
    await check(tenant)
    await changeProject(project, tenant, { suspended: true })
    expect((await check(tenant)).body).toMatchObject({
      status: 'unhealthy',
      reasons: [{ code: 'login_refused' }],
    })
  })
})

describe('a batch', () => {
  it('with every trouble there is names each, and finds the sound ones healthy', async () => {
    const troubled = await Promise.all(
      Object.entries(TROUBLES).map(async ([code, cause]) => {
        const tenant = await addTenant(project)
        await cause(tenant)
        return { code, tenant }
      }),
    )
    const sound = await addTenants(project, 4)
    await sweep(project, [...troubled.map(({ tenant }) => tenant), ...sound])
    for (const { code, tenant } of troubled)
      expect(await healthOf(tenant), code).toMatchObject({ status: 'unhealthy', reasons: [{ code }] })
    for (const tenant of sound) expect(await healthOf(tenant)).toMatchObject({ status: 'healthy' })
    expect(project.log.filter(({ text }) => /ended early|could not be written/.test(text))).toEqual([])
  })

  it('with dead tenants keeps nobody else waiting', async () => {
    await project.sql`update provisioning.settings set health_concurrency = 4, health_timeout_seconds = 8`
    const dead = await addTenants(project, 3)
    // One after the other, by the one connection that is left: within the seconds after which the dead ones are given up.
    const sound = await addTenants(project, 6)
    for (const tenant of dead) await moveToPort(tenant, deadPort())
    await sweep(project, [...sound])
    await makeDue(project, [...dead, ...sound])
    // The dead ones come first.
    await project.sql`update public.tenant_health set next_check_at = now() - interval '1 minute'
      where organization_id = any (${dead.map(({ organizationId }) => organizationId)})`
    const startedAt = Date.now()
    await callHealth(project, {})
    const checkedSince = async (tenants: readonly HealthTenant[]) => {
      const rows = await Promise.all(tenants.map(healthOf))
      return rows.every(({ checked_at: at }) => at !== null && at.getTime() >= startedAt - 50) || undefined
    }
    await until('check of the sound ones', () => checkedSince(sound))
    // Those that do not answer were claimed first, and none of them is through.
    const rows = await Promise.all(dead.map(healthOf))
    for (const { checked_at: at } of rows) expect(at?.getTime() ?? 0).toBeLessThan(startedAt - 50)
    await until('check of the dead ones', () => checkedSince(dead))
    for (const tenant of dead)
      expect(await healthOf(tenant)).toMatchObject({ status: 'unhealthy', reasons: [{ code: 'timeout' }] })
    await project.sql`update provisioning.settings set health_concurrency = default, health_timeout_seconds = 2`
  })

  it('calls the provider from the share of health, and what somebody asks for from what all share', async () => {
    const tenant = await addTenant(project)
    const bucketsAfter = async (check: () => Promise<unknown>) => {
      await project.sql`delete from provisioning.token_buckets`
      await check()
      const rows = await project.sql<{ holder: string }[]>`
        select distinct holder from provisioning.token_buckets where provider = 'neon'`
      return rows.map(({ holder }) => holder)
    }
    expect(await bucketsAfter(() => sweep(project, [tenant]))).toEqual(['health'])
    const { organizationId } = tenant
    expect(await bucketsAfter(() => callHealth(project, { organizationId, deep: true }))).toEqual([''])
  })

  it('is not checked twice by ticks that overlap', async () => {
    const tenants = await addTenants(project, 8)
    await makeDue(project, tenants)
    const other = await project.startSecondGateway()
    await callHealth(project, 'warm up', undefined, other.url)
    const begun = new Date()
    await Promise.all(
      [1, 2, 3].flatMap(() => [callHealth(project, {}), callHealth(project, {}, undefined, other.url)]),
    )
    const checks = await until('row of each check', async () => {
      const rows = await project.sql<{ id: string }[]>`
        select organization_id as id from public.tenant_health_checks where checked_at >= ${begun}
          and organization_id = any (${tenants.map(({ organizationId }) => organizationId)})`
      return rows.length >= tenants.length ? rows : undefined
    })
    expect(checks).toHaveLength(tenants.length)
    expect(new Set(checks.map(({ id }) => id)).size).toBe(tenants.length)
    await other.stop()
  })
})

describe.each([
  ['does not work', { type: 'status', status: 500 }],
  ['cuts connections', { type: 'reset' }],
  ['has too many requests', { type: 'status', status: 429, retryAfterSeconds: 40 }],
  ['does not accept the key', { type: 'status', status: 401 }],
] as const)('while the provider %s', (_, action) => {
  it('nothing is said of any tenant, and checks are put off', async () => {
    const tenants = await addTenants(project, 3)
    await sweep(project, tenants)
    const before = await Promise.all(tenants.map(healthOf))
    project.neonEmulator.faults.add({ match: { method: 'GET' }, action })
    await makeDue(project, tenants)
    await callHealth(project, {})
    await until('end of the read', async () => {
      const [row] = await project.sql<{ seconds: number | null }[]>`
        select extract(epoch from lease_expires_at - now())::float8 as seconds from provisioning.fleet_read where token is not null`
      return (row?.seconds ?? 60) < 45 || undefined
    })
    for (const [index, tenant] of tenants.entries()) {
      const { status, checked_at } = await healthOf(tenant)
      expect({ status, checked_at }).toEqual({
        status: 'healthy',
        checked_at: before[index]?.checked_at,
      })
    }
    const [first] = tenants
    const reply = await callHealth(project, { organizationId: first?.organizationId })
    expect(reply).toMatchObject({ status: 503, body: { code: 'provider_unavailable' } })
    expect(Number(reply.headers.get('retry-after'))).toBeGreaterThan(0)
    expect(await healthOf(first ?? tenants[0] ?? (await addTenant(project)))).toMatchObject({
      status: 'healthy',
    })
    await project.sql`delete from provisioning.token_buckets`
  })
})
