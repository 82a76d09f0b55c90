import { setTimeout as sleep } from 'node:timers/promises'
import type { SupabaseClient } from '@supabase/supabase-js'
import postgres from 'postgres'
import type { Database } from '../../shared/generated/database-types.ts'
import { publicSchema } from '../../shared/kernel/database/client.ts'
import { dim, green, red, yellow } from '../../tools/command.ts'
import type { Stack } from '../stack.ts'
import { withTenantDatabase } from './tenant-database.ts'

type Client = SupabaseClient<Database>

const TIMEOUT_MS = 40_000
const POLL_MS = 100

/** Shows how a tenant's health is seen and its trouble told: a role that is locked out, then a quota that is used up. */
export async function showHealth(stack: Stack, client: Client): Promise<void> {
  await hurryChecks(stack)
  console.log(
    dim('  Checks come every second here; every 30 s, and ever less often while all is calm, otherwise.'),
  )
  await showMetrics(client)

  const role = await physicalRole(client)
  await superuser(stack, (sql) => sql`alter role ${sql(role)} nologin`)
  console.log(`  Somebody takes the right to log in from the role that checks Ann's database …`)
  await showAlert(client, 'opened')
  await superuser(stack, (sql) => sql`alter role ${sql(role)} login`)
  console.log('  … and gives it back.')
  await showAlert(client, 'resolved')

  await changeProject(stack, client, { quotaExceeded: true })
  console.log('  The compute quota of her plan is used up …')
  await showAlert(client, 'opened')
  await changeProject(stack, client, { quotaExceeded: false })
  console.log('  … until the next month begins.')
  await showAlert(client, 'resolved')
}

async function hurryChecks(stack: Stack): Promise<void> {
  const sql = postgres(stack.databaseUrl(), { max: 1 })
  try {
    await sql`update provisioning.settings set health_interval_seconds = 1, health_interval_cap_seconds = 1`
    await sql`update ${publicSchema}.tenant_health set next_check_at = now()`
    await sql`select cron.schedule('tenant-provisioning-health-tick', '1 second', 'select provisioning.health_tick()')`
  } finally {
    await sql.end()
  }
}

/** Waits for the first check that has connected. */
async function showMetrics(client: Client): Promise<void> {
  const deadline = Date.now() + TIMEOUT_MS
  while (Date.now() < deadline) {
    const { data, error } = await client.from('tenant_health').select('status, metrics').single()
    if (error) throw new Error(error.message)
    const {
      latency_ms: latency,
      pooled_connect_ms: connect,
      size_bytes: size,
      ...more
    } = Object(data.metrics)
    if (data.status === 'healthy' && latency !== undefined) {
      console.log(
        `  ${green('✓')} healthy: round trip ${latency} ms, connect ${connect} ms, ${more.connections} of ` +
          `${more.max_connections} connections, ${(size / 2 ** 20).toFixed(1)} MiB`,
      )
      return
    }
    await sleep(POLL_MS)
  }
  throw new Error(`Ann's tenant was not found healthy within ${TIMEOUT_MS / 1000} s.`)
}

/** Waits until the newest health alert is open, or resolved, and prints what it says. */
async function showAlert(client: Client, wanted: 'opened' | 'resolved'): Promise<void> {
  const startedAt = performance.now()
  while (performance.now() - startedAt < TIMEOUT_MS) {
    const { data } = await client
      .from('tenant_alerts')
      .select('*')
      .eq('kind', 'tenant_health')
      .order('opened_at', { ascending: false })
      .limit(1)
    const alert = data?.[0]
    if (alert && (alert.resolved_at !== null) === (wanted === 'resolved')) {
      const sign = wanted === 'resolved' ? green('✓') : red('!')
      const seconds = ((performance.now() - startedAt) / 1000).toFixed(1)
      console.log(
        `  ${sign} alert ${wanted} after ${seconds} s${wanted === 'opened' ? yellow(` (${alert.severity}): ${alert.message}`) : ''}`,
      )
      return
    }
    await sleep(POLL_MS)
  }
  throw new Error(`The alert was not ${wanted} within ${TIMEOUT_MS / 1000} s.`)
}

/** The login that checks her database. All emulated projects share one server, on which it has another name. */
async function physicalRole(client: Client): Promise<string> {
  const [row] = await withTenantDatabase(
    client,
    (sql) => sql<{ name: string }[]>`select current_database() || '_health' as name`,
  )
  if (!row) throw new Error('the tenant database did not say what it is called')
  return row.name
}

async function superuser(stack: Stack, work: (sql: postgres.Sql) => Promise<unknown>): Promise<void> {
  const sql = postgres(stack.databaseUrl('supabase_admin'), { max: 1 })
  await work(sql).finally(() => sql.end())
}

/** What at Neon only bills bring about. */
async function changeProject(stack: Stack, client: Client, changes: object): Promise<void> {
  const { data } = await client.from('organization_databases').select('neon_project_id').single()
  const reply = await fetch(
    `${new URL(stack.neon?.url ?? '').origin}/_emulator/projects/${data?.neon_project_id}`,
    {
      method: 'PATCH',
      body: JSON.stringify(changes),
    },
  )
  if (!reply.ok) throw new Error(`The Neon emulator answered ${reply.status}: ${await reply.text()}`)
}
