import type { SupabaseClient } from '@supabase/supabase-js'
import postgres from 'postgres'
import type { Database } from '../../shared/generated/database-types.ts'
import type { Result } from '../../shared/kernel/result.ts'
import { connectN8n } from '../../shared/services/n8n/client.ts'
import { n8nEnvironment } from '../../shared/services/n8n/environment.ts'
import { n8n } from '../../shared/services/n8n/index.ts'
import { clientName, tagName } from '../../shared/services/n8n/names.ts'
import { connectVercel } from '../../shared/services/vercel/client.ts'
import { vercelEnvironment } from '../../shared/services/vercel/environment.ts'
import { vercel } from '../../shared/services/vercel/index.ts'
import { bold, dim, green } from '../../tools/command.ts'
import { emulatorVariables } from '../../tools/emulators.ts'
import { supabaseClient } from '../../tools/supabase-client.ts'
import type { Stack } from '../stack.ts'
import { showEndpoint } from './endpoint.ts'
import { withTenantDatabase } from './tenant-database.ts'
import { watchSteps } from './watch.ts'

type Client = SupabaseClient<Database>

interface Resource {
  readonly organization_id: string
  readonly details: unknown
}

/** A project takes minutes at Supabase; here it comes up in the time that the emulator is told. */
const TIMEOUT_MS = 120_000

/** One sign-up in the tier project: everything that it gets outside, that its tables are protected, and its endpoint. */
export async function showProjectTier(
  stack: Stack,
  signUp: (email: string, fullName: string) => Promise<Client>,
): Promise<void> {
  await inSql(stack, (sql) => sql`update provisioning.settings set default_tier = 'project'`)
  console.log(`\n${bold('Ann signs up, and gets a Supabase project of her own')}`)
  const ann = await signUp('ann@example.com', 'Ann Archer')
  await watchSteps(ann, TIMEOUT_MS)

  console.log(`\n${bold('What exists outside now, as the status rows tell')}`)
  const resources = await showResources(stack, ann)

  console.log(`\n${bold('Asked there whether it works')}`)
  await showWorking(stack, resources)

  console.log(`\n${bold('Her project’s database')}`)
  await showDatabase(ann)

  console.log(`\n${bold('Her GraphQL endpoint, opened with an API key')}`)
  await showEndpoint(stack, ann)

  console.log(`\n${bold('It is taken back when she leaves')}`)
  await showRemoval(stack, ann)
}

async function showResources(stack: Stack, client: Client): Promise<Resource[]> {
  const { data } = await client.from('organizations').select('id').single().throwOnError()
  const admin = supabaseClient(stack.url, stack.keys.secretKey)
  const { data: resources } = await admin
    .from('tenant_resources')
    .select('*')
    .eq('organization_id', data.id)
    .order('created_at')
    .throwOnError()
  for (const { kind, name, external_id: id, url, details } of resources) {
    console.log(`  ${green('✓')} ${kind.padEnd(18)} ${name}  ${dim(`id ${id}`)}`)
    if (url) console.log(`      ${url}`)
    for (const each of listed(details)) console.log(`      ${each}`)
  }
  return resources
}

/** Rows only tell what our steps have seen. @throws Error unless the deployment is ready and every workflow active */
async function showWorking(stack: Stack, resources: readonly Resource[]): Promise<void> {
  const { deploymentId } = Object.assign({}, ...resources.map(({ details }) => details))
  await inSql(stack, async (sql) => {
    if (stack.vercel) {
      const environment = vercelEnvironment.parse(emulatorVariables(vercel, stack.vercel.url))
      const found = expectedOf(await connectVercel(environment, sql)().deployment(deploymentId))
      if (found?.state !== 'ready') throw new Error(`The deployment ${deploymentId} is not ready!`)
      console.log(`  ${green('✓')} Vercel: the deployment ${found.id} is ready`)
    }
    if (stack.n8n) {
      const environment = n8nEnvironment.parse(emulatorVariables(n8n, stack.n8n.url))
      const organizationId = resources[0]?.organization_id ?? ''
      const found = expectedOf(
        await connectN8n(environment, sql)().clientWorkflows(
          clientName(organizationId),
          tagName(organizationId),
        ),
      )
      if (found.length === 0 || found.some(({ active }) => !active))
        throw new Error('A workflow is not active!')
      console.log(`  ${green('✓')} n8n: ${found.length} workflows are active`)
    }
  })
}

/** The parts of a resource that have names of their own, such as workflows. */
function listed(details: unknown): string[] {
  const { parts } = Object(details)
  return Array.isArray(parts)
    ? parts.map(
        ({ id, name, url }: { id?: unknown; name?: unknown; url?: unknown }) =>
          `${String(name)}  ${String(url ?? id)}`,
      )
    : []
}

function expectedOf<T>(result: Result<T>): T {
  if (!result.ok) throw new Error(`${result.failure.code}: ${result.failure.message}`)
  return result.value
}

async function showDatabase(client: Client): Promise<void> {
  await withTenantDatabase(client, async (sql, address) => {
    const [row] = await sql<{ tables: number; open: number }[]>`
      select count(*)::integer as tables, count(*) filter (where not c.relrowsecurity)::integer as open
      from pg_catalog.pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')`
    if (!row || row.open > 0 || row.tables === 0) throw new Error('A table is without row level security!')
    console.log(`  ${green('✓')} ${address}`)
    console.log(`  ${green('✓')} ${row.tables} tables, each with row level security`)
  })
}

async function showRemoval(stack: Stack, client: Client): Promise<void> {
  const { data } = await client.from('organizations').select('id').single().throwOnError()
  const rows = await inSql(
    stack,
    (sql) => sql<{ label: string; removed_after_hours: number; kept: boolean }[]>`
      select label, removed_after_hours, kept from provisioning.planned_removals(${data.id}, true)`,
  )
  for (const { label, kept, removed_after_hours: hours } of rows)
    console.log(`  ${dim(kept ? 'kept' : hours === 0 ? 'at once' : `after ${hours} h`).padEnd(20)} ${label}`)
}

async function inSql<T>(stack: Stack, work: (sql: postgres.Sql) => Promise<T>): Promise<T> {
  const sql = postgres(stack.databaseUrl(), { max: 1 })
  return work(sql).finally(() => sql.end())
}
