import { setTimeout as sleep } from 'node:timers/promises'
import postgres from 'postgres'
import { withPassword } from '../../shared/tenant-database/stored-password.ts'
import type { Benchmark, BenchmarkOptions, Measurement } from './benchmark.ts'
import { type BenchProject, withProject } from './project.ts'
import { signUpAndWait } from './tenants.ts'

/** By those who log in themselves, and as often through the endpoint. */
const PER_SECOND = 100
const OWN_ID = JSON.stringify({ query: '{ organizations(first: 1) { nodes { id } } }' })
const TIMEOUT_MS = 30_000

/**
 * A tenant's database is asked 200 times a second, while its password is rotated, the former one ends, and our own logins get other
 * passwords. Half of the queries come through the tenant's GraphQL endpoint. Of the clients that log in themselves one holds the
 * password from before and stops when the hours of grace are over; half of its queries open a connection of their own. The other
 * one reads the password once, as a function that keeps it would, and again when it is refused.
 */
export const rotation: Benchmark = {
  name: 'rotation',
  summary: 'queries that fail while a tenant’s password is rotated',
  defaultRuns: 1,
  aims: [{ metric: 'failed_queries', is: 'at most', value: 0 }],
  run: (options) =>
    withProject({ spareDatabases: 2, authConnections: 1 }, options, (project) => measure(project, options)),
}

interface Tenant {
  readonly organizationId: string
  readonly host: string
  readonly port: number
  readonly database: string
}

interface Login {
  readonly username: string
  readonly password: string
}

async function measure(project: BenchProject, options: BenchmarkOptions): Promise<Measurement> {
  const { superuser } = project
  await signUpAndWait(project, options.signal)
  const [tenant] = await superuser<Tenant[]>`
    select organization_id as "organizationId", host, port, database_name as database from public.organization_databases`
  if (!tenant) throw new Error('there is no tenant')
  const tally = new Map<string, number>()
  const note = (outcome: string) => tally.set(outcome, (tally.get(outcome) ?? 0) + 1)
  const held = await shownLogin(superuser, tenant)
  let cached = held
  const holder = connect(tenant, held)
  const old = inRhythm(
    options.signal,
    note,
    async (turn) => {
      if (turn % 2 === 0) return holder`select 1`
      const once = connect(tenant, held)
      return once`select 1`.finally(() => once.end({ timeout: 1 }))
    },
    PER_SECOND / 2,
  )
  const reading = inRhythm(
    options.signal,
    note,
    async () => {
      const done = await withPassword(
        async () => {
          cached = await shownLogin(superuser, tenant)
          return cached.password
        },
        () => askOnce(tenant, cached),
        (outcome) => outcome === 'refused',
        cached.password,
      )
      if (!done.ok || done.value === 'refused') throw new Error('refused')
    },
    PER_SECOND / 2,
  )
  const key = await makeKey(superuser, tenant)
  await askEndpoint(project, key)
  const throughEndpoint = inRhythm(options.signal, note, () => askEndpoint(project, key), PER_SECOND)
  const seconds = options.quick ? 0.5 : 5
  options.progress('rotating under load')
  await sleep(seconds * 1000)
  const startedAt = performance.now()
  await superuser`select provisioning.request_rotation(${tenant.organizationId}, null)`
  await untilJob(superuser, 'rotate_credentials')
  const rotatedMs = performance.now() - startedAt
  await sleep(seconds * 1000)
  await old.stop()
  await holder.end({ timeout: 1 })
  options.progress('ending the former login under load')
  await superuser`update provisioning.tenant_logins set ends_at = now(), look_at = now()`
  await superuser`select provisioning.sweep()`
  await untilJob(superuser, 'end_logins')
  await sleep(seconds * 1000)
  options.progress('renewing our own logins under load')
  await superuser`select provisioning.rotate_keys('{logins}')`
  await superuser`update public.organization_databases set rotation_look_at = now()`
  await superuser`select provisioning.sweep()`
  await untilJob(superuser, 'renew_own_logins')
  await sleep(seconds * 1000)
  await reading.stop()
  await throughEndpoint.stop()
  const failures = [...tally].filter(([outcome]) => outcome !== 'answered')
  return {
    metrics: {
      failed_queries: failures.reduce((sum, [, count]) => sum + count, 0),
      answered_queries: tally.get('answered') ?? 0,
      rotation_ms: rotatedMs,
    },
    problems: failures.map(([outcome, count]) => `${count} queries failed: ${outcome}.`),
  }
}

