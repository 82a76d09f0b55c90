import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { fileURLToPath } from 'node:url'
import postgres from 'postgres'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { SUPERUSER } from '../../local/postgres/server.ts'
import { createWorker } from '../../shared/engine/worker.ts'
import type { SchemaFile } from '../../shared/generated/tenant-schema-files.ts'
import { connect, type Database } from '../../shared/kernel/database/client.ts'
import { databaseSteps } from '../../shared/services/database/index.ts'
import { createMigrateSchema } from '../../shared/services/database/migrate-schema.ts'
import { knowAwake } from '../../shared/services/neon/awake.ts'
import { createNeonProvider } from '../../shared/services/neon/client.ts'
import { neonHost } from '../../shared/services/neon/host.ts'
import { listen, PORT_USES } from '../../tools/ports.ts'
import { beginTenants, tenants as command, inTerminal, operatorOf, tenantsJson } from '../cli/cli.ts'
import { startTestProject, type TestProject, until } from '../support/project.ts'
import { apiConnection, loginConnection } from '../support/tenant-logins.ts'
import { TYPESCRIPT } from '../support/typescript.ts'
import { addTenants, type HealthTenant, untilUnused } from './health-project.ts'

const FLEET = 40
const HOUR_MS = 3_600_000
const CANARY = 4

const workers: ChildProcess[] = []
let project: TestProject
let tenants: HealthTenant[]
let sql: Database
/** How far the emulator's clock, by which computes fall asleep, is ahead. */
let aheadMs = 0
const now = () => Date.now() + aheadMs

const file = (version: number, text: string): SchemaFile => ({
  version,
  name: `000${version}_test.sql`,
  sql: text,
})
const ONE = file(
  1,
  `create table public.counted (n integer); insert into public.counted values (1);
  alter table public.counted enable row level security; create policy all_rows on public.counted using (true)`,
)
const TWO = file(
  2,
  'alter table public.counted add column two integer; insert into public.counted values (2)',
)
const THREE = file(3, 'insert into public.counted values (3)')
const FOUR = file(4, 'insert into public.counted values (4)')
const FIVE = file(5, 'insert into public.counted values (5)')
/** Not where somebody has counted further. */
const SIX = file(6, 'alter table public.counted add check (n < 60)')
const SEVEN = file(7, 'alter table public.counted add column seven integer')
const ALL = [ONE, TWO, THREE, FOUR, FIVE, SIX, SEVEN]

beforeAll(async () => {
  project = await startTestProject({
    settings: { worker_max_jobs: 1_000, max_step_attempts: 3 },
    neon: { clock: now },
  })
  sql = connect({ SUPABASE_DB_URL: project.databaseUrl(), DATABASE_POOLER_URL: undefined })
  // The functions have files of their own; this kind of job has a worker in this process, with those of the test.
  await project.sql`insert into provisioning.workers values ('fleet', 'nowhere')`
  await project.sql`update provisioning.job_kinds set worker = 'fleet' where kind = 'migrate_schema'`
  await project.sql`update provisioning.lanes set max_running_per_worker = null where lane = 'batch'`
  tenants = await addTenants(project, FLEET)
  await project.sql`update public.organization_databases set schema_version = 0, status = 'active'`
})

afterAll(async () => {
  for (const child of workers) child.kill('SIGKILL')
  await sql?.end({ timeout: 1 })
  await project?.stop()
})

/** Somebody else does, which wakes it. */
async function use({ organizationId }: HealthTenant): Promise<void> {
  const somebody = await loginConnection(project, organizationId, 'health')
  await somebody`select 1`.finally(() => somebody.end({ timeout: 1 }))
}

/** Works off what is due, as a function with these files would. */
async function work(...files: readonly SchemaFile[]): Promise<void> {
  const variables = { NEON_API_KEY: 'napi_localemulator', NEON_API_URL: project.neonEmulator.url }
  const neon = createNeonProvider(variables, sql)
  const steps = databaseSteps([neonHost(neon, knowAwake(neon, now))], createMigrateSchema(files))
  await createWorker({ sql, steps }, 'fleet').ring()
}

