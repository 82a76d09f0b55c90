import { readFile } from 'node:fs/promises'
import path from 'node:path'
import type { Command } from 'commander'
import type postgres from 'postgres'
import { z } from 'zod'
import { withTenantDatabase } from '../../shared/tenant-database/connection.ts'
import { projectRoot } from '../../tools/project.ts'
import { labelled, sign } from '../../tools/terminal.ts'
import { type Api, ProjectError } from '../api.ts'
import { type Define, exit } from '../session.ts'
import { argumentOf, nameOf } from '../tenant.ts'

const EXAMPLES = path.join(projectRoot, 'tenant-schema/examples/data.sql')

interface Options {
  readonly file?: string
  readonly yes?: boolean
  readonly dryRun?: true
}

const connectionSchema = z.looseObject({
  host: z.string(),
  port: z.number().nullable(),
  database: z.string().nullable(),
  role: z.string().nullable(),
  ssl_mode: z.string(),
  password: z.string().nullable(),
})

export function registerSeed(program: Command, define: Define): void {
  define(
    program
      .command('seed')
      .description('put example rows into a tenant’s database')
      .argument('<tenant>', 'slug, e-mail address or id')
      .option('--file <sql>', 'another file than tenant-schema/examples/data.sql')
      .option('--dry-run', 'only say into which tables')
      .option('--yes', 'do not ask')
      .addHelpText(
        'after',
        '\nThe file runs as the tenant’s own login, in one transaction. To open the database its password is revealed to this\ncommand, which the audit log notes. Run a second time, the examples add nothing. A sleeping database wakes.',
      ),
    async (session, subject: string, options: Options) => {
      const api = await session.connect()
      const tenant = await api.find(subject)
      const text = await readFile(options.file ?? EXAMPLES, 'utf8')
      const tables = tablesIn(text)
      const lines = `Example rows for ${nameOf(tenant)}, in ${tables.length} tables: ${tables.join(', ')}.`
      if (options.dryRun) {
        session.print({ dryRun: true, tables }, () => lines)
        return exit.fine
      }
      if (!options.yes) session.note(lines)
      await session.confirm(`Put them into the database of ${nameOf(tenant)}?`, options.yes ?? false)
      session.requesting(argumentOf(tenant))
      const added = await inside(api, session.stop, tenant.organization_id, (sql) => seed(sql, text, tables))
      session.print({ added }, () => labelled(sign('ok'), addedLine(nameOf(tenant), added), 2))
      return exit.fine
    },
  )
}

/** Those that a file adds rows to, in its order. */
function tablesIn(text: string): string[] {
  const names = [...text.matchAll(/^insert into (?:public\.)?(\w+)/gim)].map(([, name = '']) => name)
  return [...new Set(names)]
}

type Added = Readonly<Record<string, number>>

async function seed(sql: postgres.Sql, text: string, tables: readonly string[]): Promise<Added> {
  const before = await countRows(sql, tables)
  await sql.unsafe(`begin; set local search_path = public; ${text}; commit`)
  const after = await countRows(sql, tables)
  return Object.fromEntries(tables.map((table) => [table, (after[table] ?? 0) - (before[table] ?? 0)]))
}

async function countRows(sql: postgres.Sql, tables: readonly string[]): Promise<Added> {
  const counts = tables.map(
    (table) => `select '${table}' as name, count(*)::integer as rows from public."${table}"`,
  )
  const rows = await sql.unsafe<{ name: string; rows: number }[]>(counts.join(' union all '))
  return Object.fromEntries(rows.map(({ name, rows: count }) => [name, count]))
}

/** Works in the tenant's database as the login that its people are shown. @throws ProjectError when it does not open */
async function inside<T>(
  api: Api,
  signal: AbortSignal,
  organizationId: string,
  work: (sql: postgres.Sql) => Promise<T>,
): Promise<T> {
  const call = api.client.rpc('database_connection', {
    organization_id: organizationId,
    reveal_password: true,
  })
  const connection = connectionSchema.parse(await api.read('The connection', call))
  const tenant = {
    host: connection.host,
    pooledHost: null,
    port: connection.port,
    databaseName: connection.database,
    roleName: connection.role,
    sslMode: connection.ssl_mode,
  }
  const limits = { statementMs: 30_000 }
  const done = await withTenantDatabase({ tenant, signal }, connection.password ?? '', 'direct', work, limits)
  if (!done.ok) throw new ProjectError(done.failure.message, done.failure.code, 503)
  return done.value
}

function addedLine(name: string, added: Added): string {
  const some = Object.entries(added).filter(([, count]) => count > 0)
  if (some.length === 0) return `The examples are in the database of ${name} already; nothing was added.`
  return `Added to the database of ${name}: ${some.map(([table, count]) => `${count} ${table}`).join(', ')}.`
}