async function shownLogin(superuser: postgres.Sql, { organizationId }: Tenant): Promise<Login> {
  const [login] = await superuser<Login[]>`
    select d.role_name as username, s.decrypted_secret as password
    from public.organization_databases d join vault.decrypted_secrets s on s.id = d.credentials_secret_id
    where d.organization_id = ${organizationId}`
  if (!login) throw new Error('the tenant has no login')
  return login
}

async function makeKey(superuser: postgres.Sql, { organizationId }: Tenant): Promise<string> {
  const [made] = await superuser<{ key: string }[]>`
    select provisioning.insert_api_key(${organizationId}, 'bench', 'read', null, 1000000) ->> 'key' as key`
  if (!made) throw new Error('there is no key')
  return made.key
}

/** @throws Error with what the endpoint says when it does not answer with data */
async function askEndpoint({ services }: BenchProject, key: string): Promise<void> {
  const reply = await fetch(`${services.url}/functions/v1/tenant-graphql`, {
    method: 'POST',
    headers: { apikey: key, 'content-type': 'application/json' },
    body: OWN_ID,
    signal: AbortSignal.timeout(TIMEOUT_MS),
  })
  const text = await reply.text()
  if (!reply.ok || text.includes('"errors"'))
    throw new Error(`the endpoint: ${reply.status} ${text.slice(0, 200)}`)
}

function connect({ host, port, database }: Tenant, { username, password }: Login): postgres.Sql {
  return postgres({ host, port, database, username, password, max: 1, fetch_types: false })
}

async function askOnce(tenant: Tenant, login: Login): Promise<'answered' | 'refused'> {
  const sql = connect(tenant, login)
  try {
    await sql`select 1`
    return 'answered'
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    if (code === '28P01' || code === '28000') return 'refused'
    throw error
  } finally {
    await sql.end({ timeout: 1 })
  }
}

/** Begins a query at each tick, whether those before have been answered or not, until it is stopped. */
function inRhythm(
  signal: AbortSignal,
  note: (outcome: string) => void,
  query: (turn: number) => Promise<unknown>,
  perSecond: number,
): { stop(): Promise<void> } {
  const open = new Set<Promise<void>>()
  let turn = 0
  const timer = setInterval(() => {
    const asked = query(turn++)
      .then(() => note('answered'))
      .catch((error: unknown) => note(error instanceof Error ? error.message : String(error)))
      .finally(() => open.delete(asked))
    open.add(asked)
  }, 1000 / perSecond)
  signal.addEventListener('abort', () => clearInterval(timer), { once: true })
  return {
    stop: async () => {
      clearInterval(timer)
      await Promise.all(open)
    },
  }
}

async function untilJob(superuser: postgres.Sql, kind: string): Promise<void> {
  const deadline = performance.now() + TIMEOUT_MS
  while (performance.now() < deadline) {
    const [job] = await superuser<{ status: string }[]>`
      select status from public.provisioning_jobs where kind = ${kind} order by created_at desc limit 1`
    if (job?.status === 'succeeded') return
    if (job?.status === 'failed') throw new Error(`the job ${kind} failed`)
    await sleep(20)
  }
  throw new Error(`the job ${kind} has not ended in ${TIMEOUT_MS / 1000} s`)
}