/**
 * As pg_cron's rings would, until the command has ended: on a busy machine a database does not answer in time, and its job is due
 * again later. @throws Error that says how the run stands
 */
async function workUntil<T>(ended: Promise<T>): Promise<T> {
  let result: { readonly of: T } | undefined
  const end = ended.then((of) => {
    result = { of }
  })
  const seen = until(
    'end of the command',
    async () => {
      await project.sql`update public.provisioning_jobs set next_attempt_at = now()
        where kind = 'migrate_schema' and status = 'queued'`
      await work(...ALL)
      return result
    },
    60_000,
  ).catch(async (error: Error) => {
    throw new Error(`${error.message}; the run: ${JSON.stringify(await status())}`)
  })
  const { of } = await seen
  await end
  return of
}

const start = (version: number, maxFailures = 10) =>
  project.sql`select provisioning.start_fleet_migration(${version}, ${(100 * CANARY) / FLEET}, 8, ${maxFailures})`

interface Run {
  readonly state: string
  readonly stopped_because: string | null
  readonly tenants: Readonly<Record<string, number>>
  readonly errors: readonly {
    readonly organization_id: string
    readonly code: string
    readonly message: string
  }[]
}

async function status(): Promise<Run & { readonly versions: Readonly<Record<string, number>> }> {
  const [row] = await project.sql<
    { status: { run: Run; versions: { version: number; tenants: number }[] } }[]
  >`
    select provisioning.fleet_migration_status() as status`
  if (!row) throw new Error('there is no status')
  const { run, versions } = row.status
  return { ...run, versions: Object.fromEntries(versions.map(({ version, tenants: n }) => [version, n])) }
}

/** What every tenant's database has, whatever our rows say. */
async function counted(): Promise<string[]> {
  const found = await Promise.all(
    tenants.map(async ({ organizationId }) => {
      const api = await loginConnection(project, organizationId, 'schema')
      const rows = await api
        .unsafe<{ n: number }[]>(
          `begin; select set_config('role', current_database() || '_owner', true); select n from public.counted order by 1; commit`,
        )
        .finally(() => api.end({ timeout: 1 }))
      return (rows as unknown as { n: number }[][])[2]?.map(({ n }) => n).join() ?? ''
    }),
  )
  return [...new Set(found)].sort()
}

describe('a fleet migration', () => {
  it('brings all tenants to a version, the first few before the others', async () => {
    await start(1)
    await work(ONE)
    expect(await status()).toMatchObject({ state: 'done', tenants: { done: FLEET }, versions: { 1: FLEET } })
    expect(await counted()).toEqual(['1'])
    const [order] = await project.sql<{ together: number; late: number }[]>`
      with jobs as (select started_at, finished_at, row_number() over (order by created_at, id) as place
        from public.provisioning_jobs where kind = 'migrate_schema')
      select count(*) filter (where place <= ${CANARY})::int as together,
        count(*) filter (where place > ${CANARY} and started_at < (select max(finished_at) from jobs where place <= ${CANARY}))::int as late
      from jobs`
    expect(order).toEqual({ together: CANARY, late: 0 })
  })

  it('stops after the first few when they fail, says why by tenant, and goes on when the cause is mended', async () => {
    await start(2)
    await work(ONE, file(2, `${TWO.sql}; select 1 / 0`))
    const stopped = await status()
    expect(stopped).toMatchObject({ state: 'stopped', versions: { 1: FLEET } })
    expect(stopped.tenants.waiting).toBe(FLEET - CANARY)
    expect(stopped.tenants.failed).toBeLessThanOrEqual(CANARY)
    expect(stopped.stopped_because).toMatch(/^\d of \d tenants could not be brought to version 2\.$/)
    expect(stopped.errors[0]).toMatchObject({ code: 'tenant_schema_failed' })
    expect(stopped.errors[0]?.message).toMatch(/0002_test\.sql: division by zero/)
    expect(await counted()).toEqual(['1'])
    // Nobody goes past them, neither a worker nor whoever uses a database that is behind.
    await project.sweep()
    await work(ONE, TWO)
    expect((await status()).versions).toEqual({ 1: FLEET })
    const [asked] = await project.sql`select provisioning.request_schema_migration(organization_id) as job
      from provisioning.fleet_migration_tenants t join provisioning.fleet_migrations f on f.id = t.fleet_migration_id
      where f.state = 'stopped' and t.state = 'waiting' limit 1`
    expect(asked).toEqual({ job: null })

    await start(2)
    await work(ONE, TWO)
    expect(await status()).toMatchObject({ state: 'done', tenants: { done: FLEET }, versions: { 2: FLEET } })
    expect(await counted()).toEqual(['1,2'])
  })

  it('wakes nobody: who sleeps follows when used, found awake, or in the hours of a window', async () => {
    const [used, awake, ...dormant] = tenants.slice(0, 4)
    if (!used || !awake) throw new Error('there are tenants')
    const sleepers = [used, awake, ...dormant]
    await untilUnused(project)
    aheadMs = 2 * HOUR_MS
    await Promise.all(tenants.slice(sleepers.length).map(use))
    const { wakeUps } = project.neonEmulator.stats
    await start(3)
    await work(ONE, TWO, THREE)
    await project.sweep()
    await work(ONE, TWO, THREE)
    expect(await status()).toMatchObject({
      state: 'rolling',
      tenants: { done: FLEET - 4, asleep: 4 },
      versions: { 2: 4, 3: FLEET - 4 },
    })
    expect(project.neonEmulator.stats.wakeUps).toBe(wakeUps)

    await use(used)
    await project.sql`select provisioning.request_schema_migration(${used.organizationId})`
    await use(awake)
    await project.sql`update public.tenant_health set connected_at = clock_timestamp() where organization_id = ${awake.organizationId}`
    await project.sweep()
    await work(ONE, TWO, THREE)
    expect((await status()).tenants).toEqual({ done: FLEET - 2, asleep: 2 })
    expect(project.neonEmulator.stats.wakeUps, 'by those who used them').toBe(wakeUps + 2)

    await project.sql`update provisioning.settings set migration_wakes_from_hour = 0, migration_wakes_until_hour = 24`
    await project.sweep()
    await work(ONE, TWO, THREE)
    await project.sql`update provisioning.settings set migration_wakes_from_hour = null, migration_wakes_until_hour = null`
    expect(await status()).toMatchObject({ state: 'done', tenants: { done: FLEET }, versions: { 3: FLEET } })
    expect(await counted()).toEqual(['1,2,3'])
  })

  it('applies nothing twice when workers die before, in and after a file, and goes on past a tenant that is locked', async () => {
    const [locked, lost] = tenants
    if (!locked || !lost) throw new Error('there are tenants')
    const holder = await apiConnection(project, locked.organizationId)
    await holder.unsafe('begin; lock table public.counted in exclusive mode')
    await start(4, 100)
    // Dies right after the claim.
    await project.sql`select provisioning.claim_jobs('{migrate_schema}', 2)`
    await project.sql`update provisioning.job_leases set expires_at = now() - interval '1 second'`
    // Dies when the tenant's database has the file, and our rows do not say so yet.
    await project.sql`alter table public.organization_databases add constraint trouble check (schema_version < 4
      or organization_id <> ${project.sql.unsafe(`'${lost.organizationId}'`)}) not valid`
    const working = work(ONE, TWO, THREE, FOUR)
    await until('attempt at the tenant that is locked', async () => {
      const [step] = await project.sql`select from public.provisioning_steps
        where organization_id = ${locked.organizationId} and error ->> 'code' = 'tenant_database_locked'`
      return step
    })
    await holder`rollback`
    await working
    await project.sql`alter table public.organization_databases drop constraint trouble`
    await holder.end({ timeout: 1 })
    const after = await status()
    expect(after.tenants).toEqual({ done: FLEET - 1, failed: 1 })
    expect(after.errors).toMatchObject([{ organization_id: lost.organizationId, code: 'step_crashed' }])
    await start(4)
    await work(ONE, TWO, THREE, FOUR)
    expect((await status()).versions).toEqual({ 4: FLEET })
    expect(await counted()).toEqual(['1,2,3,4'])
  })
})

/** A worker in a process of its own. @returns how to kill it, as the platform kills a function: without a word */
function startWorker(...files: readonly SchemaFile[]): { kill(): Promise<void> } {
  const program = fileURLToPath(new URL('fleet-worker.ts', import.meta.url))
  const child = spawn(process.execPath, [...TYPESCRIPT, program], {
    env: {
      ...process.env,
      DATABASE: project.databaseUrl(),
      NEON: project.neonEmulator.url,
      FILES: JSON.stringify(files),
      AHEAD_MS: String(aheadMs),
    },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  workers.push(child)
  const ended = once(child, 'exit')
  return {
    kill: async () => {
      child.kill('SIGKILL')
      expect(await ended, 'it was still at work').toEqual([null, 'SIGKILL'])
    },
  }
}

/** When somebody waits for what this session has locked. Of pg_stat_activity a transaction would see the same all along. */
const isWaitedFor = (holder: postgres.Sql, what: string) =>
  until(what, async () => {
    const [waiting] = await holder<{ pid: number }[]>`
      select l.pid from pg_locks l where not l.granted and pg_backend_pid() = any (pg_blocking_pids(l.pid))`
    return waiting
  })

const leasesEnd = () =>
  project.sql`update provisioning.job_leases set expires_at = now() - interval '1 second'`

describe('kill -9 of a worker', () => {
  it('after the claim, in a file, and before our rows know of it, applies nothing twice and loses nothing', async () => {
    const files = [ONE, TWO, THREE, FOUR, FIVE]
    const superuser = postgres(project.databaseUrl(SUPERUSER), { max: 1, onnotice: () => undefined })
    // An attempt that was killed counts as one, and a slow machine needs others.
    await project.sql`update provisioning.settings set max_step_attempts = 10`
    await start(5, 0)
    try {
      // Right after the claim: what follows it waits for the row of the owner of all tenants.
      await superuser.unsafe('begin; select from auth.users for update')
      const claimed = startWorker(...files)
      await isWaitedFor(superuser, 'preparation of a job that was claimed')
      await claimed.kill()
      await superuser.unsafe('rollback')
      await leasesEnd()

      // In the file of a tenant of the first few: one of its statements waits.
      const [first] = await project.sql<{ id: string }[]>`
        select organization_id as id from provisioning.fleet_migration_tenants where state = 'queued' limit 1`
      const holder = await apiConnection(project, first?.id ?? '')
      await holder.unsafe('begin; lock table public.counted in exclusive mode')
      const inFile = startWorker(...files)
      await isWaitedFor(holder, 'statement of the file')
      await inFile.kill()
      // The server has all of the file already, and goes on with it.
      await holder.unsafe('rollback')
      await holder.end({ timeout: 1 })
      await leasesEnd()

      // When the tenant's database has it, and our rows do not.
      const [last] = await project.sql<{ id: string }[]>`
        select organization_id as id from public.organization_databases
        where schema_version = 4 order by organization_id desc limit 1`
      await superuser.unsafe(`begin; select from public.organization_databases
        where organization_id = '${last?.id}' for update`)
      const unwritten = startWorker(...files)
      await isWaitedFor(superuser, 'record of a version')
      await unwritten.kill()
      // Nor will what it had sent be done.
      await superuser`select pg_terminate_backend(l.pid) from pg_locks l
        where not l.granted and pg_backend_pid() = any (pg_blocking_pids(l.pid))`
      await superuser.unsafe('rollback')
      await leasesEnd()
    } finally {
      await superuser.end({ timeout: 1 })
    }
    await work(...files)
    expect(await status()).toMatchObject({
      stopped_because: null,
      errors: [],
      state: 'done',
      tenants: { done: FLEET },
      versions: { 5: FLEET },
    })
    expect(await counted()).toEqual(['1,2,3,4,5'])
    const [again] = await project.sql<{ jobs: number }[]>`
      select count(*)::int as jobs from public.provisioning_jobs where kind = 'migrate_schema' and attempts > 1
        and request ->> 'to' = '5'`
    expect(again?.jobs, 'jobs that were taken over').toBeGreaterThanOrEqual(CANARY)
    await project.sql`update provisioning.settings set max_step_attempts = 3`
  })
})

describe('npm run tenants -- migrate', () => {
  it('lists the versions of a mixed fleet with --status', async () => {
    const [one, two, three] = tenants.map(({ organizationId }) => organizationId)
    await project.sql`update public.organization_databases
      set schema_version = case organization_id::text when ${one ?? ''} then null when ${two ?? ''} then 1 else 3 end
      where organization_id::text in (${one ?? ''}, ${two ?? ''}, ${three ?? ''})`
    const environment = operatorOf(project)
    const { document } = await tenantsJson(environment, 'migrate', '--status')
    expect(document).toMatchObject({
      versions: [
        { version: 5, tenants: FLEET - 3 },
        { version: 3, tenants: 1 },
        { version: 1, tenants: 1 },
        { version: null, tenants: 1 },
      ],
    })
    const { stdout } = await command(environment, 'migrate', '--status')
    for (const row of [`5 +${FLEET - 3}`, '3 +1', '1 +1', 'none yet +1'])
      expect(stdout).toMatch(new RegExp(`^ *${row} *$`, 'm'))
    await project.sql`update public.organization_databases set schema_version = 5`
  })

  it('says whom it would be about, fails where the functions lack the files, and shows the versions', async () => {
    const environment = operatorOf(project)
    const dry = await tenantsJson(environment, 'migrate', '--to', '9', '--dry-run')
    expect(dry.document).toMatchObject({ plan: { tenants: FLEET, asleep: 0 } })
    const begun = await tenantsJson(
      environment,
      'migrate',
      '--to',
      '9',
      '--canary',
      '5%',
      '--no-wait',
      '--yes',
    )
    expect(begun).toMatchObject({ code: 0, document: { run: { state: 'canary', canary_tenants: 2 } } })
    await work(ONE, TWO, THREE, FOUR)
    const shown = await command(environment, 'migrate', '--status')
    expect(shown.stdout).toContain('Version 9: stopped.')
    expect(shown.stdout).toContain('do not have the files of this version')
    const again = await command(environment, 'migrate', '--to', '4', '--yes')
    expect(again).toMatchObject({ code: 0 })
    expect(again.stdout).toContain('Version 4: done.')
  })

  it('follows a run past a network that fails, and tells of each tenant that fails at once and once', async () => {
    const [first] = tenants
    if (!first) throw new Error('there are tenants')
    await asOwner(first, 'insert into public.counted values (66)')
    const network = await startFailingNetwork()
    try {
      const environment = { ...operatorOf(project), SUPABASE_URL: network.url }
      const share = ['--canary', '0%', '--max-failures', '100%']
      const { printed, ended } = beginTenants(environment, 'migrate', '--to', '6', ...share, '--yes')
      await until('a look that fails', async () => network.failures() > 0 || undefined)
      // The others come later, so that the run is under way when this one has failed.
      await project.sql`select provisioning.request_schema_migration(${first.organizationId})`
      await project.sql`update public.provisioning_jobs set next_attempt_at = now() + interval '1 hour'
        where kind = 'migrate_schema' and status = 'queued' and organization_id <> ${first.organizationId}`
      await work(...ALL)
      const line = new RegExp(`^${first.organizationId}: .*0006_test\\.sql: check constraint`, 'gm')
      await until('word of the tenant that has failed', async () => line.test(printed.stderr) || undefined)
      await project.sql`update public.provisioning_jobs set next_attempt_at = now()
        where kind = 'migrate_schema' and status = 'queued'`
      const { code, stdout, stderr } = await workUntil(ended)
      expect(code).toBe(1)
      expect(stdout).toContain(`Version 6: done. ${FLEET - 1} done, 1 failed`)
      expect(stderr.match(line)).toHaveLength(1)
    } finally {
      await network.stop()
    }
  })

  it('shows a bar on a terminal, and ends with 0 when the tenant that had failed can take the file', async () => {
    const [first] = tenants
    if (!first) throw new Error('there are tenants')
    await asOwner(first, 'delete from public.counted where n = 66')
    const showing = inTerminal(operatorOf(project), ['migrate', '--to', '6', '--yes'])
    await until('a run', async () => ((await status()).state === 'done' ? undefined : true))
    const { code, output } = await workUntil(showing)
    expect(output).toMatch(/[█░]{24} +\d+ % (canary|rolling): 1 (queued|waiting)/)
    expect(output).toContain('Version 6: done. 1 done')
    expect(code).toBe(0)
  })

  it('begins no run where nobody is behind, and stops none where none is under way', async () => {
    const runs = () => project.sql`select count(*)::int as runs from provisioning.fleet_migrations`
    const before = await runs()
    const nothing = await command(operatorOf(project), 'migrate', '--to', '6', '--yes')
    expect(nothing).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('No tenant that is ready is behind version 6. Nothing was changed.'),
    })
    const stopped = await command(operatorOf(project), 'migrate', '--stop', 'a mistake')
    expect(stopped).toMatchObject({ code: 0, stderr: expect.stringContaining('there was nothing to stop') })
    expect(await runs()).toEqual(before)
  })

  it('ends with 3 when a run takes longer than it may be followed; the run is stopped and goes on by command', async () => {
    const environment = operatorOf(project)
    // All come first, so that the jobs of the run that is stopped are those of the one that goes on.
    const run = ['migrate', '--to', '7', '--canary', '100%', '--yes']
    const late = await tenantsJson(environment, ...run, '--timeout', '0.1')
    expect(late).toMatchObject({ code: 3, document: { run: { to_version: 7, state: 'canary' } } })
    const stopped = await command(environment, 'migrate', '--stop', 'a look at the first few')
    expect(stopped.stdout).toContain('Version 7: stopped.')
    expect(stopped.stdout).toContain('a look at the first few')
    await work(...ALL)
    expect((await status()).versions).toEqual({ 6: FLEET })
    const { ended } = beginTenants(environment, ...run)
    await until('a run', async () => ((await status()).state === 'stopped' ? undefined : true))
    expect(await workUntil(ended)).toMatchObject({
      code: 0,
      stdout: expect.stringContaining(`Version 7: done. ${FLEET} done`),
    })
    // Jobs that the stopped run had made have counted in the new one.
    const [left] =
      await project.sql`select count(*)::int as tenants from provisioning.fleet_migration_tenants t
      join provisioning.fleet_migrations f on f.id = t.fleet_migration_id where f.ended_at is not null and t.state = 'queued'`
    expect(left).toEqual({ tenants: 0 })
  })
})

async function asOwner({ organizationId }: HealthTenant, statement: string): Promise<void> {
  const sql = await loginConnection(project, organizationId, 'schema')
  await sql
    .unsafe(`begin; select set_config('role', current_database() || '_owner', true); ${statement}; commit`)
    .finally(() => sql.end({ timeout: 1 }))
}

/** Between a command and the project: of the looks at how the run stands, the second one after its beginning is lost. */
async function startFailingNetwork(): Promise<{
  readonly url: string
  failures(): number
  stop(): Promise<void>
}> {
  let looks = 0
  let failures = 0
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    if (request.url?.endsWith('/fleet_migration_status')) looks += 1
    // The first one is before the beginning.
    if (looks === 3 && failures === 0) {
      failures += 1
      request.socket.destroy()
      return
    }
    const headers = Object.entries(request.headers).filter(
      ([name]) => !['host', 'connection', 'content-length', 'accept-encoding'].includes(name),
    )
    const reply = await fetch(`${project.services.url}${request.url}`, {
      method: request.method ?? 'GET',
      headers: headers.map(([name, value]): [string, string] => [name, String(value)]),
      ...(chunks.length > 0 ? { body: Buffer.concat(chunks) } : {}),
    })
    const type = reply.headers.get('content-type')
    response.writeHead(reply.status, type === null ? {} : { 'content-type': type })
    response.end(Buffer.from(await reply.arrayBuffer()))
  })
  const port = await listen(server, { host: '127.0.0.1', port: 0 }, PORT_USES.api)
  return {
    url: `http://127.0.0.1:${port}`,
    failures: () => failures,
    stop: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}
